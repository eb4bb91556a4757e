package transfer

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// journal keeps which chunks of one transfer are done, in a text file:
//
//	tintype-transfer-1 HEX     SHA-256 of the key, which says what is transferred whereto
//	INDEX HEX                  a chunk that is done, and the CRC-32C of "KEY INDEX"
//
// What follows the first bad line counts for nothing, so a file that lost its end, or was half written, only costs work.
type journal struct {
	file *os.File // nil: nothing is kept
	key  string
	done bitmap
}

const journalMagic = "tintype-transfer-1"

// ErrBusy says that another process is doing the same transfer.
var ErrBusy = errors.New("another transfer of this file is under way")

// openJournal reads the journal at path, if it is there and of this key. chunks is how many there are. Without a path
// nothing is kept.
func openJournal(path, key string, chunks int64) (*journal, error) {
	sum := sha256.Sum256([]byte(key))
	j := &journal{key: fmt.Sprintf("%x", sum), done: newBitmap(chunks)}
	if path == "" {
		return j, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrBusy, path)
		}
		return nil, err
	}
	j.file = f
	end, err := j.load()
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

// load reads what is sound and gives where that ends: 0 when the journal is not of this key.
func (j *journal) load() (end int64, err error) {
	in := bufio.NewReader(j.file)
	for first := true; ; first = false {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		if first {
			if line != j.header() {
				return 0, nil
			}
		} else {
			word, _, _ := strings.Cut(line, " ")
			i, err := strconv.ParseInt(word, 10, 64)
			if err != nil || i < 0 || i >= j.done.n || line != j.line(i) {
				return end, nil
			}
			j.done.set(i)
		}
		end += int64(len(line))
	}
}

func (j *journal) header() string { return journalMagic + " " + j.key + "\n" }

func (j *journal) line(i int64) string {
	sum := crc32.Checksum([]byte(j.key+" "+strconv.FormatInt(i, 10)), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Sprintf("%d %08x\n", i, sum)
}

// resumes tells whether an earlier run of the same transfer left something to build upon.
func (j *journal) resumes() bool {
	if j.file == nil {
		return false
	}
	at, err := j.file.Seek(0, io.SeekCurrent)
	return err == nil && at > 0
}

// begin starts over: the journal is of this key, and nothing is done.
func (j *journal) begin() error {
	j.done = newBitmap(j.done.n)
	if j.file == nil {
		return nil
	}
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	if _, err := j.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := j.file.WriteString(j.header()); err != nil {
		return err
	}
	return j.file.Sync() // or a power cut might bring the old lines back, for a file that is empty by then
}

// add notes chunks as done. They must be durable where they went.
func (j *journal) add(chunks ...int64) error {
	if j.file == nil {
		return nil
	}
	var b strings.Builder
	for _, i := range chunks {
		b.WriteString(j.line(i))
	}
	_, err := j.file.WriteString(b.String())
	return err
}

// close gives the journal back, and removes it when the transfer is over.
func (j *journal) close(remove bool) error {
	if j.file == nil {
		return nil
	}
	var err error
	if remove {
		err = os.Remove(j.file.Name())
	}
	return errors.Join(err, j.file.Close())
}

// bitmap has a bit for each chunk.
type bitmap struct {
	n     int64
	words []uint64
}

func newBitmap(n int64) bitmap { return bitmap{n: n, words: make([]uint64, (n+63)/64)} }

func (b bitmap) set(i int64)      { b.words[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i int64) bool { return b.words[i/64]&(1<<(i%64)) != 0 }
