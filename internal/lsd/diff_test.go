package lsd

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// bookedDisk is a disk with snapshots of it, of which every block's last write is known.
type bookedDisk struct {
	t   *testing.T
	s   *Store
	id  block.ID
	dev block.Device
	rnd *rand.Rand
	now map[int]int // by block, the number of the write; none: trimmed or never written
	n   int
}

const bookedBlocks = 1024

func (d *bookedDisk) churn(writes int) {
	for range writes {
		lba := d.rnd.IntN(bookedBlocks)
		d.n++
		if d.rnd.IntN(8) == 0 {
			mustDo(d.t, d.dev.Trim(int64(lba)*block.BlockSize, block.BlockSize))
			delete(d.now, lba)
			continue
		}
		write(d.t, d.dev, lba, byte(d.n))
		d.now[lba] = d.n
	}
}

func (d *bookedDisk) snapshot() (block.ID, map[int]int) {
	id := uuid.New()
	mustDo(d.t, d.s.Snapshot(block.Cut{Source: d.id, Snapshot: id}))
	return id, maps.Clone(d.now)
}

// changed is what a difference must say: true where there is data.
func changed(was, now map[int]int) map[int]bool {
	all := map[int]bool{}
	for lba, n := range now {
		if m, had := was[lba]; !had || m != n {
			all[lba] = true
		}
	}
	for lba := range was {
		if _, has := now[lba]; !has {
			all[lba] = false
		}
	}
	return all
}

// TestDiffDuringReclaim compares two snapshots, and a clone with the older one, again and again while those between them are deleted
// and reclaimed in small steps, and segments compacted, and the disk written and checkpointed. What it says must not change.
func TestDiffDuringReclaim(t *testing.T) {
	s := openTest(t, crashfs.New(1), "engine", Options{
		Manual: true, SegmentSlots: 300, StepBlocks: 30, StepVersions: 3, MaxLeaves: 8, Reserve: -1,
	})
	d := &bookedDisk{t: t, s: s, id: uuid.New(), rnd: rand.New(rand.NewPCG(1, 1)), now: map[int]int{}}
	mustDo(t, s.Create(d.id, bookedBlocks*block.BlockSize))
	d.dev = mustOpen(t, s, d.id)
	d.churn(700)
	first, was := d.snapshot()
	var between []block.ID
	for range 16 {
		d.churn(40)
		id, _ := d.snapshot()
		between = append(between, id)
		if d.rnd.IntN(3) == 0 {
			mustDo(t, s.Checkpoint())
		}
	}
	last, now := d.snapshot()
	clone := uuid.New()
	mustDo(t, s.Clone(clone, last, bookedBlocks*block.BlockSize))

	want := changed(was, now)
	done := make(chan struct{})
	compared := make(chan int, 1)
	go func() {
		n := 0
		defer func() { compared <- n }()
		for {
			select {
			case <-done:
				return
			default:
			}
			for _, newer := range []block.ID{last, clone} {
				got := map[int]bool{}
				err := s.Diff(first, newer, 0, bookedBlocks*block.BlockSize, func(x block.Extent) bool {
					for lba := x.Off / block.BlockSize; lba*block.BlockSize < x.Off+x.Len; lba++ {
						got[int(lba)] = x.Data
					}
					return true
				})
				if err != nil {
					t.Error(err)
					return
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("comparison %d: -want +got:\n%s", n, d)
					return
				}
			}
			n++
		}
	}()
	d.rnd.Shuffle(len(between), func(i, j int) { between[i], between[j] = between[j], between[i] })
	for _, id := range between {
		mustDo(t, s.Delete(id))
		for more, err := true, error(nil); more; {
			more, err = s.ReclaimSome()
			mustDo(t, err)
			if d.rnd.IntN(4) == 0 {
				d.churn(5)
				mustDo(t, s.Checkpoint())
			}
		}
		_, err := s.Compact(0.05)
		mustDo(t, err)
	}
	close(done)
	if n := <-compared; n < 3 {
		t.Errorf("only %d comparisons", n)
	}
	mustCheck(t, s)
}
