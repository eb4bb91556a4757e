package blob

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

const mib = 1 << 20

func TestProperties(t *testing.T) {
	g := newRig(t, 3*mib, false)
	a := g.do("HEAD", g.url(), nil, "x-ms-version", "2023-11-03", "x-ms-client-request-id", "me").want(t, 200, "")
	if a.ContentLength != 3*mib+512 {
		t.Errorf("Content-Length %d", a.ContentLength)
	}
	for name, want := range map[string]string{
		"x-ms-blob-type": "PageBlob", "Accept-Ranges": "bytes", "x-ms-version": "2023-11-03", "x-ms-client-request-id": "me",
		"Last-Modified": "Sun, 22 Nov 2026 12:00:00 GMT", "Content-Type": "application/octet-stream",
		"x-ms-lease-state": "available", "x-ms-lease-status": "unlocked", "x-ms-blob-sequence-number": "0",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if b := g.do("HEAD", g.url(), nil); b.Header.Get("ETag") != a.Header.Get("ETag") || !strings.HasPrefix(b.Header.Get("ETag"), `"0x`) {
		t.Errorf("ETag %q then %q", a.Header.Get("ETag"), b.Header.Get("ETag"))
	}
}

// TestSignature changes every part of a good URL, and the state behind it; each change alone must shut the door.
func TestSignature(t *testing.T) {
	g := newRig(t, mib, false)
	g.do("HEAD", g.url(), nil).want(t, 200, "")
	good, err := url.Parse(g.url())
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(u *url.URL, q url.Values)) string {
		u, q := *good, good.Query()
		f(&u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	sig, _ := base64.StdEncoding.DecodeString(good.Query().Get("sig"))
	sig[0] ^= 1
	for name, bad := range map[string]string{
		"no query":       change(func(_ *url.URL, q url.Values) { clear(q) }),
		"sig flipped":    change(func(_ *url.URL, q url.Values) { q.Set("sig", base64.StdEncoding.EncodeToString(sig)) }),
		"sig cut":        change(func(_ *url.URL, q url.Values) { q.Set("sig", base64.StdEncoding.EncodeToString(sig[:31])) }),
		"sig empty":      change(func(_ *url.URL, q url.Values) { q.Set("sig", "") }),
		"sig missing":    change(func(_ *url.URL, q url.Values) { q.Del("sig") }),
		"sig twice":      change(func(_ *url.URL, q url.Values) { q.Add("sig", q.Get("sig")) }),
		"si other":       change(func(_ *url.URL, q url.Values) { q.Set("si", "00000000-0000-0000-0000-000000000000") }),
		"si twice":       change(func(_ *url.URL, q url.Values) { q.Add("si", "x") }),
		"sr container":   change(func(_ *url.URL, q url.Values) { q.Set("sr", "c") }),
		"sv other":       change(func(_ *url.URL, q url.Values) { q.Set("sv", "2020-01-01") }),
		"other account":  change(func(u *url.URL, _ url.Values) { u.Path = strings.Replace(u.Path, "md-0", "md-1", 1) }),
		"other blob":     change(func(u *url.URL, _ url.Values) { u.Path += "e" }),
		"deeper":         change(func(u *url.URL, _ url.Values) { u.Path += "/" }),
		"no account":     change(func(u *url.URL, _ url.Values) { u.Path = "/c0123456789a/abcd" }),
		"container dots": change(func(u *url.URL, _ url.Values) { u.Path = strings.Replace(u.Path, "/c", "/../c", 1) }),
	} {
		a := g.do("GET", bad, nil)
		if a.StatusCode != 403 {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
		a.want(t, 403, "AuthenticationFailed")
	}
	other, _ := NewSigner(bytes.Repeat([]byte{8}, MinKey))
	forged := other.SignURL(Endpoint{Host: strings.TrimPrefix(g.server.URL, "https://")}, g.resource)
	g.do("GET", forged, nil).want(t, 403, "AuthenticationFailed")

	g.now = g.grant.Expires.Add(-time.Nanosecond)
	g.do("HEAD", g.url(), nil).want(t, 200, "")
	g.now = g.grant.Expires
	g.do("HEAD", g.url(), nil).want(t, 403, "AuthenticationFailed")
	g.now = g.grant.Expires.Add(-time.Minute)
	g.revoked = true
	g.do("HEAD", g.url(), nil).want(t, 403, "AuthenticationFailed")
}

func TestHostStyle(t *testing.T) {
	g := newRig(t, mib, false)
	u, _ := url.Parse(g.signer.SignURL(Endpoint{Domain: "blob.example.test:8443"}, g.resource))
	if u.Host != "md-0123456789ab.blob.example.test:8443" || u.Path != "/c0123456789a/abcd" {
		t.Fatalf("URL %s", u)
	}
	for host, status := range map[string]int{
		u.Host: 200, strings.ToUpper(u.Host): 200, "md-0123456789ac.blob.example.test": 403, "blob.example.test": 403,
	} {
		r, _ := http.NewRequest("HEAD", g.server.URL+u.Path+"?"+u.RawQuery, nil)
		r.Host = host
		resp, err := g.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("host %s: %d, want %d", host, resp.StatusCode, status)
		}
	}
	for target, want := range map[string]bool{"/md-x/c/abcd": true, "/subscriptions/md-": false, "/": false} {
		r, _ := http.NewRequest("GET", "https://localhost"+target, nil)
		if Owns(r) != want {
			t.Errorf("Owns(%s) = %v", target, !want)
		}
	}
	r, _ := http.NewRequest("GET", "https://MD-x.d:1/c/abcd", nil)
	if !Owns(r) {
		t.Error("a blob by host is not owned")
	}
}

// TestGetModel reads random ranges of a random sparse disk and compares them with its bytes.
func TestGetModel(t *testing.T) {
	const size = 5*mib + 512
	rng := rand.New(rand.NewPCG(1, 2))
	g := newRig(t, size, false)
	for range 40 {
		p := make([]byte, 1+rng.IntN(60_000))
		fill(rng, p)
		g.write(rng.Int64N(size-int64(len(p))), p)
	}
	model := g.blob()
	if a := g.do("GET", g.url(), nil).want(t, 200, ""); !bytes.Equal(a.body, model) || a.Header.Get("Content-Range") != "" {
		t.Fatalf("whole blob differs: %d bytes", len(a.body))
	}
	total := int64(len(model))
	for i := range 200 {
		start := rng.Int64N(total)
		end := start + 1 + rng.Int64N(min(total-start, 2*mib))
		header, value := "Range", bytesRange(start, end)
		switch i % 4 {
		case 1:
			header = "x-ms-range"
		case 2:
			value, end = "bytes="+strconv.FormatInt(start, 10)+"-", total
		case 3:
			start = total - 1 - rng.Int64N(2000)
			value, end = bytesRange(start, total+rng.Int64N(1e9)), total
		}
		a := g.do("GET", g.url(), nil, header, value).want(t, 206, "")
		if !bytes.Equal(a.body, model[start:end]) {
			t.Fatalf("%s: %s differs", header, value)
		}
		want := "bytes " + strconv.FormatInt(start, 10) + "-" + strconv.FormatInt(end-1, 10) + "/" + strconv.FormatInt(total, 10)
		if a.Header.Get("Content-Range") != want || a.ContentLength != end-start {
			t.Fatalf("Content-Range %q, want %q; length %d", a.Header.Get("Content-Range"), want, a.ContentLength)
		}
	}
	a := g.do("GET", g.url(), nil, "Range", "bytes=0-0", "x-ms-range", "bytes=1-2").want(t, 206, "")
	if !bytes.Equal(a.body, model[1:3]) {
		t.Error("x-ms-range doesn't go before Range")
	}
}

func fill(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}

func TestGetHashes(t *testing.T) {
	g := newRig(t, 8*mib, false)
	g.write(100, []byte("hello"))
	model := g.blob()
	sum := md5.Sum(model[:4*mib])
	a := g.do("GET", g.url(), nil, "Range", bytesRange(0, 4*mib), "x-ms-range-get-content-md5", "true").want(t, 206, "")
	if a.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) || !bytes.Equal(a.body, model[:4*mib]) {
		t.Error("MD5 or body differs")
	}
	a = g.do("GET", g.url(), nil, "Range", "bytes=0-9", "x-ms-range-get-content-crc64", "true").want(t, 206, "")
	if a.Header.Get("x-ms-content-crc64") != hashCRC(model[:10]) {
		t.Error("CRC64 differs")
	}
	g.do("GET", g.url(), nil, "Range", bytesRange(0, 4*mib+1), "x-ms-range-get-content-md5", "true").want(t, 400, "InvalidHeaderValue")
	g.do("GET", g.url(), nil, "x-ms-range-get-content-md5", "true").want(t, 400, "InvalidHeaderValue")
	g.do("GET", g.url(), nil, "Range", "bytes=0-9", "x-ms-range-get-content-md5", "maybe").want(t, 400, "InvalidHeaderValue")
	g.do("GET", g.url(), nil, "Range", "bytes=0-9", "x-ms-range-get-content-md5", "true", "x-ms-range-get-content-crc64", "true").
		want(t, 400, "BothCrc64AndMd5RangeHeaderPresent")
}

// TestCRC64 holds our polynomial against the check value that the catalogue of CRCs gives for CRC-64/NVME.
func TestCRC64(t *testing.T) {
	got, _ := base64.StdEncoding.DecodeString(hashCRC([]byte("123456789")))
	want := []byte{0x88, 0x98, 0x79, 0x0a, 0x86, 0x14, 0x8b, 0xae}
	if !bytes.Equal(got, want) {
		t.Errorf("CRC64 of the check string is % x, want % x", got, want)
	}
}

func TestConditions(t *testing.T) {
	for _, upload := range []bool{false, true} {
		g := newRig(t, mib, upload)
		etag := g.do("HEAD", g.url(), nil).Header.Get("ETag")
		before, at, after := "Sun, 22 Nov 2026 11:59:59 GMT", "Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 12:00:01 GMT"
		for _, c := range []struct {
			name, value string
			read        int
			write       int
		}{
			{"If-Match", etag, 200, 201},
			{"If-Match", "*", 200, 201},
			{"If-Match", `"no"`, 412, 412},
			{"If-Match", `"no", ` + etag, 200, 201},
			{"If-None-Match", etag, 304, 412},
			{"If-None-Match", `"no"`, 200, 201},
			{"If-None-Match", "*", 304, 412},
			{"If-Modified-Since", before, 200, 201},
			{"If-Modified-Since", at, 304, 412},
			{"If-Modified-Since", after, 304, 412},
			{"If-Unmodified-Since", before, 412, 412},
			{"If-Unmodified-Since", at, 200, 201},
			{"If-Unmodified-Since", after, 200, 201},
			{"If-Modified-Since", "yesterday", 400, 400},
			{"If-Unmodified-Since", "x", 400, 400},
		} {
			code := map[int]string{304: "ConditionNotMet", 412: "ConditionNotMet", 400: "InvalidHeaderValue"}
			for _, method := range []string{"HEAD", "GET"} {
				g.do(method, g.url(), nil, c.name, c.value).want(t, c.read, code[c.read])
			}
			g.do("GET", g.url()+"&comp=pagelist", nil, c.name, c.value).want(t, c.read, code[c.read])
			if upload {
				// A fresh grant for each, since a write changes the ETag and the time.
				w := newRig(t, mib, true)
				w.resource = g.resource
				w.do("PUT", w.url()+"&comp=page", nil, "x-ms-page-write", "clear", "Range", "bytes=0-511", c.name, c.value).
					want(t, c.write, code[c.write])
			}
		}
	}
}

// TestConditionsTogether holds reads with several conditions to the expression that Azure documents:
// If-Match && If-Unmodified-Since && (If-None-Match || If-Modified-Since).
func TestConditionsTogether(t *testing.T) {
	g := newRig(t, mib, false)
	etag := g.do("HEAD", g.url(), nil).Header.Get("ETag")
	before, after := "Sun, 22 Nov 2026 11:59:59 GMT", "Sun, 22 Nov 2026 12:00:01 GMT"
	match := map[string]bool{"": true, etag: true, `"no"`: false}
	unmodified := map[string]bool{"": true, after: true, before: false}
	none := map[string]bool{etag: false, `"no"`: true}
	modified := map[string]bool{after: false, before: true}
	none[""], modified[""] = false, false
	for m, a := range match {
		for u, b := range unmodified {
			for n, c := range none {
				for d, e := range modified {
					want, code := 200, ""
					switch {
					case !a || !b:
						want, code = 412, "ConditionNotMet"
					case n+d != "" && !c && !e:
						want, code = 304, "ConditionNotMet"
					}
					for _, method := range []string{"HEAD", "GET"} {
						g.do(method, g.url(), nil, "If-Match", m, "If-Unmodified-Since", u, "If-None-Match", n, "If-Modified-Since", d).want(t, want, code)
					}
				}
			}
		}
	}
}

// TestRefusals sends requests that are wrong in one way each, and checks that none of them changed anything.
func TestRefusals(t *testing.T) {
	g := newRig(t, 8*mib, true)
	page := bytes.Repeat([]byte{1}, 512)
	put := "&comp=page"
	update := []string{"x-ms-page-write", "update"}
	for _, c := range []struct {
		name, method, query string
		body                []byte
		headers             []string
		status              int
		code                string
	}{
		{"delete", "DELETE", "", nil, nil, 403, "AuthorizationPermissionMismatch"},
		{"patch", "PATCH", "", nil, nil, 405, "UnsupportedHttpVerb"},
		{"acquire a lease", "PUT", "&comp=lease", nil, []string{"x-ms-lease-action", "acquire"}, 403, "AuthorizationPermissionMismatch"},
		{"make a snapshot", "PUT", "&comp=snapshot", nil, nil, 403, "AuthorizationPermissionMismatch"},
		{"set metadata", "PUT", "&comp=metadata", nil, nil, 403, "AuthorizationPermissionMismatch"},
		{"resize", "PUT", "&comp=properties", nil, []string{"x-ms-blob-content-length", "512"}, 403, "AuthorizationPermissionMismatch"},
		{"write blocks", "PUT", "&comp=block&blockid=AA==", page, nil, 400, "InvalidQueryParameterValue"},
		{"preflight", "OPTIONS", "", nil, []string{"Origin", "https://x", "Access-Control-Request-Method", "GET"}, 403, "CorsPreflightFailure"},
		{"preflight of nobody", "OPTIONS", "", nil, []string{"Access-Control-Request-Method", "GET"}, 400, "InvalidHeaderValue"},
		{"preflight of nothing", "OPTIONS", "", nil, []string{"Origin", "https://x"}, 400, "InvalidHeaderValue"},
		{"version that is none", "GET", "", nil, []string{"x-ms-version", "latest"}, 400, "InvalidHeaderValue"},
		{"version before any", "HEAD", "", nil, []string{"x-ms-version", "2008-10-27"}, 400, "InvalidHeaderValue"},
		{"version of years to come", "GET", "", nil, []string{"x-ms-version", "2031-01-01"}, 400, "InvalidHeaderValue"},
		{"timeout", "GET", "&timeout=soon", nil, nil, 400, "InvalidQueryParameterValue"},
		{"post", "POST", put, page, nil, 405, "UnsupportedHttpVerb"},
		{"create", "PUT", "", nil, []string{"x-ms-blob-type", "PageBlob"}, 403, "AuthorizationPermissionMismatch"},
		{"unknown comp", "GET", "&comp=blocklist", nil, nil, 400, "InvalidQueryParameterValue"},
		{"snapshot", "GET", "&snapshot=2020", nil, nil, 400, "UnsupportedQueryParameter"},
		{"difference to no time", "GET", "&comp=pagelist&prevsnapshot=x", nil, nil, 400, "InvalidQueryParameterValue"},
		{"difference to no snapshot", "GET", "&comp=pagelist&prevsnapshot=2026-11-22T12:00:00.1234567Z", nil, nil, 409, "PreviousSnapshotNotFound"},
		{"difference of what is read", "GET", "&prevsnapshot=2026-11-22T12:00:00Z", nil, nil, 400, "UnsupportedQueryParameter"},
		{
			"two differences", "GET", "&comp=pagelist&prevsnapshot=2026-11-22T12:00:00Z", nil,
			[]string{"x-ms-previous-snapshot-url", "https://x", "x-ms-version", "2026-01-01"},
			400, "UnsupportedQueryParameter",
		},
		{"difference by URL", "GET", "&comp=pagelist", nil, []string{"x-ms-previous-snapshot-url", "https://x"}, 400, "UnsupportedHeader"},
		{"lease", "GET", "", nil, []string{"x-ms-lease-id", "x"}, 412, "LeaseNotPresentWithBlobOperation"},
		{"range behind the end", "GET", "", nil, []string{"Range", "bytes=8389120-"}, 416, "InvalidRange"},
		{"suffix", "GET", "", nil, []string{"Range", "bytes=-5"}, 400, "InvalidHeaderValue"},
		{"ranges", "GET", "", nil, []string{"Range", "bytes=0-1,3-4"}, 400, "InvalidHeaderValue"},
		{"unit", "GET", "", nil, []string{"Range", "items=0-1"}, 400, "InvalidHeaderValue"},
		{"backwards", "GET", "", nil, []string{"x-ms-range", "bytes=5-4"}, 400, "InvalidHeaderValue"},
		{"huge", "GET", "", nil, []string{"Range", "bytes=99999999999999999999-"}, 400, "InvalidHeaderValue"},
		{"page list range", "GET", "&comp=pagelist", nil, []string{"Range", "bytes=8389120-"}, 416, "InvalidRange"},
		{"maxresults 0", "GET", "&comp=pagelist&maxresults=0", nil, nil, 400, "OutOfRangeQueryParameterValue"},
		{"maxresults -1", "GET", "&comp=pagelist&maxresults=-1", nil, nil, 400, "InvalidQueryParameterValue"},
		{"marker", "GET", "&comp=pagelist&marker=abc", nil, nil, 400, "InvalidQueryParameterValue"},
		{"marker not a page", "GET", "&comp=pagelist&marker=5", nil, nil, 400, "InvalidQueryParameterValue"},
		{"marker outside", "GET", "&comp=pagelist&marker=512", nil, []string{"Range", "bytes=1024-2047"}, 400, "InvalidQueryParameterValue"},
		{"no page-write", "PUT", put, page, []string{"Range", "bytes=0-511"}, 400, "MissingRequiredHeader"},
		{"bad page-write", "PUT", put, page, []string{"Range", "bytes=0-511", "x-ms-page-write", "x"}, 400, "InvalidHeaderValue"},
		{"no range", "PUT", put, page, update, 400, "MissingRequiredHeader"},
		{"open range", "PUT", put, page, append([]string{"Range", "bytes=0-"}, update...), 416, "InvalidPageRange"},
		{"crooked start", "PUT", put, page, append([]string{"Range", "bytes=1-511"}, update...), 416, "InvalidPageRange"},
		{"crooked end", "PUT", put, page, append([]string{"Range", "bytes=0-510"}, update...), 416, "InvalidPageRange"},
		{"behind the end", "PUT", put, page, append([]string{"Range", "bytes=8389120-8389631"}, update...), 416, "InvalidPageRange"},
		{"short body", "PUT", put, page[:511], append([]string{"Range", "bytes=0-511"}, update...), 400, "InvalidHeaderValue"},
		{"long body", "PUT", put, append(page, 1), append([]string{"Range", "bytes=0-511"}, update...), 400, "InvalidHeaderValue"},
		{"too large", "PUT", put, make([]byte, 4*mib+512), append([]string{"Range", bytesRange(0, 4*mib+512)}, update...), 413, "RequestBodyTooLarge"},
		{"clear with a body", "PUT", put, page, []string{"Range", "bytes=0-511", "x-ms-page-write", "clear"}, 400, "InvalidHeaderValue"},
		{"wrong MD5", "PUT", put, page, append([]string{"Range", "bytes=0-511", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="}, update...), 400, "Md5Mismatch"},
		{"wrong CRC", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-content-crc64", "AAAAAAAAAAA="}, update...), 400, "Crc64Mismatch"},
		{"both", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-content-crc64", "x", "Content-MD5", "x"}, update...), 400, "BothCrc64AndMd5HeaderPresent"},
		{"structured", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-structured-body", "XSM/1.0"}, update...), 400, "UnsupportedHeader"},
		{"from URL", "PUT", put, nil, append([]string{"Range", "bytes=0-511", "x-ms-copy-source", "https://x"}, update...), 400, "UnsupportedHeader"},
		{"sequence", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-if-sequence-number-eq", "1"}, update...), 412, "SequenceNumberConditionNotMet"},
		{"sequence lt", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-if-sequence-number-lt", "0"}, update...), 412, "SequenceNumberConditionNotMet"},
		{"sequence word", "PUT", put, page, append([]string{"Range", "bytes=0-511", "x-ms-if-sequence-number-le", "x"}, update...), 400, "InvalidHeaderValue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.t = t
			a := g.do(c.method, g.url()+c.query, c.body, c.headers...).want(t, c.status, c.code)
			if strings.HasPrefix(c.name, "range behind") && a.Header.Get("Content-Range") != "bytes */8389120" {
				t.Errorf("Content-Range %q", a.Header.Get("Content-Range"))
			}
		})
	}
	g.t = t
	if !bytes.Equal(g.blob(), make([]byte, 8*mib+512)) || g.flushes != 0 || g.footer != nil {
		t.Error("a refused request changed something")
	}
	r := newRig(t, mib, false)
	r.do("PUT", r.url()+put, page, "Range", "bytes=0-511", "x-ms-page-write", "update").want(t, 403, "AuthorizationPermissionMismatch")
}

// TestUploadModel writes, clears and reads at random and compares with a byte slice.
func TestUploadModel(t *testing.T) {
	const size = 9*mib + 3*512
	rng := rand.New(rand.NewPCG(3, 4))
	g := newRig(t, size, true)
	model := make([]byte, size+vhd.FooterSize)
	pages := int64(len(model) / 512)
	etags := map[string]bool{}
	for range 150 {
		start := rng.Int64N(pages)
		n := 1 + rng.Int64N(min(pages-start, 1<<rng.IntN(14)))
		if rng.IntN(8) == 0 {
			start = pages - n // reaches into the footer
		}
		n = min(n, maxUpdate/512)
		from, to := start*512, (start+n)*512
		headers := []string{"x-ms-range", bytesRange(from, to), "x-ms-page-write", "update"}
		body := make([]byte, to-from)
		if rng.IntN(4) == 0 {
			headers[3], body = "clear", nil
			clear(model[from:to])
		} else {
			for i := int64(0); i < n; i++ {
				if rng.IntN(3) > 0 {
					fill(rng, body[i*512:(i+1)*512])
				}
			}
			copy(model[from:to], body)
		}
		flushes := g.flushes
		a := g.do("PUT", g.url()+"&comp=page", body, headers...).want(t, 201, "")
		if from < size && g.flushes == flushes {
			t.Fatal("a page was acknowledged without a flush")
		}
		etags[a.Header.Get("ETag")] = true
	}
	if !bytes.Equal(g.blob(), model) {
		t.Fatal("device and footer differ from the model")
	}
	if a := g.do("GET", g.url(), nil).want(t, 200, ""); !bytes.Equal(a.body, model) {
		t.Fatal("blob differs from the model")
	}
	if len(etags) != 150 {
		t.Errorf("150 writes gave %d ETags", len(etags))
	}
	if a := g.do("HEAD", g.url(), nil); a.ContentLength != int64(len(model)) || !etags[a.Header.Get("ETag")] {
		t.Errorf("HEAD after the writes: %d bytes, ETag %s", a.ContentLength, a.Header.Get("ETag"))
	}
}

// TestZeroesCostNoSpace uploads zeroes, and data over which zeroes come, and looks at what is mapped.
func TestZeroesCostNoSpace(t *testing.T) {
	g := newRig(t, 8*mib, true)
	body := make([]byte, 4*mib)
	copy(body[mib:], "data")
	put := func(body []byte) {
		g.do("PUT", g.url()+"&comp=page", body, "Range", bytesRange(0, 4*mib), "x-ms-page-write", "update").want(t, 201, "")
	}
	mapped := func() (n int64) {
		if err := g.device.Extents(0, 8*mib, func(e block.Extent) bool {
			if e.Data {
				n += e.Len
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	put(body)
	if n := mapped(); n != block.BlockSize {
		t.Errorf("one block of data among zeroes maps %d bytes", n)
	}
	put(make([]byte, 4*mib))
	if n := mapped(); n != 0 {
		t.Errorf("zeroes over data map %d bytes", n)
	}
}

// TestConditionalWritesRace: of many writes that all expect the same ETag, one is done.
func TestConditionalWritesRace(t *testing.T) {
	g := newRig(t, mib, true)
	etag := g.do("HEAD", g.url(), nil).Header.Get("ETag")
	g.wrap = func(d block.Device) block.Device { return lazy{d} }
	var done, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			r, err := http.NewRequest("PUT", g.url()+"&comp=page", bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 512)))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Range", "bytes=0-511")
			r.Header.Set("x-ms-page-write", "update")
			r.Header.Set("If-Match", etag)
			resp, err := g.server.Client().Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			switch resp.StatusCode {
			case 201:
				done.Add(1)
			case 412:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d were done and %d refused", done.Load(), refused.Load())
	}
}

// lazy is a device that takes its time to write.
type lazy struct{ block.Device }

func (l lazy) WriteAt(p []byte, off int64) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return l.Device.WriteAt(p, off)
}

// full is a device without room.
type full struct{ block.Device }

func (full) WriteAt([]byte, int64) (int, error) { return 0, block.ErrNoSpace }

func TestNoSpace(t *testing.T) {
	g := newRig(t, mib, true)
	g.wrap = func(d block.Device) block.Device { return full{d} }
	g.do("PUT", g.url()+"&comp=page", bytes.Repeat([]byte{1}, 512), "Range", "bytes=0-511", "x-ms-page-write", "update").
		want(t, 507, "InsufficientStorage")
}

// TestSignerBinds: the signature holds for exactly one resource, also when parts move from one field to the next.
func TestSignerBinds(t *testing.T) {
	s, err := NewSigner(testKey)
	if err != nil {
		t.Fatal(err)
	}
	base := Resource{"md-a", "c", "i"}
	query, err := url.ParseQuery(s.SignURL(Endpoint{Host: "h"}, base)[len("https://h/md-a/c/abcd?"):])
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := s.verify("md-a", "c", query); !ok || r != base {
		t.Fatalf("a good signature: %v %v", r, ok)
	}
	for _, other := range []Resource{{"md-b", "c", "i"}, {"md-a", "d", "i"}, {"md-a", "c", "j"}, {"md-", "ac", "i"}, {"md-a", "", "ci"}, {"md-a\n1:c", "", "i"}} {
		query.Set("si", other.ID)
		if _, ok := s.verify(other.Account, other.Container, query); ok {
			t.Errorf("the signature of %v opens %v", base, other)
		}
	}
}

func TestSignerKeyLength(t *testing.T) {
	if _, err := NewSigner(make([]byte, MinKey-1)); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a handler without anything was made")
	}
}
