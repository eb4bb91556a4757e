package transfer

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// stopAfter ends ctx when n requests that match were seen, and lets no more through.
func stopAfter(n int, match func(*http.Request) bool, cancel func()) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if !match(r) {
			return false
		}
		if n--; n < 0 {
			cancel()
			panic(http.ErrAbortHandler)
		}
		return false
	}
}

// full makes an image of chunks full of data.
func full(t *testing.T, name string, chunks int64, seed uint64) []byte {
	t.Helper()
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	model := make([]byte, chunks*chunkSize)
	if _, err := rng.Read(model); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, model, 0o600); err != nil {
		t.Fatal(err)
	}
	return model
}

func TestUploadResumes(t *testing.T) {
	const chunkCount = 10
	dir := t.TempDir()
	name := filepath.Join(dir, "disk.raw")
	model := full(t, name, chunkCount, 5)
	s := newSite(t, int64(len(model)), true)
	put := func(r *http.Request) bool { return r.Method == "PUT" }
	upload := func(ctx context.Context, target string) error {
		src, err := Open(t.Context(), name, SourceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		return Upload(ctx, s.server.Client(), s.url(), src, src.Size(), UploadOptions{
			Options: quick(nil), Footer: identity1, Journal: filepath.Join(dir, "j"), Source: src.Identity, Target: target,
		})
	}
	stop := func(n int, target string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.intercept(stopAfter(n, put, cancel))
		if err := upload(ctx, target); !errors.Is(err, context.Canceled) {
			t.Fatalf("broken off: %v", err)
		}
		s.regrant("v1")
		s.intercept(nil)
	}
	stop(6, "disk 1")
	if err := upload(t.Context(), "disk 1"); err != nil {
		t.Fatal(err)
	}
	if puts, _ := s.counts(); puts >= chunkCount || puts < chunkCount-6+1 {
		t.Errorf("%d requests after 6 of %d chunks were done", puts, chunkCount)
	}
	if !bytes.Equal(s.bytes(), model) {
		t.Error("the resumed volume differs")
	}
	if _, err := os.Stat(filepath.Join(dir, "j")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}

	// Another disk, or another image under the same name, resumes nothing, and what the volume held is cleared.
	stop(6, "disk 1")
	if err := upload(t.Context(), "disk 2"); err != nil {
		t.Fatal(err)
	}
	if puts, _ := s.counts(); puts < chunkCount+2 {
		t.Errorf("another disk: %d requests, want %d: clear, chunks, footer", puts, chunkCount+2)
	}
	stop(6, "disk 1")
	clear(model)
	copy(model, "changed")
	if err := os.WriteFile(name, model, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := upload(t.Context(), "disk 1"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.bytes(), model) || s.mapped() != block.BlockSize {
		t.Errorf("a changed image was resumed; %d bytes mapped", s.mapped())
	}
}

func TestDownloadResumes(t *testing.T) {
	const chunkCount = 12
	dir := t.TempDir()
	out := filepath.Join(dir, "out.raw")
	model := full(t, filepath.Join(dir, "disk.raw"), chunkCount, 6)
	s := newSite(t, int64(len(model)), false)
	if _, err := s.device.WriteAt(model, 0); err != nil {
		t.Fatal(err)
	}
	get := func(r *http.Request) bool { return r.Method == "GET" && r.URL.Query().Get("comp") == "" }
	download := func(ctx context.Context) error {
		return Download(ctx, s.server.Client(), s.url(), out, vhd.Raw, DownloadOptions{Options: quick(nil), Overwrite: true})
	}
	stop := func(n int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.intercept(stopAfter(n, get, cancel))
		if err := download(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("broken off: %v", err)
		}
		s.regrant("v1")
		s.intercept(nil)
	}
	check := func() {
		t.Helper()
		got, err := os.ReadFile(out)
		if err != nil || !bytes.Equal(got, model) {
			t.Fatalf("the file differs: %v", err)
		}
	}
	stop(8)
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an unfinished file has its final name")
	}
	if err := download(t.Context()); err != nil {
		t.Fatal(err)
	}
	check()
	if _, gets := s.counts(); gets >= chunkCount || gets < chunkCount-8 {
		t.Errorf("%d requests after 8 of %d chunks were done", gets, chunkCount)
	}

	// The disk changed in between: nothing of the old one may stay.
	stop(8)
	s.regrant("v2")
	for i := range model {
		model[i] = byte(i * 7)
	}
	clear(model[chunkSize : 3*chunkSize])
	if err := s.device.WriteZeroes(0, int64(len(model))); err != nil {
		t.Fatal(err)
	}
	for _, part := range []span{{0, chunkSize}, {3 * chunkSize, int64(len(model))}} {
		if _, err := s.device.WriteAt(model[part.start:part.end], part.start); err != nil {
			t.Fatal(err)
		}
	}
	if err := download(t.Context()); err != nil {
		t.Fatal(err)
	}
	check()

	// It changes under the download: that must fail, not mix.
	var once sync.Once
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if get(r) {
			once.Do(func() { s.mu.Lock(); s.version = "v3"; s.mu.Unlock() })
		}
		return false
	})
	var refused *ServerError
	if err := download(t.Context()); !errors.As(err, &refused) || refused.Code != "ConditionNotMet" {
		t.Errorf("a disk that changes under the download: %v", err)
	}
}

// TestLateClear: a clear whose answer was lost, and which was tried again, reaches the server once more after the data.
// It must find the blob changed and do nothing.
func TestLateClear(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "disk.raw")
	model := full(t, name, 2, 8)
	s := newSite(t, int64(len(model)), true)
	if _, err := s.device.WriteAt([]byte("of an earlier upload"), 5*mib); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), name, SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var late *http.Request
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if late == nil && r.Header.Get("x-ms-page-write") == "clear" {
			late = r.Clone(context.Background())
			panic(http.ErrAbortHandler)
		}
		return false
	})
	if err := Upload(t.Context(), s.server.Client(), s.url(), src, src.Size(), UploadOptions{Options: quick(nil)}); err != nil {
		t.Fatal(err)
	}
	if late == nil {
		t.Fatal("nothing was cleared")
	}
	late.URL.Scheme, late.URL.Host, late.RequestURI, late.Body = "https", strings.TrimPrefix(s.server.URL, "https://"), "", nil
	resp, err := s.server.Client().Do(late)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusPreconditionFailed || !bytes.Equal(s.bytes(), model) {
		t.Errorf("the late clear was answered %s; volume as uploaded: %v", resp.Status, bytes.Equal(s.bytes(), model))
	}
}
