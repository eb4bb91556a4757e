package e2e

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
)

func TestSecondServerIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := rig.Run(ctx, program(t), "serve", "--data", s.Data, "--listen", "127.0.0.1:0")
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a second server on the same folder: %v\n%s", err, out)
	}
	if strings.Contains(out, "ready") {
		t.Errorf("it said it was ready: %s", out)
	}
	newAPI(t, s).makeGroup("still-here")
}

// TestSecretsArePrivate requires that nobody but the owner can read a key, a token or a disk.
func TestSecretsArePrivate(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"))
	for _, name := range []string{"client/ca.pem", "client/env.sh", "client/principal.json"} {
		if _, err := os.Stat(filepath.Join(s.Data, name)); err != nil {
			t.Error(err)
		}
	}
	err := filepath.WalkDir(s.Data, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !protected(t, s.Data, name) {
			t.Errorf("%s has mode %v and no private folder around it", name, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// protected tells that a folder between data and name, data included, is closed to others.
func protected(t *testing.T, data, name string) bool {
	t.Helper()
	for dir := filepath.Dir(name); strings.HasPrefix(dir, data); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 == 0 {
			return true
		}
	}
	return false
}

// TestRestartKeepsTheTenant stops a server with SIGTERM and finds the same principal, group and disk afterwards.
func TestRestartKeepsTheTenant(t *testing.T) {
	data := t.TempDir()
	first := launch(t, data)
	a := newAPI(t, first)
	a.makeGroup("kept")
	a.must("PUT", versioned(a.id("kept", "disks", "d")), emptyDisk(1))
	before := a.principal
	if err := first.Stop(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	check(t, data)
	again := newAPI(t, start(t, data))
	if again.principal.AppID != before.AppID || again.principal.Password != before.Password || again.principal.SubscriptionID != before.SubscriptionID {
		t.Error("the principal changed")
	}
	if r := again.send("GET", versioned(again.id("kept", "disks", "d")), nil); r.status != 200 {
		t.Errorf("the disk: %d %s", r.status, r.body)
	}
}
