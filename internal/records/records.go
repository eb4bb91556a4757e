// Package records keeps copies of a server's records, the files that name its disks, in folders apart from its data folder.
//
// Bytes without their names are worth little: who loses the catalog has a store full of volumes that nobody can tell apart. A copy
// is brought up to date while the server runs, and holds each file as it was at one moment; docs/format/records.md says
// in which order. It holds none of the server's keys.
package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// look is how often a server looks for what has changed.
	look = time.Second
	// pause is the least time between two copies of a database, and share how many times as long as a copy took the next one
	// waits: a large one keeps a fiftieth of a processor busy at most.
	pause = 10 * time.Second
	share = 50
	// patience is how long a stop waits for the last copy: a folder may hang, and disks have to be closed.
	patience = 10 * time.Second
)

// Options say what is copied, and to where.
type Options struct {
	Dir       string   // the server's data folder
	Databases []string // SQLite's files in it, which are there
	Files     []string // small files in it that are replaced as a whole; those that are not there are not copied
	Server    string   // says whose records these are: a copy of another server's is left alone
	Copies    []string // folders; one that is not there is waited for
	Now       func() time.Time
	Log       *slog.Logger
}

// Copier keeps copies up to date until it is closed.
type Copier struct {
	opt       Options
	databases []*database
	folders   []*folder
	stop      context.CancelFunc
	ended     chan struct{}

	mu      sync.Mutex
	current []time.Time
}

// Open begins to copy. It fails where a folder has the records of another server, which it leaves as they are; what else is wrong
// with a folder is told of, and tried again.
func Open(ctx context.Context, opt Options) (*Copier, error) {
	c, err := open(ctx, opt)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go c.run(run)
	return c, nil
}

// open gives a copier that copies when it is told to.
func open(ctx context.Context, opt Options) (*Copier, error) {
	c := &Copier{opt: opt, ended: make(chan struct{}), current: make([]time.Time, len(opt.Copies))}
	for _, dir := range opt.Copies {
		f := newFolder(dir, opt.Server)
		if err := f.settle(); errors.Is(err, ErrForeign) {
			return nil, err
		}
		c.folders = append(c.folders, f)
	}
	for _, name := range opt.Databases {
		d, err := openDatabase(ctx, opt.Dir, name)
		if err != nil {
			return nil, errors.Join(err, c.closeDatabases())
		}
		c.databases = append(c.databases, d)
	}
	return c, nil
}

// Close makes the copies what the records are by now, and ends. A folder that hangs is waited for no longer than patience: its
// copy stays what it was, whole.
func (c *Copier) Close() error {
	c.stop()
	done := make(chan error, 1)
	go func() {
		<-c.ended
		var err error
		for _, f := range c.folders {
			if _, failed := f.update(context.Background(), c.source(true)); failed != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", f.dir, failed))
			}
		}
		if err != nil { // the records themselves are in the data folder, and whole
			c.opt.Log.Warn("the copies of the records are not up to date", "error", err)
		}
		done <- c.closeDatabases()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		c.opt.Log.Warn("a folder for copies of the records does not answer: its copy may not be up to date")
		return nil
	}
}

func (c *Copier) closeDatabases() error {
	var err error
	for _, d := range c.databases {
		err = errors.Join(err, d.close())
	}
	return err
}

// Current is when each copy was last seen to hold all that the records held, in the order of Options.Copies; zero for never.
func (c *Copier) Current() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Time(nil), c.current...)
}

func (c *Copier) run(ctx context.Context) {
	defer close(c.ended)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		c.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round looks at every copy once. What fails is told of once, and tried again each time.
func (c *Copier) round(ctx context.Context) {
	for i, f := range c.folders {
		began := c.opt.Now()
		whole, err := f.update(ctx, c.source(false))
		if ctx.Err() != nil {
			return
		}
		if whole {
			c.mu.Lock()
			c.current[i] = began
			c.mu.Unlock()
		}
		if text := fmt.Sprint(err); text != f.told {
			f.told = text
			if err != nil {
				c.opt.Log.Warn("the records are not copied", "to", f.dir, "error", err)
			} else {
				c.opt.Log.Info("the records are copied", "to", f.dir)
			}
		}
	}
}

// source is what a folder is brought up to date from.
type source struct {
	dir       string
	databases []*database
	files     []string
	now       func() time.Time
	hurry     bool // copies what was copied a moment ago too
}

func (c *Copier) source(hurry bool) source {
	return source{dir: c.opt.Dir, databases: c.databases, files: c.opt.Files, now: c.opt.Now, hurry: hurry}
}
