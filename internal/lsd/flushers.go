package lsd

import "runtime"

// flusher waits for a sync that somebody else does.
type flusher struct {
	seq  uint64 // the chunks up to here are to be durable
	done chan struct{}
}

// awaitSync waits, while syncs are under way, until all chunks up to seq are durable or the disk fails. The chunks are written or being
// written. The caller holds d.mu, which is released while waiting.
func (d *disk) awaitSync(seq uint64) {
	f := flusher{seq, make(chan struct{})}
	d.log.flushers = append(d.log.flushers, f)
	d.mu.Unlock()
	<-f.done
	d.mu.Lock()
}

// wakeFlushers lets those go who have nothing left to wait for, and nobody else: each that wakes in vain takes a processor from a
// guest. The caller holds d.mu.
func (d *disk) wakeFlushers() {
	l := &d.log
	kept := l.flushers[:0]
	for _, f := range l.flushers {
		if f.seq <= l.durable || d.failed != nil {
			close(f.done)
		} else {
			kept = append(kept, f)
		}
	}
	clear(l.flushers[len(kept):])
	l.flushers = kept
}

// startSync syncs what is written, and goes on for those who come to wait meanwhile, in the background. The caller holds d.mu.
func (d *disk) startSync() {
	l := &d.log
	if l.syncing || d.failed != nil {
		return
	}
	l.syncing = true // until syncOn has ended; a checkpoint, and so the removal of a segment, waits for it
	go d.syncOn()
}

// syncOn syncs until nobody waits for it. Before the next sync those go first who are ready to run: some of them bring something that
// it can do along.
func (d *disk) syncOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.log
	for d.syncOnce(); len(l.flushers) > 0 && d.failed == nil; d.syncOnce() {
		l.syncing = true
		d.mu.Unlock()
		runtime.Gosched()
		d.mu.Lock()
		for l.written <= l.durable && d.failed == nil { // what they wait for is being written
			d.cond.Wait()
		}
		if d.failed != nil {
			break
		}
	}
	l.syncing = false
	d.cond.Broadcast()
}
