package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tintype/internal/vhd"
)

// sparse writes a raw image with data in a few places and gives its bytes.
func sparse(t *testing.T, name string, size int64, seed uint64) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, seed))
	model := make([]byte, size)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	put := func(at, n int64) {
		p := model[at:min(size, at+n)]
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		if _, err := f.WriteAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 3000)
	put(size-700, 700)
	for range 10 {
		put(rng.Int64N(size), 1+rng.Int64N(200_000))
	}
	return model
}

func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img (package qemu-utils) is not installed")
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func allocated(t *testing.T, name string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-B1", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscan(string(out), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUploadFormats uploads the same disk from each format; the volume must be the disk, and as sparse.
func TestUploadFormats(t *testing.T) {
	const size = 41*mib + 512
	dir := t.TempDir()
	rawName := filepath.Join(dir, "disk.raw")
	model := sparse(t, rawName, size, 1)
	for name, args := range map[string][]string{
		"raw":         nil,
		"fixed vhd":   {"-O", "vpc", "-o", "subformat=fixed,force_size=on"},
		"dynamic vhd": {"-O", "vpc", "-o", "subformat=dynamic,force_size=on"},
		"vhdx":        {"-O", "vhdx"},
		"qcow2":       {"-O", "qcow2"},
		"qcow2 zip":   {"-c", "-O", "qcow2"},
		"vmdk":        {"-O", "vmdk"},
		"vmdk stream": {"-O", "vmdk", "-o", "subformat=streamOptimized"},
	} {
		t.Run(name, func(t *testing.T) {
			file := rawName
			if args != nil {
				file = filepath.Join(t.TempDir(), "weird:name,x=1 \n")
				qemuImg(t, append(append([]string{"convert", "-f", "raw"}, args...), "--", rawName, filepath.Join(filepath.Dir(file), "x"))...)
				if err := os.Rename(filepath.Join(filepath.Dir(file), "x"), file); err != nil {
					t.Fatal(err)
				}
			}
			temp := t.TempDir()
			src, err := Open(t.Context(), file, SourceOptions{TempDir: temp})
			if err != nil {
				t.Fatal(err)
			}
			// VHDX rounds the size up to its own unit.
			disk := max(src.Size(), size)
			if disk > size+mib {
				t.Fatalf("the image has %d bytes, want %d", disk, size)
			}
			s := newSite(t, disk, true)
			var last, total int64
			o := UploadOptions{Options: quick(func(d, n int64) { last, total = d, n }), Footer: identity1}
			if err := Upload(t.Context(), s.server.Client(), s.url(), src, disk, o); err != nil {
				t.Fatal(err)
			}
			if err := src.Close(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.bytes()[:size], model) {
				t.Error("the volume differs from the image")
			}
			if err := vhd.CheckUpload(s.footer, disk, ""); err != nil {
				t.Error(err)
			}
			if n := s.mapped(); n > 3*mib {
				t.Errorf("%d bytes are mapped", n)
			}
			if last != total || total == 0 {
				t.Errorf("progress ended at %d of %d", last, total)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// TestDownloadFormats downloads a disk in each format, with qemu-img as the judge.
func TestDownloadFormats(t *testing.T) {
	const size = 45*mib + 512
	dir := t.TempDir()
	rawName := filepath.Join(dir, "disk.raw")
	model := sparse(t, rawName, size, 2)
	s := newSite(t, size, false)
	if _, err := s.device.WriteAt(model[:mib], 0); err != nil {
		t.Fatal(err)
	}
	for at := int64(mib); at < size; at += 4096 {
		if p := model[at:min(size, at+4096)]; !bytes.Equal(p, zeroes[:len(p)]) {
			if _, err := s.device.WriteAt(p, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for ext, judge := range map[string]string{".vhd": "vpc", ".raw": "raw", ".img": "raw", ".qcow2": "qcow2"} {
		out := filepath.Join(dir, "out"+ext)
		format, err := ExportFormat(out)
		if err != nil {
			t.Fatal(err)
		}
		if judge == "qcow2" {
			qemuImg(t, "--version")
		}
		var last, total int64
		o := DownloadOptions{Options: quick(func(d, n int64) { last, total = d, n })}
		if err := Download(t.Context(), s.server.Client(), s.url(), out, format, o); err != nil {
			t.Fatal(ext, err)
		}
		qemuImg(t, "compare", "-f", "raw", "-F", judge, rawName, out)
		if info := qemuImg(t, "info", "-f", judge, out); !strings.Contains(info, fmt.Sprintf("(%d bytes)", int64(size))) {
			t.Errorf("%s: %s", ext, info)
		}
		if stat, err := os.Stat(out); err != nil || stat.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", ext, stat.Mode(), err)
		}
		if n := allocated(t, out); n > 4*mib {
			t.Errorf("%s takes %d bytes", ext, n)
		}
		if last != total || total == 0 || total > 6*mib {
			t.Errorf("%s: progress ended at %d of %d", ext, last, total)
		}
		if err := Download(t.Context(), s.server.Client(), s.url(), out, format, o); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: an existing file: %v", ext, err)
		}
		o.Overwrite = true
		if err := Download(t.Context(), s.server.Client(), s.url(), out, format, o); err != nil {
			t.Errorf("%s: overwriting: %v", ext, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*part*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := ExportFormat("x.iso"); err == nil {
		t.Error("an unknown ending was taken")
	}
}

// flaky breaks a third of the requests, in every way a server or network does.
func flaky(seed uint64) func(http.ResponseWriter, *http.Request) bool {
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		n := rng.IntN(12)
		mu.Unlock()
		switch n {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			if r.Method != "GET" || r.URL.Query().Get("comp") != "" {
				return false
			}
			// Half an answer.
			w.Header().Set("Content-Range", "bytes "+strings.TrimPrefix(r.Header.Get("x-ms-range"), "bytes=")+"/9")
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte("junk"))
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
}

// TestFaults moves a disk there and back through a server that fails all the time.
func TestFaults(t *testing.T) {
	const size = 60 * mib
	dir := t.TempDir()
	rawName := filepath.Join(dir, "disk.raw")
	model := sparse(t, rawName, size, 3)
	src, err := Open(t.Context(), rawName, SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	s := newSite(t, size, true)
	s.intercept(flaky(4))
	o := UploadOptions{Options: quick(nil), Footer: identity1}
	if err := Upload(t.Context(), s.server.Client(), s.url(), src, size, o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.bytes(), model) {
		t.Fatal("the volume differs")
	}
	out := filepath.Join(dir, "out.raw")
	if err := Download(t.Context(), s.server.Client(), s.url(), out, vhd.Raw, DownloadOptions{Options: quick(nil)}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(got, model) {
		t.Errorf("the file differs: %v", err)
	}
}

// TestRefused: what another try can't mend is reported at once, and no error shows the signature.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	s := newSite(t, mib, true)
	img := filepath.Join(dir, "disk.raw")
	sparse(t, img, mib, 7)
	src, err := Open(t.Context(), img, SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var requests atomic.Int64
	s.intercept(func(http.ResponseWriter, *http.Request) bool { requests.Add(1); return false })
	up := func(url string, size int64) error {
		return Upload(t.Context(), s.server.Client(), url, src, size, UploadOptions{Options: quick(nil)})
	}
	if err := up(s.url(), 2*mib); err == nil || !strings.Contains(err.Error(), "2097664") {
		t.Errorf("a blob of another size: %v", err)
	}
	if err := up(s.url(), mib-512); err == nil {
		t.Error("a disk smaller than the image was taken")
	}
	s.mu.Lock()
	s.revoked = true
	s.mu.Unlock()
	requests.Store(0)
	var refused *ServerError
	if err := up(s.url(), mib); !errors.As(err, &refused) || refused.Status != 403 || requests.Load() != 1 {
		t.Errorf("revoked: %v after %d requests", err, requests.Load())
	}
	out := filepath.Join(dir, "o.raw")
	if err := Download(t.Context(), s.server.Client(), s.url(), out, vhd.Raw, DownloadOptions{}); !errors.As(err, &refused) {
		t.Errorf("revoked: %v", err)
	}
	if err := Download(t.Context(), s.server.Client(), s.url(), out, vhd.VMDK, DownloadOptions{}); err == nil {
		t.Error("a VMDK was promised")
	}
	url := s.url()
	for name, f := range map[string]func() error{
		"plain HTTP":      func() error { return up(strings.Replace(url, "https:", "http:", 1), mib) },
		"unknown CA":      func() error { return Upload(t.Context(), &http.Client{}, url, src, mib, UploadOptions{}) },
		"no such address": func() error { return up("https://%zz/?sig="+url, mib) },
	} {
		if err := f(); err == nil || strings.Contains(err.Error(), "sig=") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.server.Close()
	if err := up(url, mib); err == nil || strings.Contains(err.Error(), "sig=") || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("server gone: %v", err)
	}
}

// TestRedirect: the signature is not handed to another server.
func TestRedirect(t *testing.T) {
	s := newSite(t, mib, true)
	asked := false
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return true
	})
	var refused *ServerError
	err := Download(t.Context(), s.server.Client(), s.url(), filepath.Join(t.TempDir(), "o.raw"), vhd.Raw, DownloadOptions{Options: quick(nil)})
	if !errors.As(err, &refused) || refused.Status != 307 || asked {
		t.Errorf("redirected: %v, other server asked: %v", err, asked)
	}
}

func TestBusy(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	j, err := openJournal(name, "key", 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(name, "key", 4); !errors.Is(err, ErrBusy) {
		t.Errorf("a second transfer: %v", err)
	}
	if err := j.close(true); err != nil {
		t.Fatal(err)
	}
}

// FuzzJournal: whatever the file holds, only chunks that a sound journal of this key notes count as done.
func FuzzJournal(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	j, err := openJournal(name, "key", 100)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(j.begin(), j.add(5, 99, 0), j.close(false)); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(append(seed, "7 00000000\n8"...))
	f.Add([]byte("5 x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := openJournal(file, "key", 100)
		if err != nil {
			t.Fatal(err)
		}
		defer got.close(false)
		sound := bytes.HasPrefix(b, []byte(got.header()))
		if got.resumes() != sound {
			t.Fatalf("resumes %v, header sound %v", !sound, sound)
		}
		for i := range got.done.n {
			if got.done.has(i) && (!sound || !bytes.Contains(b, []byte("\n"+got.line(i)))) {
				t.Fatalf("chunk %d counts as done in %q", i, b)
			}
		}
	})
}
