package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestBound has a request take longer to be answered than it may take to come, over HTTP/1.1, where the server reads on meanwhile; and
// one whose body does not come.
func TestBound(t *testing.T) {
	t.Parallel()
	const read = 2 * time.Second
	went := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bound(w, r, read)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			went <- err
			return
		}
		select {
		case <-r.Context().Done():
			went <- r.Context().Err()
		case <-time.After(read * 3 / 2):
			went <- nil
		}
	}))
	defer s.Close()
	for method, body := range map[string]io.Reader{http.MethodGet: nil, http.MethodPut: strings.NewReader("{}"), http.MethodPost: io.MultiReader(strings.NewReader("{}"))} {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.ProtoMajor != 1 {
			t.Errorf("HTTP/%d, which this is not about", answer.ProtoMajor)
		}
		if err := <-went; err != nil {
			t.Errorf("%s: %v, with the caller still there", method, err)
		}
	}
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := <-went; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a body that does not come: %v", err)
	}
}
