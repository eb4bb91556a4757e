// Package crashfs is a file system in memory that loses power on demand: what
// code promises about crashes can be tried a thousand times from seeds.
//
// # The model
//
// After [FS.Crash] the disk holds, for every file:
//
//   - Every byte as it was at the last Sync or SyncData of the file, where it was
//     not written since.
//   - For each 512-byte sector written, truncated or punched since then, by
//     itself: its synced content, its last content, or one it had between the two
//     (the kernel may have written it back at any time); now and then a mix of
//     synced and last content torn at any byte.
//   - The synced size, the last size, or, when the file grew, any size between;
//     what lies beyond is gone, what was lost within reads as zeroes or as it was.
//   - Room reserved by Allocate, below that size.
//
// and for directories:
//
//   - Every entry as it was at the last SyncDir of its directory. Sync of a file
//     does not make the file's entry durable, SyncDir of a directory does not
//     make the directory's own entry durable: a file whose way from the root was
//     lost is gone with what it held, however often it was synced.
//   - Of the later creations, removals, links and renames a prefix, drawn for each
//     directory by itself (half of the time one for all of them). A rename is
//     kept or lost as one, also between directories, and follows what came before
//     in both; one of a directory follows all that came before. SyncDir makes
//     durable the changes in its directory and those that they follow.
//
// Journals keep the order of such changes, within a directory at least, and
// Pebble counts on it: a new manifest and the marker that names it are synced
// together. All else is weaker than what ext4 and XFS do in practice, on purpose:
// there a sync of a file takes along what happened to names before. What was
// synced survives always; a sync that failed (package faultfs makes it) promises
// nothing, and a later sync does not make up for it.
//
// Choices come from the seed, the name under which a file was created and
// counters, not from a common stream, so that goroutines that write to different
// files do not change each other's luck. Access is serialised by one lock.
package crashfs

import (
	"errors"
	"sync"
)

const (
	pageSize   = 4096
	sectorSize = 512
	// room is the capacity of a new disk: more than a test will fill.
	room = 16 << 40
)

// ErrCrashed is what a file system and its files, Close included, return after
// Crash or Restart.
var ErrCrashed = errors.New("crashfs: the machine that had this file system is gone")

// FS is the disk as one life of a machine sees it.
type FS struct {
	mu sync.RWMutex
	*disk
}

// disk is what outlives the machine, and its page cache. A nil one is a dead
// machine's.
type disk struct {
	seed    uint64
	cuts    uint64 // power cuts so far
	root    *node
	pending []change          // of directories, not durable, oldest first
	created map[string]uint64 // how often a name was created
	locks   map[*node]bool
	used    int64 // bytes
	total   int64 // bytes
}

// New returns an empty disk, a root directory alone. Equal seeds and equal
// histories give equal crashes.
func New(seed uint64) *FS {
	return &FS{disk: &disk{
		seed: seed, root: newDir(0), total: room,
		created: map[string]uint64{}, locks: map[*node]bool{},
	}}
}

// Crash cuts the power and returns the file system found afterwards. f and
// everything opened through it are dead.
func (f *FS) Crash() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.take()
	d.cutPower()
	return &FS{disk: d}
}

// Restart ends the process, as kill -9 does: all that was written is there, what
// was not synced still is not. f and everything opened through it are dead, and
// locks are free.
func (f *FS) Restart() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.take()
	d.forgetProcess()
	return &FS{disk: d}
}

// AfterCrash returns what Crash would have found now, but leaves f as it is: the
// process of the test that simulates a crash can go on to stop its goroutines in
// an orderly way, on a disk that no longer matters.
func (f *FS) AfterCrash() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.copied()
	d.cutPower()
	f.cuts++ // The next fork draws another lot.
	return &FS{disk: d}
}

// AfterRestart is to Restart what AfterCrash is to Crash.
func (f *FS) AfterRestart() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.copied()
	d.forgetProcess()
	return &FS{disk: d}
}

// SetFree makes the disk as large as what is in use plus n bytes; beyond that
// writes and Allocate fail with ENOSPC. Room is taken by the 4 KiB page and
// directories take none.
func (f *FS) SetFree(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total = f.used + n
}

// take leaves f dead and returns its disk.
func (f *FS) take() *disk {
	if f.disk == nil {
		panic(ErrCrashed)
	}
	d := f.disk
	f.disk = nil
	return d
}

func (f *FS) copied() *disk {
	if f.disk == nil {
		panic(ErrCrashed)
	}
	return f.clone()
}

// forgetProcess frees what an ended process held.
func (d *disk) forgetProcess() {
	d.locks = map[*node]bool{}
	d.used = 0
	d.root.forgetHandles(map[*node]bool{}, &d.used)
}

// cutPower decides what was lost.
func (d *disk) cutPower() {
	d.cuts++
	lot := mix(d.seed, d.cuts)
	d.cutDirectories(lot)
	d.root.cut(lot, map[*node]bool{})
	d.forgetProcess()
}
