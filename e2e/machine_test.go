package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is a virtual machine that boots from one of our disks, under the real QEMU.
type machine struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser // the console
	exited chan struct{}

	mu      sync.Mutex
	console []string
	said    map[string]int64 // the last number behind a word of the guest's: found, wrote, mark
	off     bool
	bad     string // the first line that must not be
	errors  strings.Builder
}

// trouble is what a healthy guest's console never shows.
var trouble = []string{"guest: FAILED", "I/O error", "EXT4-fs error", "EXT4-fs warning", "JBD2:", "Kernel panic", "blocked for more than"}

// accelerator is KVM where the processor lends itself to it and we may use it, and otherwise QEMU's translator.
func accelerator() string {
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !strings.Contains(string(cpus), " vmx") && !strings.Contains(string(cpus), " svm") {
		return "tcg"
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	kvm.Close()
	return "kvm"
}

// boot starts a machine as docs/qemu.md says, with more properties for its disk.
func boot(t *testing.T, uri string, properties ...string) *machine {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return startMachine(t,
		"-blockdev", fmt.Sprintf("driver=nbd,node-name=d0,server.type=unix,server.path=%s,export=%s,reconnect-delay=60,"+
			"cache.direct=on,discard=unmap,detect-zeroes=unmap", u.Query().Get("socket"), strings.TrimPrefix(u.Path, "/")),
		"-object", "iothread,id=io0",
		"-device", strings.Join(append([]string{"virtio-blk-pci,drive=d0,iothread=io0,num-queues=2"}, properties...), ","))
}

// bootShared starts a machine as docs/qemu.md says, with memory that it shares with the server.
func bootShared(t *testing.T, socket string) *machine {
	t.Helper()
	return startMachine(t, "-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-machine", "memory-backend=mem",
		"-chardev", "socket,id=c0,reconnect=1,path="+socket, "-device", "vhost-user-blk-pci,chardev=c0,num-queues=2")
}

// startMachine starts a machine with a disk.
func startMachine(t *testing.T, disk ...string) *machine {
	t.Helper()
	cmd := exec.Command("qemu-system-x86_64", append([]string{
		"-accel", accelerator(), "-m", "256", "-smp", "2", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
	}, disk...)...)
	m := &machine{t: t, cmd: cmd, exited: make(chan struct{}), said: map[string]int64{}}
	out, err := cmd.StdoutPipe()
	mustDo(t, err)
	m.in, err = cmd.StdinPipe()
	mustDo(t, err)
	cmd.Stderr = &m.errors
	mustDo(t, cmd.Start())
	go m.listen(out)
	t.Cleanup(func() {
		m.cutPower()
		if t.Failed() {
			t.Logf("the machine's console:\n%s\n%s", strings.Join(m.console[max(0, len(m.console)-60):], "\n"), m.errors.String())
		}
	})
	return m
}

// listen takes down what the console shows until QEMU ends.
func (m *machine) listen(out io.Reader) {
	defer close(m.exited)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		m.hear(strings.TrimSpace(lines.Text()))
	}
	_ = m.cmd.Wait() // how it ended is read from its ProcessState
}

func (m *machine) hear(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.console = append(m.console, line)
	for _, words := range trouble {
		if m.bad == "" && strings.Contains(line, words) {
			m.bad = line
		}
	}
	m.off = m.off || line == "guest: off"
	var word string
	var n int64
	if _, err := fmt.Sscanf(line, "guest: %s %d", &word, &n); err == nil {
		m.said[word] = n
	}
}

// now is the last number that the guest has told.
func (m *machine) now(word string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said[word]
}

// await waits for the guest to tell a number, at least least.
func (m *machine) await(word string, least int64) int64 {
	m.t.Helper()
	until := time.Now().Add(3 * time.Minute)
	for time.Now().Before(until) {
		m.mu.Lock()
		n, told := m.said[word]
		bad := m.bad
		m.mu.Unlock()
		switch {
		case bad != "":
			m.t.Fatalf("the guest is not well: %s", bad)
		case told && n >= least:
			return n
		}
		select {
		case <-m.exited:
			m.t.Fatalf("QEMU has ended: %v", m.cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
	}
	m.t.Fatalf("the guest does not get to %s %d", word, least)
	return 0
}

func (m *machine) tell(command string) {
	m.t.Helper()
	if _, err := io.WriteString(m.in, command+"\n"); err != nil {
		m.t.Fatal(err)
	}
}

// mark asks for the number of the last file that was begun.
func (m *machine) mark() int64 {
	m.t.Helper()
	m.mu.Lock()
	delete(m.said, "mark")
	m.mu.Unlock()
	m.tell("mark")
	return m.await("mark", 0)
}

// shutDown has the guest unmount its disk and waits until the machine is off.
func (m *machine) shutDown() {
	m.t.Helper()
	m.tell("off")
	select {
	case <-m.exited:
	case <-time.After(2 * time.Minute):
		m.t.Fatal("the machine does not switch itself off")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bad != "" || !m.off || !m.cmd.ProcessState.Success() {
		m.t.Fatalf("the machine did not end well: off is %v, %s, %v, %s", m.off, m.bad, m.cmd.ProcessState, m.errors.String())
	}
}

// cutPower ends QEMU with SIGKILL: what the guest had not written is gone.
func (m *machine) cutPower() {
	_ = m.cmd.Process.Kill() // it may be gone already
	<-m.exited
}
