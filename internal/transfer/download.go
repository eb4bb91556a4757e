package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"tintype/internal/vhd"
)

// ExportFormat gives the format that a file's name asks for: .vhd, .raw or .img, .qcow2.
func ExportFormat(name string) (vhd.Format, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".vhd":
		return vhd.Fixed, nil
	case ".raw", ".img":
		return vhd.Raw, nil
	case ".qcow2":
		return vhd.QCOW2, nil
	}
	return vhd.Unknown, fmt.Errorf("%s: the name must end in .vhd, .raw, .img or .qcow2", name)
}

// DownloadOptions say how a download goes.
type DownloadOptions struct {
	Options

	// Overwrite lets the download replace a file of that name. Without it such a file is an error, fs.ErrExist.
	Overwrite bool
}

// Download writes the blob to the file out in the format given: vhd.Fixed, vhd.Raw or vhd.QCOW2. Until it is whole and
// on disk it is OUT.part, with its journal OUT.part.journal; when the download is called again for a blob that has not
// changed, it goes on there.
func Download(ctx context.Context, client *http.Client, sasURL, out string, format vhd.Format, o DownloadOptions) error {
	switch format {
	case vhd.Fixed, vhd.Raw, vhd.QCOW2:
	default:
		return fmt.Errorf("disks are not written as %q", format)
	}
	r, err := newRemote(client, sasURL, o.Options)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil && !o.Overwrite {
		return fmt.Errorf("%s: %w", out, fs.ErrExist)
	}
	if format == vhd.QCOW2 {
		if err := haveQEMU(); err != nil {
			return err // before anything is transferred
		}
	}
	d := &download{remote: r, out: out, part: out + ".part", format: format, o: o}
	if d.size, d.etag, err = r.head(ctx); err != nil {
		return err
	}
	if d.want = d.size; format != vhd.Fixed {
		d.want -= vhd.FooterSize
	}
	key := fmt.Sprintf("download\n%s\n%d\n%d\n%d", d.etag, d.size, d.want, chunkSize)
	d.journal, err = openJournal(d.part+".journal", key, (d.want+chunkSize-1)/chunkSize)
	if err != nil {
		return err
	}
	err = d.run(ctx)
	return errors.Join(err, d.journal.close(err == nil))
}

type download struct {
	remote  *remote
	out     string
	part    string
	format  vhd.Format
	o       DownloadOptions
	size    int64 // of the blob
	want    int64 // how much of it is wanted
	etag    string
	file    *os.File
	journal *journal
	meter   meter

	mu         sync.Mutex
	written    []int64 // chunks that are written and perhaps not yet durable
	committing bool    // a worker makes chunks durable
	failed     bool    // a sync failed: what it covered is in doubt, whatever a later one says
}

func (d *download) run(ctx context.Context) error {
	if err := d.openPart(); err != nil {
		return err
	}
	err := d.fetch(ctx)
	// What did arrive is worth keeping, also when something failed.
	err = errors.Join(err, d.commit(1))
	if err := errors.Join(err, d.file.Close()); err != nil {
		return err
	}
	if d.format == vhd.QCOW2 {
		return d.toQCOW2(ctx)
	}
	return d.publish(d.part)
}

// openPart opens the unfinished file, empty unless the journal tells what is in it.
func (d *download) openPart() error {
	f, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	stat, err := f.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", d.part)
	}
	if err == nil && (!d.journal.resumes() || stat.Size() != d.want) {
		// The journal first: one that says nothing is true of any file.
		err = d.journal.begin()
		if err == nil {
			err = f.Truncate(0)
		}
		if err == nil {
			err = f.Truncate(d.want)
		}
	}
	if err != nil {
		f.Close()
		return err
	}
	d.file = f
	return nil
}

// fetch brings every chunk that holds data and isn't done.
func (d *download) fetch(ctx context.Context) error {
	err := d.chunks(ctx, func(i int64, spans []span) bool {
		n := total(spans)
		d.meter.total += n
		if d.journal.done.has(i) {
			d.meter.done += n
		}
		return true
	})
	if err != nil {
		return err
	}
	d.meter.report = d.o.Progress
	d.meter.add(0)
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(d.remote.parallel(d.o.Options))
	err = d.chunks(workCtx, func(i int64, spans []span) bool {
		if !d.journal.done.has(i) {
			work.Go(func() error { return d.chunk(workCtx, i, spans) })
		}
		return workCtx.Err() == nil
	})
	workErr := work.Wait()
	if workErr != nil {
		return workErr // why the rest was broken off
	}
	return errors.Join(err, ctx.Err())
}

func total(spans []span) (n int64) {
	for _, s := range spans {
		n += s.len()
	}
	return n
}

// chunks calls yield for every chunk that holds data, in order, with where in the blob that is. Holes shorter than gap
// count as data.
func (d *download) chunks(ctx context.Context, yield func(i int64, spans []span) bool) error {
	var (
		now   int64
		spans []span
		more  = true
	)
	err := d.remote.pages(ctx, d.size, d.etag, listLimit, func(p span) bool {
		for p.end = min(p.end, d.want); p.start < p.end && more; {
			i := p.start / chunkSize
			if i != now && len(spans) > 0 {
				more = yield(now, spans)
				spans = nil
			}
			now = i
			part := span{p.start, min(p.end, (i+1)*chunkSize)}
			if n := len(spans); n > 0 && part.start-spans[n-1].end < gap {
				spans[n-1].end = part.end
			} else {
				spans = append(spans, part)
			}
			p.start = part.end
		}
		return more
	})
	if err == nil && more && len(spans) > 0 {
		yield(now, spans)
	}
	return err
}

// chunk brings the spans of chunk i into the file.
func (d *download) chunk(ctx context.Context, i int64, spans []span) error {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for _, s := range spans {
		p := buf[:s.len()]
		if err := d.remote.read(ctx, p, s.start, d.etag); err != nil {
			return err
		}
		if err := writeSparse(d.file, p, s.start); err != nil {
			return err
		}
		d.meter.add(s.len())
	}
	d.wrote(i, spans)
	return d.commit(commitEvery)
}

// wrote notes a chunk as written, and has it on its way to the media, so that a sync finds little left to do.
func (d *download) wrote(i int64, spans []span) {
	first, last := spans[0].start, spans[len(spans)-1].end
	_ = unix.SyncFileRange(int(d.file.Fd()), first, last-first, unix.SYNC_FILE_RANGE_WRITE) // it promises nothing
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written = append(d.written, i)
}

// commitEvery is how many chunks are made durable at once: 256 MiB.
const commitEvery = 64

// commit makes the chunks written durable, if there are as many as least and nobody else is about it, and only then journals them. Workers
// go on meanwhile.
func (d *download) commit(least int) error {
	batch := d.batch(least)
	if len(batch) == 0 {
		return nil
	}
	err := d.file.Sync()
	if err == nil {
		// What was brought in is not read again soon; the memory is better used for what disks read.
		_ = unix.Fadvise(int(d.file.Fd()), 0, 0, unix.FADV_DONTNEED)
		err = d.journal.add(batch...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.committing, d.failed = false, err != nil
	return err
}

// batch takes the chunks that a caller is to make durable.
func (d *download) batch(least int) []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.committing || d.failed || len(d.written) < least {
		return nil
	}
	batch := d.written
	d.written, d.committing = nil, true
	return batch
}

// writeSparse writes p at off and leaves out blocks of zeroes: the file is a hole there, or has the same zeroes from an
// earlier run.
func writeSparse(f *os.File, p []byte, off int64) error {
	for len(p) > 0 {
		n, zero := zeroRun(p, off)
		if !zero {
			if _, err := f.WriteAt(p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// zeroRun gives the length of the longest beginning of p, which lies at off, whose blocks are all zero, or all not.
func zeroRun(p []byte, off int64) (n int, zero bool) {
	for n < len(p) {
		end := min(len(p), n+zeroBlock-int((off+int64(n))%zeroBlock))
		z := bytes.Equal(p[n:end], zeroes[:end-n])
		if n > 0 && z != zero {
			break
		}
		n, zero = end, z
	}
	return n, zero
}

// toQCOW2 turns the raw part into the file asked for.
func (d *download) toQCOW2(ctx context.Context) error {
	made := d.out + ".part.qcow2"
	// Made here so that, like every export, only its owner can read it; qemu-img keeps the mode of what is there.
	if err := errors.Join(removeIfThere(made), os.WriteFile(made, nil, 0o600)); err != nil {
		return err
	}
	if err := convert(ctx, d.part, vhd.Raw, made, vhd.QCOW2); err != nil {
		return errors.Join(err, removeIfThere(made))
	}
	if err := d.publish(made); err != nil {
		return err
	}
	return os.Remove(d.part)
}

// publish makes the file durable and gives it its name.
func (d *download) publish(made string) error {
	if err := syncFile(made); err != nil {
		return err
	}
	var flags uint
	if !d.o.Overwrite {
		flags = unix.RENAME_NOREPLACE
	}
	err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, d.out, flags)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		err = os.Rename(made, d.out) // a file system without the flag; Download looked before it began
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.out, err)
	}
	return syncFile(filepath.Dir(d.out))
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
