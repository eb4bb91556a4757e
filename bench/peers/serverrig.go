package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tintype/internal/rig"
)

// served is the real program over a folder, and its command line.
type served struct {
	*rig.Server
	binary string
}

func serve(ctx context.Context, c config, name string, args ...string) (*served, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	s := &served{binary: c.binary}
	var err error
	s.Server, err = rig.Start(ctx, rig.Options{Binary: c.binary, Data: filepath.Join(c.dir, name), Args: args, Log: os.Stderr})
	return s, err
}

// cli runs a command of tintype's and gives what it prints.
func (s *served) cli(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(os.Environ(), "TINTYPE_CLIENT="+s.Client())
	out, err := cmd.Output()
	if err != nil {
		text := out
		if failed, ok := err.(*exec.ExitError); ok {
			text = failed.Stderr
		}
		return "", fmt.Errorf("tintype %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(string(out)), nil
}
