// Package demo is the demonstration that `tintype demo` gives: a real Debian disk is imported, written to, snapshotted
// under that load with the real az, damaged, restored and proved equal to what the writer saw, block by block.
//
// It is a client like any other: everything goes through the program's own command line, the real az, and NBD.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"tintype/internal/rig"
	"tintype/internal/witness"
)

// Options say how to give the demonstration.
type Options struct {
	Binary string    // the tintype program
	Work   string    // a folder to work in, kept afterwards; empty: a temporary one, removed
	Out    io.Writer // where the story is told
}

const (
	group        = "demo"
	region       = "westus2"
	diskName     = "web"
	snapshotName = "web-before-accident"
	restoredName = "web-restored"
)

// demonstration is one run.
type demonstration struct {
	*story
	opt  Options
	dir  string
	root string // the installed Debian, before it is an image

	server *rig.Server
	shell  *rig.Shell
	image  *image

	files    map[string]string // what was deleted: path → content
	uri      string            // of the disk under load
	load     *load
	log      *witness.Log
	from, to witness.Stamp // around the snapshot
	numbers  []number
}

// number is a line of the table at the end.
type number struct{ what, value string }

func (d *demonstration) note(what, format string, args ...any) {
	d.numbers = append(d.numbers, number{what, fmt.Sprintf(format, args...)})
}

// Run gives the demonstration. It returns an error when anything is not as it must be, and leaves nothing behind: no
// process, and no file unless Options.Work was given, also when ctx is cancelled half-way.
func Run(ctx context.Context, opt Options) (err error) {
	if err := haveTools(); err != nil {
		return err
	}
	d := &demonstration{story: newStory(opt.Out), opt: opt, dir: opt.Work, files: map[string]string{}}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "tintype-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
		// Without root's rights Debian is installed by another user of a namespace.
		if err := os.Chmod(d.dir, 0o755); err != nil {
			return err
		}
	} else if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	d.root = filepath.Join(d.dir, "debian")
	defer func() { err = errors.Join(err, d.cleanUp(), d.story.err) }()

	d.printf("Tintype: a disk is snapshotted while it is being written, lost, and restored.\n")
	d.say("working in %s", d.dir)
	for _, step := range []func(context.Context) error{
		d.makeDisk, d.startServer, d.importDisk, d.writeToIt, d.takeSnapshot, d.haveAccident, d.restore, d.prove, d.finish,
	} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted; everything has been cleaned up")
			}
			return err
		}
	}
	return nil
}

// haveTools looks for every program that the demonstration runs before it begins.
func haveTools() error {
	for _, tool := range []string{"mmdebstrap", "mke2fs", "debugfs", "e2fsck", "az", "nbdcopy", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed, or not on PATH: run `make demo`, which installs what is needed", tool)
		}
	}
	return nil
}

// cleanUp stops what still runs, with a context of its own: the demonstration's may be the reason.
func (d *demonstration) cleanUp() error {
	var errs []error
	if d.load != nil {
		errs = append(errs, d.load.stop())
	}
	if d.server != nil {
		errs = append(errs, d.server.Stop())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(append(errs, removeRoot(ctx, d.root))...)
}

func (d *demonstration) path(name string) string { return filepath.Join(d.dir, name) }

// run shows a command and runs it in the shell.
func (d *demonstration) run(ctx context.Context, name string, args ...string) (string, error) {
	d.command(append([]string{name}, args...)...)
	if name == "tintype" {
		name = d.opt.Binary
	}
	return d.shell.Run(ctx, name, args...)
}

func (d *demonstration) makeDisk(ctx context.Context) error {
	d.title("A disk worth keeping: Debian, installed into an ext4 image")
	began := time.Now()
	d.command("mmdebstrap", "--variant=minbase", debianSuite, "debian")
	if err := makeRoot(ctx, d.root); err != nil {
		return err
	}
	d.command("mke2fs", "-t", "ext4", "-d", "debian", "debian.img")
	img, err := makeImage(ctx, d.root, d.path("debian.img"))
	if err != nil {
		return err
	}
	d.image = img
	if err := removeRoot(ctx, d.root); err != nil {
		return err
	}
	used, err := allocated(img.path)
	if err != nil {
		return err
	}
	d.say("debian.img: %s, %s of it in use, made in %s", size(imageSize), size(used), seconds(time.Since(began)))
	d.say("%s inside it is %s that a verifying writer will keep rewriting, in place", witnessPath, size(witnessSize))
	return nil
}

func (d *demonstration) startServer(ctx context.Context) error {
	d.title("A server of one's own, and the real az")
	log, err := os.Create(d.path("server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.command("tintype serve --data", d.path("data"))
	began := time.Now()
	d.server, err = rig.Start(ctx, rig.Options{Binary: d.opt.Binary, Data: d.path("data"), Log: log})
	if err != nil {
		return err
	}
	d.say("ready %s after %s", d.server.URL, seconds(time.Since(began)))
	d.command("source", d.path("data/client/env.sh"))
	if d.shell, err = d.server.NewShell(); err != nil {
		return err
	}
	d.command("az cloud register -n Tintype --endpoint-resource-manager", d.server.URL)
	d.command("az cloud set -n Tintype")
	d.command("az login --service-principal -u APP_ID -p PASSWORD --tenant TENANT")
	began = time.Now()
	if err := d.server.LoginAz(ctx, d.shell); err != nil {
		return err
	}
	d.say("logged in, %s", seconds(time.Since(began)))
	_, err = d.run(ctx, "az", "group", "create", "-n", group, "-l", region, "-o", "none")
	return err
}

func (d *demonstration) importDisk(ctx context.Context) error {
	d.title("The image becomes a managed disk")
	began := time.Now()
	if _, err := d.run(ctx, "tintype", "disk", "create", "-g", group, "-n", diskName, "--file", d.image.path, "-o", "none"); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := allocated(d.image.path)
	if err != nil {
		return err
	}
	d.say("%s imported in %s", size(used), seconds(took))
	d.note("import of the image", "%s (%s of data)", seconds(took), size(used))
	out, err := d.run(ctx, "az", "disk", "list", "-g", group, "-o", "table")
	if err != nil {
		return err
	}
	d.block(out)
	if d.uri, err = d.run(ctx, "tintype", "disk", "attach", "-g", group, "-n", diskName); err != nil {
		return err
	}
	d.say("%s", d.uri)
	return nil
}

// allocated is how many bytes of a sparse file have storage.
func allocated(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return storage(info), nil
}
