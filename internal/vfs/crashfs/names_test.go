package crashfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"testing"

	"tintype/internal/vfs/crashfs"
)

// state is what names lead to: path to the file's content.
type state map[string]string

// action is one change of names as the model knows it.
type action struct {
	text   string
	set    state // "" removes
	synced bool  // by SyncDir of a directory it touches
}

func (a action) in(dir string) bool {
	for name := range a.set {
		if path.Dir(name) == dir {
			return true
		}
	}
	return false
}

func (s state) apply(a action) {
	for name, file := range a.set {
		if file == "" {
			delete(s, name)
		} else {
			s[name] = file
		}
	}
}

// names is a history of directories and the changes since the last crash.
type names struct {
	*testing.T
	rng     *rand.Rand
	fs      *crashfs.FS
	durable state
	now     state
	since   []action
	files   int
}

// TestCrashOfDirectories compares what a crash leaves with every subset of the
// changes that the documented model allows.
func TestCrashOfDirectories(t *testing.T) {
	partial := 0
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			h := &names{
				T: t, rng: rand.New(rand.NewPCG(seed, 1)), fs: crashfs.New(seed),
				durable: state{}, now: state{},
			}
			h.ok(h.fs.MkdirAll("/a"))
			h.ok(h.fs.MkdirAll("/b"))
			h.ok(h.fs.SyncDir("/"))
			for range 12 {
				for range 1 + h.rng.IntN(9) {
					h.step()
				}
				if kept := h.crash(); kept > 0 && kept < len(h.since) {
					partial++
				}
				h.since = nil
			}
		})
	}
	if partial < 100 {
		t.Errorf("only %d crashes kept a part of the changes", partial)
	}
}

func (h *names) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%v\nafter %v", err, h.since)
	}
}

func (h *names) any() string {
	return fmt.Sprintf("/%c/%d", 'a'+h.rng.IntN(2), h.rng.IntN(3))
}

// step does something to names, or syncs a directory.
func (h *names) step() {
	name, other := h.any(), h.any()
	file, exists := h.now[name]
	_, taken := h.now[other]
	switch h.rng.IntN(8) {
	case 0:
		dir := path.Dir(name)
		h.ok(h.fs.SyncDir(dir))
		for i, a := range h.since {
			h.since[i].synced = a.synced || a.in(dir)
		}
	case 1:
		if !exists {
			return
		}
		h.ok(h.fs.Remove(name))
		h.did("remove "+name, state{name: ""})
	case 2:
		if !exists || taken {
			return
		}
		h.ok(h.fs.Link(name, other))
		h.did("link "+name+" "+other, state{other: file})
	case 3, 4:
		if !exists || file == h.now[other] {
			return
		}
		h.ok(h.fs.Rename(name, other))
		h.did("rename "+name+" "+other, state{name: "", other: file})
	default:
		if exists {
			return
		}
		h.files++
		content := fmt.Sprint("file ", h.files)
		f, err := h.fs.Create(name)
		h.ok(err)
		_, err = f.WriteAt([]byte(content), 0)
		h.ok(errors.Join(err, f.Sync(), f.Close()))
		h.did("create "+name, state{name: content})
	}
}

func (h *names) did(text string, set state) {
	a := action{text: text, set: set}
	h.since = append(h.since, a)
	h.now.apply(a)
}

// crash cuts the power and returns how many changes are there afterwards.
func (h *names) crash() int {
	h.fs = h.fs.Crash()
	got := state{}
	for _, dir := range []string{"/a", "/b"} {
		list, err := h.fs.List(dir)
		h.ok(err)
		for _, base := range list {
			f, err := h.fs.Open(path.Join(dir, base))
			h.ok(err)
			got[path.Join(dir, base)] = string(read(h.T, f))
		}
	}
	for subset := range 1 << len(h.since) {
		if !h.allowed(subset) {
			continue
		}
		left, kept := maps.Clone(h.durable), 0
		for i, a := range h.since {
			if subset&(1<<i) != 0 {
				left.apply(a)
				kept++
			}
		}
		if maps.Equal(left, got) {
			h.durable, h.now = got, maps.Clone(got)
			return kept
		}
	}
	h.Fatalf("found %v\nwas %v\nthen %+v", got, h.durable, h.since)
	return 0
}

// allowed tells whether a subset has what was synced and keeps the order of the
// changes of each directory.
func (h *names) allowed(subset int) bool {
	for i, a := range h.since {
		if subset&(1<<i) == 0 {
			if a.synced {
				return false
			}
			continue
		}
		for j, before := range h.since[:i] {
			for name := range a.set {
				if subset&(1<<j) == 0 && before.in(path.Dir(name)) {
					return false
				}
			}
		}
	}
	return true
}

// TestLostDirectoryTakesItsFiles: SyncDir of a directory is not enough for the
// directory itself.
func TestLostDirectoryTakesItsFiles(t *testing.T) {
	lost := 0
	for seed := range uint64(100) {
		fsys := crashfs.New(seed)
		if err := fsys.MkdirAll("/a/b"); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create("/a/b/f")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close(), fsys.SyncDir("/a/b"), fsys.SyncDir("/a")); err != nil {
			t.Fatal(err)
		}
		fork := fsys.AfterCrash()
		_, err = fork.Stat("/a/b/f")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			lost++
		case err != nil:
			t.Fatal(err)
		}
		if err := fsys.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Crash().Stat("/a/b/f"); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if lost == 0 || lost == 100 {
		t.Errorf("%d of 100 crashes lost a directory that was not synced", lost)
	}
}

// TestMovedDirectoryIsSomewhere: directories moved into each other are never
// both gone.
func TestMovedDirectoryIsSomewhere(t *testing.T) {
	for seed := range uint64(200) {
		fsys := crashfs.New(seed)
		if err := errors.Join(fsys.MkdirAll("/x/y"), fsys.MkdirAll("/z"), fsys.SyncDir("/"), fsys.SyncDir("/x"),
			fsys.Rename("/x/y", "/z/y"), fsys.Rename("/x", "/z/y/x")); err != nil {
			t.Fatal(err)
		}
		if seed%2 == 0 {
			if err := fsys.SyncDir("/z/y"); err != nil {
				t.Fatal(err)
			}
		}
		fsys = fsys.Crash()
		found := 0
		for _, name := range []string{"/x", "/x/y", "/z/y", "/z/y/x"} {
			if _, err := fsys.Stat(name); err == nil {
				found++
			}
		}
		if found != 2 {
			t.Fatalf("seed %d: found %d of two directories", seed, found)
		}
	}
}

func TestEqualSeedsEqualCrashes(t *testing.T) {
	run := func(seed uint64) string {
		fsys := crashfs.New(seed)
		f, err := fsys.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		if err := fsys.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		for i := range int64(200) {
			if _, err := f.WriteAt([]byte{byte(i)}, i*400); err != nil {
				t.Fatal(err)
			}
		}
		f, err = fsys.Crash().Open("f")
		if err != nil {
			t.Fatal(err)
		}
		return string(read(t, f))
	}
	different := map[string]bool{}
	for seed := range uint64(20) {
		first := run(seed)
		if run(seed) != first {
			t.Fatalf("seed %d: two crashes differ", seed)
		}
		different[first] = true
	}
	if len(different) < 5 {
		t.Errorf("20 seeds gave %d different crashes", len(different))
	}
}

func TestForgottenLocks(t *testing.T) {
	fsys := crashfs.New(1)
	if _, err := fsys.Lock("LOCK"); err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]*crashfs.FS{"restart": fsys.AfterRestart(), "crash": fsys.AfterCrash()} {
		if _, err := next.Lock("LOCK"); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}
