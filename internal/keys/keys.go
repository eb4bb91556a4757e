// Package keys brings 256-bit keys into the process: from files that only their owner may read, and from commands.
package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"tintype/internal/smallfile"
)

// Size is that of a key in bytes.
const Size = 32

// maxText is the most that a file or command may give.
const maxText = 4096

// Parse reads a key: 32 bytes as they are, or as 64 hex digits, or in base64, with white space around the text.
func Parse(p []byte) (key [Size]byte, err error) {
	if len(p) == Size {
		copy(key[:], p)
		return key, nil
	}
	text := bytes.TrimSpace(p)
	b, err := hex.AppendDecode(nil, text)
	if err != nil {
		b, err = base64.StdEncoding.Strict().AppendDecode(nil, text)
	}
	if err != nil || len(b) != Size {
		return key, errors.New("no key: want 32 bytes, or 64 hex digits, or 32 bytes in base64")
	}
	copy(key[:], b)
	return key, nil
}

// ReadFile reads the key in a file. One that others than its owner may read or write is refused.
func ReadFile(name string) (key [Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return key, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return key, err
	}
	if !info.Mode().IsRegular() {
		return key, fmt.Errorf("%s is no regular file", name)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return key, fmt.Errorf("%s may be read or written by others (mode %04o): chmod 600 it, and think whether the key is still secret", name, mode)
	}
	p, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return key, err
	}
	if key, err = Parse(p); err != nil {
		return key, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// Make draws a key and writes it to a file, as hex digits. The file is durable, with mode 0600, when Make returns; it must not
// exist before.
func Make(name string) (key [Size]byte, err error) {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return key, errors.Join(fmt.Errorf("%s: %w", name, fs.ErrExist), err)
	}
	rand.Read(key[:]) // never fails: it ends the program instead
	return key, smallfile.Write(name, fmt.Appendf(nil, "%x\n", key))
}

// commandTimeout is how long a command may take.
const commandTimeout = 30 * time.Second

// Command runs a program, without a shell, and reads the key from its standard output. What it says on standard error goes
// to stderr.
func Command(ctx context.Context, stderr io.Writer, words ...string) (key [Size]byte, err error) {
	if len(words) == 0 {
		return key, errors.New("no command")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out := &bounded{}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, stderr, time.Second
	if err := cmd.Run(); err != nil {
		return key, fmt.Errorf("%s: %w", words[0], errors.Join(context.Cause(ctx), err))
	}
	if key, err = Parse(out.p); err != nil {
		return key, fmt.Errorf("%s: %w", words[0], err)
	}
	return key, nil
}

// bounded keeps what is written to it, up to a limit.
type bounded struct{ p []byte }

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.p)+len(p) > maxText {
		return 0, errors.New("more output than a key has")
	}
	b.p = append(b.p, p...)
	return len(p), nil
}
