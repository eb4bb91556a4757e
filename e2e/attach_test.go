package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tintype/internal/nbd/nbdclient"
)

func dial(t *testing.T, uri string) *nbdclient.Client {
	t.Helper()
	c, err := nbdclient.Dial(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAttachRules(t *testing.T) {
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("g")
	disk, snapshot := a.id("g", "disks", "d"), a.id("g", "snapshots", "s")
	a.must("PUT", versioned(disk), emptyDisk(1))
	uri := a.attach(disk, false)
	if again := a.attach(disk, false); again != uri {
		t.Errorf("the same host gets %s, then %s", uri, again)
	}
	if state := diskState(a, disk); state != "Attached" {
		t.Errorf("attached, and the state is %s", state)
	}
	other := a.send("POST", versioned(disk+"/attach"), map[string]any{"host": "elsewhere"})
	if other.status != http.StatusConflict || other.code() != "ConflictingUserInput" {
		t.Errorf("another host: %d %s", other.status, other.body)
	}
	if r := a.send("DELETE", versioned(disk), nil); r.status != http.StatusConflict || r.code() != "OperationNotAllowed" {
		t.Errorf("deleting it: %d %s", r.status, r.body)
	}
	one, two := dial(t, uri), dial(t, uri)
	defer one.Close()
	defer two.Close()
	if _, err := one.WriteAt([]byte("hello"), 4096); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := two.ReadAt(got, 4096); err != nil || string(got) != "hello" {
		t.Errorf("the second connection reads %q, %v", got, err)
	}
	a.must("PUT", versioned(snapshot), copyOf(disk))
	view := dial(t, a.attach(snapshot, true))
	defer view.Close()
	if _, err := view.ReadAt(got, 4096); err != nil || string(got) != "hello" {
		t.Errorf("the snapshot reads %q, %v", got, err)
	}
	if _, err := view.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a snapshot can be written")
	}
	a.detach(disk)
	a.detach(disk)
	if _, err := one.ReadAt(got, 0); err == nil {
		t.Error("a detached disk still answers")
	}
	a.must("DELETE", versioned(disk), nil)
}

func diskState(a *api, id string) string {
	a.t.Helper()
	r := a.send("GET", versioned(id), nil)
	_, after, _ := strings.Cut(string(r.body), `"diskState":`)
	state, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(after), `"`), `"`)
	return state
}

// TestQEMUReconnects keeps QEMU's own NBD client open while the server is killed and started again.
func TestQEMUReconnects(t *testing.T) {
	need(t, "qemu-io")
	data := t.TempDir()
	s := launch(t, data)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	a.must("PUT", versioned(disk), emptyDisk(1))
	uri := a.attach(disk, false)
	guest := startGuest(t, uri)
	guest.do("write -P 0x5a 1M 64k", "wrote 65536/65536")
	guest.do("flush", "")
	s.Kill()
	check(t, data)
	s = start(t, data)
	guest.do("read -P 0x5a 1M 64k", "read 65536/65536")
	guest.do("write -P 0xa5 2M 64k", "wrote 65536/65536")
	guest.do("flush", "")
	guest.end()
	if again := newAPI(t, s).attach(disk, false); again != uri {
		t.Errorf("the URI was %s and is %s", uri, again)
	}
	c := dial(t, uri)
	defer c.Close()
	got := make([]byte, 64<<10)
	for off, fill := range map[int64]byte{1 * mib: 0x5a, 2 * mib: 0xa5} {
		if _, err := c.ReadAt(got, off); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{fill}, len(got))) {
			t.Errorf("at %d: %v", off, err)
		}
	}
}

// guest is a qemu-io that stays open, as a virtual machine would.
type guest struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	end   func() // closes the disk; before the server stops, or it waits for its return
}

func startGuest(t *testing.T, uri string) *guest {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("driver=nbd,server.type=unix,server.path=%s,export=%s,reconnect-delay=60",
		u.Query().Get("socket"), strings.TrimPrefix(u.Path, "/"))
	cmd := exec.Command("qemu-io", "--image-opts", options)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, in: in, lines: make(chan string, 100)}
	go func() {
		for scan := bufio.NewScanner(out); scan.Scan(); {
			g.lines <- scan.Text()
		}
		close(g.lines)
	}()
	g.end = sync.OnceFunc(func() {
		_ = in.Close() // qemu-io ends at the end of its input
		if err := cmd.Wait(); err != nil {
			t.Errorf("qemu-io: %v", err)
		}
	})
	t.Cleanup(g.end)
	return g
}

// do gives qemu-io a command and requires the wanted words in its answer. A second command marks the answer's end; empty
// lines push qemu-io on, which takes one line each time that its input wakes it.
func (g *guest) do(command, want string) {
	g.t.Helper()
	if _, err := fmt.Fprintf(g.in, "%s\nlength\n", command); err != nil {
		g.t.Fatal(err)
	}
	var answer []string
	push := time.NewTicker(50 * time.Millisecond)
	defer push.Stop()
	tooLate := time.After(time.Minute)
	for {
		select {
		case <-push.C:
			if _, err := io.WriteString(g.in, "\n"); err != nil {
				g.t.Fatal(err)
			}
		case line, ok := <-g.lines:
			if !ok {
				g.t.Fatalf("qemu-io ended after %s: %s", command, answer)
			}
			line = strings.ReplaceAll(line, "qemu-io> ", "")
			if strings.HasPrefix(line, "1 GiB") {
				text := strings.Join(answer, "\n")
				if !strings.Contains(text, want) || strings.Contains(text, "rror") || strings.Contains(text, "failed") {
					g.t.Fatalf("qemu-io: %s: %s", command, text)
				}
				return
			}
			answer = append(answer, line)
		case <-tooLate:
			g.t.Fatalf("qemu-io: %s: no answer; so far %s", command, answer)
		}
	}
}
