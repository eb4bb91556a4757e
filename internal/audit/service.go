package audit

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Service is the open log. Its methods may be called by many goroutines at once.
type Service struct {
	db    *sql.DB
	now   func() time.Time
	log   *slog.Logger
	queue chan item
	stop  chan struct{}
	done  chan struct{}

	early map[string]item // ends of operations whose acceptance is not written yet; the writer's alone
}

// item is an event, or the end of an operation that was accepted before, or a mark that somebody waits for.
type item struct {
	event Event
	ended string
	mark  chan struct{}
}

const (
	// queued bounds how many events wait to be written; who brings more waits.
	queued = 4096
	// maxBatch bounds one transaction.
	maxBatch = 512
	// maxEarly bounds how many ends are remembered.
	maxEarly = 1024
)

// Open opens the file and begins to write what is recorded.
func Open(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (*Service, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &Service{db: db, now: now, log: log, queue: make(chan item, queued), stop: make(chan struct{}), done: make(chan struct{}), early: map[string]item{}}
	go s.write()
	return s, nil
}

// Close writes what waits, and closes the file. Nothing may be recorded after it.
func (s *Service) Close() error {
	close(s.stop)
	<-s.done
	return s.db.Close()
}

// Record takes an event and returns before it is durable, which it is a moment later. A zero Time is now, an empty ID is made.
func (s *Service) Record(e Event) { s.put(item{event: s.complete(e)}) }

// Ended records how the operation that an Accepted event named has ended.
func (s *Service) Ended(async string, status Status, code, message string) {
	s.put(item{event: s.complete(Event{Status: status, Code: code, Message: message}), ended: async})
}

func (s *Service) complete(e Event) Event {
	if e.Time.IsZero() {
		e.Time = s.now().UTC()
	}
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	return e
}

func (s *Service) put(it item) {
	select {
	case s.queue <- it:
	case <-s.done: // closed: nobody writes any more
	}
}

// settle waits until what was recorded before can be read.
func (s *Service) settle(ctx context.Context) error {
	mark := make(chan struct{})
	select {
	case s.queue <- item{mark: mark}:
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-mark:
		return nil
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errClosed = errors.New("the activity log is closed")

// wait remembers an end that came before its beginning: an operation may be over before its request has been answered. Those
// whose beginning never comes are forgotten in the end.
func (s *Service) wait(it item) {
	if len(s.early) >= maxEarly {
		clear(s.early)
	}
	s.early[strings.ToLower(it.ended)] = it
}

// write brings events to the file, as many at once as there are, until the service is closed.
func (s *Service) write() {
	defer close(s.done)
	for {
		select {
		case it := <-s.queue:
			s.flush(it)
		case <-s.stop:
			for len(s.queue) > 0 {
				s.flush(<-s.queue)
			}
			return
		}
	}
}

// flush writes the item and those that wait behind it.
func (s *Service) flush(it item) {
	var batch []item
	var marks []chan struct{}
	for {
		if it.mark != nil {
			marks = append(marks, it.mark)
		} else {
			batch = append(batch, it)
		}
		if len(batch) == maxBatch || len(s.queue) == 0 {
			break
		}
		it = <-s.queue
	}
	if len(batch) > 0 {
		if err := s.insert(context.Background(), batch); err != nil {
			s.log.Error("the activity log could not be written", "events", len(batch), "error", err)
		}
	}
	for _, m := range marks {
		close(m)
	}
}
