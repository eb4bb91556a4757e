package lsd

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// sealName is a file beside Pebble's folder that an orderly stop leaves and a start takes away: the checksums of the files that
// Pebble reads first. A manifest or log whose end is rotten looks to Pebble as if a power cut had torn it, and it would go on with
// what was before.
const sealName = "meta.sum"

// sealRecord is its content, JSON.
type sealRecord struct {
	V     int                 `json:"v"`
	Files map[string]sealFile `json:"files"`
}

type sealFile struct {
	Size int    `json:"size"`
	Sum  uint32 `json:"sum"`
}

// sealed tells which of Pebble's files are in the seal: its tables have checksums of their own.
func sealed(name string) bool {
	return strings.HasPrefix(name, "MANIFEST-") || strings.HasSuffix(name, ".log")
}

// sumMeta sums up Pebble's files.
func sumMeta(fsys vfs.FS, meta string) (map[string]sealFile, error) {
	names, err := fsys.List(meta)
	if err != nil {
		return nil, err
	}
	sums := map[string]sealFile{}
	for _, name := range names {
		if sealed(name) {
			p, err := readMetaLog(fsys, path.Join(meta, name))
			if err != nil {
				return nil, err
			}
			sums[name] = sealFile{len(p), checksum(p)}
		}
	}
	return sums, nil
}

// sealMeta leaves the seal, after Pebble is closed. It is not there, or whole.
func sealMeta(fsys vfs.FS, dir string) error {
	sums, err := sumMeta(fsys, path.Join(dir, "meta"))
	if err != nil {
		return err
	}
	text, err := json.Marshal(sealRecord{V: recordVersion, Files: sums})
	if err != nil {
		return err
	}
	return replaceFile(fsys, path.Join(dir, sealName), text)
}

// breakSeal compares the files with the seal, if there is one, and takes it away, durably: from now on they change.
func breakSeal(fsys vfs.FS, dir string) error {
	file, err := brokenSeal(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && file != "" {
		err = fmt.Errorf("metadata file %s is not what the last stop left: %w", file, block.ErrDamaged)
	}
	if err != nil {
		return err
	}
	return errors.Join(fsys.Remove(path.Join(dir, sealName)), fsys.SyncDir(dir))
}

// brokenSeal names a file that is not what the seal says, a manifest first. A seal that is rotten itself says nothing.
func brokenSeal(fsys vfs.FS, dir string) (file string, err error) {
	text, err := readMetaLog(fsys, path.Join(dir, sealName))
	if err != nil {
		return "", err
	}
	var r sealRecord
	if json.Unmarshal(text, &r) != nil || r.V != recordVersion {
		return "", nil
	}
	sums, err := sumMeta(fsys, path.Join(dir, "meta"))
	if err != nil {
		return "", err
	}
	for name, was := range r.Files {
		if is, ok := sums[name]; (!ok || is != was) && !strings.HasPrefix(file, "MANIFEST") {
			file = name
		}
	}
	return file, nil
}

// Pebble's manifest is a log of an older kind: a chunk's header is checksum (4), length (2), kind (1).
const manifestHeader = 7

func parseManifestChunk(p []byte, off int) (length int, ok bool) {
	room := min(logBlock-off%logBlock, len(p)-off)
	if room <= manifestHeader {
		return 0, false
	}
	h := p[off : off+room]
	length = manifestHeader + int(binary.LittleEndian.Uint16(h[4:]))
	if h[6] < 1 || h[6] > 4 || length == manifestHeader || length > room {
		return 0, false
	}
	sum := checksum(h[6:length])
	return length, binary.LittleEndian.Uint32(h) == (sum>>15|sum<<17)+logChecksum
}

// manifestHole tells that a chunk of a manifest is not whole and a later one is: each was durable before the next was written.
func manifestHole(p []byte) bool {
	off := 0
	for off < len(p) {
		length, ok := parseManifestChunk(p, off)
		if !ok {
			if left := logBlock - off%logBlock; left <= manifestHeader && off%logBlock != 0 {
				off += left
				continue
			}
			break
		}
		off += length
	}
	for at := off + 1; at < len(p); at++ {
		if _, ok := parseManifestChunk(p, at); ok {
			return true
		}
	}
	return false
}

// manifestIsWhole refuses a manifest with a hole: Pebble takes it for the end.
func manifestIsWhole(fsys vfs.FS, meta, marker string) error {
	name := marker[strings.LastIndex(marker, ".")+1:]
	p, err := readMetaLog(fsys, path.Join(meta, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Pebble says so itself
	}
	if err == nil && manifestHole(p) {
		err = fmt.Errorf("metadata file %s has a hole: %w", name, block.ErrDamaged)
	}
	return err
}
