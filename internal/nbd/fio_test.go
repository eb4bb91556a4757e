package nbd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

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
	mem := blocktest.NewMem(512 << 20)
	for off := int64(0); off < mem.Size(); off += 1 << 20 {
		if _, err := mem.WriteAt(bytes.Repeat([]byte{1}, 1<<20), off); err != nil {
			b.Fatal(err)
		}
	}
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
				before := cpuTime(b)
				iops, rate := fio(b, socket, job.rw, job.bs, job.depth)
				b.ReportMetric(iops/1e3, "kIOPS")
				b.ReportMetric((cpuTime(b)-before).Seconds()/(iops*fioSeconds)*1e6, "server-µs/io")
				if job.perByte {
					b.ReportMetric(rate/1e6, "MB/s")
				}
			}
		})
	}
}

const fioSeconds = 3

// cpuTime is what this process, the server, has used: it says more than a rate when the machine is shared.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func fio(b *testing.B, socket, rw, bs string, depth int) (iops, rate float64) {
	b.Helper()
	out, err := exec.Command("fio", "--name=x", "--ioengine=nbd", "--uri=nbd+unix:///disk?socket="+socket,
		"--rw="+rw, "--bs="+bs, fmt.Sprintf("--iodepth=%d", depth), "--size=512m",
		"--time_based", fmt.Sprintf("--runtime=%d", fioSeconds), "--output-format=json").Output()
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
