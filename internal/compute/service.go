// Package compute decides what may be done with disks, snapshots and resource groups, in which order, and carries it
// out so that an accepted operation survives a restart.
//
// Every write is accepted by one catalog transaction that records the resource and an operation; a worker finishes it,
// and every step of it may be repeated. The bytes of a copy are cut before the operation is accepted, so a snapshot is
// what its source was before the client had its answer.
//
// The store's volumes that compute asked for are always on record: as an intent until the operation is accepted, then
// in the resource or the operation's plan, and at last as a drop until the store has deleted them. No other volume of
// the store is ever touched.
package compute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Options are what a Service needs from outside. All from CutGrant on may be left out.
type Options struct {
	Catalog  *catalog.Catalog
	Volumes  Volumes
	Exporter Exporter
	Now      func() time.Time
	Log      *slog.Logger

	// CutGrant breaks off the requests that run under a grant that is no more, and returns when none of them touches
	// the volume.
	CutGrant func(id uuid.UUID)
	// Ended is told of operations that went on after they were accepted, when they are over.
	Ended func(tintype.Operation)
	// BlobURL names a grant's blob in error texts, without a signature.
	BlobURL func(tintype.Grant) string
	// ZoneRedundant tells that the store has zones, so that regions which have them offer zone-redundant skus.
	ZoneRedundant bool
	// OpenImport opens the image at a URI that a create asks to import, or refuses it with a *tintype.Error. Nil imports nothing.
	OpenImport func(ctx context.Context, uri string) (Import, error)
	// Peers are the servers from which snapshots may be copied; nil: none.
	Peers Peers
	// Quota limits, by name, how many of a sort of resource a subscription may have in a region. What it does not name is
	// not limited.
	Quota map[string]int64
	// StoreStats tells what the store holds and does, as something that JSON can show.
	StoreStats func() any
	// RotateKey replaces the key that protects the disks' keys.
	RotateKey func(context.Context) (was, is string, err error)
	// Health tells of the store's soundness.
	Health Health
	// Vaults and Keys encrypt what names an encryption set by the set's key. Without them sets are kept and shown only.
	Vaults Vaults
	Keys   VolumeKeys
	// Identities are the user-assigned ones that sets may name; nil: what they name is kept and shown only.
	Identities Identities
}

const (
	// sweepEvery is how often expired grants are released, drops retried and stuck operations run again.
	sweepEvery = 5 * time.Second
	// keepOperations is how long an ended operation can still be polled.
	keepOperations = 48 * time.Hour
)

// Service is the domain. All methods may be called by many goroutines at once; all errors meant for a caller are
// *tintype.Error. Start must have returned nil before any other method is called.
type Service struct {
	opt     Options
	catalog *catalog.Catalog
	volumes Volumes

	ctx    context.Context // ends with Close: operations run under it, not under a caller's request
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan uuid.UUID // operations just accepted

	vaultChanged chan struct{}

	line    line     // requests that wait for others to be through with a resource
	running keyed    // by operation: an operation is run by one goroutine at a time
	sets    keyed    // by encryption set
	keying  keyed    // by volume of the store: a key is looked at and changed in one step
	given   sync.Map // ids of the sets' keys that the store has
	ports   keyed    // by resource: an export is made or ended by one goroutine at a time

	mu   sync.Mutex
	open map[port]exported
	used map[uuid.UUID]*use // what was done under grants and is not on record yet

	imported    map[uuid.UUID]int64 // by operation: bytes that an import has copied so far
	importBatch int64

	copying   map[uuid.UUID]bool // by unique id of the snapshot: copies from other servers that are under way
	resting   map[uuid.UUID]rest // likewise, that are not to be tried yet
	copySlots chan struct{}      // as many may go on at a time

	fault func(point string) error // tests only: fails before or after a commit
}

// New makes a service; Start begins its work.
func New(opt Options) *Service {
	ctx, cancel := context.WithCancel(context.Background())
	if opt.CutGrant == nil {
		opt.CutGrant = func(uuid.UUID) {}
	}
	if opt.BlobURL == nil {
		opt.BlobURL = func(g tintype.Grant) string { return g.Account + "/" + g.Container }
	}
	return &Service{
		opt: opt, catalog: opt.Catalog, volumes: opt.Volumes, ctx: ctx, cancel: cancel,
		wake: make(chan uuid.UUID, 256), open: map[port]exported{}, used: map[uuid.UUID]*use{}, imported: map[uuid.UUID]int64{}, vaultChanged: make(chan struct{}, 1),
		copying: map[uuid.UUID]bool{}, resting: map[uuid.UUID]rest{}, copySlots: make(chan struct{}, copiesAtOnce),
		importBatch: importBatch,
	}
}

// Start takes back what was asked for and never accepted, finishes every accepted operation, exports what is attached
// under the URIs that it had, and starts the worker. Its error means that the catalog can't be used.
func (s *Service) Start(ctx context.Context) error {
	if err := s.resume(ctx); err != nil {
		return err
	}
	s.done.Go(s.work)
	if s.opt.Vaults != nil {
		s.done.Go(s.followVaults)
	}
	return nil
}

// resume brings everything to where the last run's acceptances have put it. One resource that can't be brought there
// keeps none of the others from being served: it is logged, and the sweep tries again.
func (s *Service) resume(ctx context.Context) error {
	if err := s.undoIntents(ctx); err != nil {
		return fmt.Errorf("undo unaccepted work: %w", err)
	}
	if s.opt.Vaults != nil {
		s.opt.Vaults.OnChange(s.noteVaults)
		if s.opt.Identities != nil {
			s.opt.Identities.OnChange(s.noteVaults)
		}
	}
	for _, do := range []func(context.Context) error{s.settleSets, s.runAll, s.dropAll, s.exportAll} {
		if err := do(ctx); err != nil {
			s.opt.Log.Error("resuming will be tried again", "error", err)
		}
	}
	return nil
}

// Close stops the worker and ends the exports; attachments stay on record. Operations in progress go on at the next
// start. The store and the catalog are the caller's to close afterwards.
func (s *Service) Close() error {
	s.cancel()
	s.done.Wait()
	return errors.Join(s.recordUse(context.Background()), s.closeExports())
}

// work runs operations as they are accepted, and sweeps.
func (s *Service) work() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case id := <-s.wake:
			err = errors.Join(s.runSome(id), s.dropAll(s.ctx), s.startCopies(s.ctx))
		case <-tick.C:
			err = s.sweep(s.ctx)
		}
		if err != nil && s.ctx.Err() == nil {
			s.opt.Log.Error("operation will be tried again", "error", err)
		}
	}
}

// runSome runs an operation, and those that wait behind it, side by side: they share the catalog's commits.
func (s *Service) runSome(first uuid.UUID) error {
	var errs [32]error
	var running sync.WaitGroup
	id, more := first, true
	for i := 0; more && i < len(errs); i++ {
		one := id
		running.Go(func() { errs[i] = s.run(one) })
		select {
		case id = <-s.wake:
		default:
			more = false
		}
	}
	running.Wait()
	return errors.Join(errs[:]...)
}

// sweep does what no request asks for: it releases expired grants, runs operations again that could not be finished,
// deletes what was dropped, exports what is attached and could not be exported, and forgets old operations.
func (s *Service) sweep(ctx context.Context) error {
	return errors.Join(s.recordUse(ctx), s.releaseExpired(ctx), s.runAll(ctx), s.dropAll(ctx), s.exportAll(ctx), s.startCopies(ctx),
		s.update(ctx, func(tx *catalog.Tx) error { return tx.ForgetOperations(s.opt.Now().Add(-keepOperations)) }))
}

// now is the time in the resolution that clients see, 100 ns.
func (s *Service) now() time.Time { return s.opt.Now().UTC().Truncate(100) }

// update runs one catalog transaction; every change of the catalog goes through it. What became of volumes is recorded in
// the same transaction, so that the meter misses none.
func (s *Service) update(ctx context.Context, do func(*catalog.Tx) error) error {
	fn := func(tx *catalog.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return tx.RecordChanges(s.now())
	}
	if s.fault == nil {
		return s.catalog.Update(ctx, fn)
	}
	if err := s.fault("before commit"); err != nil {
		return err
	}
	if err := s.catalog.Update(ctx, fn); err != nil {
		return err
	}
	return s.fault("after commit")
}

// edge makes any error fit for a caller: what isn't a refusal already becomes an internal error that keeps its cause.
func edge(err error) error {
	var refusal *tintype.Error
	if err == nil || errors.As(err, &refusal) || errors.Is(err, context.Canceled) {
		return err
	}
	return tintype.Internal(err)
}
