package blob

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
)

// FuzzRange: what parses is a range that, written out again, parses to itself; readRange stays inside the blob.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=5-9", "bytes=-5", "bytes=9-5", "bytes=0-0,2-3", "bytes=999999999999999999-", "", "bytes=+1-2"} {
		f.Add(s, int64(4096))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		s, ok := parseRange(value)
		if ok {
			again := "bytes=" + strconv.FormatInt(s.start, 10) + "-"
			if s.end != openEnd {
				again += strconv.FormatInt(s.end-1, 10)
			}
			if got, ok := parseRange(again); !ok || got != s || s.start < 0 || s.end <= s.start {
				t.Fatalf("%q: %v, again %v", value, s, got)
			}
		}
		if size <= 0 {
			return
		}
		for _, name := range []string{"Range", "x-ms-range"} {
			h := http.Header{}
			h.Set(name, value)
			r, given, err := readRange(h, size)
			if err == nil && (r.start < 0 || r.end > size || r.start >= r.end) {
				t.Fatalf("%q of %d: %v", value, size, r)
			}
			if given != (err == nil && value != "") {
				t.Fatalf("%q: given %v, %v", value, given, err)
			}
			p, err := pageRange(h, size)
			if err == nil && (p.start < 0 || p.end > size || p.start >= p.end || p.start%512 != 0 || p.end%512 != 0) {
				t.Fatalf("%q: pages %v of %d", value, p, size)
			}
		}
	})
}

// FuzzPageQuery: whatever is asked, the answer's bounds are pages inside the blob.
func FuzzPageQuery(f *testing.F) {
	f.Add("marker=512&maxresults=5", "bytes=0-4095", int64(20))
	f.Add("marker=-1&maxresults=99999999999999999999", "bytes=1-", int64(3))
	f.Fuzz(func(t *testing.T, raw, value string, pages int64) {
		query, err := url.ParseQuery(raw)
		if err != nil || pages <= 0 || pages > 1<<40 {
			return
		}
		size := pages * 512
		q, err := parsePageQuery(http.Header{"Range": {value}}, query, size)
		if err != nil {
			return
		}
		if q.start < 0 || q.end > size || q.start >= q.end || q.start%512 != 0 || q.end%512 != 0 || q.limit < 0 || q.limit > maxResults {
			t.Fatalf("%q %q of %d: %+v", raw, value, size, q)
		}
	})
}
