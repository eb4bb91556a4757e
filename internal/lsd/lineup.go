package lsd

// lineup is who waits to place something in a log. Those who wait are let go together, and before all who come later: else one could
// wait for long while others, who are awake, take all the room there is. The disk's mutex guards it.
type lineup struct {
	waiting int    // those who wait
	free    int    // those who were let go and have not gone on yet
	round   uint64 // counts releases
}

// release lets everybody go who waits, if those before them have gone on. The caller tells disk.cond.
func (l *lineup) release() {
	if l.free == 0 && l.waiting > 0 {
		l.free, l.waiting = l.waiting, 0
		l.round++
	}
}

// lineUp waits while blocked says so, and for those who have waited already, or until the disk fails. What ends the one or the
// other calls release. The caller holds d.mu, which is released while waiting.
func (d *disk) lineUp(blocked func() bool) {
	l, mine := &d.log.line, false
	for d.failed == nil && (blocked() || !mine && l.free > 0) {
		if mine { // back to the end
			l.free--
		}
		d.startWriter()
		l.waiting++
		round := l.round
		for round == l.round && d.failed == nil {
			d.cond.Wait()
		}
		mine = round != l.round
	}
	if !mine {
		return
	}
	if l.free--; l.free == 0 {
		l.release()
		d.cond.Broadcast()
	}
}
