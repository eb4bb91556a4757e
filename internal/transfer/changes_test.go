package transfer

import (
	"encoding/xml"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
)

// TestChanges reads a list that comes in two parts, and refuses ones that no server should send.
func TestChanges(t *testing.T) {
	const head, tail = "<PageList>", "</PageList>"
	const size = 1 << 20
	answers := map[string]string{}
	s := newSite(t, size, false)
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("comp") != "pagelist" {
			return false
		}
		if r.Header.Get("x-ms-previous-snapshot-url") != "https://older" || r.Header.Get("x-ms-range") != "bytes=0-1048575" {
			t.Errorf("asked with %v", r.Header)
		}
		_, _ = w.Write([]byte(head + answers[r.URL.Query().Get("marker")] + tail)) // the client tells
		return true
	})
	get := func() ([]Change, error) {
		return Changes(t.Context(), s.server.Client(), s.url(), "https://older", quick(nil))
	}
	answers[""] = `<PageRange><Start>0</Start><End>511</End></PageRange><PageRange><Start>8192</Start><End>12287</End></PageRange>` +
		`<ClearRange><Start>4096</Start><End>8191</End></ClearRange><NextMarker>12800</NextMarker>`
	answers["12800"] = `<ClearRange><Start>12800</Start><End>1048575</End></ClearRange>`
	want := []Change{{0, 512, true}, {4096, 4096, false}, {8192, 4096, true}, {12800, size - 12800, false}}
	if got, err := get(); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"behind the end": `<PageRange><Start>1048576</Start><End>1049087</End></PageRange>`,
		"backwards":      `<PageRange><Start>512</Start><End>0</End></PageRange>`,
		"negative":       `<PageRange><Start>-512</Start><End>511</End></PageRange>`,
		"twice":          `<PageRange><Start>0</Start><End>511</End></PageRange><ClearRange><Start>0</Start><End>511</End></ClearRange>`,
		"again":          `<PageRange><Start>1024</Start><End>1535</End></PageRange><NextMarker>0</NextMarker>`,
		"without end":    `<NextMarker></NextMarker><NextMarker>x</NextMarker>`,
	} {
		answers = map[string]string{"": bad, "0": bad, "x": bad}
		if got, err := get(); !errors.Is(err, errAnswer) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// FuzzChanges: whatever a server sends, changes lie inside the disk, in order, and apart.
func FuzzChanges(f *testing.F) {
	f.Add([]byte(`<PageList><ClearRange><Start>0</Start><End>511</End></ClearRange><NextMarker>5</NextMarker></PageList>`))
	f.Add([]byte(`<PageList><PageRange><Start>9223372036854775807</Start><End>-9223372036854775808</End></PageRange></PageList>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		const size = 1 << 20
		var list changeList
		if xml.Unmarshal(body, &list) != nil {
			return
		}
		all, err := list.appendTo([]Change{{0, 512, true}}, size)
		at := int64(0)
		for _, c := range all {
			if err == nil && (c.Start < at || c.Length <= 0 || c.Length > size || c.Start+c.Length > size) {
				t.Fatalf("%+v behind %d", c, at)
			}
			at = c.Start + c.Length
		}
	})
}

// TestCoarsen shortens lists of random changes: each still says all that has changed, with data where any has, and leaves out what no neighbour is near.
func TestCoarsen(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const blocks = 4096
		var list []Change
		was := make([]byte, blocks) // 1: changed to zeroes, 2: to data
		for at := 0; at < blocks-8; at += 1 + rng.IntN(9) {
			c := Change{int64(at) * 4096, 4096 * int64(1+rng.IntN(8)), rng.IntN(2) == 0}
			for b := at; b < at+int(c.Length/4096); b++ {
				if was[b] = 1; c.Data {
					was[b] = 2
				}
			}
			list, at = append(list, c), at+int(c.Length/4096)
		}
		most := 1 + rng.IntN(len(list)+10)
		short := coarsen(slices.Clone(list), most)
		if len(short) > most || len(list) <= most && !slices.Equal(short, list) {
			t.Fatalf("seed %d: %d changes, %d at most", seed, len(short), most)
		}
		end := int64(0)
		for _, c := range short {
			if c.Start < end || c.Length <= 0 {
				t.Fatalf("seed %d: out of order: %v", seed, short)
			}
			for b := c.Start / 4096; b < (c.Start+c.Length)/4096; b++ {
				if !c.Data && was[b] != 1 {
					t.Fatalf("seed %d: block %d does not read as zeroes", seed, b)
				}
				was[b] = 0
			}
			end = c.Start + c.Length
		}
		if at := slices.IndexFunc(was, func(b byte) bool { return b != 0 }); at >= 0 {
			t.Fatalf("seed %d: block %d is left out", seed, at)
		}
	}
}
