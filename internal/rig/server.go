// Package rig starts the real program and runs real clients against it, as a person at a terminal would: the
// demonstration and the end-to-end tests stand on it. It reads only what `tintype serve` writes for its users.
package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the wait for a server's "ready" line; a start replays what a crash left, which is short.
const startTimeout = 60 * time.Second

// stopTimeout bounds the wait for a clean stop after SIGTERM.
const stopTimeout = 60 * time.Second

// Options say how to start a server.
type Options struct {
	Binary string    // the tintype program
	Data   string    // its data folder
	Args   []string  // more arguments of serve
	Log    io.Writer // where its standard error goes; nil: nowhere
}

// Server is a running `tintype serve`.
type Server struct {
	URL  string // https://HOST:PORT, as printed
	Data string

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// Build compiles the program into a folder and gives its path. It runs in the module's tree, as a test does.
func Build(dir string) (string, error) {
	name := filepath.Join(dir, "tintype")
	out, err := exec.Command("go", "build", "-o", name, "tintype/cmd/tintype").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
}

// Start runs `tintype serve` and returns when it prints that it is ready. The listener's port is chosen by the system
// unless Args say otherwise.
func Start(ctx context.Context, opt Options) (*Server, error) {
	args := append([]string{"serve", "--data", opt.Data}, opt.Args...)
	if !contains(opt.Args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	s := &Server{Data: opt.Data, cmd: exec.Command(opt.Binary, args...), exited: make(chan struct{})}
	// Its own process group: a Ctrl-C at the terminal is answered by us, in order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = opt.Log
	out, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.cmd.Stdout = pipe
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close(), pipe.Close())
	}
	if err := pipe.Close(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.waitReady(ctx, out); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func contains(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

// waitReady reads the server's standard output until the line "ready URL", and goes on draining it afterwards.
func (s *Server) waitReady(ctx context.Context, out *os.File) error {
	ready := make(chan string, 1)
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				ready <- url
			}
		}
	}()
	select {
	case s.URL = <-ready:
		return nil
	case <-s.exited:
		return fmt.Errorf("the server stopped before it was ready: %w", s.exitError())
	case <-time.After(startTimeout):
		return fmt.Errorf("the server was not ready after %v", startTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) exitError() error {
	if s.err == nil {
		return errors.New("exit status 0")
	}
	return s.err
}

// Kill ends the server at once with SIGKILL, and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.exited
}

// Stop asks the server to stop with SIGTERM, and returns an error unless it exits with 0 in time.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already, which Wait reports
	select {
	case <-s.exited:
		return s.err
	case <-time.After(stopTimeout):
		s.Kill()
		return fmt.Errorf("the server did not stop within %v", stopTimeout)
	}
}

// Exited is closed once the server has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Client is the folder that the server writes for its users.
func (s *Server) Client() string { return filepath.Join(s.Data, "client") }

// Principal is DIR/client/principal.json.
type Principal struct {
	AppID           string `json:"appId"`
	Password        string `json:"password"`
	Tenant          string `json:"tenant"`
	SubscriptionID  string `json:"subscriptionId"`
	ResourceManager string `json:"resourceManager"`
}

// Principal reads the service principal of the first start.
func (s *Server) Principal() (p Principal, err error) {
	text, err := os.ReadFile(filepath.Join(s.Client(), "principal.json"))
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}
