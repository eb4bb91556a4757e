package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/nbd"
	"tintype/internal/vfs"
)

// stand is the engine with its NBD door in this process, as the server has them, so that single calls can be timed while
// fio plays against it.
type stand struct {
	dir    string
	socket string
	store  *lsd.Store
	door   *nbd.Server
	ended  chan error
	open   []block.Device
}

func newStand(dir string, opt lsd.Options) (*stand, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	opt.Keys, opt.Now = &lsd.KeyRing{Current: lsd.Key{1}}, time.Now
	store, err := lsd.Open(vfs.OS(), filepath.Join(dir, "engine"), opt)
	if err != nil {
		return nil, err
	}
	s := &stand{dir: dir, socket: filepath.Join(dir, "nbd.sock"), store: store, door: nbd.NewServer(nbd.Options{}), ended: make(chan error, 1)}
	if err = os.RemoveAll(s.socket); err != nil { // of one that was killed
		return nil, errors.Join(err, store.Close())
	}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	go func() { s.ended <- s.door.Serve(l) }()
	return s, nil
}

func (s *stand) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.door.Shutdown(ctx)
	<-s.ended
	for _, d := range s.open {
		err = errors.Join(err, d.Close())
	}
	return errors.Join(err, s.store.Close())
}

// disk makes a disk and opens it.
func (s *stand) disk(size int64) (block.ID, block.Device, error) {
	id := uuid.New()
	if err := s.store.Create(id, size); err != nil {
		return id, nil, err
	}
	dev, err := s.device(id)
	return id, dev, err
}

func (s *stand) device(id block.ID) (block.Device, error) {
	dev, err := s.store.OpenVolume(id)
	if err == nil {
		s.open = append(s.open, dev)
	}
	return dev, err
}

// export serves a device over NBD and gives its URI.
func (s *stand) export(name string, dev block.Device) (string, error) {
	err := s.door.Add(nbd.Export{Name: name, Device: dev})
	return fmt.Sprintf("nbd+unix:///%s?socket=%s", name, s.socket), err
}

// pageBytes is what one page of the engine's map covers: a block in each is the widest map that a number of blocks can have.
const pageBytes = 256 << 10

// scatter writes the given number of blocks, wherever it falls, into every page of the first part of a disk.
func scatter(dev block.Device, size int64, each int) error {
	return write(dev, size/pageBytes*int64(each), func(i int64, rnd *rand.Rand) int64 {
		return i/int64(each)*pageBytes + rnd.Int64N(pageBytes/block.BlockSize)*block.BlockSize
	})
}

// randomly writes blocks anywhere on a disk.
func randomly(dev block.Device, blocks int64) error {
	all := dev.Size() / block.BlockSize
	return write(dev, blocks, func(_ int64, rnd *rand.Rand) int64 { return rnd.Int64N(all) * block.BlockSize })
}

// write writes so many blocks, each where it is told, four at a time, and flushes.
func write(dev block.Device, blocks int64, where func(int64, *rand.Rand) int64) error {
	const workers = 4
	var next atomic.Int64
	var wait sync.WaitGroup
	failed := make([]error, workers)
	for w := range workers {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			p := make([]byte, block.BlockSize)
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			for failed[w] == nil {
				i := next.Add(1) - 1
				if i >= blocks {
					return
				}
				_, failed[w] = dev.WriteAt(p, where(i, rnd))
			}
		})
	}
	wait.Wait()
	return errors.Join(errors.Join(failed...), dev.Flush())
}

// load is fio playing one job until it is told to end.
type load struct {
	cancel context.CancelFunc
	done   chan struct{}
	m      measurement
	err    error
}

// begin starts fio; its length is a bound for when nobody ends it.
func begin(ctx context.Context, uri string, seconds int, args ...string) *load {
	l := &load{done: make(chan struct{})}
	ctx, l.cancel = context.WithCancel(ctx)
	go func() {
		defer close(l.done)
		l.m, l.err = fio(ctx, uri, append(args, "--time_based", fmt.Sprintf("--runtime=%d", seconds))...)
	}()
	return l
}

// wait lets it play to its end.
func (l *load) wait() (measurement, error) {
	<-l.done
	l.cancel()
	return l.m, l.err
}

// stop ends it early; what it measured is lost.
func (l *load) stop() {
	l.cancel()
	<-l.done
}

// ending tells of an end that nobody asked for.
func (l *load) ending() error {
	select {
	case <-l.done:
		return fmt.Errorf("fio ended too early: %w", l.err)
	default:
		return nil
	}
}
