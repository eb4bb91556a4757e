package compute

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
)

var errCrash = errors.New("the process is gone")

// memStore is a store in memory that outlives the service using it. Its volumes hold whole 4 KiB blocks.
type memStore struct {
	mu      sync.Mutex
	volumes map[uuid.UUID]*memVolume
	fault   func(point string) error // called before and after every change
	refuse  error                    // when set, what makes bytes fails with it
	full    error                    // when set, writes through handles fail with it
	copied  func(id, source uuid.UUID)
	deleted func(id uuid.UUID)
	spoiled uuid.UUID // no clone of it can be made, nor can it be kept elsewhere
}

type memVolume struct {
	snapshot bool
	size     int64
	blocks   map[int64]string
	before   map[int64]string // what blocks held that handles have written since their last flush
	open     int

	redundancy block.Redundancy
}

func newMemStore() *memStore { return &memStore{volumes: map[uuid.UUID]*memVolume{}} }

// change runs one durable step between two points at which the process may die.
func (m *memStore) change(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		if err := m.fault("before store call"); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if m.fault != nil {
		return m.fault("after store call")
	}
	return nil
}

func (m *memStore) add(id uuid.UUID, v *memVolume) error {
	if m.refuse != nil {
		return m.refuse
	}
	if m.volumes[id] != nil {
		return block.ErrExists
	}
	m.volumes[id] = v
	return nil
}

func (m *memStore) Create(id block.ID, size int64) error {
	return m.change(func() error { return m.add(id, &memVolume{size: size, blocks: map[int64]string{}}) })
}

func (m *memStore) Snapshot(cuts ...block.Cut) error {
	return m.change(func() error {
		for _, c := range cuts {
			from := m.volumes[c.Source]
			if from == nil {
				return block.ErrNotFound
			}
			if err := m.add(c.Snapshot, &memVolume{
				snapshot: true, size: from.size, blocks: maps.Clone(from.blocks), redundancy: c.Redundancy,
			}); err != nil {
				return err
			}
			if m.copied != nil {
				m.copied(c.Snapshot, c.Source)
			}
		}
		return nil
	})
}

func (m *memStore) Clone(id, source block.ID, size int64) error {
	return m.change(func() error {
		from := m.volumes[source]
		if from == nil {
			return block.ErrNotFound
		}
		if source == m.spoiled {
			return block.ErrNoSpace
		}
		if size < from.size {
			return block.ErrBadSize
		}
		err := m.add(id, &memVolume{size: size, blocks: maps.Clone(from.blocks)})
		if err == nil && m.copied != nil {
			m.copied(id, source)
		}
		return err
	})
}

func (m *memStore) Delete(id block.ID) error {
	return m.change(func() error {
		v := m.volumes[id]
		if v == nil {
			return block.ErrNotFound
		}
		if v.open > 0 {
			return block.ErrInUse
		}
		delete(m.volumes, id)
		if m.deleted != nil {
			m.deleted(id)
		}
		return nil
	})
}

func (m *memStore) SetRedundancy(id block.ID, to block.Redundancy) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.volumes[id] == nil {
		return block.ErrNotFound
	}
	if id == m.spoiled {
		return block.ErrNoSpace
	}
	m.volumes[id].redundancy = to
	return nil
}

func (m *memStore) Resize(id block.ID, size int64) error {
	return m.change(func() error {
		v := m.volumes[id]
		if v == nil {
			return block.ErrNotFound
		}
		if m.refuse != nil {
			return m.refuse
		}
		if v.snapshot || size < v.size {
			return block.ErrBadSize
		}
		v.size = size
		return nil
	})
}

func (m *memStore) Sizes(id block.ID) (block.Sizes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.volumes[id]
	if v == nil {
		return block.Sizes{}, block.ErrNotFound
	}
	return block.Sizes{Used: int64(len(v.blocks)) * block.BlockSize, Provisioned: v.size}, nil
}

// Share takes blocks of the same content at the same place for shared.
func (m *memStore) Share(id block.ID) (block.Share, error) {
	n, err := m.Freed(id)
	return block.Share{Exclusive: n}, err
}

func (m *memStore) Freed(ids ...block.ID) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	type held struct {
		at   int64
		what string
	}
	kept, freed := map[held]bool{}, map[held]bool{}
	for _, id := range ids {
		if m.volumes[id] == nil {
			return 0, block.ErrNotFound
		}
	}
	for id, v := range m.volumes {
		for at, what := range v.blocks {
			if slices.Contains(ids, id) {
				freed[held{at, what}] = true
			} else {
				kept[held{at, what}] = true
			}
		}
	}
	n := int64(0)
	for h := range freed {
		if !kept[h] {
			n += block.BlockSize
		}
	}
	return n, nil
}

func (m *memStore) OpenVolume(id block.ID) (block.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.volumes[id]
	if v == nil {
		return nil, block.ErrNotFound
	}
	v.open++
	return &memDevice{store: m, volume: v}, nil
}

// restart forgets the handles of the process that died, and what they did not flush.
func (m *memStore) restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = nil
	for _, v := range m.volumes {
		v.open = 0
		for at, was := range v.before {
			v.put(at, was)
		}
		v.before = nil
	}
}

// content names what a volume holds, block by block.
func (m *memStore) content(t *testing.T, id uuid.UUID) map[int64]string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.volumes[id]
	if v == nil {
		t.Fatalf("volume %s is not in the store", id)
	}
	return maps.Clone(v.blocks)
}

func (m *memStore) ids() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for id := range m.volumes {
		all = append(all, id.String())
	}
	slices.Sort(all)
	return all
}

// put writes one block of a disk, as a guest would.
func (m *memStore) put(id uuid.UUID, at int64, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.volumes[id].put(at, what)
}

// put makes a block begin with the text; none is a hole.
func (v *memVolume) put(at int64, what string) {
	if what == "" {
		delete(v.blocks, at)
		return
	}
	v.blocks[at] = what
}

// memDevice is a handle on whole blocks of a memVolume, as much of a device as the service itself uses.
type memDevice struct {
	block.Device // what is not used here panics
	store        *memStore
	volume       *memVolume
	closed       bool
}

func (d *memDevice) ReadOnly() bool { return d.volume.snapshot }
func (d *memDevice) Size() int64    { return d.volume.size }

// Flush keeps what was written over a restart.
func (d *memDevice) Flush() error {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	d.volume.before = nil
	return nil
}

// note remembers what a block held when it was last durable.
func (v *memVolume) note(at int64) {
	if v.before == nil {
		v.before = map[int64]string{}
	}
	if _, have := v.before[at]; !have {
		v.before[at] = v.blocks[at]
	}
}

// WriteAt keeps the text that each whole block begins with.
func (d *memDevice) WriteAt(p []byte, off int64) (int, error) {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if d.store.full != nil {
		return 0, d.store.full
	}
	for at := int64(0); at < int64(len(p)); at += block.BlockSize {
		text := bytes.TrimRight(p[at:min(at+block.BlockSize, int64(len(p)))], "\x00")
		d.volume.note((off + at) / block.BlockSize)
		d.volume.put((off+at)/block.BlockSize, string(text))
	}
	return len(p), nil
}

func (d *memDevice) WriteZeroes(off, n int64) error {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	for at := off; at < off+n; at += block.BlockSize {
		d.volume.note(at / block.BlockSize)
		d.volume.put(at/block.BlockSize, "")
	}
	return nil
}

func (d *memDevice) Close() error {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if d.closed {
		return fmt.Errorf("closed twice: %w", block.ErrClosed)
	}
	d.closed = true
	d.volume.open--
	return nil
}

// memExporter is a door that remembers what serves.
type memExporter struct {
	mu     sync.Mutex
	serves map[string]bool // name → read-only
	older  map[string][]string
	refuse error
	ending func() // when set, comes before the end of an export
}

func newMemExporter() *memExporter {
	return &memExporter{serves: map[string]bool{}, older: map[string][]string{}}
}

func (e *memExporter) Export(name string, dev block.Device, readOnly bool, _ string, older []Older) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != nil {
		return e.refuse
	}
	if _, ok := e.serves[name]; ok {
		return fmt.Errorf("export %s serves already", name)
	}
	e.serves[name] = readOnly || dev.ReadOnly()
	e.older[name] = nil
	for _, o := range older {
		e.older[name] = append(e.older[name], o.Name)
	}
	return nil
}

func (e *memExporter) ExportChanges(name string, dev block.Device, _ string, older Older) error {
	return e.Export(name, dev, true, "", []Older{older})
}

func (e *memExporter) Unexport(name string) error {
	if e.ending != nil {
		e.ending()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.serves, name)
	return nil
}

func (e *memExporter) Socket(name string) string { return "/v/" + name }

func (e *memExporter) URI(name string) string { return "nbd+unix:///" + name + "?socket=/s" }
