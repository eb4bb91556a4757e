package blob

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// trickle gives 16 KiB after each pause.
type trickle struct{ pause time.Duration }

func (s trickle) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	n := min(len(p), 16<<10)
	copy(p, bytes.Repeat([]byte{1}, n))
	return n, nil
}

// TestSlowBody takes a body over a connection that is slow, and breaks off one that stands still.
func TestSlowBody(t *testing.T) {
	for pause, want := range map[time.Duration]bool{30 * time.Second: true, idleLimit + time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			q := &request{ctx: ctx, cancel: cancel, control: http.NewResponseController(httptest.NewRecorder())}
			q.watch()
			defer q.idle.Stop()
			body := make([]byte, maxUpdate)
			if err := readBody(&call{request: q}, trickle{pause}, body); (err == nil) != want {
				t.Errorf("with pauses of %v: %v", pause, err)
			}
		})
	}
}
