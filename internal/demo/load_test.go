package demo

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
	"tintype/internal/witness"
)

// serve exports a device in memory and gives its URI.
func serve(t *testing.T, dev *blocktest.Mem) (uri string, server *nbd.Server) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "nbd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server = nbd.NewServer(nbd.Options{})
	if err := server.Add(nbd.Export{Name: "d", Device: dev}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served // the listener was closed
	})
	return "nbd+unix:///d?socket=" + socket, server
}

func TestLoadOverNBD(t *testing.T) {
	dev := blocktest.NewMem(64 << 20)
	uri, _ := serve(t, dev)
	l, log, err := startLoad(t.Context(), uri, witness.Linear(1<<20, 8<<20), witness.Load{FlushEvery: 16})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if writes, flushes := log.Count(); writes > 100 && flushes > 0 {
			break
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	cut, err := log.CheckCut(dev, log.Now(), witness.Forever)
	writes, flushes := log.Count()
	if err != nil || cut.Included != writes || writes == 0 || flushes == 0 {
		t.Fatalf("%+v, %d writes, %d flushes: %v", cut, writes, flushes, err)
	}
	t.Logf("%d writes, the slowest %v", writes, log.Slowest())
}

func TestLoadNoticesTheEndOfTheExport(t *testing.T) {
	dev := blocktest.NewMem(64 << 20)
	uri, server := serve(t, dev)
	l, _, err := startLoad(t.Context(), uri, witness.Linear(0, 1<<20), witness.Load{FlushEvery: 16})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Remove("d"); err != nil {
		t.Fatal(err)
	}
	if err := <-l.done; err == nil || !strings.Contains(err.Error(), "stream ") {
		t.Fatalf("the writer: %v", err)
	}
}
