package nbd_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
)

// These tests let other people's clients judge the server. CI installs libnbd-bin and qemu-utils.

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed (libnbd-bin, qemu-utils)", name)
	}
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

func uri(socket, name string) string { return "nbd+unix:///" + name + "?socket=" + socket }

// sparse fills parts of a device and returns its whole content.
func sparse(t *testing.T, dev block.Device) []byte {
	t.Helper()
	content := make([]byte, dev.Size())
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		off := rng.Int64N(dev.Size() - 300000)
		p := content[off : off+rng.Int64N(300000)]
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		if _, err := dev.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

func TestNbdinfo(t *testing.T) {
	mem := blocktest.NewMem(64 << 20)
	if _, err := mem.WriteAt(make([]byte, 8192), 1<<20); err != nil {
		t.Fatal(err)
	}
	_, socket := serveExports(t,
		nbd.Export{Name: "disk", Device: mem, Description: "a disk"}, nbd.Export{Name: "snapshot", Device: mem, ReadOnly: true})
	var got struct {
		Protocol string
		Exports  []map[string]any
	}
	if err := json.Unmarshal([]byte(tool(t, "nbdinfo", "--list", "--json", "nbd+unix:///?socket="+socket)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Protocol != "newstyle-fixed" || len(got.Exports) != 2 {
		t.Fatalf("%+v", got)
	}
	for key, want := range map[string]any{
		"export-name": "disk", "description": "a disk", "export-size": float64(64 << 20), "is_read_only": false,
		"can_cache": true, "can_df": true, "can_fast_zero": true, "can_flush": true, "can_fua": true, "can_multi_conn": true,
		"can_trim": true, "can_zero": true, "block_size_minimum": float64(1), "block_size_preferred": float64(4096),
		"block_size_maximum": float64(32 << 20), "is_rotational": false,
	} {
		if got.Exports[0][key] != want {
			t.Errorf("%s is %v, want %v", key, got.Exports[0][key], want)
		}
	}
	if got.Exports[1]["export-name"] != "snapshot" || got.Exports[1]["is_read_only"] != true {
		t.Errorf("%v", got.Exports[1])
	}
	var extents []struct{ Offset, Length, Type int64 }
	if err := json.Unmarshal([]byte(tool(t, "nbdinfo", "--map", "--json", uri(socket, "disk"))), &extents); err != nil {
		t.Fatal(err)
	}
	if len(extents) != 3 || extents[1].Offset != 1<<20 || extents[1].Length != 8192 || extents[1].Type != 0 || extents[2].Type != 3 {
		t.Errorf("map %+v", extents)
	}
}

func TestNbdcopy(t *testing.T) {
	from, to := blocktest.NewMem(64<<20+512), blocktest.NewMem(64<<20+512)
	content := sparse(t, from)
	_, socket := serveExports(t, nbd.Export{Name: "from", Device: from, ReadOnly: true}, nbd.Export{Name: "to", Device: to})
	file := filepath.Join(t.TempDir(), "image")
	tool(t, "nbdcopy", uri(socket, "from"), file)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the copy in a file differs, error %v", err)
	}
	tool(t, "nbdcopy", "--flush", "--connections=4", uri(socket, "from"), uri(socket, "to"))
	got := make([]byte, len(content))
	if _, err := to.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the copy from export to export differs, error %v", err)
	}
	tool(t, "nbdcopy", "--synchronous", file, uri(socket, "to"))
	if _, err := to.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the copy from a file differs, error %v", err)
	}
}

func TestQemuImg(t *testing.T) {
	from, to := blocktest.NewMem(64<<20), blocktest.NewMem(64<<20)
	content := sparse(t, from)
	_, socket := serveExports(t, nbd.Export{Name: "from", Device: from, ReadOnly: true}, nbd.Export{Name: "to", Device: to})
	file := filepath.Join(t.TempDir(), "image")
	tool(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri(socket, "from"), file)
	tool(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri(socket, "from"), file)
	tool(t, "qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "qcow2", "-O", "raw", file, uri(socket, "to"))
	tool(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", uri(socket, "from"), uri(socket, "to"))
	got := make([]byte, len(content))
	if _, err := to.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the copy differs, error %v", err)
	}
	var pieces []struct {
		Start, Length int64
		Zero, Data    bool
	}
	if err := json.Unmarshal([]byte(tool(t, "qemu-img", "map", "--output=json", "-f", "raw", uri(socket, "from"))), &pieces); err != nil {
		t.Fatal(err)
	}
	end, data := int64(0), false
	for _, p := range pieces {
		if p.Start != end || p.Zero && len(bytes.Trim(content[p.Start:p.Start+p.Length], "\x00")) > 0 {
			t.Errorf("piece %+v", p)
		}
		end = p.Start + p.Length
		data = data || p.Data
	}
	if end != 64<<20 || !data || len(pieces) < 10 {
		t.Errorf("%d pieces that end at %d", len(pieces), end)
	}
}

// TestQemuIO runs a script of requests, ragged ones among them, that checks itself by patterns.
func TestQemuIO(t *testing.T) {
	mem := blocktest.NewMem(64 << 20)
	socket := serve(t, mem)
	args := []string{"-f", "raw", "-t", "none"}
	for _, c := range []string{
		"write -P 0x11 0 1M", "write -P 0x22 -f 512 512", "read -P 0x11 0 512", "read -P 0x22 512 512",
		"write -P 0x33 8M 16M", "write -z 8M 1M", "read -P 0 8M 1M", "write -z -u 9M 1M", "read -P 0 9M 1M",
		"read -P 0x33 10M 14M", "discard 10M 1M", "read -P 0 10M 1M", "write -z -u -n 11M 1M", "read -P 0 11M 1M",
		"write -P 0x44 12345 67", "read -P 0x44 12345 67", "read -P 0x11 12288 57",
		"aio_write -P 0x55 32M 64k", "aio_write -P 0x66 33M 64k", "aio_flush", "flush",
		"read -P 0x55 32M 64k", "read -P 0x66 33M 64k", "write -P 0x77 67108352 512", "read -P 0x77 67108352 512",
	} {
		args = append(args, "-c", c)
	}
	out := tool(t, "qemu-io", append(args, uri(socket, "disk"))...)
	if strings.Contains(out, "failed") || strings.Contains(out, "error") {
		t.Error(out)
	}
	p := make([]byte, 68)
	if _, err := mem.ReadAt(p, 12345); err != nil || p[0] != 0x44 || p[66] != 0x44 || p[67] != 0x11 {
		t.Errorf("the device holds % x, error %v", p, err)
	}
}

// TestQemuIOReadOnly checks that a client that wants to write is told so.
func TestQemuIOReadOnly(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	_, socket := serveExports(t, nbd.Export{Name: "disk", Device: mem, ReadOnly: true})
	tool(t, "qemu-io", "-r", "-f", "raw", "-c", "read -P 0 0 1M", uri(socket, "disk"))
	if out, err := exec.Command("qemu-io", "-f", "raw", "-c", "write 0 512", uri(socket, "disk")).CombinedOutput(); err == nil {
		t.Errorf("a read-only export opens for writing: %s", out)
	}
}
