package lsd

import (
	"runtime"
	"sync/atomic"
	"testing"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// TestBreath asks background work to stop for a moment while clients write, for a while after, and little or not when a write waits for it.
func TestBreath(t *testing.T) {
	s, err := Open(vfs.OS(), t.TempDir(), Options{IdleAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.room.left.Store(s.room.comfort) // whatever the file system has
	looks := func() (n int) {
		for range 10 * breathCalm {
			if s.mayBreathe() {
				n++
			}
		}
		return n
	}
	if n := looks(); n > 0 {
		t.Errorf("%d breaths before anything was written", n)
	}
	for range 3 {
		s.requests.let.Add(1)
		if n := looks(); n != breathCalm+1 {
			t.Errorf("%d breaths after a write, want %d", n, breathCalm+1)
		}
	}
	s.requests.let.Add(1)
	s.room.left.Store(s.room.comfort - 1)
	if s.mayBreathe() {
		t.Error("it stops while room is short")
	}
	s.room.left.Store(s.room.comfort)
	if !s.mayBreathe() {
		t.Error("it goes on while a client writes and there is room")
	}
	s.breath.waited.Add(1)
	s.requests.let.Add(1)
	if s.mayBreathe() {
		t.Error("it stops while a snapshot waits for its commit")
	}
	s.breath.waited.Add(-1)
	busy := func(yes bool) {
		s.keeper.mu.Lock()
		defer s.keeper.mu.Unlock()
		s.keeper.stopped = yes // which counts as busy, and has the keeper leave it so
	}
	busy(true)
	defer busy(false)
	for range breathStalled + 1 {
		s.mayBreathe()
	}
	s.breath.held.Store(breathUrgent - 1)
	if s.mayBreathe() {
		t.Error("it stops although all that would write may wait for the checkpoint")
	}
	s.breath.held.Store(0)
	n := 0
	for range 2 * breathUrgent {
		s.requests.let.Add(1)
		if s.mayBreathe() {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d breaths of %d while a disk waits for its checkpoint, want 2", n, 2*breathUrgent)
	}
}

// TestCheckpointGivesWay lets somebody else have the disk's mutex again and again while a checkpoint freezes the disk's leaves, and lets go
// of them, on a single processor: whoever waits has a turn after each few.
func TestCheckpointGivesWay(t *testing.T) {
	const leaves = 8 * breathLeaves
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := openTest(t, vfs.OS(), t.TempDir(), Options{Manual: true})
	d := newDisk(s, &lineage{id: 1, head: true}, leaves*leafBlocks*block.BlockSize)
	for page := range uint32(leaves) {
		l := &leaf{}
		l.set(0, entry{seg: 1})
		d.leaves.put(page, l)
		d.touch(page, l)
	}
	var turns atomic.Int64
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			d.mu.Lock()
			turns.Add(1)
			d.mu.Unlock()
			runtime.Gosched()
		}
	}()
	m := mark{gen: d.gen, changed: d.changed}
	d.gen++
	d.collect(m)
	collecting := turns.Load()
	d.dropFrozen(d.versionsOf(m.gen))
	dropping := turns.Load() - collecting
	stop.Store(true)
	<-done
	if few := int64(leaves / breathLeaves / 2); collecting < few || dropping < few {
		t.Errorf("%d and %d turns of %d", collecting, dropping, leaves/breathLeaves)
	}
}
