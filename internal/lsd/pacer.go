package lsd

import (
	"sync"
	"sync/atomic"
	"time"
)

// pacer lets writes in at the rate at which cleaning makes room, in the order in which they came: all of them wait a little, instead
// of a few for long. It works only while there is little room.
type pacer struct {
	level func() float64 // the room there is: with 1 nobody needs to wait, with 0 there is none but the slack
	slack float64        // how far below 0 the level may go
	first float64        // blocks a second, before it is known what cleaning makes

	made  atomic.Int64 // blocks that cleaning has made room for
	asked atomic.Int64 // turns

	mu      sync.Mutex
	queue   []*turn
	credit  float64 // blocks that may still go; negative after a large one
	running bool
	stopped bool
	quit    chan struct{}
	idle    sync.WaitGroup
}

// turn is a write that waits for its turn.
type turn struct {
	blocks int
	come   chan struct{}
}

const (
	paceTick = time.Millisecond
	// paceMemory is over how long cleaning's rate is taken: longer than a checkpoint, in which none is made.
	paceMemory = 2 * time.Second
	// paceBurst is for how long credit is kept.
	paceBurst = 5 * time.Millisecond
	// paceJump is the longest time between two ticks that counts: a process that stood still has cleaned nothing.
	paceJump = 50 * time.Millisecond
	// paceLinger is how long it goes on when nobody waits.
	paceLinger = 2 * time.Second
)

func (p *pacer) init(first, slack float64, level func() float64) {
	p.first, p.slack, p.level, p.quit = first, slack, level, make(chan struct{})
}

// wait lets a write of some blocks wait for its turn. A large one goes when its first block may; those behind it wait for the
// rest.
func (p *pacer) wait(blocks int) {
	p.asked.Add(1)
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	if !p.running {
		p.running = true
		p.idle.Go(p.run)
	}
	if len(p.queue) == 0 && p.credit > 0 {
		p.credit -= float64(blocks)
		p.mu.Unlock()
		return
	}
	t := &turn{blocks: blocks, come: make(chan struct{})}
	p.queue = append(p.queue, t)
	p.mu.Unlock()
	<-t.come
}

// run gives credit until nobody has wanted any for a while.
func (p *pacer) run() {
	tick := time.NewTicker(paceTick)
	defer tick.Stop()
	last, made, asked := <-tick.C, p.made.Load(), p.asked.Load()
	rate, unused := p.first, time.Duration(0)
	for {
		select {
		case <-p.quit:
			return
		case now := <-tick.C:
			passed := min(now.Sub(last), paceJump)
			last = now
			rate = p.learn(rate, p.made.Load()-made, passed)
			made = p.made.Load()
			p.give(rate*p.share(p.level()), passed)
			if unused += passed; p.asked.Load() != asked {
				asked, unused = p.asked.Load(), 0
			}
			if unused > paceLinger && p.rest() {
				return
			}
		}
	}
}

// learn follows the rate at which cleaning makes room. It is never nothing: before a checkpoint all that is dead lies in the log.
func (p *pacer) learn(rate float64, made int64, passed time.Duration) float64 {
	if passed <= 0 {
		return rate
	}
	part := min(passed.Seconds()/paceMemory.Seconds(), 1)
	return max(rate+part*(float64(made)/passed.Seconds()-rate), p.first/4)
}

// share is how much of what cleaning makes writes may take: all of it when a quarter of the room is left, more when there is
// more, and less in the slack below, into which metadata may push them for a while.
func (p *pacer) share(level float64) float64 {
	const least, most = 0.4, 1e3
	switch {
	case level >= 1:
		return most
	case level > 0:
		return min(max(3*level/(1-level), least), most)
	}
	return least * max(1+level/max(p.slack, 1e-9), 0.25)
}

// give adds credit, and lets those go for whom there is some.
func (p *pacer) give(rate float64, passed time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.credit = min(p.credit+rate*passed.Seconds(), max(rate*paceBurst.Seconds(), 1))
	n := 0
	for n < len(p.queue) && p.credit > 0 {
		p.credit -= float64(p.queue[n].blocks)
		close(p.queue[n].come)
		n++
	}
	p.queue = p.queue[n:]
}

// rest ends the run if nobody waits.
func (p *pacer) rest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = len(p.queue) > 0
	return !p.running
}

// stop lets everybody go.
func (p *pacer) stop() {
	p.mu.Lock()
	stopped := p.stopped
	p.stopped = true
	for _, t := range p.queue {
		close(t.come)
	}
	p.queue = nil
	p.mu.Unlock()
	if !stopped {
		close(p.quit)
	}
	p.idle.Wait()
}
