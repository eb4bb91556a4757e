package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measurement is what fio says of one job.
type measurement struct {
	IOPS           float64 `json:"iops"`
	BytesPerSecond float64 `json:"bytesPerSecond"`
	P999           float64 `json:"p999Seconds"`
	Worst          float64 `json:"worstSeconds"`
}

// fioSide is a job's reads or writes, in fio's JSON.
type fioSide struct {
	IOPS    float64 `json:"iops"`
	Rate    float64 `json:"bw_bytes"`
	Latency struct {
		Max        float64            `json:"max"`
		Percentile map[string]float64 `json:"percentile"`
	} `json:"clat_ns"`
}

// fio runs one job against an export.
func fio(ctx context.Context, uri string, args ...string) (measurement, error) {
	all := append([]string{
		"--name=job", "--ioengine=nbd", "--uri=" + uri, "--output-format=json", "--randrepeat=0", "--norandommap=1",
		"--percentile_list=50:99:99.9", "--refill_buffers",
	}, args...)
	cmd := exec.CommandContext(ctx, "fio", all...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its jobs are processes too, which it takes with it
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return measurement{}, fmt.Errorf("fio: %w: %s", err, failed.Stderr)
	}
	if err != nil {
		return measurement{}, err
	}
	out = out[max(bytes.IndexByte(out, '{'), 0):] // fio's own remarks come first
	var doc struct {
		Jobs []struct{ Read, Write fioSide } `json:"jobs"`
	}
	if err := json.Unmarshal(out, &doc); err != nil || len(doc.Jobs) != 1 {
		return measurement{}, fmt.Errorf("fio's report: %w", err)
	}
	side := doc.Jobs[0].Read
	if doc.Jobs[0].Write.IOPS > 0 {
		side = doc.Jobs[0].Write
	}
	return measurement{
		IOPS: side.IOPS, BytesPerSecond: side.Rate,
		P999: side.Latency.Percentile["99.900000"] / 1e9, Worst: side.Latency.Max / 1e9,
	}, nil
}
