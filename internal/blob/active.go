package blob

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// registry knows the requests that are under way, by grant, so that a grant can be revoked under them.
type registry struct {
	boot string // tells this run's ETags from those of an earlier one

	mu     sync.Mutex
	grants map[string]*activity
}

// activity is what one grant's requests share.
type activity struct {
	// order lets a conditional write be checked and done in one step, and keeps a long clear apart from what follows
	// it: they take the lock, other writes share it.
	order sync.RWMutex

	requests map[*request]struct{} // under registry.mu
	writes   uint64                // under registry.mu
	written  time.Time             // of the last write; under registry.mu
}

func newRegistry(start time.Time) *registry {
	return &registry{boot: strconv.FormatInt(start.UnixNano(), 36), grants: map[string]*activity{}}
}

// begin notes a request before its grant is looked up, so that no request can come to use a device after revoke.
func (g *registry) begin(id string, w http.ResponseWriter, r *http.Request) *request {
	ctx, cancel := context.WithCancel(r.Context())
	q := &request{
		registry: g, id: id, ctx: ctx, cancel: cancel,
		control: http.NewResponseController(w), done: make(chan struct{}),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.grants[id]
	if a == nil {
		a = &activity{requests: map[*request]struct{}{}}
		g.grants[id] = a
	}
	a.requests[q] = struct{}{}
	q.activity = a
	return q
}

// revoke breaks off the requests of the grant, waits for their end, and forgets the grant.
func (g *registry) revoke(id string) {
	g.mu.Lock()
	a := g.grants[id]
	delete(g.grants, id)
	var waits []chan struct{}
	if a != nil {
		for q := range a.requests {
			q.abort()
			waits = append(waits, q.done)
		}
	}
	g.mu.Unlock()
	for _, done := range waits {
		<-done
	}
}

// request is one request under way.
type request struct {
	registry *registry
	activity *activity
	id       string
	resource Resource
	ctx      context.Context
	cancel   context.CancelFunc
	control  *http.ResponseController
	done     chan struct{}
	idle     *time.Timer

	mu    sync.Mutex
	ended bool
}

// idleLimit is how long a request may go on without a byte moving.
const idleLimit = 2 * time.Minute

// watch breaks the request off when moved isn't called for idleLimit.
func (q *request) watch() { q.idle = time.AfterFunc(idleLimit, q.abort) }

// moved says that bytes moved.
func (q *request) moved() {
	if q.idle != nil {
		q.idle.Reset(idleLimit)
	}
}

// abort makes every read and write of the request's connection fail, now and later.
func (q *request) abort() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.cancel()
	// A connection that knows no deadlines (a test's recorder) has nothing to break off.
	past := time.Unix(1, 0)
	_ = q.control.SetReadDeadline(past)
	_ = q.control.SetWriteDeadline(past)
}

// end says that the request touches nothing any more.
func (q *request) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	if q.idle != nil {
		q.idle.Stop()
	}
	q.cancel()
	g := q.registry
	g.mu.Lock()
	delete(q.activity.requests, q)
	if len(q.activity.requests) == 0 && q.activity.writes == 0 && g.grants[q.id] == q.activity {
		delete(g.grants, q.id)
	}
	g.mu.Unlock()
	close(q.done)
}

// wrote counts a write, which changes the ETag.
func (q *request) wrote(now time.Time) {
	q.registry.mu.Lock()
	defer q.registry.mu.Unlock()
	q.activity.writes++
	q.activity.written = now
}

// revision tells the state of the content as the grant's writes have made it: "" before the first.
func (q *request) revision() (revision string, written time.Time) {
	q.registry.mu.Lock()
	defer q.registry.mu.Unlock()
	if q.activity.writes == 0 {
		return "", time.Time{}
	}
	return q.registry.boot + "." + strconv.FormatUint(q.activity.writes, 10), q.activity.written
}
