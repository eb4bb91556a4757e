package nbd

import (
	"math/bits"
	"sync"
)

// Buffers come in powers of two from one block to the largest payload.
const (
	smallestBuffer = 12 // 4 KiB
	largestBuffer  = 25 // maxPayload
)

// buffers lends out payload buffers. What comes out of it holds old bytes.
type buffers struct {
	pools [largestBuffer - smallestBuffer + 1]sync.Pool
}

func bufferClass(n int) int {
	return max(bits.Len(uint(max(n, 1)-1)), smallestBuffer) - smallestBuffer
}

// get returns a buffer of n bytes, at most maxPayload.
func (p *buffers) get(n int) *[]byte {
	class := bufferClass(n)
	b, _ := p.pools[class].Get().(*[]byte)
	if b == nil {
		fresh := make([]byte, 1<<(class+smallestBuffer))
		b = &fresh
	}
	*b = (*b)[:n]
	return b
}

func (p *buffers) put(b *[]byte) {
	p.pools[bufferClass(cap(*b))].Put(b)
}

// allowance bounds how many bytes a connection's requests hold at once. Only one goroutine takes from it.
type allowance struct {
	mu    sync.Mutex
	freed sync.Cond
	left  int64
}

func newAllowance(n int64) *allowance {
	a := &allowance{left: n}
	a.freed.L = &a.mu
	return a
}

// take takes n bytes, which must not be more than there ever are. When it has to wait it calls idle first.
func (a *allowance) take(n int64, idle func() error) error {
	a.mu.Lock()
	enough := a.left >= n
	if enough {
		a.left -= n
	}
	a.mu.Unlock()
	if enough {
		return nil
	}
	if err := idle(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.left < n {
		a.freed.Wait()
	}
	a.left -= n
	return nil
}

func (a *allowance) give(n int64) {
	a.mu.Lock()
	a.left += n
	a.mu.Unlock()
	a.freed.Signal()
}
