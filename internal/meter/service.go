package meter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Volumes is the store that the meter asks for sizes: lsd.
type Volumes interface {
	// List gives every volume with its used bytes.
	List() []block.Info
	Sizes(id block.ID) (block.Sizes, error)
	Share(id block.ID) (block.Share, error)
	// Diff yields what of newer differs from older; ErrUnrelated when they have no history in common.
	Diff(older, newer block.ID, off, n int64, yield func(block.Extent) bool) error
	// Freed is what the store would get back if these were deleted together.
	Freed(ids ...block.ID) (int64, error)
}

// Options are what a Service needs from outside. All but Alert are required.
type Options struct {
	File    string // usage.db
	Catalog *catalog.Catalog
	Volumes Volumes
	Prices  *Sheet
	Now     func() time.Time
	Log     *slog.Logger
	// Alert hands on that a budget's threshold was crossed; an error has it called again later.
	Alert func(context.Context, Alert) error
}

const (
	// lookEvery is how often the catalog is asked for changes, and whether an hour is full.
	lookEvery = 2 * time.Second
	// roundEvery is how long sizes stand until they are looked at again, on the hour.
	roundEvery = time.Hour
	// changesAtOnce bounds a transaction of the meter.
	changesAtOnce = 500
	// sharesARound bounds how many volumes are asked in one round what they hold alone: the store stops for none of it, but
	// it is work.
	sharesARound = 256
)

// Service meters. All methods may be called by many goroutines at once, after Start returned nil.
type Service struct {
	opt   Options
	store *store

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	clock atomic.Int64 // of progress, for whoever only asks for the time

	mu        sync.Mutex // one step of metering at a time
	progress  progress
	round     time.Time // of the last round, in the meter's time; zero when none since the start
	alive     map[uuid.UUID]*alive
	stores    map[block.ID]*alive        // the same, by their volumes in the store
	kin       map[string]map[*alive]bool // by their own ids and their sources', in lower case
	disturbed map[string]bool            // keys of kin of which one came or went since the last round
	families  map[uuid.UUID][]*alive     // alive incremental snapshots by family, oldest first

	judged   time.Time  // when budgets were looked at last; zero when one has changed
	resend   time.Time  // when an alert that could not be sent is due again; zero when none is
	counting sync.Mutex // one report at a time

	reporting sync.Mutex
	reports   map[uuid.UUID]*Report

	fault func(point string) error // tests only: fails before or after a commit
}

// alive is a resource that exists, and its last sample.
type alive struct {
	*Resource
	last  Sample
	stale bool // what it holds alone may have changed
}

// Open opens usage.db. Start begins the work.
func Open(ctx context.Context, opt Options) (*Service, error) {
	st, err := openStore(ctx, opt.File)
	if err != nil {
		return nil, err
	}
	s := &Service{opt: opt, store: st}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return s, nil
}

// load brings the resources that exist into memory.
func (s *Service) load(ctx context.Context) error {
	s.alive, s.families = map[uuid.UUID]*alive{}, map[uuid.UUID][]*alive{}
	s.stores, s.kin, s.disturbed = map[block.ID]*alive{}, map[string]map[*alive]bool{}, map[string]bool{}
	var err error
	if s.progress, err = s.store.progress(ctx); err != nil {
		return err
	}
	s.clock.Store(s.progress.clock)
	const forever = 1 << 62
	return s.store.each(ctx, span{from: s.progress.clock, to: forever}, func(r *Resource, samples []Sample) (bool, error) {
		if r.Gone.IsZero() {
			s.enter(&alive{Resource: r, last: samples[len(samples)-1], stale: true})
		}
		return true, nil
	})
}

// Start brings the samples up to what the catalog says now, and begins to follow it. The catalog must not be changed
// before it returns.
func (s *Service) Start(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.done.Go(s.work)
	return nil
}

// begin comes to where the catalog is. A store that is new begins now: changes that are still on record were metered by the
// one that is lost.
func (s *Service) begin(ctx context.Context) error {
	steps := []func(context.Context) error{s.Tick, s.reconcile}
	if s.progress == (progress{}) {
		steps = []func(context.Context) error{s.reconcile, s.Tick}
	}
	for _, do := range steps {
		if err := do(ctx); err != nil {
			return fmt.Errorf("bring usage.db to where the catalog is: %w", err)
		}
	}
	return nil
}

// Close ends the work and closes usage.db.
func (s *Service) Close() error {
	s.cancel()
	s.done.Wait()
	return s.store.close()
}

func (s *Service) work() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			if err := s.Tick(s.ctx); err != nil && s.ctx.Err() == nil {
				s.opt.Log.Error("metering will be tried again; nothing is lost", "error", err)
			}
			if err := s.judge(s.ctx); err != nil && s.ctx.Err() == nil {
				s.opt.Log.Error("budgets will be looked at again", "error", err)
			}
		}
	}
}

// Tick takes over what the catalog has recorded since the last call, and when an hour is full, looks at all sizes.
func (s *Service) Tick(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.follow(ctx); err != nil {
		return err
	}
	now := time.UnixMilli(s.now()).UTC()
	if !s.round.IsZero() && now.Before(s.round.Truncate(roundEvery).Add(roundEvery)) {
		return nil
	}
	if err := s.lookAround(ctx, now.UnixMilli()); err != nil {
		return err
	}
	s.round = now
	return nil
}

// now is the meter's time in milliseconds: the clock's, but never before what is on record. While a clock that was set
// back catches up, the meter's time stands still, so that no moment is billed twice. A clock that was set forward is
// believed: it cannot be told from a time in which the server did not run.
func (s *Service) now() int64 { return s.at(s.opt.Now()) }

func (s *Service) at(t time.Time) int64 { return max(t.UnixMilli(), s.clock.Load()) }
