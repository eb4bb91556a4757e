package nbd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

// coldDevice hides what lets the server read without a worker.
type coldDevice struct{ block.Device }

// BenchmarkFio drives the server over a unix socket by fio's nbd engine, with a device that costs nothing.
func BenchmarkFio(b *testing.B) {
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("fio is not installed")
	}
	mem := blocktest.NewMem(1 << 30)
	for _, job := range []struct {
		name    string
		rw, bs  string
		depth   int
		device  block.Device
		perByte bool
	}{
		{"write/4k/QD32", "randwrite", "4k", 32, mem, false},
		{"read/4k/QD32", "randread", "4k", 32, mem, false},
		{"coldread/4k/QD32", "randread", "4k", 32, coldDevice{mem}, false},
		{"write/4k/QD1", "randwrite", "4k", 1, mem, false},
		{"read/4k/QD1", "randread", "4k", 1, mem, false},
		{"coldread/4k/QD1", "randread", "4k", 1, coldDevice{mem}, false},
		{"write/1M/QD8", "write", "1m", 8, mem, true},
		{"read/1M/QD8", "read", "1m", 8, mem, true},
	} {
		b.Run(job.name, func(b *testing.B) {
			socket := serve(b, job.device)
			for b.Loop() {
				iops, rate := fio(b, socket, job.rw, job.bs, job.depth)
				b.ReportMetric(iops/1e3, "kIOPS")
				if job.perByte {
					b.ReportMetric(rate/1e6, "MB/s")
				}
			}
		})
	}
}

func fio(b *testing.B, socket, rw, bs string, depth int) (iops, rate float64) {
	b.Helper()
	out, err := exec.Command("fio", "--name=x", "--ioengine=nbd", "--uri=nbd+unix:///disk?socket="+socket,
		"--rw="+rw, "--bs="+bs, fmt.Sprintf("--iodepth=%d", depth), "--size=512m",
		"--time_based", "--runtime=3", "--output-format=json").Output()
	if err != nil {
		b.Fatal(err)
	}
	var report struct {
		Jobs []map[string]json.RawMessage
	}
	out = out[max(bytes.IndexByte(out, '{'), 0):] // fio's own remarks come first
	if err := json.Unmarshal(out, &report); err != nil {
		b.Fatal(err)
	}
	for _, side := range []string{"read", "write"} {
		var sum struct {
			IOPS    float64 `json:"iops"`
			BWBytes float64 `json:"bw_bytes"`
		}
		if err := json.Unmarshal(report.Jobs[0][side], &sum); err != nil {
			b.Fatal(err)
		}
		iops += sum.IOPS
		rate += sum.BWBytes
	}
	return iops, rate
}
