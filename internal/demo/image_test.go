package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/witness"
)

func TestParseExtents(t *testing.T) {
	table := "Level Entries       Logical        Physical Length Flags\n" +
		" 0/ 1   1/  1     0 -     4   900              5 \n" +
		" 1/ 1   1/  2     0 -     2   100 -    102      3 \n" +
		" 1/ 1   2/  2     3 -     4    50 -     51      2 \n"
	region, err := parseExtents(table, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{100, 101, 102, 50, 51} {
		if region[i] != want*fsBlockSize {
			t.Errorf("block %d is at %d, want %d", i, region[i], want*fsBlockSize)
		}
	}
	for _, blocks := range []int{4, 6} {
		if _, err := parseExtents(table, blocks); err == nil {
			t.Errorf("the table passes for a file of %d blocks", blocks)
		}
	}
}

// TestWritingInsideAFileSystem makes an image as the demonstration does, from a smaller tree, and lets the witness
// write to it: the file system stays whole, and deleting other files changes nothing of the witness's.
func TestWritingInsideAFileSystem(t *testing.T) {
	for _, tool := range []string{"mke2fs", "debugfs", "e2fsck"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("mmdebstrap"); err != nil {
			t.Skip("mmdebstrap is not installed")
		}
	}
	ctx, dir := t.Context(), t.TempDir()
	root := filepath.Join(dir, "root")
	for _, sub := range []string{"srv", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	img, err := makeImage(ctx, root, filepath.Join(dir, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(img.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := witness.Begin(f, img.region, 2, witnessSeed)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Run(untilWritten(t, log), []witness.Target{file{f}, file{f}}, witness.Load{FlushEvery: 64}); err != nil {
		t.Fatal(err)
	}
	if _, err := debugfs(ctx, img.path, "rm /etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if err := checkFS(ctx, img.path); err != nil {
		t.Fatal(err)
	}
	if text, err := readFile(ctx, img.path, "/etc/passwd"); err != nil || text != "" {
		t.Fatalf("the deleted file reads %q, %v", text, err)
	}
	if cut, err := log.CheckCut(f, log.Now(), witness.Forever); err != nil || cut.Included == 0 {
		t.Fatalf("%+v, %v", cut, err)
	}
	if _, err := f.WriteAt(make([]byte, 1<<20), 0); err != nil { // the superblock
		t.Fatal(err)
	}
	if err := checkFS(ctx, img.path); err == nil {
		t.Fatal("a file system without its first mebibyte passes the check")
	}
}

func TestWordsForPeople(t *testing.T) {
	for got, want := range map[string]string{
		size(0): "0 B", size(1536): "1.5 KiB", size(1 << 30): "1.0 GiB", size(3 << 50): "3.0 PiB",
		seconds(1500 * time.Microsecond): "1 ms", seconds(90 * time.Second): "1 min 30 s",
		count(7): "7", count(1234567): "1,234,567", count(123456): "123,456",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStoryReportsAFailureToPrint(t *testing.T) {
	closed, err := os.Open(os.DevNull) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	s := newStory(closed)
	s.say("hello")
	if s.err == nil || !strings.Contains(s.err.Error(), "bad file descriptor") {
		t.Fatalf("%v", s.err)
	}
}

// file is a disk image as a target of the witness.
type file struct{ *os.File }

func (f file) Flush() error { return f.Sync() }

// untilWritten ends when there is enough to look at.
func untilWritten(t *testing.T, log *witness.Log) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		defer cancel()
		for n, _ := log.Count(); n < 200 && ctx.Err() == nil; n, _ = log.Count() {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return ctx
}
