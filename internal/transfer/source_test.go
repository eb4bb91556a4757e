package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tintype/internal/vhd"
)

// TestExternalFiles: images that would make qemu-img read other files are refused, and taken when that is allowed.
func TestExternalFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	secret := full(t, in("secret"), 1, 9)
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", in("secret"), "-F", "raw", in("backed.qcow2"))
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+in("data"), in("data.qcow2"), "4M")
	qemuImg(t, "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", in("flat.vmdk"), "4M")
	qemuImg(t, "create", "-q", "-f", "vmdk", in("base.vmdk"), "4M")
	qemuImg(t, "create", "-q", "-f", "vmdk", "-b", in("base.vmdk"), "-F", "vmdk", in("child.vmdk"))
	sparseHead := make([]byte, 1024)
	copy(sparseHead, "KDMV")
	binary.LittleEndian.PutUint64(sparseHead[28:], 1)
	copy(sparseHead[512:], "# Disk DescriptorFile\nRW 8192 FLAT \"/etc/passwd\" 0\n")
	if err := os.WriteFile(in("empty.vmdk"), sparseHead, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backed.qcow2", "data.qcow2", "flat.vmdk", "child.vmdk", "empty.vmdk"} {
		_, err := Open(t.Context(), in(name), SourceOptions{TempDir: dir})
		if !errors.Is(err, ErrExternal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := Open(t.Context(), in("backed.qcow2"), SourceOptions{TempDir: dir, AllowExternal: true})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(secret))
	if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("allowed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// The same bytes as a raw disk are nothing but bytes.
	if s, err = Open(t.Context(), in("backed.qcow2"), SourceOptions{Format: vhd.Raw}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if stat, _ := os.Stat(in("backed.qcow2")); s.Size() != stat.Size() {
		t.Error("raw was not taken as raw")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	footer := vhd.FixedFooter(1024, identity1)
	for words, name := range map[string]string{
		"no such file":      filepath.Join(dir, "none"),
		"neither a file":    dir,
		"block device":      fifo,
		"0 bytes":           write("empty", nil),
		"unpack it":         write("a.gz", []byte("\x1f\x8b\x08\x00aaaa")),
		"not taken":         write("a.qed", []byte("QED\x00aaaa")),
		"unexpected EOF":    write("a.qcow2", []byte("QFI\xfb\x00\x00\x00\x03")),
		"qcow2 version 9":   write("b.qcow2", append([]byte("QFI\xfb\x00\x00\x00\x09"), make([]byte, 200)...)),
		"the name says raw": write("a.raw", []byte("QFI\xfb\x00\x00\x00\x03")),
		"footer gives 1024": write("short.vhd", append(make([]byte, 512), footer[:]...)),
	} {
		format := vhd.Unknown
		if strings.HasPrefix(words, "footer") {
			format = vhd.Fixed // by its bytes it is raw data that ends in an old footer
		}
		s, err := Open(t.Context(), name, SourceOptions{Format: format})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestIdentity: an image that changed has another identity, even when size and modification time were put back.
func TestIdentity(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	full(t, name, 1, 1)
	id := func() string {
		s, err := Open(t.Context(), name, SourceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.Identity
	}
	before := id()
	if id() != before {
		t.Error("the identity changed by itself")
	}
	stat, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the file system's clock is that coarse
	full(t, name, 1, 2)
	if err := os.Chtimes(name, stat.ModTime(), stat.ModTime()); err != nil {
		t.Fatal(err)
	}
	if id() == before {
		t.Error("the identity did not change with the file")
	}
}

// FuzzAlone: whatever is refused or taken, nothing panics and no header makes it read much.
func FuzzAlone(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03"), true)
	head := make([]byte, 1024)
	copy(head, "KDMV")
	head[12], head[28], head[36] = 1, 1, 1
	copy(head[512:], "parentFileNameHint=\"x\"")
	f.Add(head, false)
	f.Fuzz(func(t *testing.T, b []byte, qcow2 bool) {
		format := vhd.VMDK
		if qcow2 {
			format = vhd.QCOW2
		}
		err := checkAlone(bytes.NewReader(b), format)
		if err == nil && !qcow2 && bytes.Contains(b[min(len(b), 512):min(len(b), 512*21)], []byte("parentFileNameHint")) {
			t.Fatal("a parent was overlooked")
		}
	})
}
