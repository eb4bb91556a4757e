package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"tintype/internal/vhd"
)

// Options say how a transfer goes.
type Options struct {
	// Progress is told after every step how many bytes of those that must be moved are done. Holes count for nothing; a
	// resumed transfer begins with what was done before. Nil is told nothing. Calls do not overlap.
	Progress func(done, total int64)

	// Parallel is how many requests are in flight: 0 stands for 4, or 12 with a server on this machine; at most 64.
	Parallel int

	pause time.Duration // tests only: the first pause before a retry
}

// meter adds progress up.
type meter struct {
	report func(done, total int64)

	mu          sync.Mutex
	done, total int64
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.report != nil {
		m.report(m.done, m.total)
	}
}

// UploadOptions say how an upload goes.
type UploadOptions struct {
	Options

	// Footer makes the footer that goes last.
	Footer vhd.Identity

	// Journal is the file that makes the upload resumable; "" makes it begin anew each time. Where it can't be written
	// (a read-only folder), the upload goes on without it.
	Journal string

	// Source and Target name the image and the disk for the journal. Source must change when the image does (see
	// [Source.Identity]), and Target when the disk is another one, deleted and made anew. Both must be set for a resume;
	// without a Target, the blob's path serves, which is another one for each grant.
	Source, Target string
}

// Upload writes the image and its footer to an upload blob for a disk of size bytes, which may be larger than the image.
// On success everything is durable on the server; ending the access is the caller's to do. After a failure it may be
// called again, with the same journal to resume; end the access and take a new one in between, since a request that was
// broken off on our side may still be under way on the server, and only the end of the access waits for it. Whatever
// else the blob held is cleared.
func Upload(ctx context.Context, client *http.Client, sasURL string, image vhd.Image, size int64, o UploadOptions) error {
	r, err := newRemote(client, sasURL, o.Options)
	if err != nil {
		return err
	}
	if size%vhd.SectorSize != 0 || size < image.Size() || size > vhd.MaxSize {
		return fmt.Errorf("an image of %d bytes does not fit a disk of %d", image.Size(), size)
	}
	blob, _, err := r.head(ctx)
	if err != nil {
		return err
	}
	if blob != size+vhd.FooterSize {
		return fmt.Errorf("the disk takes %d bytes, the image and its footer have %d", blob, size+vhd.FooterSize)
	}
	u := &upload{remote: r, image: image, size: size, o: o}
	if r.near {
		u.file = fileOf(image)
	}
	if err := u.openJournal(); err != nil {
		return err
	}
	err = u.run(ctx)
	return errors.Join(err, u.journal.close(err == nil))
}

type upload struct {
	remote  *remote
	image   vhd.Image
	size    int64
	o       UploadOptions
	journal *journal
	meter   meter
	file    *os.File // that the kernel sends from, if it can

	mu sync.Mutex // guards the journal while chunks end
}

func (u *upload) openJournal() (err error) {
	target := u.o.Target
	if target == "" {
		target = u.remote.resource()
	}
	path := u.o.Journal
	if u.o.Source == "" {
		path = ""
	}
	key := fmt.Sprintf("upload\n%s\n%s\n%d\n%d", u.o.Source, target, u.size, chunkSize)
	chunks := (u.image.Size() + chunkSize - 1) / chunkSize
	u.journal, err = openJournal(path, key, chunks)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		u.journal, err = openJournal("", key, chunks)
	}
	return err
}

func (u *upload) run(ctx context.Context) error {
	if !u.journal.resumes() {
		if err := u.wipe(ctx); err != nil {
			return err
		}
		if err := u.journal.begin(); err != nil {
			return err
		}
	}
	plan, err := u.plan()
	if err != nil {
		return err
	}
	u.meter.add(0)
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(u.remote.parallel(u.o.Options))
	for i := range plan.n {
		if !plan.has(i) || u.journal.done.has(i) {
			continue
		}
		if workCtx.Err() != nil {
			break
		}
		work.Go(func() error { return u.chunk(workCtx, i) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	footer := vhd.FixedFooter(u.size, u.o.Footer)
	return u.remote.write(ctx, footer[:], u.size)
}

// fileOf is the file in which an image's bytes lie as they are, nil when there is none.
func fileOf(image vhd.Image) *os.File {
	if s, ok := image.(*Source); ok {
		image = s.Image
	}
	f, _ := vhd.File(image)
	return f
}

// wipe clears a blob that holds anything: pages of an earlier upload of something else. A clear whose answer was lost,
// and which was tried again, may still be under way and must not strike when data has been sent: each holds only for
// the blob as it was before, and the last one is followed by a look.
func (u *upload) wipe(ctx context.Context) error {
	blob := u.size + vhd.FooterSize
	for range maxWipes {
		_, etag, err := u.remote.head(ctx)
		if err != nil {
			return err
		}
		used := false
		err = u.remote.pages(ctx, blob, etag, 1, func(span) bool { used = true; return false })
		if err == nil && !used {
			return nil
		}
		if err == nil {
			err = u.remote.clear(ctx, blob, etag)
		}
		var refusal *ServerError
		if err != nil && !(errors.As(err, &refusal) && refusal.Status == http.StatusPreconditionFailed) {
			return err
		}
	}
	return errors.New("the disk can't be cleared: something else is writing to it")
}

// maxWipes is how often a blob that keeps changing is cleared.
const maxWipes = 10

// plan marks the chunks in which the image has data, and counts them for the meter.
func (u *upload) plan() (bitmap, error) {
	b := newBitmap(u.journal.done.n)
	err := u.image.Extents(0, u.image.Size(), func(e vhd.Extent) bool {
		for i := e.Off / chunkSize; e.Data && i*chunkSize < e.Off+e.Len; i++ {
			b.set(i)
		}
		return true
	})
	for i := range b.n {
		if !b.has(i) {
			continue
		}
		n := u.span(i).len()
		u.meter.total += n
		if u.journal.done.has(i) {
			u.meter.done += n
		}
	}
	u.meter.report = u.o.Progress
	return b, err
}

// span is where chunk i lies in the image.
func (u *upload) span(i int64) span {
	return span{i * chunkSize, min((i+1)*chunkSize, u.image.Size())}
}

// chunk sends what of chunk i is not zero.
func (u *upload) chunk(ctx context.Context, i int64) error {
	s := u.span(i)
	if u.file != nil && s.len()%vhd.SectorSize == 0 {
		if err := u.sendFile(ctx, s); err != nil {
			return err
		}
		return u.finished(i)
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	n := s.len()
	if _, err := u.image.ReadAt(buf[:n], s.start); err != nil && err != io.EOF {
		return fmt.Errorf("reading the image at %d: %w", s.start, err)
	}
	padded := (n + vhd.SectorSize - 1) / vhd.SectorSize * vhd.SectorSize
	clear(buf[n:padded])
	for _, part := range dataRuns(buf[:padded]) {
		if err := u.remote.write(ctx, buf[part.start:part.end], s.start+part.start); err != nil {
			return err
		}
	}
	return u.finished(i)
}

// finished notes that chunk i is on the server.
func (u *upload) finished(i int64) error {
	u.mu.Lock()
	err := u.journal.add(i)
	u.mu.Unlock()
	u.meter.add(u.span(i).len())
	return err
}

// sendFile has the kernel send what the file holds of a chunk. Zeroes that are no hole in the file go along: the server, which is
// near, finds them as well as we do.
func (u *upload) sendFile(ctx context.Context, s span) error {
	var runs []span
	err := u.image.Extents(s.start, s.len(), func(e vhd.Extent) bool {
		if !e.Data {
			return true
		}
		part := span{e.Off / vhd.SectorSize * vhd.SectorSize, (e.Off + e.Len + vhd.SectorSize - 1) / vhd.SectorSize * vhd.SectorSize}
		if n := len(runs); n > 0 && part.start-runs[n-1].end < gap {
			runs[n-1].end = part.end
		} else {
			runs = append(runs, part)
		}
		return true
	})
	for _, part := range runs {
		if err == nil {
			err = u.remote.put(ctx, inFile(u.file, part), part)
		}
	}
	return err
}

var (
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	zeroes = new([zeroBlock]byte)
)

// zeroBlock is the unit in which zeroes are looked for: a block of the file systems on both sides.
const zeroBlock = 4096

// dataRuns finds the parts of p that are not zero. Holes shorter than gap inside are sent along.
func dataRuns(p []byte) (runs []span) {
	for at := int64(0); at < int64(len(p)); at += zeroBlock {
		end := min(at+zeroBlock, int64(len(p)))
		if bytes.Equal(p[at:end], zeroes[:end-at]) {
			continue
		}
		if n := len(runs); n > 0 && at-runs[n-1].end < gap {
			runs[n-1].end = end
		} else {
			runs = append(runs, span{at, end})
		}
	}
	return runs
}
