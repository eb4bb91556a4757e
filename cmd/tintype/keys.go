package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"tintype/internal/keys"
	"tintype/internal/lsd"
	"tintype/internal/smallfile"
	"tintype/internal/vfs"
)

// keyOptions say where the key comes from that wraps the disks' keys: DIR/keys/platform.key where nothing is said.
type keyOptions struct {
	file    string
	command string
	old     []string
}

func (o *keyOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.file, "key-file", "", "file of the key that protects the disks' keys, instead of DIR/keys/platform.key")
	f.StringVar(&o.command, "key-command", "", "program, with arguments, that prints that key; no shell, no quotes")
	f.StringArrayVar(&o.old, "old-key-file", nil, "file of a key that protected them before; the disks' keys are brought under the new one")
}

// platform tells that the key is the server's own, which it may change.
func (o keyOptions) platform() bool { return o.file == "" && o.command == "" }

// source names where the current key comes from.
func (o keyOptions) source(dir string) string {
	switch {
	case o.file != "":
		return o.file
	case o.command != "":
		return "--key-command " + o.command
	default:
		return platformKey(dir)
	}
}

func platformKey(dir string) string { return filepath.Join(dir, "keys", "platform.key") }

// nextPlatformKey is there while the platform key is being changed.
func nextPlatformKey(dir string) string { return filepath.Join(dir, "keys", "platform-new.key") }

// ring gathers the keys that there are for the data folder. With first set, a folder that needs no key yet gets its own.
func (o keyOptions) ring(ctx context.Context, stderr io.Writer, dir string, first bool) (*lsd.KeyRing, error) {
	if o.file != "" && o.command != "" {
		return nil, errors.New("--key-file and --key-command: one of them")
	}
	own, err := o.platformKeys(dir, first)
	if err != nil {
		return nil, err
	}
	var ring lsd.KeyRing
	switch {
	case o.file != "":
		var k [keys.Size]byte
		k, err = keys.ReadFile(o.file)
		ring.Current = k
	case o.command != "":
		var k [keys.Size]byte
		k, err = keys.Command(ctx, stderr, strings.Fields(o.command)...)
		ring.Current = k
	default:
		ring.Current, own = own[0], own[1:]
	}
	if err != nil {
		return nil, err
	}
	ring.Others = own
	for _, name := range o.old {
		k, err := keys.ReadFile(name)
		if err != nil {
			return nil, err
		}
		ring.Others = append(ring.Others, k)
	}
	return &ring, nil
}

// platformKeys are those in DIR/keys, the newest first. Where the key has to come from there it is made, for a folder that
// needs none yet, or missed.
func (o keyOptions) platformKeys(dir string, first bool) ([]lsd.Key, error) {
	var own []lsd.Key
	for _, name := range []string{nextPlatformKey(dir), platformKey(dir)} {
		k, err := keys.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		own = append(own, k)
	}
	if len(own) > 0 || !o.platform() {
		return own, nil
	}
	needed, err := lsd.NeededKeys(vfs.OS(), filepath.Join(dir, "engine"))
	if err != nil {
		return nil, err
	}
	if len(needed) > 0 {
		return nil, fmt.Errorf("%s is missing, and the disks are encrypted: key %s is needed: put the file back from a copy of it, "+
			"or say --key-file or --key-command if the key is kept elsewhere", platformKey(dir), strings.Join(needed, " or "))
	}
	if !first {
		return []lsd.Key{{}}, nil // nothing needs it
	}
	if err := os.MkdirAll(filepath.Dir(platformKey(dir)), 0o700); err != nil {
		return nil, err
	}
	k, err := keys.Make(platformKey(dir))
	return []lsd.Key{k}, err
}

// explain adds to the error of a store that lacks a key where the keys were looked for.
func (o keyOptions) explain(err error, dir string) error {
	var missing *lsd.KeyError
	if !errors.As(err, &missing) {
		return err
	}
	looked := slices.Concat([]string{o.source(dir)}, o.old)
	if !o.platform() {
		looked = append(looked, platformKey(dir))
	}
	return fmt.Errorf("%w (looked in %s); nothing was changed: name the right key with --key-file or --key-command, or as --old-key-file beside a new one",
		err, strings.Join(looked, ", "))
}

// rotation replaces the platform key, one change at a time; nil where the key is not the server's own.
func (s *server) rotation() func(context.Context) (was, is string, err error) {
	if !s.opt.keys.platform() {
		return nil
	}
	var one sync.Mutex
	return func(context.Context) (was, is string, err error) {
		one.Lock()
		defer one.Unlock()
		old, err := keys.ReadFile(platformKey(s.opt.data))
		if err != nil {
			return "", "", err
		}
		next, err := nextKey(nextPlatformKey(s.opt.data))
		if err != nil {
			return "", "", err
		}
		was, is = lsd.Key(old).ID(), next.ID()
		if err := s.engine.Rewrap(lsd.KeyRing{Current: next}); err != nil {
			return "", "", fmt.Errorf("protect the disks' keys by %s: %w", next, err)
		}
		if err := s.vaults.Rewrap(next); err != nil {
			return "", "", fmt.Errorf("protect the vaults by %s: %w", next, err)
		}
		if err := settlePlatformKey(s.opt.data); err != nil {
			return "", "", err
		}
		s.log.Info("the platform key was replaced", "key", is, "previous", was)
		return was, is, nil
	}
}

// nextKey makes the key that comes next. One that a change which failed has left may be in use, and is taken again.
func nextKey(name string) (lsd.Key, error) {
	k, err := keys.Make(name)
	if errors.Is(err, fs.ErrExist) {
		k, err = keys.ReadFile(name)
	}
	return k, err
}

// settlePlatformKey ends a change of the platform key: the disks' keys are under the newest, which takes the other's place.
func settlePlatformKey(dir string) error {
	err := smallfile.Move(platformKey(dir), nextPlatformKey(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
