package transfer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"tintype/internal/vhd"
)

// qemuNames are the formats that qemu-img is asked for, by its names.
func qemuName(f vhd.Format) string {
	switch f {
	case vhd.Raw, vhd.QCOW2, vhd.VMDK, vhd.VHDX:
		return string(f)
	}
	return ""
}

// haveQEMU says what is missing.
func haveQEMU() error {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		return errors.New("this format needs qemu-img: install the package qemu-utils")
	}
	return nil
}

// convert runs qemu-img. Both paths are absolute: a relative one with a colon would name a protocol. The formats are
// given, never guessed.
func convert(ctx context.Context, from string, fromFormat vhd.Format, to string, toFormat vhd.Format) error {
	if !filepath.IsAbs(from) || !filepath.IsAbs(to) || qemuName(fromFormat) == "" || qemuName(toFormat) == "" {
		return fmt.Errorf("cannot convert %s (%s) to %s (%s)", from, fromFormat, to, toFormat)
	}
	cmd := exec.CommandContext(ctx, "qemu-img", "convert", "-f", qemuName(fromFormat), "-O", qemuName(toFormat), "--", from, to)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("qemu-img convert: %w: %s", err, lastLine(out))
	}
	return nil
}

// lastLine is where qemu-img says what went wrong.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	return last[:min(len(last), 500)]
}
