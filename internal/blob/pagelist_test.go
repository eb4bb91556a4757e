package blob

import (
	"bytes"
	"encoding/xml"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tintype/internal/block"
)

// TestPageList compares lists, whole, restricted and in parts, with the mapped blocks.
func TestPageList(t *testing.T) {
	const size = 64 * mib
	rng := rand.New(rand.NewPCG(5, 6))
	g := newRig(t, size, true)
	mapped := make([]bool, size/512+1) // by page
	for range 3000 {
		at := rng.Int64N(size / block.BlockSize)
		g.write(at*block.BlockSize, []byte{1})
		for i := range int64(8) {
			mapped[at*8+i] = true
		}
	}
	check := func(from, to int64, query string, headers ...string) {
		t.Helper()
		got := make([]bool, len(mapped))
		requests, last := 0, int64(-2)
		for marker := ""; ; requests++ {
			q := query
			if marker != "" {
				q += "&marker=" + marker
			}
			a := g.do("GET", g.url()+"&comp=pagelist"+q, nil, headers...).want(t, 200, "")
			if a.Header.Get("x-ms-blob-content-length") != strconv.Itoa(size+512) {
				t.Fatal("no x-ms-blob-content-length")
			}
			var list pageListBody
			if err := xml.Unmarshal(a.body, &list); err != nil {
				t.Fatal(err)
			}
			for _, p := range list.PageRange {
				if p.Start%512 != 0 || p.End%512 != 511 || p.End < p.Start || p.Start <= last+1 && requests == 0 {
					t.Fatalf("range %d-%d after %d", p.Start, p.End, last)
				}
				last = p.End
				for i := p.Start / 512; i <= p.End/512; i++ {
					got[i] = true
				}
			}
			if strings.Contains(query, "maxresults=7") && len(list.PageRange) > 7 {
				t.Fatalf("%d ranges, asked for 7", len(list.PageRange))
			}
			if marker = list.NextMarker; marker == "" {
				break
			}
		}
		for i := range got {
			if want := mapped[i] && int64(i) >= from/512 && int64(i)*512 < to; got[i] != want {
				t.Fatalf("page %d: listed %v, want %v", i, got[i], want)
			}
		}
		if strings.Contains(query, "maxresults=7") && requests == 0 {
			t.Error("one request was enough")
		}
	}
	check(0, size+512, "")
	g.footer = bytes.Repeat([]byte{1}, 512)
	mapped[size/512] = true
	check(0, size+512, "")
	check(0, size+512, "&maxresults=1000")
	check(0, 4*mib, "&maxresults=7", "Range", bytesRange(0, 4*mib))
	check(mib+512, 2*mib, "", "Range", "bytes=1049100-2097000")
	check(size-mib, size+512, "", "x-ms-range", "bytes=66060288-")
}

// odd is a device whose extents have ragged edges and neighbours that are alike.
type odd struct {
	block.Device
	extents []block.Extent
}

func (d odd) Extents(off, n int64, yield func(block.Extent) bool) error {
	for _, e := range d.extents {
		lo, hi := max(e.Off, off), min(e.Off+e.Len, off+n)
		if lo < hi && !yield(block.Extent{Off: lo, Len: hi - lo, Data: e.Data}) {
			return nil
		}
	}
	return nil
}

// TestPageListRagged: ranges are whole pages and never meet or overlap, whatever the device's extents are like.
func TestPageListRagged(t *testing.T) {
	g := newRig(t, mib, true)
	g.wrap = func(d block.Device) block.Device {
		return odd{d, []block.Extent{
			{Off: 0, Len: 100},
			{Off: 100, Len: 300, Data: true},
			{Off: 400, Len: 50},
			{Off: 450, Len: 10, Data: true},
			{Off: 460, Len: 40, Data: true},
			{Off: 500, Len: 1000},
			{Off: 1500, Len: 40, Data: true},
			{Off: 1540, Len: mib - 1540},
		}}
	}
	for query, want := range map[string][][2]int64{
		"":               {{0, 511}, {1024, 2047}},
		"&marker=512":    {{1024, 2047}},
		"&maxresults=1":  {{0, 511}},
		"&maxresults=99": {{0, 511}, {1024, 2047}},
	} {
		var list pageListBody
		if err := xml.Unmarshal(g.do("GET", g.url()+"&comp=pagelist"+query, nil).want(t, 200, "").body, &list); err != nil {
			t.Fatal(err)
		}
		var got [][2]int64
		for _, p := range list.PageRange {
			got = append(got, [2]int64{p.Start, p.End})
		}
		if !slices.Equal(got, want) || (list.NextMarker == "1024") != (query == "&maxresults=1") {
			t.Errorf("%q: %v, next %q, want %v", query, got, list.NextMarker, want)
		}
	}
}
