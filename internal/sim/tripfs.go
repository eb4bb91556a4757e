package sim

import (
	"strings"
	"sync"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
)

// tripFS is a crashfs that takes a picture of what a power cut or a kill would leave, at a chosen file operation, while
// the program goes on. The history then continues from the picture.
type tripFS struct {
	vfs.FS
	disk  *crashfs.FS
	slots *slotBook // told of every write to a segment; may be nil

	going   sync.RWMutex // held for reading while a change is made
	mu      sync.Mutex
	left    int // changing operations until the picture; 0 takes none
	power   bool
	picture *crashfs.FS
}

// newTripFS passes changes to top, which ends in disk.
func newTripFS(top vfs.FS, disk *crashfs.FS) *tripFS { return &tripFS{FS: top, disk: disk} }

// arm asks for a picture at the n-th change from now.
func (t *tripFS) arm(n int, power bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left, t.power = n, power
}

// taken returns the picture, or nil when there were not that many changes.
func (t *tripFS) taken() *crashfs.FS {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.picture
}

// change begins a change, and counts it; what it returns ends it.
func (t *tripFS) change() (end func()) {
	t.going.RLock()
	t.step()
	return t.going.RUnlock
}

// still does something to the disk beneath while no change is under way: one that was would be half in what the history puts there.
func (t *tripFS) still(do func() error) error {
	t.going.Lock()
	defer t.going.Unlock()
	return do()
}

func (t *tripFS) step() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 {
		return
	}
	if t.left--; t.left > 0 {
		return
	}
	if t.power {
		t.picture = t.disk.AfterCrash()
	} else {
		t.picture = t.disk.AfterRestart()
	}
}

func (t *tripFS) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	// Copies in zones are also caught up as they lie, torn ends included, which is no new use of a key.
	return tripFile{f, t, strings.HasSuffix(name, ".seg") && !strings.HasPrefix(name, "zone")}, nil
}

func (t *tripFS) Create(name string) (vfs.File, error) {
	defer t.change()()
	f, err := t.FS.Create(name)
	return t.file(name, f, err)
}

func (t *tripFS) Open(name string) (vfs.File, error) {
	f, err := t.FS.Open(name)
	return t.file(name, f, err)
}

func (t *tripFS) OpenReadWrite(name string) (vfs.File, error) {
	f, err := t.FS.OpenReadWrite(name)
	return t.file(name, f, err)
}

func (t *tripFS) Remove(name string) error {
	defer t.change()()
	return t.FS.Remove(name)
}

func (t *tripFS) Rename(from, to string) error {
	defer t.change()()
	return t.FS.Rename(from, to)
}

func (t *tripFS) SyncDir(dir string) error {
	defer t.change()()
	return t.FS.SyncDir(dir)
}

type tripFile struct {
	vfs.File
	t       *tripFS
	segment bool
}

func (f tripFile) WriteAt(p []byte, off int64) (int, error) {
	defer f.t.change()()
	if f.segment && f.t.slots != nil {
		f.t.slots.note(f.File, p, off)
	}
	return f.File.WriteAt(p, off)
}

// ReadCached, Advise and Gather are those of the file beneath.
func (f tripFile) ReadCached(p []byte, off int64) (done, begun bool) {
	c, ok := f.File.(vfs.Cached)
	if !ok {
		return false, false
	}
	return c.ReadCached(p, off)
}

func (f tripFile) Advise(off, n int64) {
	if c, ok := f.File.(vfs.Cached); ok {
		c.Advise(off, n)
	}
}

var _ vfs.Cached = tripFile{}

func (f tripFile) Gather(off, n int64) {
	if c, ok := f.File.(vfs.Cached); ok {
		c.Gather(off, n)
	}
}

func (f tripFile) Sync() error {
	defer f.t.change()()
	return f.File.Sync()
}

func (f tripFile) SyncData() error {
	defer f.t.change()()
	return f.File.SyncData()
}

func (f tripFile) Punch(off, n int64) error {
	defer f.t.change()()
	return f.File.Punch(off, n)
}

func (f tripFile) Truncate(size int64) error {
	defer f.t.change()()
	return f.File.Truncate(size)
}
