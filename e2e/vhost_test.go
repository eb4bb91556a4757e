package e2e

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestSharedMemory boots a virtual machine whose disk's queues the server serves in shared memory, with the real QEMU, BIOS and
// boot loader included. While the guest writes, a snapshot is taken, the server is restarted, and killed: the guest waits, and
// what it has been told is there. Its power is cut; the disk, over shared memory and over NBD, is whole.
func TestSharedMemory(t *testing.T) {
	need(t, "qemu-system-x86_64", "nbdcopy", "e2fsck")
	if runtime.GOARCH != "amd64" {
		t.Skip("the guest is for amd64")
	}
	image := bootableImage(t)
	data, sockets := t.TempDir(), filepath.Join(t.TempDir(), "v")
	s := launch(t, data, "--vhost-user", sockets)
	term := open(t, s)
	term.must("tintype group create -n vm -l westus2")
	term.must("tintype disk create -g vm -n root --file " + image)
	uri := term.must("tintype disk attach -g vm -n root")
	socket := term.must("tintype disk attach -g vm -n root --vhost-user")

	m := bootShared(t, socket)
	if n := m.await("found", 0); n != 0 {
		t.Fatalf("a new disk holds file %d", n)
	}
	m.tell("write")
	before := m.await("wrote", 20)
	term.must("tintype snapshot create -g vm -n live --source root")
	after := m.mark()

	mustDo(t, s.Stop())
	s = launch(t, data, "--vhost-user", sockets)
	m.await("wrote", after+20)
	for range 3 {
		s.Kill()
		killed := m.now("wrote")
		s = launch(t, data, "--vhost-user", sockets)
		m.await("wrote", killed+10)
	}
	m.cutPower()
	last := m.now("wrote")
	t.Logf("a snapshot between %d and %d; the power cut after %d", before, after, last)

	m = bootShared(t, socket)
	if found := m.await("found", 0); found < last || found > last+1 {
		t.Fatalf("after the power cut there is file %d; %d was durable", found, last)
	}
	m.tell("write")
	m.await("wrote", last+5)
	m.shutDown()
	checkFileSystem(t, uri)

	term = open(t, s)
	term.must("tintype disk create -g vm -n restored --source live")
	m = bootShared(t, term.must("tintype disk attach -g vm -n restored --vhost-user"))
	if found := m.await("found", 0); found < before || found > after {
		t.Fatalf("the snapshot holds file %d; it must be between %d and %d", found, before, after)
	}
	m.shutDown()
	mustDo(t, s.Stop())
	check(t, data)
}
