package pebblefs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
	"tintype/internal/vfs/pebblefs"
)

// fatal is the logger of a database that must not end the test: who meets a
// fatal error waits for ever, as dead code does.
type fatal struct {
	once sync.Once
	met  chan string
}

func newFatal() *fatal { return &fatal{met: make(chan string, 1)} }

func (f *fatal) Infof(string, ...any) {}

func (f *fatal) Errorf(string, ...any) {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.once.Do(func() { f.met <- fmt.Sprintf(format, args...) })
	select {}
}

// loud is the logger of a database that must not fail.
type loud struct{}

func (loud) Infof(string, ...any) {}

func (loud) Errorf(format string, args ...any) { loud{}.Fatalf(format, args...) }

func (loud) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// small makes Pebble flush and compact all the time, large never.
const (
	small = 16 << 10
	large = 4 << 20
)

func open(fsys vfs.FS, logger pebble.Logger, memTable uint64) (*pebble.DB, error) {
	return openOn(pebblefs.New(fsys), logger, memTable)
}

func openOn(fsys *pebblefs.FS, logger pebble.Logger, memTable uint64) (*pebble.DB, error) {
	return pebble.Open("db", &pebble.Options{
		FS:                    fsys,
		Logger:                logger,
		FormatMajorVersion:    pebble.FormatNewest,
		MemTableSize:          memTable,
		L0CompactionThreshold: 2,
		CacheSize:             1 << 20,
	})
}

// batch is what commit number n of a history does. Keys are few, so that tables
// overlap.
func batch(seed, n uint64) (set map[string]string, sync bool) {
	rng := rand.New(rand.NewPCG(seed, n))
	set = map[string]string{"number": strconv.FormatUint(n, 10)}
	for range rng.IntN(8) {
		key := fmt.Sprint("key ", rng.IntN(50))
		value := make([]byte, rng.IntN(1500))
		for i := range value {
			value[i] = byte('a' + rng.IntN(26))
		}
		set[key] = fmt.Sprint(n, " ", string(value))
	}
	return set, rng.IntN(3) > 0
}

// after is what a history's first n commits leave.
func after(seed, n uint64) map[string]string {
	state := map[string]string{}
	for i := uint64(1); i <= n; i++ {
		set, _ := batch(seed, i)
		maps.Copy(state, set)
	}
	return state
}

func commit(db *pebble.DB, seed, n uint64) (synced bool, err error) {
	set, sync := batch(seed, n)
	b := db.NewBatch()
	defer b.Close()
	for key, value := range set {
		if err := b.Set([]byte(key), []byte(value), nil); err != nil {
			return false, err
		}
	}
	opt := pebble.NoSync
	if sync {
		opt = pebble.Sync
	}
	return sync, b.Commit(opt)
}

func content(t *testing.T, db *pebble.DB) map[string]string {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for valid := it.First(); valid; valid = it.Next() {
		state[string(it.Key())] = string(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return state
}

// check holds what a crash left against the history: a prefix that has every
// commit up to the last one synced. It returns its length.
func check(t *testing.T, db *pebble.DB, seed, synced, begun uint64) uint64 {
	t.Helper()
	got := content(t, db)
	var n uint64
	if text := got["number"]; text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if n < synced || n > begun {
		t.Fatalf("seed %d: commit %d survived, %d was synced and %d begun", seed, n, synced, begun)
	}
	if diff := cmp.Diff(after(seed, n), got); diff != "" {
		t.Fatalf("seed %d: after commit %d -want +got:\n%s", seed, n, diff)
	}
	return n
}

func root(t *testing.T, seed uint64) *crashfs.FS {
	t.Helper()
	disk := crashfs.New(seed)
	if err := disk.MkdirAll("db"); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return disk
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSyncedCommitsSurvive cuts the power at any moment of Pebble's work, in the
// middle of flushes and compactions too, five times in each history.
func TestSyncedCommitsSurvive(t *testing.T) {
	for seed := range uint64(15) {
		disk := root(t, seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		var at uint64
		for range 5 {
			fsys := pebblefs.New(disk)
			fsys.Shed(rng.IntN(2) == 0)
			db, err := openOn(fsys, loud{}, small)
			if err != nil {
				t.Fatalf("seed %d, after commit %d: %v", seed, at, err)
			}
			at, disk = work(t, db, disk, rng, seed, at)
		}
		db, err := open(disk, loud{}, small)
		must(t, err)
		check(t, db, seed, at, at)
		must(t, db.Close())
	}
}

// work commits while another goroutine cuts the power; it returns what is left.
func work(
	t *testing.T, db *pebble.DB, disk *crashfs.FS, rng *rand.Rand, seed, at uint64,
) (uint64, *crashfs.FS) {
	var synced, begun atomic.Uint64
	synced.Store(at)
	begun.Store(at)
	crashed := make(chan *crashfs.FS, 1)
	stop := at + 1 + rng.Uint64N(150)
	var floor, ceiling uint64
	go func() {
		for begun.Load() < stop {
			time.Sleep(10 * time.Microsecond)
		}
		floor = synced.Load()
		left := disk.AfterCrash()
		ceiling = begun.Load()
		crashed <- left
	}()
	for n := at + 1; n <= stop+20; n++ {
		begun.Store(n)
		sync, err := commit(db, seed, n)
		must(t, err)
		if sync {
			synced.Store(n)
		}
	}
	left := <-crashed
	must(t, db.Close())
	// The next crash comes to a database that is open and has recovered.
	again, err := open(left.AfterCrash(), loud{}, small)
	if err != nil {
		t.Fatalf("seed %d, %d synced: %v", seed, floor, err)
	}
	check(t, again, seed, floor, ceiling)
	must(t, again.Close())
	found, err := open(left, loud{}, small)
	must(t, err)
	n := check(t, found, seed, floor, ceiling)
	left = left.AfterRestart()
	must(t, found.Close())
	return n, left
}

// TestPowerFailsBeforeEveryOperation cuts the power before each operation that
// changes something, from the making of the database on.
func TestPowerFailsBeforeEveryOperation(t *testing.T) {
	const commits = 40
	disk := root(t, 1)
	var progress progress
	var left []moment
	fsys := faultfs.New(disk)
	fsys.Inject(faultfs.Fault{Kinds: faultfs.Changes, Sticky: true, Do: func(faultfs.Op) {
		now := moment{floor: progress.synced.Load()}
		now.disk = disk.AfterCrash()
		now.ceiling = progress.begun.Load()
		progress.mu.Lock()
		defer progress.mu.Unlock()
		left = append(left, now)
	}})
	must(t, progress.run(fsys, loud{}, small, 1, commits))
	if len(left) < 200 {
		t.Errorf("only %d operations", len(left))
	}
	for n, now := range left {
		db, err := open(now.disk, loud{}, small)
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		check(t, db, 1, now.floor, now.ceiling)
		must(t, db.Close())
	}
}

// moment is a disk after a power cut, and what must and may be on it.
type moment struct {
	disk           *crashfs.FS
	floor, ceiling uint64
}

// progress is how far a history came.
type progress struct {
	mu            sync.Mutex
	synced, begun atomic.Uint64
}

func (p *progress) run(
	fsys vfs.FS, logger pebble.Logger, memTable uint64, seed, commits uint64,
) (err error) {
	defer func() { // Pebble panics where its directory cannot be synced.
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	db, err := open(fsys, logger, memTable)
	if err != nil {
		return err
	}
	for n := uint64(1); n <= commits; n++ {
		p.begun.Store(n)
		sync, err := commit(db, seed, n)
		if err != nil {
			return err
		}
		if sync {
			p.synced.Store(n)
		}
	}
	return db.Close()
}

// TestEveryOperationFails makes each operation that changes something fail once,
// cuts the power, and looks for what Pebble had said to be durable. Nothing is
// flushed in the meantime: Pebble ends the process, beyond recovery, when it
// cannot begin a new log.
func TestEveryOperationFails(t *testing.T) {
	for n := 0; ; n++ {
		seed := uint64(n)
		disk := root(t, seed)
		fsys := faultfs.New(disk)
		fault := fsys.Inject(faultfs.Fault{Kinds: faultfs.Changes, N: n, Err: syscall.EIO, Short: true})
		var progress progress
		logger, done := newFatal(), make(chan error, 1)
		go func() { done <- progress.run(fsys, logger, large, seed, 25) }()
		told := true
		select {
		case err := <-done:
			told = err != nil
		case <-logger.met:
		}
		if fault.Hits() == 0 {
			if told || n < 50 {
				t.Errorf("%d operations could fail; failed without: %t", n, told)
			}
			return
		}
		floor := progress.synced.Load()
		db, err := open(disk.Crash(), loud{}, small)
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		check(t, db, seed, floor, progress.begun.Load())
		must(t, db.Close())
	}
}
