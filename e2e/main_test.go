// Package e2e drives the real program with the real clients: az, curl, the Go SDK, qemu-img, libnbd's tools and our own
// NBD client. Nothing of the server's is imported: what works here works for a user. Every answer of the API is held
// to Azure's description of it.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tintype/internal/openapi"
	"tintype/internal/rig"
)

// azure is where Azure's description of its API may be.
var azure = openapi.At("../../shared/openapi/specification")

// programDir is the folder in which the program is built.
func programDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tintype-e2e-%d", os.Getpid()))
}

// build compiles the program once for all tests.
var build = sync.OnceValues(func() (string, error) { return rig.Build(programDir()) })

func TestMain(m *testing.M) {
	m.Run()
	_ = os.RemoveAll(programDir()) // a temporary folder; its loss is the system's to report
}

func program(t *testing.T) string {
	t.Helper()
	name, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// need skips the test when a client is not installed, and fails it on CI, where all are.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("TINTYPE_CI") != "" {
			t.Fatalf("%s is not installed", tool)
		}
		t.Skipf("%s is not installed", tool)
	}
}

// logFile keeps a server's log and shows it when the test fails.
func logFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "server-*.log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, err := os.ReadFile(f.Name())
			t.Logf("the server's log (%v):\n%s", err, tail(string(text), 80))
		}
		f.Close()
	})
	return f
}

func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// start runs a server in a folder; the test's end stops it with SIGTERM and requires exit 0.
func start(t *testing.T, data string, args ...string) *rig.Server {
	t.Helper()
	s := launch(t, data, args...)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("the server did not stop cleanly: %v", err)
		}
	})
	return s
}

// launch runs a server that the test ends itself; one that a failed test leaves behind is killed.
func launch(t *testing.T, data string, args ...string) *rig.Server {
	t.Helper()
	answers := filepath.Join(t.TempDir(), "answers")
	args = append([]string{"--record", answers}, args...)
	s, err := rig.Start(t.Context(), rig.Options{Binary: program(t), Data: data, Args: args, Log: logFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		azure.HoldFile(t, answers)
	})
	return s
}

// terminal is a shell at a server, with helpers that fail the test.
type terminal struct {
	*rig.Shell
	t   *testing.T
	bin string
}

func open(t *testing.T, s *rig.Server) *terminal {
	t.Helper()
	sh, err := s.NewShell()
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{Shell: sh, t: t, bin: program(t)}
}

// openAz is a terminal where az is logged in.
func openAz(t *testing.T, s *rig.Server) *terminal {
	t.Helper()
	term := open(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.LoginAz(ctx, term.Shell); err != nil {
		t.Fatal(err)
	}
	return term
}

// try runs a command line, words separated by blanks.
func (term *terminal) try(line string) (string, error) {
	words := strings.Fields(line)
	if words[0] == "tintype" {
		words[0] = term.bin
	}
	ctx, cancel := context.WithTimeout(term.t.Context(), 5*time.Minute)
	defer cancel()
	return term.Run(ctx, words[0], words[1:]...)
}

// must runs a command line that has to work.
func (term *terminal) must(line string) string {
	term.t.Helper()
	out, err := term.try(line)
	if err != nil {
		term.t.Fatalf("%s\n%v", line, err)
	}
	return out
}

// mustFail runs a command line that has to fail and say all of the words.
func (term *terminal) mustFail(line string, words ...string) {
	term.t.Helper()
	out, err := term.try(line)
	if err == nil {
		term.t.Fatalf("%s\nworked: %s", line, out)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			term.t.Errorf("%s\nfailed without saying %q: %v", line, word, err)
		}
	}
}

// check runs `tintype check` on a folder that no server holds.
func check(t *testing.T, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if out, err := rig.Run(ctx, program(t), "check", "--data", data); err != nil {
		t.Fatalf("tintype check: %v\n%s", err, out)
	}
}
