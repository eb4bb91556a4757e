package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// mib is a mebibyte.
const mib = 1 << 20

// makeImage makes a sparse raw image: random bytes in some places, nothing in most.
func makeImage(t *testing.T, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{1})
	piece := make([]byte, 128<<10)
	for off := int64(0); off < size; off += 5 * mib {
		_, _ = rnd.Read(piece) // never fails
		if _, err := f.WriteAt(piece[:min(int64(len(piece)), size-off)], off); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// sum is the hash of n bytes of r.
func sum(r io.ReaderAt, n int64) (string, error) {
	h := sha256.New()
	got, err := io.Copy(h, io.NewSectionReader(r, 0, n))
	if err == nil && got != n {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func fileSum(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := sum(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
