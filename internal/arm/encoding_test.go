package arm

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEncodedBodies: a body may come compressed. What is broken, of a kind that is not known, or grows beyond all bounds is refused.
func TestEncodedBodies(t *testing.T) {
	rt := newTestRouter(t)
	whole := gzipped(t, `{"location":"westus2"}`)
	huge := gzipped(t, `{"location":"`+strings.Repeat("x", 64<<20)+`"}`)
	if len(huge) > 1<<20 {
		t.Fatalf("a bomb of %d bytes is none", len(huge))
	}
	for _, tc := range []struct {
		name, encoding string
		body           []byte
		status         int
		want           string // the body that the handler got, or a code
	}{
		{"gzip", "gzip", whole, 200, `{"location":"westus2"}`},
		{"in capitals", "GZip", whole, 200, `{"location":"westus2"}`},
		{"old name", "x-gzip", whole, 200, `{"location":"westus2"}`},
		{"identity", "identity", []byte(`{"tags":{}}`), 200, `{"tags":{}}`},
		{"in two members", "gzip", append(gzipped(t, `{"tags":`), gzipped(t, `{}}`)...), 200, `{"tags":{}}`},
		{"no body", "gzip", nil, 200, ""},
		{"not compressed", "gzip", []byte(`{"a":1}`), 400, "InvalidRequestContent"},
		{"cut off", "gzip", whole[:len(whole)-9], 400, "InvalidRequestContent"},
		{"wrong checksum", "gzip", append(bytes.Clone(whole[:len(whole)-8]), 1, 2, 3, 4, 5, 6, 7, 8), 400, "InvalidRequestContent"},
		{"something behind it", "gzip", append(bytes.Clone(whole), "more"...), 400, "InvalidRequestContent"},
		{"no JSON inside", "gzip", gzipped(t, `{"a":`), 400, "InvalidRequestContent"},
		{"bomb", "gzip", huge, 413, "RequestContentTooLarge"},
		{"too much of it", "gzip", bytes.Repeat([]byte("x"), 5<<20), 413, "RequestContentTooLarge"},
		{"compressed but not said", "", whole, 400, "InvalidRequestContent"},
		{"unknown", "br", whole, 415, "UnsupportedMediaType"},
		{"twice", "gzip, gzip", whole, 415, "UnsupportedMediaType"},
	} {
		r := httptest.NewRequest("PUT", "/subscriptions/"+testSub+"/resourceGroups/g/providers/Microsoft.Compute/widgets/w?api-version=2022-03-02", bytes.NewReader(tc.body))
		r.Header.Set("Authorization", "Bearer good")
		r.Header.Set("Content-Type", "application/json")
		if tc.encoding != "" {
			r.Header.Set("Content-Encoding", tc.encoding)
		}
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		var got struct {
			Body  string `json:"body"`
			Error struct{ Code string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tc.status || got.Body+got.Error.Code != tc.want {
			t.Errorf("%s: %d %s (%v)", tc.name, w.Code, w.Body, err)
		}
	}
}

// FuzzEncodedBody: nothing compressed makes the reader panic or give more than a body may have.
func FuzzEncodedBody(f *testing.F) {
	f.Add(gzipped(f, `{"a":1}`))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := httptest.NewRequest("PUT", "/", bytes.NewReader(in))
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Set("Content-Type", "application/json")
		b, err := readBody(r, false)
		if err == nil && (len(b) > maxBody || len(b) > 0 && !json.Valid(b)) {
			t.Errorf("%d bytes", len(b))
		}
	})
}

// TestMediaType requires of whoever sends something to say that it is JSON.
func TestMediaType(t *testing.T) {
	rt := newTestRouter(t)
	for _, tc := range []struct {
		sent, body, refused string
	}{
		{"application/json", `{}`, ""},
		{"Application/JSON; charset=utf-8", `{}`, ""},
		{"text/json", `{}`, ""},
		{"application/json; charset", `{}`, ""},
		{"application/xml; charset", `{}`, "application/xml"},
		{"", " \n", ""},
		{"text/plain", "", ""},
		{"", `{}`, "<null>"},
		{"text/plain; charset=utf-8", `{}`, "text/plain"},
		{"application/x-www-form-urlencoded", `{}`, "application/x-www-form-urlencoded"},
		{"application/xml", `<a/>`, "application/xml"},
		{"nonsense;;", `{}`, "nonsense"},
	} {
		r := httptest.NewRequest("PUT", InGroupPath("Microsoft.Compute/widgets/w?api-version=2022-03-02"), strings.NewReader(tc.body))
		r.Header.Set("Authorization", "Bearer good")
		if tc.sent != "" {
			r.Header.Set("Content-Type", tc.sent)
		}
		w := httptest.NewRecorder()
		azure.Hold(t, rt).ServeHTTP(w, r)
		if tc.refused == "" {
			if w.Code == http.StatusUnsupportedMediaType {
				t.Errorf("%q with %q: %s", tc.body, tc.sent, w.Body)
			}
			continue
		}
		want := "The content media type '" + tc.refused + "' is not supported. Only 'application/json' is supported."
		if w.Code != http.StatusUnsupportedMediaType || errorCode(w) != "UnsupportedMediaType" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q with %q: %d %s", tc.body, tc.sent, w.Code, w.Body)
		}
	}
}
