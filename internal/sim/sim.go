// Package sim turns one seed into one history of the whole engine and checks every step against a model.
//
// A history makes, writes, trims, resizes, snapshots, clones and deletes volumes, checkpoints and reclaims, and again
// and again kills the process or cuts the power, also in the middle of an operation. After each restart every disk must
// be at a point of its own history that keeps all that was durable, every snapshot must be bit-identical, sizes must be
// exact and the store's own check must be clean.
package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs/crashfs"
)

// Config bounds a history.
type Config struct {
	Steps int                         // operations, restarts included
	Trace func(step int, what string) // told before every operation, if not nil
}

// Run plays the history of a seed. The error says what broke, and at which step.
func Run(seed uint64, cfg Config) error {
	s := newSim(seed, cfg)
	if err := s.start(crashfs.New(seed)); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	for s.step = range cfg.Steps {
		if err := s.one(); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s: %w", s.step, s.doing, err), s.stop())
		}
	}
	s.doing = "last check"
	return errors.Join(s.verify(), s.stop())
}

func newSim(seed uint64, cfg Config) *sim {
	s := &sim{
		rng:      rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)),
		volumes:  map[block.ID]*volume{},
		handles:  map[block.ID]block.Device{},
		branched: map[block.ID]bool{},
		hash:     newHasher(),
		trace:    cfg.Trace,
	}
	s.opt = lsd.Options{
		SegmentSlots:   []uint32{8, 20, 70, 300, 1000}[s.rng.IntN(5)],
		MaxDirtyLeaves: 1 << 20,
		MaxLeaves:      []int{1, 30, 100000}[s.rng.IntN(3)],
		SyncBytes:      []int64{0, 256 << 10}[s.rng.IntN(2)],
		StepBlocks:     []int{12, 40, 0}[s.rng.IntN(3)],
		StepVersions:   []int{1, 3, 10, 0}[s.rng.IntN(4)],
		HoleBlocks:     []uint32{1, 2, 5, 30}[s.rng.IntN(4)],
		Spares:         []int{-1, 1, 4}[s.rng.IntN(3)],
		IdleSeal:       -1,
		Reserve:        -1,
		Manual:         true,
	}
	s.drawRing()
	s.drawZones()
	s.drawFull()
	return s
}

// sim is a history under way.
type sim struct {
	rng      *rand.Rand
	opt      lsd.Options
	fs       *tripFS
	store    *lsd.Store
	volumes  map[block.ID]*volume
	handles  map[block.ID]block.Device
	branched map[block.ID]bool // by root: something was cloned
	hash     hasher
	zones    zones
	fills    bool // the disk is full at times
	full     bool // it is now
	refusals int  // of writes
	unmoved  int  // calls that wanted to move data, and had no room
	trace    func(int, string)
	step     int
	doing    string
	retired  []lsd.Key // needed still if the operation under way does not end
	slots    slotBook

	customers []lsd.Key // that volumes may be under
	away      string    // id of the one that is not there
}

func (s *sim) start(disk *crashfs.FS) error {
	s.fs = newTripFS(s.onZones(disk), disk)
	s.fs.slots = &s.slots
	var err error
	s.store, err = openStore(s)
	s.opened(err)
	return err
}

func openStore(s *sim) (*lsd.Store, error) { return lsd.Open(s.fs, "engine", s.options()) }

func (s *sim) stop() error {
	if s.store == nil { // it did not start
		return nil
	}
	for id, h := range s.handles {
		if err := h.Close(); err != nil {
			return err
		}
		delete(s.handles, id)
	}
	return s.store.Close()
}

// action is one kind of step and how often it comes.
type action struct {
	name   string
	weight int
	do     func() error

	restarts bool // ends in a restart of its own
}

func (s *sim) actions() []action {
	return append(s.zoneActions(), []action{
		{name: "write", weight: 50, do: s.write},
		{name: "zero", weight: 8, do: s.zero},
		{name: "flush", weight: 10, do: s.flush},
		{name: "settle", weight: 8, do: s.settle},
		{name: "create", weight: 3, do: s.create},
		{name: "snapshot", weight: 10, do: s.snapshot},
		{name: "clone", weight: 6, do: s.clone},
		{name: "delete", weight: 8, do: s.delete},
		{name: "resize", weight: 2, do: s.resize},
		{name: "checkpoint", weight: 5, do: func() error { return s.settleAll(s.store.Checkpoint()) }},
		{name: "reclaim", weight: 5, do: func() error { return s.store.Reclaim() }},
		{name: "reclaim a little", weight: 8, do: s.reclaimSome},
		{name: "compact", weight: 6, do: s.compact},
		{name: "tighten", weight: 2, do: s.tighten},
		{name: "order", weight: 5, do: s.order},
		{name: "punch", weight: 8, do: s.punch},
		{name: "turn full", weight: 4, do: s.turnFull},
		{name: "compare", weight: 6, do: s.compare},
		{name: "weigh", weight: 4, do: s.weigh},
		{name: "read", weight: 10, do: s.read},
		{name: "scrub", weight: 2, do: s.scrub},
		{name: "crash", weight: 3, do: func() error { return s.crashIn(nil) }, restarts: true},
		{name: "reopen", weight: 1, do: s.reopen, restarts: true},
		{name: "rotate", weight: 2, do: s.rotate},
		{name: "change key", weight: 4, do: s.changeKey},
		{name: "turn key", weight: 3, do: s.turnKey},
		{name: "check", weight: 1, do: s.verify},
	}...)
}

func (s *sim) one() error {
	a := s.draw()
	if s.trace != nil {
		s.trace(s.step, a.name)
	}
	s.doing = a.name
	if s.rng.IntN(25) == 0 && !a.restarts {
		s.doing = "crash in " + a.name
		return s.crashIn(a.do)
	}
	return a.do()
}

// draw chooses the next action by weight.
func (s *sim) draw() action {
	all := s.actions()
	total := 0
	for _, a := range all {
		total += a.weight
	}
	n := s.rng.IntN(total)
	for _, a := range all {
		if n -= a.weight; n >= 0 {
			continue
		}
		return a
	}
	return all[0]
}

// pick returns a volume that fits and whose key is there, or nil.
func (s *sim) pick(fits func(*volume) bool) *volume {
	return s.pickAny(func(v *volume) bool { return fits(v) && !s.locked(v) })
}

// pickAny returns a volume that fits, or nil. The order is fixed, so that a seed repeats.
func (s *sim) pickAny(fits func(*volume) bool) *volume {
	var some []*volume
	for _, v := range s.volumes {
		if fits(v) {
			some = append(some, v)
		}
	}
	if len(some) == 0 {
		return nil
	}
	slices.SortFunc(some, func(a, b *volume) int { return slices.Compare(a.id[:], b.id[:]) })
	return some[s.rng.IntN(len(some))]
}

func isDisk(v *volume) bool { return !v.snapshot }
func any1(*volume) bool     { return true }

func (s *sim) newID() block.ID {
	var b [16]byte
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return uuid.Must(uuid.FromBytes(b[:]))
}

// open returns a handle of a volume; a history keeps one of each that it used.
func (s *sim) open(v *volume) (block.Device, error) {
	if h := s.handles[v.id]; h != nil {
		return h, nil
	}
	h, err := s.store.OpenVolume(v.id)
	if err == nil {
		s.handles[v.id] = h
	}
	return h, err
}

// size draws a volume size: mostly small, at times odd, at times more than one directory of leaves.
func (s *sim) size() int64 {
	switch s.rng.IntN(8) {
	case 0:
		return (1 + s.rng.Int64N(4096)) * block.SectorSize
	case 1:
		return 3<<30 + s.rng.Int64N(100)*block.SectorSize
	default:
		return (1 + s.rng.Int64N(1024)) * block.BlockSize
	}
}

// span draws a range of a volume: around few places, so that histories meet.
func (s *sim) span(size, most int64) (off, n int64) {
	n = 1 + s.rng.Int64N(min(size, most))
	off = s.rng.Int64N(size - n + 1)
	switch s.rng.IntN(4) {
	case 0:
		off = min(off, size-n, 1<<20)
	case 1, 2:
		off = off / block.BlockSize * block.BlockSize
		n = min((n+block.BlockSize-1)/block.BlockSize*block.BlockSize, size-off)
	}
	return off, n
}

func (s *sim) write() error {
	v := s.pick(isDisk)
	if v == nil {
		return s.create()
	}
	h, err := s.open(v)
	if err != nil {
		return err
	}
	most := int64(64 << 10)
	if s.rng.IntN(10) == 0 {
		most = 2 << 20
	}
	off, n := s.span(v.size, most)
	p := make([]byte, n)
	s.fill(p)
	n0, was := len(v.changes), s.before(v)
	s.applyWrite(v, off, p)
	if len(p) > 0 && p[0]%4 == 0 {
		_, err = block.WriteBulk(h, p, off)
	} else {
		_, err = h.WriteAt(p, off)
	}
	return s.refused(v, h, n0, was, err)
}

// fill writes bytes that no other write has.
func (s *sim) fill(p []byte) {
	x := s.rng.Uint64()
	for i := range p {
		if i%512 == 0 {
			x = s.rng.Uint64()
		}
		x = x*6364136223846793005 + 1442695040888963407
		p[i] = byte(x >> 56)
	}
}

// applyWrite does to the model what a write does, block by block in the order in which the engine accepts them: the
// ragged head, the whole blocks, the ragged tail.
func (s *sim) applyWrite(v *volume, off int64, p []byte) {
	for len(p) > 0 {
		lba, o := uint64(off/block.BlockSize), int(off%block.BlockSize)
		n := min(block.BlockSize-o, len(p))
		v.apply(lba, s.hash.cell(v.now.overlay(lba, o, p[:n])))
		p, off = p[n:], off+int64(n)
	}
}

func (s *sim) zero() error {
	v := s.pick(isDisk)
	if v == nil {
		return nil
	}
	h, err := s.open(v)
	if err != nil {
		return err
	}
	most := int64(512 << 10)
	if s.rng.IntN(4) == 0 {
		most = v.size
	}
	off, n := s.span(v.size, most)
	n0, was := len(v.changes), s.before(v)
	if s.rng.IntN(2) == 0 {
		s.applyZero(v, off, n, false)
		return s.refused(v, h, n0, was, h.Trim(off, n))
	}
	s.applyZero(v, off, n, true)
	return s.refused(v, h, n0, was, h.WriteZeroes(off, n))
}

// applyZero edits the model: the edges first, as the engine does, then whole blocks that have data.
func (s *sim) applyZero(v *volume, off, n int64, edges bool) {
	end := off + n
	first := (off + block.BlockSize - 1) / block.BlockSize
	last := end / block.BlockSize
	if end == v.size {
		last = (end + block.BlockSize - 1) / block.BlockSize
	}
	edge := func(from, to int64) {
		lba := uint64(from / block.BlockSize)
		if edges && from < to && v.now[lba] != nil {
			v.apply(lba, s.hash.cell(v.now.overlay(lba, int(from%block.BlockSize), make([]byte, to-from))))
		}
	}
	edge(off, min(first*block.BlockSize, end))
	if last >= first {
		edge(last*block.BlockSize, end)
	}
	var gone []uint64
	for lba := range v.now {
		if lba >= uint64(first) && int64(lba) < last {
			gone = append(gone, lba)
		}
	}
	slices.Sort(gone)
	for _, lba := range gone {
		v.apply(lba, nil)
	}
}

func (s *sim) flush() error {
	v := s.pick(isDisk)
	if v == nil {
		return nil
	}
	h, err := s.open(v)
	if err == nil {
		err = h.Flush()
	}
	if err == nil {
		v.flushed()
	}
	return err
}

func (s *sim) settle() error {
	v := s.pick(isDisk)
	if v == nil {
		return nil
	}
	h, err := s.open(v)
	if err == nil {
		err = h.(block.Settler).Settle()
	}
	if err == nil {
		v.settled = len(v.changes)
	}
	return err
}

// settleAll notes that a checkpoint made everything durable.
func (s *sim) settleAll(err error) error {
	if err == nil {
		for _, v := range s.volumes {
			if !v.unsettled {
				v.flushed()
			}
		}
	}
	return err
}

// compact moves up to a few segments, of whatever is dead in them.
func (s *sim) compact() error {
	minDead := []float64{0.5, 0.1, 0.001}[s.rng.IntN(3)]
	for range 1 + s.rng.IntN(3) {
		n, err := s.store.Compact(minDead)
		if s.noRoom(err) {
			return nil
		}
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// punch gives back what died in long runs.
func (s *sim) punch() error {
	_, err := s.store.Punch([]float64{0, 0.05, 0.25}[s.rng.IntN(3)])
	return err
}

// order puts in order what lies scattered, or whatever does not lie in one piece.
func (s *sim) order() error {
	_, err := s.store.Order([]int{2, 8, 1000}[s.rng.IntN(3)])
	if s.noRoom(err) {
		return nil
	}
	return err
}

// reclaimSome leaves what is deleted half gone, if there is enough of it.
func (s *sim) reclaimSome() error {
	for range 1 + s.rng.IntN(4) {
		if more, err := s.store.ReclaimSome(); !more || err != nil {
			return err
		}
	}
	return nil
}

// before is what a disk holds before a change that may be refused.
func (s *sim) before(v *volume) state {
	if !s.full {
		return nil
	}
	return maps.Clone(v.now)
}

func (s *sim) read() error {
	v := s.pick(any1)
	if v == nil {
		return nil
	}
	h, err := s.open(v)
	if err != nil {
		return err
	}
	off, n := s.span(v.size, 300<<10)
	got := make([]byte, n)
	if _, err := h.ReadAt(got, off); err != nil {
		return err
	}
	for at := off; at < off+n; at++ {
		want := byte(0)
		if c := v.now[uint64(at/block.BlockSize)]; c != nil {
			want = c.data[at%block.BlockSize]
		}
		if got[at-off] != want {
			return fmt.Errorf("volume %s: byte %d reads %#x, wrote %#x", v.id, at, got[at-off], want)
		}
	}
	again := make([]byte, n)
	c, ok := h.(interface {
		ReadCached([]byte, int64) (done, begun bool)
	})
	if !ok {
		return nil
	}
	if done, _ := c.ReadCached(again, off); done && !bytes.Equal(again, got) {
		return fmt.Errorf("volume %s: [%d, %d) reads other bytes when cached", v.id, off, off+n)
	}
	return nil
}

func (s *sim) verify() error {
	if err := errors.Join(s.slots.err(), s.verifyList()); err != nil {
		return err
	}
	for _, v := range s.volumes {
		if s.locked(v) {
			if err := s.verifyLocked(v); err != nil {
				return err
			}
			continue
		}
		got, err := s.scan(v)
		if err == nil {
			err = diff(got, v.now)
		}
		if err == nil {
			err = s.verifySizes(v)
		}
		if err != nil {
			return fmt.Errorf("volume %s (snapshot: %t): %w", v.id, v.snapshot, err)
		}
	}
	return s.check()
}

func (s *sim) check() error {
	r, err := s.store.Check(context.Background())
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("check: %q", r.Problems[:min(len(r.Problems), 5)])
	}
	return s.settleAll(nil)
}

// scrub goes through a store that is well.
func (s *sim) scrub() error {
	if err := s.store.Scrub(context.Background()); err != nil {
		return err
	}
	if r := s.store.ScrubReport(); len(r.Damages) > 0 || r.Restored > 0 {
		return fmt.Errorf("scrub: %+v", r)
	}
	return nil
}

func (s *sim) verifySizes(v *volume) error {
	got, err := s.store.Sizes(v.id)
	if err != nil {
		return err
	}
	if want := (block.Sizes{Used: v.now.used(), Provisioned: v.size}); got != want {
		return fmt.Errorf("sizes are %+v, should be %+v", got, want)
	}
	return nil
}

func (s *sim) verifyList() error {
	list := s.store.List()
	if len(list) != len(s.volumes) {
		return fmt.Errorf("%d volumes listed, should be %d", len(list), len(s.volumes))
	}
	for _, i := range list {
		if v := s.volumes[i.ID]; v == nil || v.snapshot != (i.Kind == block.KindSnapshot) || v.key != i.Key {
			return fmt.Errorf("volume %s is listed as %+v", i.ID, i)
		}
	}
	return nil
}

// scan reads all that a volume has mapped.
func (s *sim) scan(v *volume) (state, error) {
	h, err := s.open(v)
	if err != nil {
		return nil, err
	}
	if h.Size() != v.size {
		return nil, fmt.Errorf("size is %d, should be %d", h.Size(), v.size)
	}
	got := state{}
	var inner error
	err = h.Extents(0, v.size, func(x block.Extent) bool {
		if !x.Data {
			return true
		}
		buf := make([]byte, (x.Len+block.BlockSize-1)/block.BlockSize*block.BlockSize)
		if _, inner = h.ReadAt(buf[:x.Len], x.Off); inner != nil {
			return false
		}
		for i := 0; i < len(buf); i += block.BlockSize {
			got[uint64(x.Off+int64(i))/block.BlockSize] = s.hash.cell(buf[i : i+block.BlockSize])
		}
		return true
	})
	return got, errors.Join(err, inner)
}
