package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"tintype/internal/rig"
)

// served is the real program over a folder, and its command line.
type served struct {
	*rig.Server
	binary string
	args   []string
}

func serve(ctx context.Context, c config, name string, args ...string) (*served, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	s := &served{binary: c.binary, args: args}
	var err error
	s.Server, err = rig.Start(ctx, rig.Options{Binary: c.binary, Data: filepath.Join(c.dir, name), Args: args, Log: os.Stderr})
	return s, err
}

// again starts it after it has ended.
func (s *served) again(ctx context.Context) (err error) {
	s.Server, err = rig.Start(ctx, rig.Options{Binary: s.binary, Data: s.Data, Args: s.args, Log: os.Stderr})
	return err
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

// attached makes a group and a disk in it and gives the disk's URI.
func (s *served) attached(ctx context.Context, gib int) (string, error) {
	if _, err := s.cli(ctx, "group", "create", "-n", "bench", "-l", "westus2"); err != nil {
		return "", err
	}
	if _, err := s.cli(ctx, "disk", "create", "-g", "bench", "-n", "disk", "-l", "westus2", "--size-gb", strconv.Itoa(gib)); err != nil {
		return "", err
	}
	return s.cli(ctx, "disk", "attach", "-g", "bench", "-n", "disk", "--host", "bench")
}

// memory is what the process has in memory now and had at most, in bytes.
func (s *served) memory() (now, most int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "RssAnon":
			now = n << 10
		case "VmHWM":
			most = n << 10
		}
	}
	return now, most, nil
}
