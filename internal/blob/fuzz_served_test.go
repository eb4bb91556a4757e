package blob

import (
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"tintype/internal/vhd"
)

// served sends a request to the handler itself: what a network would refuse comes through.
func (g *rig) served(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

// FuzzSAS sends any path and query: nothing but the URL that was signed, in whatever order and company, opens the blob, and
// nothing is a failure of ours.
func FuzzSAS(f *testing.F) {
	g := newRig(f, 64*512, true)
	signed, err := url.Parse(g.url())
	if err != nil {
		f.Fatal(err)
	}
	want := signed.Query()
	f.Add("GET", signed.Path, signed.RawQuery)
	f.Add("HEAD", signed.Path, "comp=metadata&"+signed.RawQuery)
	f.Add("PUT", signed.Path, signed.RawQuery+"&comp=page")
	f.Add("GET", signed.Path+"/", strings.ReplaceAll(signed.RawQuery, "%2F", "/"))
	f.Add("GET", strings.ToUpper(signed.Path), signed.RawQuery)
	f.Add("GET", "//"+signed.Path, "sv=2018-03-28&sr=b&si=&sig=")
	f.Add("OPTIONS", signed.Path, signed.RawQuery+"&sig=")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := httptest.NewRequest("GET", "https://localhost:8443/", nil)
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		w := g.served(r)
		if w.Code >= 500 || w.Code == 0 {
			t.Fatalf("%s %q ? %q: %d %s", method, path, query, w.Code, w.Body)
		}
		if w.Code == http.StatusForbidden || method == http.MethodOptions && w.Code == http.StatusBadRequest { // a preflight asks for nobody's name
			return
		}
		got, err := url.ParseQuery(query)
		if err != nil || path != signed.Path {
			t.Fatalf("%q ? %q is let in: %d", path, query, w.Code)
		}
		for name := range want {
			if len(got[name]) != 1 || got.Get(name) != want.Get(name) {
				t.Fatalf("let in with %s %q: %d", name, got[name], w.Code)
			}
		}
	})
}

// FuzzHeaders sends any headers, query and body with a signature that is good: the answer is never a failure of ours, holds
// no more than the blob, and a page that is refused is not written.
func FuzzHeaders(f *testing.F) {
	const size = 64 * 512
	g := newRig(f, size, true)
	signed, err := url.Parse(g.url())
	if err != nil {
		f.Fatal(err)
	}
	page := string(make([]byte, 512))
	f.Add("GET", "", "Range: bytes=0-511\nx-ms-range-get-content-md5: true\nIf-None-Match: *", "")
	f.Add("GET", "comp=pagelist&marker=512&maxresults=1", "x-ms-range: bytes=0-1023\nx-ms-version: 2025-01-05", "")
	f.Add("GET", "comp=pagelist&prevsnapshot=2026-11-22T12:00:00.0000000Z", "x-ms-previous-snapshot-url: https://localhost/md-1/2/abcd?sig=x", "")
	f.Add("HEAD", "comp=metadata", "If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT\nIf-Match: \"v1\", W/\"x\"", "")
	f.Add("PUT", "comp=page", "x-ms-page-write: update\nRange: bytes=512-1023\nx-ms-blob-type: PageBlob\nContent-MD5: v2GerAzfP2jUluqTRBN+iw==", page)
	f.Add("PUT", "comp=page", "x-ms-page-write: clear\nx-ms-range: bytes=0-32767\nx-ms-if-sequence-number-le: 0", "")
	f.Add("PUT", "comp=page&timeout=9", "x-ms-page-write: update\nRange: bytes=32768-33279\nx-ms-content-crc64: AAAAAAAAAAA=\nContent-Length: 512", page)
	f.Fuzz(func(t *testing.T, method, query, headers, body string) {
		r := httptest.NewRequest("GET", "https://localhost:8443/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, signed.Path, signed.RawQuery+"&"+query
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			if name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)); name != "" {
				r.Header[name] = append(r.Header[name], strings.TrimSpace(value))
			}
		}
		g.t = t
		before := string(g.blob())
		w := g.served(r)
		if w.Code >= 500 || w.Code == 0 {
			t.Fatalf("%s ? %q with %q: %d %s", method, query, headers, w.Code, w.Body)
		}
		if method == http.MethodHead && w.Body.Len() > 0 {
			t.Fatalf("HEAD with %q has a body", headers)
		}
		if w.Code/100 == 2 && r.URL.Query().Get("comp") == "" && w.Body.Len() > size+vhd.FooterSize {
			t.Fatalf("%d bytes of a blob of %d", w.Body.Len(), size+vhd.FooterSize)
		}
		if w.Code != http.StatusCreated && string(g.blob()) != before {
			t.Fatalf("%s ? %q with %q: %d, and the blob is another", method, query, headers, w.Code)
		}
	})
}
