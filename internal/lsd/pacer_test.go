package lsd

import (
	"testing"
	"time"
)

// TestPacerShare holds the share to its order: never less with more room, never nothing.
func TestPacerShare(t *testing.T) {
	p := &pacer{slack: 0.25}
	last := 0.0
	for level := -0.5; level < 1.2; level += 0.01 {
		got := p.share(level)
		if got < last || got <= 0 {
			t.Errorf("share(%.2f) is %v, and with less room %v", level, got, last)
		}
		last = got
	}
	if got := p.share(0.25); got < 0.9 || got > 1.1 {
		t.Errorf("with a quarter of the room writes get %v of what is cleaned", got)
	}
}

// TestPacerLearns follows a rate, and keeps a part of the first one when nothing is cleaned.
func TestPacerLearns(t *testing.T) {
	p := &pacer{first: 1000}
	rate := p.first
	for range 10_000 {
		rate = p.learn(rate, 5, time.Millisecond)
	}
	if rate < 4900 || rate > 5100 {
		t.Errorf("5 blocks a millisecond are learnt as %v a second", rate)
	}
	for range 100_000 {
		rate = p.learn(rate, 0, time.Millisecond)
	}
	if rate != p.first/4 {
		t.Errorf("the rate is %v after nothing was cleaned for long", rate)
	}
}

// TestPacerInOrder lets writes go in the order in which they came, as many as there is credit for, and all of them at the end.
func TestPacerInOrder(t *testing.T) {
	p := &pacer{}
	var all []*turn
	for _, blocks := range []int{1, 1, 256, 1, 1} {
		w := &turn{blocks: blocks, come: make(chan struct{})}
		all = append(all, w)
		p.queue = append(p.queue, w)
	}
	gone := func() (n int) {
		for _, w := range all {
			select {
			case <-w.come:
				n++
			default:
				return n
			}
		}
		return n
	}
	p.give(1000, 2*time.Millisecond)
	if n := gone(); n != 2 {
		t.Fatalf("%d went with credit for 2", n)
	}
	p.give(1000, time.Millisecond)
	if n := gone(); n != 3 {
		t.Fatalf("%d went when the large one's turn had come", n)
	}
	for range 254 {
		p.give(1000, time.Millisecond)
	}
	if n := gone(); n != 3 {
		t.Fatalf("%d went before the large one was paid for", n)
	}
	p.quit = make(chan struct{})
	p.stop()
	if n := gone(); n != 5 {
		t.Errorf("%d went at the end", n)
	}
}

// TestLineup has those who waited go before those who come later.
func TestLineup(t *testing.T) {
	var l lineup
	l.waiting = 3
	l.release()
	l.waiting = 2
	l.release()
	if l.free != 3 || l.waiting != 2 || l.round != 1 {
		t.Errorf("the second were let go before the first had gone on: %+v", l)
	}
	l.free = 0
	l.release()
	if l.free != 2 || l.waiting != 0 || l.round != 2 {
		t.Errorf("the second were not let go: %+v", l)
	}
}
