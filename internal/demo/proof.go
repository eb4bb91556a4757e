package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

func (d *demonstration) restore(ctx context.Context) error {
	d.title("The restore: a new disk from the snapshot; the first disk is deleted")
	began := time.Now()
	if _, err := d.run(ctx, "az", "disk", "create", "-g", group, "-n", restoredName, "--source", snapshotName, "-o", "none"); err != nil {
		return err
	}
	d.say("restored in %s, %s of it usable at once", seconds(time.Since(began)), size(imageSize))
	d.note("az disk create --source", "%s", seconds(time.Since(began)))
	if _, err := d.run(ctx, "tintype", "disk", "detach", "-g", group, "-n", diskName); err != nil {
		return err
	}
	if _, err := d.run(ctx, "az", "disk", "delete", "-g", group, "-n", diskName, "--yes"); err != nil {
		return err
	}
	if out, err := d.shell.Run(ctx, "az", "disk", "show", "-g", group, "-n", diskName); err == nil {
		return fmt.Errorf("the deleted disk is still there: %s", out)
	}
	uri, err := d.run(ctx, "tintype", "disk", "attach", "-g", group, "-n", restoredName)
	if err != nil {
		return err
	}
	d.uri = uri
	d.say("%s", uri)
	return nil
}

func (d *demonstration) prove(ctx context.Context) error {
	d.title("The proof")
	restored := d.path("restored.img")
	began := time.Now()
	if _, err := d.run(ctx, "nbdcopy", d.uri, restored); err != nil {
		return err
	}
	d.note("reading it back over NBD", "%s (%s)", seconds(time.Since(began)), size(imageSize))
	d.command("e2fsck -f -n", restored)
	if err := checkFS(ctx, restored); err != nil {
		return err
	}
	d.proved("the file system check finds nothing wrong")
	for _, name := range victims() {
		text, err := readFile(ctx, restored, name)
		if err != nil {
			return err
		}
		if text != d.files[name] {
			return fmt.Errorf("%s is not what it was", name)
		}
		d.proved("%s is back, %s, as it was", name, size(int64(len(text))))
	}
	same, err := d.compareImages(d.image.path, restored)
	if err != nil {
		return err
	}
	d.proved("%s blocks outside the writer's file are those of the imported image", count(same))
	return d.proveCut(restored)
}

// proveCut compares the writer's file with the writer's log.
func (d *demonstration) proveCut(restored string) error {
	f, err := os.Open(restored)
	if err != nil {
		return err
	}
	defer f.Close()
	cut, err := d.log.CheckCut(f, d.from, d.to)
	if err != nil {
		return fmt.Errorf("the restored disk is not the cut that the writer saw: %w", err)
	}
	if cut.Included == 0 || cut.Excluded == 0 {
		return fmt.Errorf("the snapshot was not taken under load: %d writes before, %d after", cut.Included, cut.Excluded)
	}
	d.proved("%s blocks of the writer's file are one moment of its history, inside the az command's:", count(int64(cut.Blocks)))
	d.say("  the first %s writes are there, the %s later ones are not, and no block is torn", count(cut.Included), count(cut.Excluded))
	d.note("blocks compared with the log", "%s", count(int64(cut.Blocks)))
	return nil
}

// compareImages requires two images to be equal outside the writer's file, and counts the blocks that were compared.
func (d *demonstration) compareImages(a, b string) (same int64, err error) {
	mine := map[int64]bool{}
	for _, off := range d.image.region {
		mine[off] = true
	}
	err = eachBlock(a, b, func(off int64, x, y []byte) error {
		switch {
		case mine[off]:
		case !bytes.Equal(x, y):
			return fmt.Errorf("the restored disk differs from the imported image at byte %d", off)
		default:
			same++
		}
		return nil
	})
	return same, err
}

// writerAt is what a change is written to.
type writerAt interface {
	io.WriterAt
	Flush() error
}

// writeDifference writes to w the blocks in which the image edited differs from the image before.
func writeDifference(w writerAt, before, edited string) (changed int, err error) {
	err = eachBlock(before, edited, func(off int64, x, y []byte) error {
		if bytes.Equal(x, y) {
			return nil
		}
		changed++
		_, err := w.WriteAt(y, off)
		return err
	})
	return changed, err
}

// eachBlock calls f with every block of two files of the same size, side by side.
func eachBlock(a, b string, f func(off int64, x, y []byte) error) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	const piece = 256 * fsBlockSize
	x, y := make([]byte, piece), make([]byte, piece)
	for off := int64(0); ; off += piece {
		n, errA := io.ReadFull(fa, x)
		m, errB := io.ReadFull(fb, y)
		if n != m || n%fsBlockSize != 0 {
			return fmt.Errorf("%s and %s are not of one size", a, b)
		}
		for i := 0; i < n; i += fsBlockSize {
			if err := f(off+int64(i), x[i:i+fsBlockSize], y[i:i+fsBlockSize]); err != nil {
				return err
			}
		}
		if n < piece {
			return errors.Join(notEOF(errA), notEOF(errB))
		}
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// finish stops the server, checks its store, and tells the story in numbers.
func (d *demonstration) finish(ctx context.Context) error {
	d.title("Order at the end")
	if _, err := d.run(ctx, "tintype", "disk", "detach", "-g", group, "-n", restoredName); err != nil {
		return err
	}
	err := d.server.Stop()
	d.server = nil
	if err != nil {
		return fmt.Errorf("the server did not stop cleanly: %w", err)
	}
	d.say("the server has stopped cleanly")
	if _, err := d.run(ctx, "tintype", "check", "--data", d.path("data")); err != nil {
		return err
	}
	d.proved("every checksum and every reference in the store is right")
	d.printf("\nIn numbers\n")
	for _, n := range d.numbers {
		d.printf("   %-30s %s\n", n.what, n.value)
	}
	d.printf("   %-30s %s\n", "all of it", seconds(time.Since(d.began)))
	d.printf("\nThe restored disk is the cut that the writer saw.\n")
	return nil
}
