//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	filesDir = "/files"
	// slots is how many files there are; file n replaces file n-slots.
	slots = 64
	// most bounds a file's size.
	most = 64 << 10
)

// content is what file n holds: its number, and bytes that follow from it.
func content(n int64) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	rnd := rand.NewChaCha8(seed)
	text := make([]byte, 8+rnd.Uint64()%most)
	_, _ = rnd.Read(text) // never fails
	binary.BigEndian.PutUint64(text, uint64(n))
	return text
}

func slotName(dir string, n int64) string { return filepath.Join(dir, fmt.Sprintf("%02d", n%slots)) }

// replace puts file n in the place of file n-slots, as a careful program does: when it returns, file n is there after
// any power cut, and at no moment is there neither.
func replace(dir string, n int64) error {
	next := filepath.Join(dir, "next")
	f, err := os.Create(next)
	if err != nil {
		return err
	}
	if _, err := f.Write(content(n)); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, slotName(dir, n)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// verify reads all files and returns the number of the last. It is an error when one of the slots before it is not there
// whole.
func verify(dir string) (last int64, err error) {
	var found [slots]int64
	for slot := range int64(slots) {
		text, err := os.ReadFile(slotName(dir, slot))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if len(text) < 8 {
			return 0, fmt.Errorf("slot %d holds %d bytes", slot, len(text))
		}
		n := int64(binary.BigEndian.Uint64(text))
		if n%slots != slot || !bytes.Equal(text, content(n)) {
			return 0, fmt.Errorf("slot %d holds %d bytes that are not those of file %d", slot, len(text), n)
		}
		found[slot] = n
		last = max(last, n)
	}
	for n := max(1, last-slots+1); n <= last; n++ {
		if found[n%slots] != n {
			return 0, fmt.Errorf("the last file is %d, and instead of %d there is %d", last, n, found[n%slots])
		}
	}
	return last, nil
}
