package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// trial is a row of the table, or a few that stand on the same data, that fio does not play alone.
type trial struct {
	name string
	run  func(context.Context, config, *results) error
}

func trials() []trial {
	var all []trial
	for _, size := range sizes {
		all = append(all, snapshotTrial(size))
	}
	return append(
		all,
		trial{"snapshot peers", reflinkTrial},
		trial{"checkpoint and compaction", busyTrial},
		trial{"memory", memoryTrial},
		trial{"restart after kill -9", restartTrial},
		trial{"import and export", imagesTrial},
		trial{"ARM", armTrial},
		trial{"growth", growthTrial},
	)
}

func trialsMatching(want *regexp.Regexp) []trial {
	var some []trial
	for _, t := range trials() {
		if want.MatchString(t.name) {
			some = append(some, t)
		}
	}
	return some
}

// playTrials plays one after another, each in a folder of its own. What fails is said in the table; the others are played.
func playTrials(ctx context.Context, c config, r *results) error {
	home := c.dir
	for i, t := range trialsMatching(c.rows) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := time.Now()
		c.dir = filepath.Join(home, fmt.Sprintf("trial-%d", i))
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return err
		}
		if err := t.run(ctx, c, r); err != nil {
			r.skip(t.name, "failed", err.Error())
		}
		if err := os.RemoveAll(c.dir); err != nil {
			return err
		}
		settle()
		say("%s took %v", t.name, time.Since(began).Round(time.Second))
	}
	return nil
}

// say tells whoever waits how far it is.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// settle has the system write what one trial left, which is not the next one's. On a machine that does more than this there may be no
// end to that.
func settle() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		syscall.Sync()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
	}
}
