package lsd

import (
	"fmt"
	"sync/atomic"

	"tintype/internal/block"
)

// handle is an open disk.
type handle struct {
	*disk
	v      *volume
	closed atomic.Bool
}

// view is an open snapshot: one epoch of a lineage, read without a cache of its own.
type view struct {
	store  *Store
	v      *volume
	lin    *lineage
	epoch  uint64
	size   int64
	closed atomic.Bool
}

var (
	_ block.Comparer = (*handle)(nil)
	_ block.Settler  = (*handle)(nil)
	_ block.Comparer = (*view)(nil)
)

// OpenVolume opens a disk or a snapshot. Until all of its handles are closed it cannot be deleted. What needs a part of a
// log that was durable and is lost does not open: block.ErrDamaged.
func (s *Store) OpenVolume(id block.ID) (block.Device, error) {
	v, err := s.hold(id)
	if err != nil {
		return nil, err
	}
	if err := s.damage(v); err != nil {
		s.letGo(v)
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	if v.kind == block.KindSnapshot {
		return &view{store: s, v: v, lin: v.lin, epoch: v.node.epoch, size: v.node.size}, nil
	}
	return &handle{disk: v.lin.disk.Load(), v: v}, nil
}

// Sizes tells a volume's exact sizes, as of now.
func (s *Store) Sizes(id block.ID) (block.Sizes, error) {
	v, err := s.hold(id)
	if err != nil {
		return block.Sizes{}, err
	}
	defer s.letGo(v)
	i := v.info()
	return block.Sizes{Used: i.Used, Provisioned: i.Size}, nil
}

func (v *volume) info() block.Info {
	i := block.Info{ID: v.id, Kind: v.kind}
	if v.kind == block.KindSnapshot {
		i.Size, i.Used = v.node.size, v.node.used*block.BlockSize
		return i
	}
	d := v.lin.disk.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	i.Size, i.Used = d.size, d.used*block.BlockSize
	return i
}

// List tells what every volume is, in no order.
func (s *Store) List() []block.Info {
	s.mu.Lock()
	all := make([]*volume, 0, len(s.volumes))
	keys := make([]string, 0, len(s.volumes))
	for _, v := range s.volumes {
		if !v.pending {
			v.open++ // keeps its disk while it is asked below
			all, keys = append(all, v), append(keys, v.key)
		}
	}
	s.mu.Unlock()
	infos := make([]block.Info, len(all))
	for i, v := range all {
		infos[i] = v.info()
		infos[i].Key = keys[i]
		s.letGo(v)
	}
	return infos
}

// begin checks a request on an open disk.
func (h *handle) begin(off, n int64) error {
	if h.closed.Load() {
		return block.ErrClosed
	}
	if h.v.locked.Load() {
		return block.ErrLocked
	}
	return inside(off, n, h.sizeNow())
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	if err := h.store.requests.enter(); err != nil {
		return 0, err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := h.read(p, off); err != nil {
		return 0, fmt.Errorf("read disk %s: %w", h.v.id, err)
	}
	if len(p) >= pageBytes {
		h.lookAhead()
	}
	return len(p), nil
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.store.requests.enter(); err != nil {
		return 0, err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := h.write(p, off, false); err != nil {
		return 0, fmt.Errorf("write disk %s: %w", h.v.id, err)
	}
	return len(p), nil
}

// WriteBulk implements block.Bulk.
func (h *handle) WriteBulk(p []byte, off int64) (int, error) {
	if err := h.store.requests.enter(); err != nil {
		return 0, err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := h.write(p, off, true); err != nil {
		return 0, fmt.Errorf("write disk %s: %w", h.v.id, err)
	}
	return len(p), nil
}

func (h *handle) Flush() error {
	if err := h.store.requests.enter(); err != nil {
		return err
	}
	defer h.store.requests.leave()
	if h.closed.Load() {
		return block.ErrClosed
	}
	if h.v.locked.Load() {
		return block.ErrLocked
	}
	return h.flush()
}

// Settle implements block.Settler.
func (h *handle) Settle() error {
	if err := h.store.requests.enter(); err != nil {
		return err
	}
	defer h.store.requests.leave()
	return h.settle()
}

func (h *handle) Trim(off, n int64) error {
	if err := h.store.requests.enter(); err != nil {
		return err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, n); err != nil {
		return err
	}
	return h.zero(off, n, false)
}

func (h *handle) WriteZeroes(off, n int64) error {
	if err := h.store.requests.enter(); err != nil {
		return err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, n); err != nil {
		return err
	}
	return h.zero(off, n, true)
}

func (h *handle) Extents(off, n int64, yield func(block.Extent) bool) error {
	if err := h.store.requests.enter(); err != nil {
		return err
	}
	defer h.store.requests.leave()
	if err := h.begin(off, n); err != nil {
		return err
	}
	if h.extentsAtHand(off, n, yield) {
		return nil
	}
	return h.store.extents(h.lin, headEpoch, off, n, yield)
}

// Compare is Store.Diff between two open volumes.
func (h *handle) Compare(older block.Device, off, n int64, yield func(block.Extent) bool) error {
	if err := h.begin(off, n); err != nil {
		return err
	}
	return h.store.compare(older, h.v.id, off, n, yield)
}

func (s *Store) compare(older block.Device, newer block.ID, off, n int64, yield func(block.Extent) bool) error {
	switch o := older.(type) {
	case *handle:
		if o.store == s {
			return s.Diff(o.v.id, newer, off, n, yield)
		}
	case *view:
		if o.store == s {
			return s.Diff(o.v.id, newer, off, n, yield)
		}
	}
	return block.ErrUnrelated
}

func (h *handle) Size() int64    { return h.sizeNow() }
func (h *handle) ReadOnly() bool { return false }

func (h *handle) Close() error {
	if h.closed.CompareAndSwap(false, true) {
		h.ahead.settle()
		h.store.letGo(h.v)
	}
	return nil
}

func (w *view) begin(off, n int64) error {
	if w.closed.Load() {
		return block.ErrClosed
	}
	if w.v.locked.Load() {
		return block.ErrLocked
	}
	return inside(off, n, w.size)
}

func (w *view) ReadAt(p []byte, off int64) (int, error) {
	if err := w.store.requests.enter(); err != nil {
		return 0, err
	}
	defer w.store.requests.leave()
	if err := w.begin(off, int64(len(p))); err != nil {
		return 0, err
	}
	if err := w.store.readAt(w.lin, w.epoch, p, off); err != nil {
		return 0, fmt.Errorf("read snapshot %s: %w", w.v.id, err)
	}
	return len(p), nil
}

func (w *view) Extents(off, n int64, yield func(block.Extent) bool) error {
	if err := w.store.requests.enter(); err != nil {
		return err
	}
	defer w.store.requests.leave()
	if err := w.begin(off, n); err != nil {
		return err
	}
	return w.store.extents(w.lin, w.epoch, off, n, yield)
}

// Compare is Store.Diff between two open volumes.
func (w *view) Compare(older block.Device, off, n int64, yield func(block.Extent) bool) error {
	if err := w.begin(off, n); err != nil {
		return err
	}
	return w.store.compare(older, w.v.id, off, n, yield)
}

func (w *view) WriteAt([]byte, int64) (int, error) { return 0, block.ErrReadOnly }
func (w *view) Trim(int64, int64) error            { return block.ErrReadOnly }
func (w *view) WriteZeroes(int64, int64) error     { return block.ErrReadOnly }
func (w *view) Flush() error                       { return nil }
func (w *view) Size() int64                        { return w.size }
func (w *view) ReadOnly() bool                     { return true }

func (w *view) Close() error {
	if w.closed.CompareAndSwap(false, true) {
		w.store.letGo(w.v)
	}
	return nil
}
