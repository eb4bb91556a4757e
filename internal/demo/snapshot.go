package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"tintype/internal/witness"
)

const (
	writesPerSecond = 4000 // 16 MB/s of scattered 4 KiB blocks
	flushEvery      = 64
	warmUp          = 3 * time.Second
	afterwards      = 2 * time.Second
)

func (d *demonstration) writeToIt(ctx context.Context) (err error) {
	d.title("A writer over NBD that remembers every write")
	d.load, d.log, err = startLoad(ctx, d.uri, d.image.region, witness.Load{Rate: writesPerSecond, FlushEvery: flushEvery})
	if err != nil {
		return err
	}
	d.say("%d connections, %s blocks of 4 KiB in all, about %s writes a second, a flush after every %d",
		streams, count(witnessCount), count(writesPerSecond), flushEvery)
	if err := d.pause(ctx, warmUp); err != nil {
		return err
	}
	writes, flushes := d.log.Count()
	d.say("%s writes and %s flushes acknowledged in the first %s; the slowest write took %s",
		count(writes), count(flushes), seconds(warmUp), seconds(d.log.Slowest()))
	return nil
}

// pause lets the writer write, and notices when it fails.
func (d *demonstration) pause(ctx context.Context, t time.Duration) error {
	select {
	case <-time.After(t):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-d.load.done:
		d.load.done <- err // for stop
		return fmt.Errorf("the writer stopped: %w", err)
	}
}

func (d *demonstration) takeSnapshot(ctx context.Context) error {
	d.title("A snapshot, taken with az while the writer goes on")
	id, err := d.run(ctx, "az", "disk", "show", "-g", group, "-n", diskName, "--query", "id", "-o", "tsv")
	if err != nil {
		return err
	}
	before, _ := d.log.Count()
	d.log.Slowest()
	began := time.Now()
	d.from = d.log.Now()
	if _, err := d.run(ctx, "az", "snapshot", "create", "-g", group, "--source", id, "--name", snapshotName, "-o", "none"); err != nil {
		return err
	}
	d.to = d.log.Now()
	took := time.Since(began)
	after, _ := d.log.Count()
	if after == before {
		return fmt.Errorf("the writer stood still during the snapshot")
	}
	slowest := d.log.Slowest()
	d.say("az took %s; meanwhile the writer had %s writes acknowledged, the slowest in %s", seconds(took), count(after-before), seconds(slowest))
	d.note("az snapshot create", "%s, most of it az itself", seconds(took))
	d.note("slowest write meanwhile", "%s", seconds(slowest))
	if err := d.pause(ctx, afterwards); err != nil {
		return err
	}
	late, _ := d.log.Count()
	d.say("and %s more that the snapshot must not know of", count(late-after))
	return d.showSnapshot(ctx)
}

func (d *demonstration) showSnapshot(ctx context.Context) error {
	out, err := d.run(ctx, "az", "snapshot", "list", "-g", group, "-o", "table")
	if err != nil {
		return err
	}
	d.block(out)
	out, err = d.run(ctx, "tintype", "snapshot", "sizes", "-g", group, "-n", snapshotName, "-o", "json")
	if err != nil {
		return err
	}
	var sizes struct{ UsedBytes, ProvisionedBytes int64 }
	if err := json.Unmarshal([]byte(out), &sizes); err != nil {
		return fmt.Errorf("snapshot sizes: %w", err)
	}
	if sizes.ProvisionedBytes != imageSize || sizes.UsedBytes <= 0 || sizes.UsedBytes > imageSize {
		return fmt.Errorf("snapshot sizes says %s", out)
	}
	d.say("used %s of %s provisioned", size(sizes.UsedBytes), size(sizes.ProvisionedBytes))
	d.note("the snapshot holds", "%s used of %s provisioned", size(sizes.UsedBytes), size(sizes.ProvisionedBytes))
	return nil
}

// block prints a program's output as it is.
func (d *demonstration) block(text string) {
	for line := range strings.Lines(text) {
		d.printf("     %s\n", strings.TrimRight(line, " \n"))
	}
}

// victims are the files that the accident deletes.
func victims() []string {
	return []string{"/etc/passwd", "/etc/shadow", "/usr/bin/dpkg", "/usr/bin/apt-get", "/var/lib/dpkg/status"}
}

func (d *demonstration) haveAccident(ctx context.Context) error {
	d.title("An accident: files are deleted on the live disk, which the writer still writes to")
	live, edited := d.path("live.img"), d.path("edited.img")
	d.command("nbdcopy", d.uri, live)
	if _, err := d.shell.Run(ctx, "nbdcopy", d.uri, live); err != nil {
		return err
	}
	if _, err := d.shell.Run(ctx, "cp", "--sparse=always", live, edited); err != nil {
		return err
	}
	for _, name := range victims() {
		text, err := readFile(ctx, edited, name)
		if err != nil {
			return err
		}
		if text == "" {
			return fmt.Errorf("%s is not on the disk", name)
		}
		d.files[name] = text
		if _, err := debugfs(ctx, edited, "rm "+name); err != nil {
			return err
		}
	}
	d.command("debugfs -w", edited, "  # rm", strings.Join(victims(), " "))
	conn := d.load.conns[0]
	changed, err := writeDifference(conn, live, edited)
	if err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	d.say("the %d blocks that this changed are written to the live disk over NBD, and flushed", changed)
	if err := d.load.stop(); err != nil {
		return fmt.Errorf("the writer: %w", err)
	}
	d.load = nil
	if err := d.saveLog(); err != nil {
		return err
	}
	return d.proveAccident(ctx, live)
}

// saveLog keeps the writer's log as a file.
func (d *demonstration) saveLog() error {
	f, err := os.Create(d.path("writer.log"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := d.log.WriteTo(f); err != nil {
		return err
	}
	writes, flushes := d.log.Count()
	d.say("the writer stops after %s writes and %s flushes; its log is writer.log", count(writes), count(flushes))
	return f.Close()
}

// proveAccident makes sure that the live disk is really damaged, so that the restore has something to do, and that it
// holds everything the writer ever wrote.
func (d *demonstration) proveAccident(ctx context.Context, live string) error {
	if err := os.Remove(live); err != nil {
		return err
	}
	if _, err := d.shell.Run(ctx, "nbdcopy", d.uri, live); err != nil {
		return err
	}
	for _, name := range victims() {
		text, err := readFile(ctx, live, name)
		if err != nil {
			return err
		}
		if text != "" {
			return fmt.Errorf("%s is still on the live disk", name)
		}
	}
	f, err := os.Open(live)
	if err != nil {
		return err
	}
	defer f.Close()
	cut, err := d.log.CheckCut(f, d.log.Now(), witness.Forever)
	if err != nil {
		return fmt.Errorf("the live disk: %w", err)
	}
	d.proved("the live disk has lost %d files, and holds the last of all %s writes in every block", len(victims()), count(cut.Included))
	return nil
}
