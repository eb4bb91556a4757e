package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tintype/internal/rig"
	"tintype/internal/transfer"
	"tintype/internal/vhd"
)

// real is the real program, serving, with a resource group g.
type real struct {
	*rig.Server
	binary string
}

// programs is the folder that the program is built in.
func programs() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tintype-cli-%d", os.Getpid()))
}

// build compiles the program once for all tests.
var build = sync.OnceValues(func() (string, error) { return rig.Build(programs()) })

func TestMain(m *testing.M) {
	m.Run()
	_ = os.RemoveAll(programs()) // a temporary folder; its loss is the system's to report
}

func startReal(t *testing.T, args ...string) *real {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	r := &real{binary: binary}
	log := &bytes.Buffer{}
	server, err := rig.Start(t.Context(), rig.Options{Binary: binary, Data: filepath.Join(t.TempDir(), "data"), Args: args, Log: log})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	r.Server = server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	})
	r.must(t, "group", "create", "-n", "g", "-l", "westus2")
	return r
}

func (r *real) run(t *testing.T, line ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runIn(t.Context(), func(name string) string {
		if name == ClientVariable {
			return r.Client()
		}
		return ""
	}, line...)
}

// must runs a command that has to succeed and returns what it printed, without the
// last newline.
func (r *real) must(t *testing.T, line ...string) string {
	t.Helper()
	stdout, stderr, code := r.run(t, line...)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s", strings.Join(line, " "), code, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

// expects gives a function that runs a command which has to print want.
func (r *real) expects(t *testing.T) func(want string, line ...string) {
	return func(want string, line ...string) {
		t.Helper()
		if got := r.must(t, line...); got != want {
			t.Errorf("%s: %q, want %q", strings.Join(line, " "), got, want)
		}
	}
}

// fails runs a command that has to fail with this exit code and text.
func (r *real) fails(t *testing.T, code int, text string, line ...string) {
	t.Helper()
	if stdout, stderr, got := r.run(t, line...); got != code || stdout != "" || !strings.Contains(stderr, text) {
		t.Errorf("%s: exit %d, %q, %q; want %d and %q", strings.Join(line, " "), got, stdout, stderr, code, text)
	}
}

// scatter makes a raw image of size bytes with data in some places; full fills it.
func scatter(t *testing.T, name string, size int64, seed uint64, full bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	source := rand.NewChaCha8([32]byte{byte(seed)})
	random := rand.New(source)
	piece := make([]byte, 1<<20)
	for off := int64(0); off < size; {
		n := min(size-off, 1+random.Int64N(int64(len(piece))))
		if full || random.IntN(6) == 0 {
			if _, err := source.Read(piece[:n]); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(piece[:n], off); err != nil {
				t.Fatal(err)
			}
		}
		off += n
	}
	return path
}

// sameDisk checks that got holds want's bytes and then zeroes, size bytes in all.
func sameDisk(t *testing.T, want, got string, size int64) {
	t.Helper()
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Fatalf("%s has %d bytes, want %d", got, len(b), size)
	}
	if !bytes.Equal(a, b[:len(a)]) || len(bytes.Trim(b[len(a):], "\x00")) > 0 {
		t.Fatalf("%s differs from %s", got, want)
	}
}

// TestImagesInAndOut imports one disk in every format, and exports it in every
// format, from the disk and from a snapshot of it: always the same bytes.
func TestImagesInAndOut(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	t.Parallel()
	r := startReal(t)
	const size = 45<<20 + 1234
	const whole = 46 << 20
	raw := scatter(t, "disk.raw", size, 1, false)
	dir := t.TempDir()
	formats := []string{"raw", "vpc -o subformat=fixed,force_size=on", "vpc -o subformat=dynamic,force_size=on", "vhdx", "qcow2", "vmdk"}
	t.Run("import", func(t *testing.T) {
		for i, format := range formats {
			t.Run(format, func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("d%d", i)
				image := filepath.Join(dir, name)
				args := append([]string{"convert", "-f", "raw", "-O"}, append(strings.Fields(format), raw, image)...)
				if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				got := r.must(t, "disk", "create", "-g", "g", "-n", name, "--file", image, "--query", "[diskSizeGb, diskSizeBytes, diskState]", "-o", "tsv")
				if want := fmt.Sprintf("1\n%d\nUnattached", whole); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				out := filepath.Join(dir, name+".raw")
				r.must(t, "disk", "export", "-g", "g", "-n", name, "--file", out)
				sameDisk(t, raw, out, whole)
			})
		}
	})
	r.must(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d0")
	for suffix, format := range map[string]string{".vhd": "vpc", ".qcow2": "qcow2", ".img": "raw"} {
		out := filepath.Join(dir, "s"+suffix)
		r.must(t, "snapshot", "export", "-g", "g", "-n", "s", "--file", out)
		if text, err := exec.Command("qemu-img", "compare", "-f", "raw", "-F", format, raw, out).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", out, err, text)
		}
		r.fails(t, 1, "--overwrite", "snapshot", "export", "-g", "g", "-n", "s", "--file", out)
	}
	r.must(t, "snapshot", "export", "-g", "g", "-n", "s", "--file", filepath.Join(dir, "s.img"), "--overwrite")
	if got := r.must(t, "snapshot", "show", "-g", "g", "-n", "s", "--query", "diskState", "-o", "tsv"); got != "Unattached" {
		t.Errorf("after the exports the snapshot is %s", got)
	}
}

func TestImportOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	small := scatter(t, "small.raw", 1000, 2, true)
	create := []string{"disk", "create", "-g", "g", "--file", small}
	query := []string{"--query", "[diskSizeBytes, sku.name, zones[0], tags.a]", "-o", "tsv"}
	got := r.must(t, append(append(create, "-n", "d", "-z", "3", "--sku", "standard_lrs", "--zone", "2", "--tags", "a=b"), query...)...)
	if want := fmt.Sprintf("%d\nStandard_LRS\n2\nb", int64(3)<<30); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out := filepath.Join(t.TempDir(), "d.raw")
	r.must(t, "disk", "export", "-g", "g", "-n", "d", "-f", out)
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks; info.Size() != 3<<30 || blocks > 2048 {
		t.Errorf("the export has %d bytes in %d blocks", info.Size(), blocks)
	}
	r.fails(t, 1, "already exists", append(create, "-n", "d")...)
	big := scatter(t, "big.raw", 2<<30, 3, false)
	r.fails(t, 1, "too small", "disk", "create", "-g", "g", "-n", "e", "--file", big, "-z", "1")
	r.fails(t, 2, "not allowed", append(create, "-n", "e", "--source", "d")...)
	r.fails(t, 1, "no such file", "disk", "create", "-g", "g", "-n", "e", "--file", small+"x")
	r.fails(t, 3, "ResourceGroupNotFound", "disk", "create", "-g", "nope", "-n", "e", "--file", small)
	r.fails(t, 2, "must end in", "disk", "export", "-g", "g", "-n", "d", "-f", "x.iso")
	r.fails(t, 3, "ResourceNotFound", "disk", "export", "-g", "g", "-n", "nope", "-f", out+"2.raw")
	r.fails(t, 3, "ResourceNotFound", "disk", "show", "-g", "g", "-n", "e") // nothing half-done stays behind
}

// interrupt runs the program in the background until its journal has so many lines,
// and then sends it a signal. It reports whether that was in time.
func (r *real) interrupt(t *testing.T, journal string, lines int, signal os.Signal, line ...string) bool {
	t.Helper()
	cmd := exec.Command(r.binary, line...)
	cmd.Env = append(os.Environ(), ClientVariable+"="+r.Client())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("it ended before it was interrupted: %v", err)
			}
			return false
		default:
		}
		matches, err := filepath.Glob(journal)
		if err != nil {
			t.Fatal(err)
		}
		if len(matches) == 0 {
			continue
		}
		if text, err := os.ReadFile(matches[0]); err == nil && bytes.Count(text, []byte("\n")) >= lines {
			break
		}
	}
	if err := cmd.Process.Signal(signal); err != nil {
		return false
	}
	err := <-ended
	return err != nil
}

// interrupted interrupts the program. Where the signal comes too late, as it may on a busy machine, all is undone and tried again.
func (r *real) interrupted(t *testing.T, journal string, lines int, signal os.Signal, undo func(), line ...string) {
	t.Helper()
	for range 20 {
		if r.interrupt(t, journal, lines, signal, line...) {
			return
		}
		undo()
	}
	t.Fatalf("%v comes too late each time", signal)
}

// TestInterruptedImport kills imports, and runs the same command again; and lets one
// find a disk that waits for something else.
func TestInterruptedImport(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	const size = 96 << 20
	image := scatter(t, "disk.raw", size, 4, true)
	line := []string{"disk", "create", "-g", "g", "-n", "d", "--file", image}
	deleted := func() { r.must(t, "disk", "delete", "-g", "g", "-n", "d", "-y") }
	state := []string{"disk", "show", "-g", "g", "-n", "d", "--query", "diskState", "-o", "tsv"}
	for signal, after := range map[os.Signal]string{os.Kill: "ActiveUpload", os.Interrupt: "ReadyToUpload"} {
		r.interrupted(t, image+".*", 3, signal, deleted, line...)
		if got := r.must(t, state...); got != after {
			t.Errorf("after %v the disk is %s, want %s", signal, got, after)
		}
		stdout, stderr, code := r.run(t, append(line, "--query", "diskState", "-o", "tsv")...)
		if code != 0 || stdout != "Unattached\n" || !strings.Contains(stderr, "going on") {
			t.Fatalf("run again after %v: exit %d, %q, %q", signal, code, stdout, stderr)
		}
		out := filepath.Join(t.TempDir(), "d.raw")
		r.must(t, "disk", "export", "-g", "g", "-n", "d", "-f", out)
		sameDisk(t, image, out, size)
		if left, err := filepath.Glob(image + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		deleted()
	}
	r.interrupted(t, image+".*", 3, os.Kill, deleted, line...)
	other := scatter(t, "other.raw", 30<<20, 5, false)
	_, stderr, code := r.run(t, "disk", "create", "-g", "g", "-n", "d", "--file", other)
	if code != 0 || !strings.Contains(stderr, "replacing") {
		t.Fatalf("exit %d, %q", code, stderr)
	}
	out := filepath.Join(t.TempDir(), "d.raw")
	r.must(t, "disk", "export", "-g", "g", "-n", "d", "-f", out)
	sameDisk(t, other, out, 30<<20)
	r.finishedButNotEnded(t, other)
}

// finishedButNotEnded has an upload whole and its access not ended, as after a kill
// at the last moment: running the command again must still give the disk of its image.
func (r *real) finishedButNotEnded(t *testing.T, image string) {
	t.Helper()
	const content = 30 << 20
	r.must(t, "disk", "create", "-g", "g", "-n", "w", "--upload-type", "Upload", "--upload-size-bytes", fmt.Sprint(content+vhd.FooterSize))
	sas := r.must(t, "disk", "grant-access", "-g", "g", "-n", "w", "--duration-in-seconds", "600", "--access-level", "Write", "--query", "accessSas", "-o", "tsv")
	roots, err := readAuthority(filepath.Join(r.Client(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := transfer.Open(t.Context(), scatter(t, "stranger.raw", content, 7, true), transfer.SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := transfer.Upload(t.Context(), newHTTPClient(roots), sas, other, content, transfer.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	r.must(t, "disk", "create", "-g", "g", "-n", "w", "--file", image)
	out := filepath.Join(t.TempDir(), "w.raw")
	r.must(t, "disk", "export", "-g", "g", "-n", "w", "-f", out)
	sameDisk(t, image, out, content)
}

func TestInterruptedExport(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	const size = 96 << 20
	image := scatter(t, "disk.raw", size, 6, true)
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "--file", image)
	state := []string{"disk", "show", "-g", "g", "-n", "d", "--query", "diskState", "-o", "tsv"}
	for signal, after := range map[os.Signal]string{os.Kill: "ActiveSAS", os.Interrupt: "Unattached"} {
		out := filepath.Join(t.TempDir(), "d.raw")
		line := []string{"disk", "export", "-g", "g", "-n", "d", "--file", out}
		r.interrupted(t, out+".part.journal", 1, signal, func() {
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
		}, line...)
		if _, err := os.Stat(out); err == nil {
			t.Errorf("half an export has its name after %v", signal)
		}
		if got := r.must(t, state...); got != after {
			t.Errorf("after %v the disk is %s, want %s", signal, got, after)
		}
		r.must(t, line...)
		sameDisk(t, image, out, size)
		if left, err := filepath.Glob(out + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if got := r.must(t, state...); got != "Unattached" {
			t.Errorf("in the end the disk is %s", got)
		}
	}
	// Access that somebody else was granted is not taken away.
	r.must(t, "disk", "grant-access", "-g", "g", "-n", "d", "--duration-in-seconds", "600")
	r.fails(t, 1, "(", "disk", "export", "-g", "g", "-n", "d", "--file", filepath.Join(t.TempDir(), "x.raw"))
	if got := r.must(t, state...); got != "ActiveSAS" {
		t.Errorf("the export ended the access of another: the disk is %s", got)
	}
}

func TestAttachForReal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "-z", "1")
	r.must(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d")
	uri := r.must(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "one")
	if !strings.HasPrefix(uri, "nbd+unix:///") || strings.Contains(uri, "\n") {
		t.Errorf("attach printed %q", uri)
	}
	if again := r.must(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "one", "-o", "table"); again != uri {
		t.Errorf("attached again: %q, first %q", again, uri)
	}
	r.fails(t, 1, "(ConflictingUserInput)", "disk", "attach", "-g", "g", "-n", "d", "--host", "two")
	r.fails(t, 1, "(OperationNotAllowed)", "disk", "delete", "-g", "g", "-n", "d", "-y")
	if got := r.must(t, "snapshot", "attach", "-g", "g", "-n", "s"); !strings.HasPrefix(got, "nbd+unix:///") {
		t.Errorf("attach printed %q", got)
	}
	if got := r.must(t, "disk", "detach", "-g", "g", "-n", "d"); got != "" {
		t.Errorf("detach printed %q", got)
	}
	r.must(t, "snapshot", "detach", "-g", "g", "-n", "s")
	if got := r.must(t, "snapshot", "sizes", "-g", "g", "-n", "s", "-o", "tsv"); got != "0\t0\t1073741824\t0" {
		t.Errorf("sizes: %q", got)
	}
	r.must(t, "group", "delete", "-n", "g", "-y")
	if got := r.must(t, "group", "exists", "-n", "g"); got != "false" {
		t.Errorf("group exists: %q", got)
	}
}
