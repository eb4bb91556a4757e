package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tintype/internal/rig"
)

// contestant is a program that serves one image over NBD.
type contestant struct {
	name  string
	uri   string
	start func(context.Context) (stop func() error, err error)
	rest  func(context.Context) error // does what it does at rest, to its end; nil: nothing

	running func() error
}

func (p *contestant) run(ctx context.Context) error {
	stop, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.running = stop
	return nil
}

func (p *contestant) stop() {
	if p.running == nil {
		return
	}
	if err := p.running(); err != nil {
		fmt.Fprintf(os.Stderr, "peers: stop %s: %v\n", p.name, err)
	}
	p.running = nil
}

// restart stops the program, does something while nobody holds the image, and starts it again.
func (p *contestant) restart(ctx context.Context, between func() error) error {
	p.stop()
	if err := between(); err != nil {
		return err
	}
	return p.run(ctx)
}

const (
	ours    = "tintype"
	ceiling = "memory only"
)

// contestants makes and starts everybody, us first.
func contestants(ctx context.Context, c config) ([]*contestant, error) {
	us, err := newTintype(ctx, c)
	if err != nil {
		return nil, err
	}
	all := []*contestant{us}
	for _, p := range append(peers(c), newCeiling(c)) {
		if c.peers.MatchString(p.name) {
			all = append(all, p)
		}
	}
	for i, p := range all[1:] {
		if err := p.run(ctx); err != nil {
			for _, q := range all[:i+1] {
				q.stop()
			}
			return nil, err
		}
	}
	return all, nil
}

// peers are what Debian has.
func peers(c config) []*contestant {
	qcow2, raw, file := filepath.Join(c.dir, "a.qcow2"), filepath.Join(c.dir, "a.raw"), filepath.Join(c.dir, "b.raw")
	direct := filepath.Join(c.dir, "b.qcow2")
	create := func(format, name string) []string {
		return []string{"qemu-img", "create", "-q", "-f", format, name, strconv.FormatInt(c.size, 10)}
	}
	nbd := func(name, format, image string, more ...string) *contestant {
		args := append([]string{"qemu-nbd", "-t", "-e", "16", "-f", format, "-k", socketPath(c, name), "--discard=unmap"}, more...)
		return process(c, name, create(format, image), append(args, image))
	}
	return []*contestant{
		nbd("qcow2-writeback", "qcow2", qcow2, "--cache=writeback"),
		nbd("qcow2-none-aio", "qcow2", direct, "--cache=none", "--aio=native"),
		nbd("raw-writeback", "raw", raw, "--cache=writeback"),
		process(c, "nbdkit-file", create("raw", file), []string{"nbdkit", "-f", "-U", socketPath(c, "nbdkit-file"), "file", file}),
	}
}

// process is a contestant that is one command; create makes its image, once.
func process(c config, name string, create, serve []string) *contestant {
	created := false
	socket := socketPath(c, name)
	p := &contestant{name: name, uri: "nbd+unix:///?socket=" + socket}
	p.start = func(ctx context.Context) (func() error, error) {
		if !created {
			if out, err := exec.CommandContext(ctx, create[0], create[1:]...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%w: %s", err, out)
			}
			created = true
		}
		if err := os.RemoveAll(socket); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, serve[0], serve[1:]...)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		stop := func() error {
			err := cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait() // some end with the signal's own status
			return err
		}
		if err := awaitSocket(ctx, socket); err != nil {
			return nil, errors.Join(err, stop())
		}
		return stop, nil
	}
	return p
}

func awaitSocket(ctx context.Context, socket string) error {
	for range 500 {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens on %s", socket)
}

// newTintype starts the server and makes an attached disk, which every restart serves again under the same URI.
func newTintype(ctx context.Context, c config) (*contestant, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	p := &contestant{name: ours}
	var server *rig.Server
	order := "--order=false" // until a row is about it: it would take from the others' minutes
	p.start = func(ctx context.Context) (func() error, error) {
		var err error
		server, err = rig.Start(ctx, rig.Options{
			Binary: c.binary, Data: filepath.Join(c.dir, "data"), Log: os.Stderr, Args: []string{order},
		})
		if err != nil {
			return nil, err
		}
		return server.Stop, nil
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	cli := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, c.binary, args...)
		cmd.Env = append(os.Environ(), "TINTYPE_CLIENT="+server.Client())
		out, err := cmd.Output()
		return string(out), err
	}
	p.rest = func(ctx context.Context) error {
		order = "--order=true"
		err := p.restart(ctx, func() error { return nil })
		if err == nil {
			err = restEnds(ctx, cli)
		}
		return err
	}
	_, err := cli("group", "create", "-n", "bench", "-l", "westus2")
	if err == nil {
		_, err = cli("disk", "create", "-g", "bench", "-n", "disk", "-l", "westus2", "--size-gb", strconv.FormatInt(c.size>>30, 10))
	}
	if err == nil {
		p.uri, err = attach(cli)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// restEnds waits until the store has nothing to do any more.
func restEnds(ctx context.Context, cli func(...string) (string, error)) error {
	began := time.Now()
	for ctx.Err() == nil {
		out, err := cli("store", "stats")
		if err != nil {
			return err
		}
		var stats struct {
			Reclaiming string `json:"reclaiming"`
			Ordered    int64  `json:"orderedBytes"`
			Device     int64  `json:"deviceWrittenBytes"`
		}
		if err := json.Unmarshal([]byte(out), &stats); err != nil {
			return err
		}
		if stats.Reclaiming == "idle: complete" {
			say("at rest after %v: %d MiB put in order, %d MiB written to the device for it",
				time.Since(began).Round(time.Second), stats.Ordered>>20, stats.Device>>20)
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return ctx.Err()
}

// build sees to it that there is a program to measure.
func (c *config) build() (err error) {
	if c.binary == "" {
		c.binary, err = rig.Build(c.dir)
	}
	return err
}

// attach asks for the disk's export until the operation that made the disk is through.
func attach(cli func(...string) (string, error)) (string, error) {
	out, err := cli("disk", "attach", "-g", "bench", "-n", "disk", "--host", "bench")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(out), nil
}
