package e2e

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tintype/internal/rig"
)

// wire is a connection between two servers that counts what comes over it, and may be slow.
type wire struct {
	to    string
	at    net.Listener
	moved atomic.Int64 // bytes that came from the server
	slow  atomic.Bool
}

func lay(t *testing.T, s *rig.Server) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &wire{to: strings.TrimPrefix(s.URL, "https://"), at: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, c) // either side may hang up
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := far.Read(buf)
		if err != nil {
			return
		}
		w.moved.Add(int64(n))
		if w.slow.Load() {
			time.Sleep(10 * time.Millisecond) // 6 MiB/s a connection
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *wire) url() string {
	return "https://localhost:" + w.at.Addr().String()[strings.LastIndexByte(w.at.Addr().String(), ':')+1:]
}

// introduce makes the folder with which another server reaches s over the wire.
func introduce(t *testing.T, s *rig.Server, w *wire, password string) string {
	t.Helper()
	p, err := s.Principal()
	if err != nil {
		t.Fatal(err)
	}
	p.ResourceManager = w.url()
	if password != "" {
		p.Password = password
	}
	return peerFolder(t, s, p)
}

// peerFolder is what --peer takes to reach s as p.
func peerFolder(t *testing.T, s *rig.Server, p rig.Principal) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(s.Client(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"principal.json": text, "ca.pem": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func startCopy(id string) map[string]any {
	return map[string]any{"location": "westeurope", "properties": map[string]any{
		"incremental": true, "creationData": map[string]any{"createOption": "CopyStart", "sourceResourceId": id},
	}}
}

// progress is what a client sees of a copy.
type progress struct {
	Properties struct {
		CompletionPercent   float64
		ProvisioningState   string
		SnapshotAccessState string
		DiskState           string
		CopyCompletionError *struct{ ErrorCode string }
	}
}

func (a *api) progress(id string) (p progress) {
	a.t.Helper()
	if err := json.Unmarshal(a.must(http.MethodGet, versioned(id), nil), &p); err != nil {
		a.t.Fatal(err)
	}
	return p
}

// until looks at a copy until it is as it should be.
func (a *api) until(id string, is func(progress) bool) {
	a.t.Helper()
	for range 1200 {
		if is(a.progress(id)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.t.Fatalf("%s stays %+v", id, a.progress(id))
}

func whole(p progress) bool { return p.Properties.CompletionPercent == 100 }

func incremental(id string) map[string]any {
	return map[string]any{"location": "westus2", "properties": map[string]any{
		"incremental": true, "creationData": map[string]any{"createOption": "Copy", "sourceResourceId": id},
	}}
}

// TestPeerCopy copies incremental snapshots from one server to another over a slow wire, with both killed in the middle. What arrives is
// what was sent, the second time no more than the difference comes, and what went over the wire before a kill does not come again.
func TestPeerCopy(t *testing.T) {
	need(t, "qemu-img")
	const size, filled = 512 * mib, 160 * mib
	there, data := launch(t, t.TempDir(), "--listen", freeAddress(t)), t.TempDir()
	w := lay(t, there)
	folder := introduce(t, there, w, "")
	here := launch(t, data, "--peer", folder, "--listen", freeAddress(t))
	far, near := newAPI(t, there), newAPI(t, here)
	far.makeGroup("g")
	near.makeGroup("g")
	disk := far.id("g", "disks", "d")
	far.must("PUT", versioned(disk), emptyDisk(1))
	guest := dial(t, far.attach(disk, false))
	fill(t, guest, filled, 1)
	one, two := far.id("g", "snapshots", "one"), far.id("g", "snapshots", "two")
	far.must("PUT", versioned(one), incremental(disk))
	fill(t, guest, 2*mib, 2)
	far.must("PUT", versioned(two), incremental(disk))
	guest.Close()

	w.slow.Store(true)
	first, second := near.id("g", "snapshots", "first"), near.id("g", "snapshots", "second")
	near.must("PUT", versioned(first), startCopy(one))
	if p := near.progress(first).Properties; p.ProvisioningState != "Succeeded" || p.CompletionPercent >= 100 || p.SnapshotAccessState != "Pending" {
		t.Errorf("at first: %+v", p)
	}
	if r := near.send("POST", versioned(first+"/beginGetAccess"), map[string]any{"access": "Read", "durationInSeconds": 60}); r.status != http.StatusConflict {
		t.Errorf("access to half a copy: %d %s", r.status, r.body)
	}
	near.until(first, func(p progress) bool { return p.Properties.CompletionPercent > 15 })
	here.Kill()
	here = launch(t, data, "--peer", folder, "--listen", strings.TrimPrefix(here.URL, "https://"))
	near = newAPI(t, here)
	if p := near.progress(first).Properties; p.CompletionPercent < 15 || p.CompletionPercent >= 100 {
		t.Errorf("after the kill: %+v", p)
	}
	near.until(first, func(p progress) bool { return p.Properties.CompletionPercent > 50 })
	there.Kill()
	there = start(t, there.Data, "--listen", strings.TrimPrefix(there.URL, "https://"))
	far = newAPI(t, there)
	w.slow.Store(false)
	near.until(first, whole)
	t.Logf("%d MiB of %d came over the wire, with two kills", w.moved.Load()>>20, filled>>20)
	if most := int64(filled + 2*34*mib + 16*mib); w.moved.Load() > most {
		t.Errorf("%d bytes came, more than %d", w.moved.Load(), most)
	}
	term := open(t, here)
	identical(t, term, near.attach(first, true), far.attach(one, true))
	far.detach(one)

	w.moved.Store(0)
	near.must("PUT", versioned(second), startCopy(two))
	near.until(second, whole)
	t.Logf("%d KiB came for a difference of 2 MiB", w.moved.Load()>>10)
	if w.moved.Load() > 2*mib+mib/2 {
		t.Errorf("%d bytes came for a difference of 2 MiB", w.moved.Load())
	}
	identical(t, term, near.attach(second, true), far.attach(two, true))
	far.detach(two)
	for _, id := range []string{one, two} {
		if p := far.progress(id).Properties; p.DiskState != "Unattached" {
			t.Errorf("the source is left %s", p.DiskState)
		}
	}
	copyGivenUp(t, w, far, near, disk)
	if err := here.Stop(); err != nil {
		t.Error(err)
	}
	check(t, data)

	here = start(t, data, "--peer", introduce(t, there, w, "wrong"), "--listen", strings.TrimPrefix(here.URL, "https://"))
	near = newAPI(t, here)
	if r := near.send("PUT", versioned(near.id("g", "snapshots", "none")), startCopy(one)); r.code() != "CopySourceAccessDenied" {
		t.Errorf("with a wrong password: %d %s", r.status, r.body)
	}
}

// copyGivenUp deletes one copy in the middle, and ends the access to the source of another.
func copyGivenUp(t *testing.T, w *wire, far, near *api, disk string) {
	t.Helper()
	guest := dial(t, far.attach(disk, false))
	fill(t, guest, 64*mib, 3)
	guest.Close()
	third := far.id("g", "snapshots", "third")
	far.must("PUT", versioned(third), incremental(disk))
	w.slow.Store(true)
	defer w.slow.Store(false)
	given, ended := near.id("g", "snapshots", "given"), near.id("g", "snapshots", "ended")
	begun := func(id string) {
		near.must("PUT", versioned(id), startCopy(third))
		far.until(third, func(p progress) bool { return p.Properties.DiskState == "ActiveSAS" })
	}
	begun(given)
	near.must("DELETE", versioned(given), nil)
	far.until(third, func(p progress) bool { return p.Properties.DiskState == "Unattached" })
	begun(ended)
	if r := far.send("DELETE", versioned(third), nil); r.status != http.StatusConflict {
		t.Errorf("deleting what is copied: %d %s", r.status, r.body)
	}
	far.must("POST", versioned(third+"/endGetAccess"), nil)
	far.must("DELETE", versioned(third), nil)
	near.until(ended, func(p progress) bool {
		e := p.Properties.CopyCompletionError
		// Which of the two is seen depends on whether the source was deleted before the copy asked why its access had ended.
		return e != nil && (e.ErrorCode == "CopySourceNotFound" || e.ErrorCode == "CopySourceAccessDenied") && p.Properties.ProvisioningState == "Succeeded"
	})
	near.must("DELETE", versioned(ended), nil)
}

// fill writes n bytes that differ with the seed, in pieces here and there.
func fill(t *testing.T, guest interface {
	WriteAt(p []byte, off int64) (int, error)
	Flush() error
	Size() int64
}, n int64, seed uint64,
) {
	t.Helper()
	const piece = 256 << 10
	rng := rand.New(rand.NewPCG(seed, 7))
	p := make([]byte, piece)
	places := rng.Perm(int(guest.Size() / piece))
	for i := range int(n / piece) {
		for j := 0; j < piece; j += 8 {
			x := rng.Uint64()
			for k := range 8 {
				p[j+k] = byte(x >> (8 * k))
			}
		}
		if _, err := guest.WriteAt(p, int64(places[i])*piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := guest.Flush(); err != nil {
		t.Fatal(err)
	}
}
