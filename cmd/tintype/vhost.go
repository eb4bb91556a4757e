package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vhost"
)

// vhostDoor serves attached volumes to virtual machines that share their memory, each at a socket in a folder. The zero value
// is no door.
type vhostDoor struct {
	server *vhost.Server
	dir    string
}

func (d vhostDoor) add(name string, dev block.Device, readOnly bool) error {
	if d.server == nil {
		return nil
	}
	return d.server.Add(vhost.Export{Name: name, Device: dev, ReadOnly: readOnly})
}

func (d vhostDoor) remove(name string) error {
	if d.server == nil {
		return nil
	}
	if err := d.server.Remove(name); !errors.Is(err, vhost.ErrExportUnknown) {
		return err
	}
	return nil
}

func (d vhostDoor) socket(name string) string {
	if d.server == nil {
		return ""
	}
	return d.path(name)
}

// path is named after the export, or where the name is too long, after its hash: the same after a restart.
func (d vhostDoor) path(name string) string {
	path := filepath.Join(d.dir, name+".sock")
	if len(path) > maxSocketPath {
		sum := sha256.Sum256([]byte(name))
		path = filepath.Join(d.dir, hex.EncodeToString(sum[:16])+".sock")
	}
	return path
}

// vhostDir makes the folder of sockets, or finds it. Nobody else may reach what is in it.
func vhostDir(path string) (string, error) {
	dir, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if n := len(filepath.Join(dir, uuid.Nil.String()+".sock")); n > maxSocketPath {
		return "", fmt.Errorf("%s is %d bytes too long for sockets in it", dir, n-maxSocketPath)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
		return "", fmt.Errorf("%s has to be the server's own, with mode 0700: whoever reaches a socket has the disk", dir)
	}
	return dir, nil
}

func (s *server) openVhost(context.Context) error {
	if s.opt.vhostUser == "" {
		return nil
	}
	dir, err := vhostDir(s.opt.vhostUser)
	if err != nil {
		return err
	}
	door := vhostDoor{dir: dir}
	door.server = vhost.NewServer(vhost.Options{
		Listen: func(name string) (net.Listener, error) { return listenSocket(door.path(name)) },
		Log:    s.log, Watch: s.metrics.watchVhost(),
	})
	s.vhost = door
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := door.server.Shutdown(ctx); err != nil {
			s.log.Warn("virtual machines were left with requests under way", "error", err)
		}
		return nil
	})
	return nil
}

// watchVhost is for the server of virtual machines.
func (m *metrics) watchVhost() *vhost.Watch {
	return &vhost.Watch{Now: time.Now, Took: func(command string, d time.Duration) {
		m.vhost.WithLabelValues(command).Observe(d.Seconds())
	}}
}
