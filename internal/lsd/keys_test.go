package lsd

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// withKeys is how most tests open a store, with these keys.
func withKeys(current Key, others ...Key) Options {
	opt := manual
	opt.Keys = &KeyRing{Current: current, Others: others}
	return opt
}

func withoutKeys() Options {
	opt := manual
	opt.Keys = nil
	return opt
}

// files reads everything below a folder.
func files(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := fs.List(dir)
	mustDo(t, err)
	for _, base := range names {
		name := path.Join(dir, base)
		info, err := fs.Stat(name)
		mustDo(t, err)
		if info.IsDir {
			for name, p := range files(t, fs, name) {
				all[name] = p
			}
			continue
		}
		p, err := readWhole(fs, name)
		mustDo(t, err)
		all[name] = p
	}
	return all
}

// secret is a block that would be found wherever it reached the disk as it is: each sector has the needle at several places.
func secret(n int) []byte {
	return bytes.Repeat([]byte("PLAINTEXT NEEDLE"), n*block.BlockSize/16)
}

const needle = "NEEDLEPLAINTEXT "

func leaks(t *testing.T, when string, fs vfs.FS) {
	t.Helper()
	sum := binary.LittleEndian.AppendUint32(nil, checksum(secret(1)))
	for name, p := range files(t, fs, "engine") {
		for what, bad := range map[string][]byte{"plaintext": []byte(needle), "its checksum": sum} {
			if bytes.Contains(p, bad) {
				t.Errorf("%s: %s is in %s", when, what, name)
			}
		}
	}
}

// TestPlaintextNeverReachesTheDisk plants a text in a disk, takes it through everything that copies blocks, and looks for it,
// and for the checksum of a block of it, in all files.
func TestPlaintextNeverReachesTheDisk(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 4<<20)
	put := func(d block.Device, lba, n int) {
		t.Helper()
		_, err := d.WriteAt(secret(n), int64(lba)*block.BlockSize)
		mustDo(t, err)
	}
	snap, clone := uuid.New(), uuid.New()
	put(d, 0, 100)
	mustDo(t, d.Flush(), s.Snapshot(block.Cut{Source: id, Snapshot: snap}), s.Checkpoint())
	leaks(t, "after a snapshot", fs)
	_, err := d.WriteAt([]byte("ragged NEEDLEPLAINTEXT NEEDLEPLAINTEXT "), 5000)
	mustDo(t, err)
	put(d, 10, 80)
	mustDo(t, d.Flush(), s.Clone(clone, snap, 4<<20))
	c := mustOpen(t, s, clone)
	put(c, 50, 120)
	mustDo(t, c.(block.Settler).Settle())
	leaks(t, "of a clone, settled", fs)
	mustDo(t, c.Flush(), s.Checkpoint())
	moved := 0
	for range 5 {
		n, err := s.Compact(0.001)
		mustDo(t, err)
		moved += n
	}
	if moved == 0 {
		t.Error("nothing was compacted")
	}
	leaks(t, "after compaction", fs)
	put(d, 200, 10)
	mustDo(t, d.Flush())
	after := fs.Crash()
	s, err = Open(after, "engine", manual)
	mustDo(t, err)
	leaks(t, "after a crash", after)
	mustCheck(t, s)
	got := make([]byte, len(secret(10)))
	_, err = mustOpen(t, s, id).ReadAt(got, 200*block.BlockSize)
	mustDo(t, err)
	if !bytes.Equal(got, secret(10)) {
		t.Error("other bytes came back")
	}
	mustDo(t, s.Close())
	leaks(t, "after the end", after)
	plain := crashfs.New(1)
	if s, err = Open(plain, "engine", withoutKeys()); err == nil {
		err = s.Create(id, 1<<20)
	}
	mustDo(t, err)
	put(mustOpen(t, s, id), 0, 1)
	mustDo(t, s.Close())
	if bytes.Count(bytes.Join([][]byte{files(t, plain, "engine/segments")["engine/segments/0000000001.seg"]}, nil), []byte(needle)) == 0 {
		t.Error("the needle is not found where nothing is encrypted: the test is blind")
	}
}

// TestCipherIsWhatIsDocumented encrypts a block with nothing of the engine's, as docs/format/data-keys.md says.
func TestCipherIsWhatIsDocumented(t *testing.T) {
	k := dataKey{1, 2, 3}
	c, err := newSegmentCipher(&k, 0x01020304, 0x1112131415161718)
	mustDo(t, err)
	info, err := hex.DecodeString("04030201" + "1817161514131211")
	mustDo(t, err)
	key, err := hkdf.Key(sha256.New, k[:], nil, "tintype segment 1"+string(info), 32)
	mustDo(t, err)
	aes256, err := aes.NewCipher(key)
	mustDo(t, err)
	file := make([]byte, 10*block.BlockSize) // the key stream of the file
	cipher.NewCTR(aes256, make([]byte, 16)).XORKeyStream(file, file)
	p := make([]byte, 2*block.BlockSize)
	c.crypt(p, p, 7)
	if !bytes.Equal(p, file[7*block.BlockSize:9*block.BlockSize]) {
		t.Error("blocks are encrypted in another way")
	}
	counter := append([]byte{0x80}, make([]byte, 15)...)
	counter[14], counter[15] = 1, 2
	aes256.Encrypt(counter, counter)
	var m masker
	if got := m.mask(c, 0x102); got != binary.LittleEndian.Uint32(counter) {
		t.Error("checksums are masked in another way")
	}
}

// TestWrapping: a key opens with the key that wrapped it, for its lineage, and is never the same twice.
func TestWrapping(t *testing.T) {
	k, other := Key{1}, Key{2}
	a, err := k.wrap(7, &dataKey{9})
	mustDo(t, err)
	b, err := k.wrap(7, &dataKey{9})
	mustDo(t, err)
	if bytes.Equal(a, b) {
		t.Error("wrapping repeats itself")
	}
	if got, err := k.unwrap(7, a); err != nil || got != (dataKey{9}) {
		t.Errorf("unwrap: %v, %v", got, err)
	}
	if _, err := k.unwrap(8, a); !errors.Is(err, errUnwrap) {
		t.Errorf("a key of another lineage: %v", err)
	}
	if _, err := other.unwrap(7, a); !errors.Is(err, errUnwrap) {
		t.Errorf("another key: %v", err)
	}
	if k.ID() == other.ID() || len(k.ID()) != 16 || strings.Contains(k.String(), hex.EncodeToString(k[:8])) {
		t.Errorf("ids %s and %s", k, other)
	}
}

// TestWithoutItsKeyAStoreIsNotTouched opens a store with no key, another key and the right ones.
func TestWithoutItsKeyAStoreIsNotTouched(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 3, 33)
	mustDo(t, d.Flush(), s.Close())
	was := files(t, fs, "engine")
	for name, opt := range map[string]Options{"no key": withoutKeys(), "another key": withKeys(Key{7}, Key{8})} {
		_, err := Open(fs, "engine", opt)
		var missing *KeyError
		if !errors.As(err, &missing) {
			t.Fatalf("%s: opening says %v", name, err)
		}
		if d := cmp.Diff([]string{Key{1}.ID()}, missing.Needed); d != "" || !strings.Contains(err.Error(), Key{1}.ID()) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(was, files(t, fs, "engine")); d != "" {
			t.Errorf("%s: files have changed: %.500s", name, d)
		}
	}
	needed, err := NeededKeys(fs, "engine")
	if d := cmp.Diff([]string{Key{1}.ID()}, needed); d != "" || err != nil {
		t.Errorf("needed keys: %v, %v", needed, err)
	}
	s, err = Open(fs, "engine", withKeys(Key{7}, Key{1}))
	mustDo(t, err)
	mustRead(t, mustOpen(t, s, id), 3, 33)
	mustDo(t, s.Close())
	s, err = Open(fs, "engine", withKeys(Key{7}))
	mustDo(t, err)
	mustRead(t, mustOpen(t, s, id), 3, 33)
	mustCheck(t, s)
	mustDo(t, s.Close())
}

// TestRewrap changes the key under an open store, fails and crashes at every operation on the way, and opens what is left
// with the old and the new key; when the change has ended the new one alone must do.
func TestRewrap(t *testing.T) {
	for n := 0; ; n++ {
		disk := crashfs.New(uint64(n))
		faults := faultfs.New(disk)
		s, err := Open(faults, "engine", manual)
		mustDo(t, err)
		ids := []block.ID{uuid.New(), uuid.New(), uuid.New()}
		for i, id := range ids {
			mustDo(t, s.Create(id, 1<<20))
			d := mustOpen(t, s, id)
			write(t, d, i, byte(i+1))
			mustDo(t, d.Flush())
		}
		var picture *crashfs.FS
		fault := faults.Inject(faultfs.Fault{
			Kinds: faultfs.Changes, N: n, Do: func(faultfs.Op) { picture = disk.AfterCrash() }, Err: errors.New("failed"),
		})
		changed := s.Rewrap(KeyRing{Current: Key{2}})
		faults.Clear()
		if hit := fault.Hits() > 0; hit != (changed != nil) {
			t.Fatalf("operation %d: fails %t, says %v", n, hit, changed)
		}
		rings := map[string]Options{"new first": withKeys(Key{2}, Key{1}), "old first": withKeys(Key{1}, Key{2})}
		if changed == nil {
			rings, picture = map[string]Options{"new": withKeys(Key{2})}, disk.AfterCrash()
		}
		for name, opt := range rings {
			after := picture.AfterRestart()
			again, err := Open(after, "engine", opt)
			if err != nil {
				t.Fatalf("operation %d, %s: %v", n, name, err)
			}
			for i, id := range ids {
				mustRead(t, mustOpen(t, again, id), i, byte(i+1))
			}
			mustDo(t, again.Close())
			if needed, err := NeededKeys(after, "engine"); err != nil || len(needed) != 1 || needed[0] != opt.Keys.Current.ID() {
				t.Errorf("operation %d, %s: afterwards %v is needed, %v", n, name, needed, err)
			}
		}
		write(t, mustOpen(t, s, ids[0]), 9, 9) // the store goes on under whichever key it has
		mustDo(t, s.Close())
		if changed == nil {
			if n < 8 {
				t.Errorf("only %d operations could fail", n)
			}
			return
		}
	}
}

// TestDamagedKeyFile flips every bit of one file of keys: the other makes up for it, and mends it. With both gone the store
// says so; a line that both have lost costs its own disk alone, which gets no new key.
func TestDamagedKeyFile(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 3, 33)
	other := uuid.New()
	mustDo(t, s.Create(other, 1<<20))
	write(t, mustOpen(t, s, other), 4, 44)
	mustDo(t, s.Close())
	good := files(t, fs, "engine")
	name := "engine/" + keyFileName
	for off := range good[name] {
		bad := fs.AfterRestart()
		mustDo(t, bad.Flip(name, int64(off)))
		table, err := loadKeys(bad, "engine", &KeyRing{Current: Key{1}})
		if err != nil || len(table.keys) != 2 {
			t.Fatalf("byte %d flipped: %v", off, err)
		}
		mustDo(t, table.tidy(func(uint64) bool { return true }, nil))
		if d := cmp.Diff(good[name], files(t, bad, "engine")[name]); d != "" {
			t.Fatalf("byte %d flipped, mended: %s", off, d)
		}
	}
	last := int64(len(good[name])) - 3
	mustDo(t, fs.Flip(name, last), fs.Flip("engine/"+keyFileCopy, last))
	s, err := Open(fs, "engine", manual)
	mustDo(t, err)
	mustRead(t, mustOpen(t, s, id), 3, 33)
	lost := mustOpen(t, s, other)
	for what, err := range map[string]error{"read": readError(lost, 4), "write": writeError(lost, 5)} {
		if !errors.Is(err, block.ErrDamaged) || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s of a disk whose key is lost: %v", what, err)
		}
	}
	if r, err := s.Check(context.Background()); err != nil || len(r.Problems) != 1 {
		t.Errorf("check: %q, %v", r.Problems, err)
	}
	mustDo(t, s.Close(), fs.Remove(name), fs.Remove("engine/"+keyFileCopy))
	if _, err = Open(fs, "engine", manual); !errors.Is(err, block.ErrDamaged) || !strings.Contains(err.Error(), "data-keys") {
		t.Errorf("without files of keys: %v", err)
	}
}

func readError(d block.Device, lba int64) error {
	_, err := d.ReadAt(make([]byte, block.BlockSize), lba*block.BlockSize)
	return err
}

func writeError(d block.Device, lba int64) error {
	_, err := d.WriteAt(make([]byte, block.BlockSize), lba*block.BlockSize)
	return errors.Join(err, d.Flush())
}

// TestKeysGoWithTheirDisks: a deleted disk's key is dropped, but not before the clones that read its segments are gone.
func TestKeysGoWithTheirDisks(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 3, 33)
	clone := uuid.New()
	mustDo(t, s.Clone(clone, id, 1<<20), d.Close(), s.Delete(id), s.Reclaim(), s.Close())
	s, err := Open(fs, "engine", manual)
	mustDo(t, err)
	mustRead(t, mustOpen(t, s, clone), 3, 33)
	write(t, mustOpen(t, s, clone), 4, 44)
	mustDo(t, s.Close())
	s, err = Open(fs, "engine", manual)
	mustDo(t, err)
	if len(s.keys.keys) != 2 {
		t.Errorf("%d keys, want that of the clone and that of its parent", len(s.keys.keys))
	}
	mustDo(t, s.Delete(clone), s.Reclaim(), s.Checkpoint(), s.Close())
	s, err = Open(fs, "engine", manual)
	mustDo(t, err)
	if len(s.keys.keys) != 0 {
		t.Errorf("%d keys of nothing", len(s.keys.keys))
	}
	mustDo(t, s.Close())
}

// TestPlainStoreBecomesEncrypted opens a store without keys with some: what it writes from then on is encrypted.
func TestPlainStoreBecomesEncrypted(t *testing.T) {
	fs := crashfs.New(1)
	s, err := Open(fs, "engine", withoutKeys())
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, 1<<20))
	write(t, mustOpen(t, s, id), 3, 33)
	mustDo(t, s.Close())
	s, err = Open(fs, "engine", manual)
	mustDo(t, err)
	d := mustOpen(t, s, id)
	mustRead(t, d, 3, 33)
	_, err = d.WriteAt(secret(1), 0)
	mustDo(t, err, d.Flush())
	leaks(t, "after a change to keys", fs)
	mustCheck(t, s)
	mustDo(t, s.Close())
	if err := s.Rewrap(KeyRing{}); err == nil {
		t.Error("a closed store wraps keys")
	}
}

func TestKeyFileOfANewerVersionIsNamed(t *testing.T) {
	if _, _, err := parseKeyFile([]byte("tintype-data-keys-9\n")); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("version 9: %v", err)
	}
}

func FuzzKeyFile(f *testing.F) {
	l, err := newKeyLine(Key{1}, 5, true, &dataKey{2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(keyFileFirst + "\n" + l.String()))
	f.Add([]byte(l.String()[5:] + l.String()))
	f.Fuzz(func(t *testing.T, p []byte) {
		lines, whole, err := parseKeyFile(p)
		if err != nil {
			return
		}
		text := keyFileFirst + "\n"
		for _, l := range lines {
			text += l.String()
		}
		if whole && text != string(p) {
			t.Errorf("%q is whole and is written as %q", p, text)
		}
		again, whole, err := parseKeyFile([]byte(text))
		if d := cmp.Diff(lines, again, cmp.AllowUnexported(keyLine{})); d != "" || !whole || err != nil {
			t.Errorf("%q: %s %v", p, d, err)
		}
	})
}

// TestFullStoreOpens starts a store whose file system has no room for new files of keys: it opens, with both keys, and changes
// when there is room.
func TestFullStoreOpens(t *testing.T) {
	disk := crashfs.New(1)
	s, id, d := newDiskOf(t, disk, 1<<20)
	write(t, d, 3, 33)
	mustDo(t, s.Close())
	full := faultfs.New(disk)
	fault := full.Inject(faultfs.Fault{
		Kinds: faultfs.Changes, Sticky: true, Err: syscall.ENOSPC, Name: func(name string) bool { return strings.Contains(name, "data-keys") },
	})
	s, err := Open(full, "engine", withKeys(Key{2}, Key{1}))
	mustDo(t, err)
	if fault.Hits() == 0 || len(s.Stats().Failures) != 1 {
		t.Errorf("%d operations failed, told of %v", fault.Hits(), s.Stats().Failures)
	}
	mustRead(t, mustOpen(t, s, id), 3, 33)
	if err := s.Rewrap(KeyRing{Current: Key{2}}); !errors.Is(err, block.ErrNoSpace) {
		t.Errorf("changing keys without room: %v", err)
	}
	full.Clear()
	mustDo(t, s.Rewrap(KeyRing{Current: Key{2}}), s.Close())
	needed, err := NeededKeys(disk, "engine")
	if d := cmp.Diff([]string{Key{2}.ID()}, needed); d != "" || err != nil {
		t.Errorf("needed: %s, %v", d, err)
	}
}

// TestKeysChangeWhileDisksAreMade changes the key again and again while disks get theirs; in the end the last one opens all.
func TestKeysChangeWhileDisksAreMade(t *testing.T) {
	fs := crashfs.New(1)
	s, err := Open(fs, "engine", manual)
	mustDo(t, err)
	ids := make([]block.ID, 40)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(ids); i += 4 {
				ids[i] = uuid.New()
				if err := s.Create(ids[i], 1<<20); err != nil {
					t.Error(err)
					return
				}
				d, err := s.OpenVolume(ids[i])
				if err == nil {
					_, err = d.WriteAt(bytes.Repeat([]byte{byte(i)}, block.BlockSize), 0)
				}
				if err = errors.Join(err, d.Flush()); err != nil {
					t.Error(err)
				}
				mustRead(t, d, 0, byte(i))
			}
		})
	}
	last := Key{}
	for n := range 50 {
		last = Key{9, byte(n)}
		mustDo(t, s.Rewrap(KeyRing{Current: last}))
	}
	wg.Wait()
	after := fs.Crash()
	s, err = Open(after, "engine", withKeys(last))
	mustDo(t, err)
	for i, id := range ids {
		mustRead(t, mustOpen(t, s, id), 0, byte(i))
	}
	mustDo(t, s.Close())
}
