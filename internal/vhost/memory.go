package vhost

import (
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// errFault is memory of the guest that cannot be read or written: its file was made shorter, or there is no page left for it.
var errFault = errors.New("vhost: the guest's memory is not there")

// memory is the guest's memory, as one memory table had it.
type memory struct{ regions []region }

// region is memory that is one piece in the guest's addresses and in the front end's.
type region struct {
	guest, user, size uint64
	bytes             []byte // size of them
	whole             []byte // what was mapped
}

// newMemory maps the regions of a table. The descriptors stay the caller's.
func newMemory(places []place, fds []int) (*memory, error) {
	m := &memory{regions: make([]region, 0, len(places))}
	var total uint64
	for i, p := range places {
		if p.size == 0 || p.size > maxMemory || p.offset > maxMemory || p.guest+p.size < p.guest || p.user+p.size < p.user {
			m.close()
			return nil, broken("a region of %d bytes at %#x, %#x, %#x", p.size, p.guest, p.user, p.offset)
		}
		for _, o := range places[:i] {
			if overlap(p.guest, o.guest, p.size, o.size) || overlap(p.user, o.user, p.size, o.size) {
				m.close()
				return nil, broken("regions overlap")
			}
		}
		if total += p.size; total > maxMemory {
			m.close()
			return nil, broken("%d bytes of memory", total)
		}
		bytes, whole, err := mapShared(fds[i], p.offset, p.size)
		if err != nil {
			m.close()
			return nil, err
		}
		m.regions = append(m.regions, region{
			guest: p.guest, user: p.user, size: p.size,
			bytes: bytes, whole: whole,
		})
	}
	return m, nil
}

func overlap(a, b, sizeA, sizeB uint64) bool { return a < b+sizeB && b < a+sizeA }

// mapShared maps n bytes of a file that must be memory: nothing else can be relied on not to keep us waiting. whole is what is to be
// unmapped, the pages that the bytes lie in: what is before them in the file costs no addresses.
func mapShared(fd int, offset, n uint64) (bytes, whole []byte, err error) {
	var kind unix.Statfs_t
	if err := unix.Fstatfs(fd, &kind); err != nil {
		return nil, nil, fmt.Errorf("vhost: shared memory: %w", err)
	}
	if t := uint32(kind.Type); t != unix.TMPFS_MAGIC && t != unix.HUGETLBFS_MAGIC {
		return nil, nil, fmt.Errorf("vhost: memory in a file system of type %#x: it must be a memfd, or lie in tmpfs or hugetlbfs", t)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, nil, fmt.Errorf("vhost: shared memory: %w", err)
	}
	if st.Size < 0 || offset > maxMemory || n > maxMemory || offset+n > uint64(st.Size) {
		return nil, nil, broken("%d bytes of memory at %d in a file of %d", n, offset, st.Size)
	}
	// Huge pages are mapped and unmapped as a whole.
	page := uint64(max(st.Blksize, 4096))
	from := offset / page * page
	skip := offset - from
	whole, err = unix.Mmap(fd, int64(from), int((skip+n+page-1)/page*page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, nil, fmt.Errorf("vhost: map %d bytes of memory: %w", n, err)
	}
	// A core dump of ours is no place for the guest's memory. Not every kernel can be told.
	_ = unix.Madvise(whole, unix.MADV_DONTDUMP)
	return whole[skip : skip+n : skip+n], whole, nil
}

// close unmaps everything: nothing may use it any more.
func (m *memory) close() {
	if m == nil {
		return
	}
	for _, r := range m.regions {
		_ = unix.Munmap(r.whole) // only a range that is not mapped fails
	}
	m.regions = nil
}

// at is what lies at a guest address: at most n bytes, fewer where a region ends. nil: there is no memory.
func (m *memory) at(guest, n uint64) []byte {
	for i := range m.regions {
		r := &m.regions[i]
		if off := guest - r.guest; guest >= r.guest && off < r.size {
			return r.bytes[off : off+min(n, r.size-off)]
		}
	}
	return nil
}

// pieces appends the memory of a range of guest addresses, which may go over several regions.
func (m *memory) pieces(all [][]byte, guest, n uint64) ([][]byte, error) {
	if guest+n < guest {
		return all, broken("%d bytes at %#x", n, guest)
	}
	for n > 0 {
		p := m.at(guest, n)
		if p == nil {
			return all, broken("no memory at %#x", guest)
		}
		all = append(all, p)
		guest, n = guest+uint64(len(p)), n-uint64(len(p))
	}
	return all, nil
}

// user is the memory of a range of the front end's addresses, in one region.
func (m *memory) user(addr, n uint64) ([]byte, error) {
	for i := range m.regions {
		r := &m.regions[i]
		if off := addr - r.user; addr >= r.user && off < r.size && n <= r.size-off {
			return r.bytes[off : off+n : off+n], nil
		}
	}
	return nil, broken("no memory for %d bytes at %#x", n, addr)
}

// guard does what touches the guest's memory. Where there is no memory behind the mapping any more, that is an error of f's and
// not our end. f may stop anywhere: a lock that it takes is left by defer.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p)
			}
			err = errFault
		}
	}()
	return f()
}

// copyIn fills p from pieces, beginning off bytes into them.
func copyIn(p []byte, from [][]byte, off int64) error {
	return guard(func() error {
		each(from, off, int64(len(p)), func(piece []byte) { p = p[copy(p, piece):] })
		return nil
	})
}

// copyOut spreads p over pieces, beginning off bytes into them.
func copyOut(to [][]byte, p []byte, off int64) error {
	return guard(func() error {
		each(to, off, int64(len(p)), func(piece []byte) { p = p[copy(piece, p):] })
		return nil
	})
}

// each calls f for the n bytes of pieces that begin at off.
func each(pieces [][]byte, off, n int64, f func([]byte)) {
	for _, p := range pieces {
		if n == 0 {
			return
		}
		if off >= int64(len(p)) {
			off -= int64(len(p))
			continue
		}
		p = p[off:]
		p = p[:min(int64(len(p)), n)]
		f(p)
		off, n = 0, n-int64(len(p))
	}
}

func length(pieces [][]byte) (n int64) {
	for _, p := range pieces {
		n += int64(len(p))
	}
	return n
}
