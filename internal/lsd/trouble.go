package lsd

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"tintype/internal/block"
)

// Failure is something that went wrong where no caller waits, and has not come right since.
type Failure struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

// troubles are the present failures, each logged when it comes, changes and goes, and not every time it is met.
type troubles struct {
	log *slog.Logger

	mu  sync.Mutex
	now map[string]string // what fails → how
}

func newTroubles(log *slog.Logger) *troubles {
	return &troubles{log: log, now: map[string]string{}}
}

// set notes how something went; nil ends its failure. A full store is a warning: it is for its owner to make room.
func (t *troubles) set(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, failed := t.now[what]
	switch {
	case err == nil:
		if failed {
			delete(t.now, what)
			t.log.Info("works again", "what", what)
		}
	case was == err.Error():
	case errors.Is(err, block.ErrNoSpace):
		t.now[what] = block.ErrNoSpace.Error()
		if was != t.now[what] {
			t.log.Warn("no space left", "what", what, "error", err)
		}
	default:
		t.now[what] = err.Error()
		t.log.Error("failed", "what", what, "error", err)
	}
}

// noteFull tells, once, when writes begin to find no space, and when they find it again.
func (s *Store) noteFull(err error) {
	full := errors.Is(err, block.ErrNoSpace)
	if err != nil && !full {
		return
	}
	if s.full.Swap(full) != full {
		s.troubles.set("writes", err)
	}
}

// drop forgets what is no more, well or not.
func (t *troubles) drop(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.now, what)
}

// list is what fails now, in the order of names.
func (t *troubles) list() []Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Failure
	for _, what := range slices.Sorted(maps.Keys(t.now)) {
		all = append(all, Failure{What: what, Error: t.now[what]})
	}
	return all
}
