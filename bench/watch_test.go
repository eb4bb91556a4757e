package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// watch looks for writes that take long, while they do, and tells what every goroutine and every thread of the process waits
// for. A nil one does nothing.
type watch struct {
	limit time.Duration
	out   io.Writer
	began []atomic.Int64 // by writer: when its write began, in nanoseconds; 0: none is under way
}

func newWatch(writers int, limit time.Duration, out io.Writer) *watch {
	return &watch{limit: limit, out: out, began: make([]atomic.Int64, writers)}
}

func (w *watch) begin(writer int, at time.Time) {
	if w != nil {
		w.began[writer].Store(at.UnixNano())
	}
}

func (w *watch) end(writer int) {
	if w != nil {
		w.began[writer].Store(0)
	}
}

// run looks every few milliseconds until stop is closed. A write is told of once.
func (w *watch) run(stop <-chan struct{}) {
	told := make([]int64, len(w.began))
	for {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		now, stuck := time.Now().UnixNano(), 0
		for i := range w.began {
			began := w.began[i].Load()
			if began != 0 && began != told[i] && now-began > int64(w.limit) {
				told[i] = began
				stuck++
			}
		}
		if stuck > 0 {
			w.tell(stuck)
		}
	}
}

func (w *watch) tell(stuck int) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	fmt.Fprintf(w.out, "==== %s: %d writes over %v\n%s\n", time.Now().Format("15:04:05.000"), stuck, w.limit, buf)
	threads, _ := filepath.Glob("/proc/self/task/*/stack")
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err == nil && !strings.Contains(string(text), "futex_wait") {
			fmt.Fprintf(w.out, "%s\n%s", name, text)
		}
	}
}
