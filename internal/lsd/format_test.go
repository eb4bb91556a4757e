package lsd

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tintype/internal/block"
)

func randomHeader(r *rand.Rand) *chunkHeader {
	h := &chunkHeader{
		incarnation: r.Uint64(), lineage: r.Uint64(), epoch: r.Uint64(), seq: r.Uint64(), durable: r.Uint64(), prev: r.Uint32(),
		place:   at(r.Uint32(), r.Uint32N(1<<slotBits)),
		extents: []extent{}, crcs: []uint32{},
	}
	for len(h.extents) < r.IntN(maxChunkWords+1) && len(h.crcs) < maxChunkBlocks {
		x := extent{lba: r.Uint64N(1 << 33), count: 1 + r.Uint32N(9), kind: extentHole}
		if r.IntN(4) > 0 {
			x.kind = extentData
			x.count = min(x.count, uint32(maxChunkBlocks-len(h.crcs)))
			for range x.count {
				h.crcs = append(h.crcs, r.Uint32())
			}
		}
		h.extents = append(h.extents, x)
	}
	return h
}

func TestChunkHeaderRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, block.BlockSize)
	for range 500 {
		want := randomHeader(r)
		want.encode(buf)
		got, err := decodeChunk(buf)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(chunkHeader{}, extent{})); d != "" {
			t.Fatal(d)
		}
	}
}

// TestEveryFlippedBitIsNoticed flips single bits of headers and page versions' neighbours: none may pass.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	chunk, segment := make([]byte, block.BlockSize), make([]byte, block.BlockSize)
	randomHeader(r).encode(chunk)
	(&segmentHeader{number: 7, incarnation: 3, lineage: 9, firstSeq: 2}).encode(segment)
	for bit := range block.BlockSize * 8 {
		for name, header := range map[string][]byte{"chunk": chunk, "segment": segment} {
			p := slices.Clone(header)
			p[bit/8] ^= 1 << (bit % 8)
			var err error
			if name == "chunk" {
				_, err = decodeChunk(p)
			} else {
				_, err = decodeSegment(p, 7)
			}
			if err == nil {
				t.Fatalf("%s header: bit %d flipped, not noticed", name, bit)
			}
		}
	}
}

func TestNewerFormatsAreNamed(t *testing.T) {
	p := make([]byte, block.BlockSize)
	(&chunkHeader{}).encode(p)
	p[4] = 9
	reseal(p)
	if _, err := decodeChunk(p); err == nil || errors.Is(err, errNoChunk) {
		t.Errorf("chunk of version 9: %v", err)
	}
	(&segmentHeader{number: 1}).encode(p)
	p[4] = 9
	reseal(p)
	if _, err := decodeSegment(p, 1); err == nil || errors.Is(err, block.ErrDamaged) {
		t.Errorf("segment of version 9: %v", err)
	}
	if err := parseRecord([]byte("k"), []byte(`{"v":9}`), &checkpointRecord{}); err == nil || errors.Is(err, block.ErrDamaged) {
		t.Errorf("record of version 9: %v", err)
	}
}

func reseal(p []byte) {
	sum := checksum(p[:chunkSumOffset])
	for i := range 4 {
		p[chunkSumOffset+i] = byte(sum >> (8 * i))
	}
}

func FuzzChunkHeader(f *testing.F) {
	p := make([]byte, block.BlockSize)
	randomHeader(rand.New(rand.NewPCG(5, 6))).encode(p)
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= block.BlockSize {
			reseal(p)
		}
		h, err := decodeChunk(p)
		if err != nil {
			return
		}
		again := make([]byte, block.BlockSize)
		h.encode(again)
		back, err := decodeChunk(again)
		if err != nil {
			t.Fatal(err)
		}
		back.sum, h.sum = 0, 0 // reserved bytes are not kept
		if d := cmp.Diff(h, back, cmp.AllowUnexported(chunkHeader{}, extent{})); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzVersion(f *testing.F) {
	c := content{}
	c.set(3, entry{seg: 1, slot: 2, crc: 3})
	c.set(63, entry{seg: 4, slot: 5, crc: 6})
	f.Add(appendVersion(nil, &stored{content: c, whole: true}))
	f.Add(appendVersion(nil, &stored{content: c, says: c.mask | 1<<17}))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := decodeVersion(p)
		if err != nil {
			return
		}
		if d := cmp.Diff(p, appendVersion(nil, &v)); d != "" {
			t.Fatal(d)
		}
		v.epoch, v.reach = 1, 1
		base := stored{whole: true}
		for i := range uint(leafBlocks) {
			if i%3 > 0 {
				base.set(i, entry{seg: 1 << 31, slot: uint16(i)})
			}
		}
		for i, e := range v.each() {
			if now, err := v.over(&base); err != nil || !now.has(i, e.pos()) {
				t.Fatalf("block %d of a version is lost", i)
			}
		}
	})
}

func FuzzTally(f *testing.F) {
	f.Add(appendTally(nil, &tally{born: -3, died: map[position]int64{0: 4, at(3, 7): 1}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := decodeTally(p)
		if err != nil {
			return
		}
		back, err := decodeTally(appendTally(nil, v))
		if d := cmp.Diff(v, back, cmp.AllowUnexported(tally{})); d != "" || err != nil {
			t.Fatal(err, d)
		}
	})
}

// TestDifference takes one page from another and puts it back.
func TestDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	differences := 0
	for range 5000 {
		base := stored{whole: true, epoch: 7}
		for range r.IntN(2 * leafBlocks) {
			base.set(uint(r.IntN(leafBlocks)), entry{seg: 1, crc: r.Uint32(), slot: uint16(r.Uint32())})
		}
		c := base.clone()
		for range r.IntN(12) {
			if r.IntN(3) == 0 {
				c.clear(1 << r.IntN(leafBlocks))
			} else {
				c.set(uint(r.IntN(leafBlocks)), entry{seg: 2, crc: r.Uint32(), slot: uint16(r.Uint32())})
			}
		}
		v := difference(&base, &c, 9)
		if !v.whole {
			differences++
		}
		v, err := decodeVersion(appendVersion(nil, &v))
		if err != nil {
			t.Fatal(err)
		}
		v.epoch = 9
		now, err := v.over(&base)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, now, cmp.AllowUnexported(content{}, entry{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	}
	older := stored{whole: true, epoch: 6}
	if _, err := (&stored{epoch: 9, reach: 2}).over(&older); !errors.Is(err, block.ErrDamaged) {
		t.Errorf("an older page stands in for the one that a difference is based on: %v", err)
	}
	if differences < 500 {
		t.Errorf("only %d of 5000 were differences", differences)
	}
}

// TestContent compares a leaf's map with a plain one.
func TestContent(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var c content
	model := map[uint]entry{}
	for range 20000 {
		i := uint(r.IntN(leafBlocks))
		switch r.IntN(3) {
		case 0:
			m := r.Uint64() & r.Uint64() & r.Uint64()
			n := 0
			for b := range uint(leafBlocks) {
				if _, ok := model[b]; ok && m>>b&1 == 1 {
					delete(model, b)
					n++
				}
			}
			if got := c.clear(m); got != n {
				t.Fatalf("clear(%x) says %d, should be %d", m, got, n)
			}
		default:
			e := entry{seg: r.Uint32(), crc: r.Uint32(), slot: uint16(r.Uint32())}
			_, had := model[i]
			if c.set(i, e) == had {
				t.Fatalf("set(%d) is wrong about what was there", i)
			}
			model[i] = e
		}
		got := map[uint]entry{}
		for b, e := range c.each() {
			got[b] = e
		}
		if d := cmp.Diff(model, got, cmp.AllowUnexported(entry{})); d != "" {
			t.Fatal(d)
		}
	}
}
