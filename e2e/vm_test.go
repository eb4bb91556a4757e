package e2e

import (
	"runtime"
	"testing"
	"time"
)

// TestVirtualMachine boots virtual machines from our disks with the real QEMU, BIOS and boot loader included. The guest
// writes files, each made durable with fsync before it is announced on the console. Meanwhile a snapshot is taken, the
// server is restarted, the machine's power is cut, and the server is killed beneath the running guest.
func TestVirtualMachine(t *testing.T) {
	need(t, "qemu-system-x86_64", "nbdcopy", "e2fsck")
	if runtime.GOARCH != "amd64" {
		t.Skip("the guest is for amd64")
	}
	began := time.Now()
	note := func(format string, args ...any) {
		t.Helper()
		t.Logf("%5.1fs: "+format, append([]any{time.Since(began).Seconds()}, args...)...)
	}
	image := bootableImage(t)
	data := t.TempDir()
	s := launch(t, data)
	term := open(t, s)
	term.must("tintype group create -n vm -l westus2")
	term.must("tintype disk create -g vm -n root --file " + image)
	uri := term.must("tintype disk attach -g vm -n root")
	note("imported; the machines run on %s", accelerator())

	m, before, after := snapshotUnderGuest(t, term, uri)
	mustDo(t, s.Stop())
	s = launch(t, data)
	m.await("wrote", after+20)
	m.cutPower()
	last := m.now("wrote")
	note("a snapshot between %d and %d, the server restarted, the power cut after %d", before, after, last)

	// The guest keeps its write-back cache: a server that is killed takes back nothing that it has answered.
	m = boot(t, uri)
	found := m.await("found", 0)
	if found < last || found > last+1 {
		t.Fatalf("after the power cut there is file %d; %d was durable", found, last)
	}
	m.tell("write")
	m.await("wrote", found+20)
	var killed int64
	for range 3 {
		s.Kill()
		killed = m.now("wrote")
		check(t, data)
		s = launch(t, data)
		m.await("wrote", killed+10)
	}
	m.shutDown()
	end := m.now("wrote")
	checkFileSystem(t, uri)
	note("%d found, the server killed after %d, shut down after %d", found, killed, end)

	term = open(t, s)
	term.must("tintype disk create -g vm -n restored --source live")
	verifyMachine(t, term.must("tintype disk attach -g vm -n restored"), before, after)
	verifyMachine(t, uri, end, end)
	note("the snapshot and the disk hold what they must")
	mustDo(t, s.Stop())
	check(t, data)
}

// snapshotUnderGuest takes a snapshot of a new disk while a guest writes. It holds the files up to one of before to after.
func snapshotUnderGuest(t *testing.T, term *terminal, uri string) (m *machine, before, after int64) {
	t.Helper()
	m = boot(t, uri)
	if n := m.await("found", 0); n != 0 {
		t.Fatalf("a new disk holds file %d", n)
	}
	m.tell("write")
	before = m.await("wrote", 20)
	term.must("tintype snapshot create -g vm -n live --source root")
	return m, before, m.mark()
}

// verifyMachine boots from a disk, which must hold the files up to one of from to to, and shuts down.
func verifyMachine(t *testing.T, uri string, from, to int64) {
	t.Helper()
	m := boot(t, uri)
	if found := m.await("found", 0); found < from || found > to {
		t.Fatalf("there is file %d; it must be between %d and %d", found, from, to)
	}
	m.tell("write")
	m.await("wrote", from+5)
	m.shutDown()
	checkFileSystem(t, uri)
}
