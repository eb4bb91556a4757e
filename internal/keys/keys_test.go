package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/smallfile"
)

func TestParse(t *testing.T) {
	raw := bytes.Repeat([]byte("k\n"), 16)
	for name, p := range map[string][]byte{
		"raw":      raw,
		"hex":      []byte(hex.EncodeToString(raw)),
		"hex line": []byte("  " + strings.ToUpper(hex.EncodeToString(raw)) + "\r\n"),
		"base64":   []byte(base64.StdEncoding.EncodeToString(raw) + "\n"),
	} {
		if key, err := Parse(p); err != nil || !bytes.Equal(key[:], raw) {
			t.Errorf("%s: %x, %v", name, key, err)
		}
	}
	for _, p := range []string{"", "\n", "password", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("x", 33)} {
		if _, err := Parse([]byte(p)); err == nil {
			t.Errorf("%q is taken for a key", p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Repeat("0a", 32)))
	f.Fuzz(func(t *testing.T, p []byte) {
		key, err := Parse(p)
		if err != nil {
			return
		}
		if again, err := Parse([]byte(hex.EncodeToString(key[:]))); err != nil || again != key {
			t.Errorf("%q: %x, again %x, %v", p, key, again, err)
		}
	})
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "platform.key")
	if _, err := ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	made, err := Make(name)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := ReadFile(name); err != nil || key != made {
		t.Errorf("read %x, made %x, %v", key, made, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Make(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key is made over another: %v", err)
	}
	other := filepath.Join(filepath.Dir(name), "other.key")
	next, err := Make(other)
	if err != nil || next == made {
		t.Fatalf("the same key again: %v", err)
	}
	if err := smallfile.Move(name, other); err != nil {
		t.Fatal(err)
	}
	if key, err := ReadFile(name); err != nil || key != next {
		t.Errorf("replaced: %v", err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := ReadFile(filepath.Dir(name)); err == nil {
		t.Error("a folder is read")
	}
}

func TestCommand(t *testing.T) {
	name := filepath.Join(t.TempDir(), "k e y")
	key, err := Make(name)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if got, err := Command(t.Context(), &said, "cat", name); err != nil || got != key {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := Command(t.Context(), &said, "cat", name+"x"); err == nil || !strings.Contains(said.String(), "No such file") {
		t.Errorf("%v, and said %q", err, said.String())
	}
	for what, words := range map[string][]string{
		"nothing": {}, "no program": {"/nowhere/at/all"}, "no key": {"echo", "hello"}, "endless": {"cat", "/dev/zero"},
		"no shell": {"cat " + name},
	} {
		if _, err := Command(t.Context(), &said, words...); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Command(ctx, &said, "sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
}
