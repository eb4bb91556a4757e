package rig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Shell is a terminal in which env.sh has been sourced: an environment in which commands run.
type Shell struct {
	env []string
}

// NewShell gives a shell for the server's users.
func (s *Server) NewShell() (*Shell, error) {
	text, err := os.ReadFile(filepath.Join(s.Client(), "env.sh"))
	if err != nil {
		return nil, err
	}
	vars, err := source(string(text))
	if err != nil {
		return nil, fmt.Errorf("env.sh: %w", err)
	}
	return &Shell{env: append(os.Environ(), vars...)}, nil
}

// Set adds a variable to the environment.
func (sh *Shell) Set(name, value string) { sh.env = append(sh.env, name+"="+value) }

// Run runs a program and returns its standard output without the last newline. A failure carries what it wrote to
// standard error. When ctx is done the program gets SIGTERM, and a moment later SIGKILL.
func (sh *Shell) Run(ctx context.Context, name string, args ...string) (string, error) {
	return run(ctx, sh.env, name, args...)
}

// Run runs a program in our own environment; see [Shell.Run].
func Run(ctx context.Context, name string, args ...string) (string, error) {
	return run(ctx, os.Environ(), name, args...)
}

func run(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return stdout.String(), &CommandError{Command: filepath.Base(name), Err: err, Stderr: strings.TrimSpace(stderr.String())}
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// CommandError is a program that failed. It does not repeat the arguments, which may carry secrets.
type CommandError struct {
	Command string
	Err     error
	Stderr  string
}

// Error gives the program's name, how it ended, and what it wrote to standard error.
func (e *CommandError) Error() string {
	return e.Command + ": " + e.Err.Error() + "\n" + e.Stderr
}

// Unwrap gives the *exec.ExitError or the context's error.
func (e *CommandError) Unwrap() error { return e.Err }

// LoginAz registers the server as a cloud with the real az, as az-login.sh does, and logs in as its service principal.
func (s *Server) LoginAz(ctx context.Context, sh *Shell) error {
	p, err := s.Principal()
	if err != nil {
		return err
	}
	return s.LoginAzAs(ctx, sh, p.AppID, p.Password)
}

// LoginAzAs does the same as another service principal.
func (s *Server) LoginAzAs(ctx context.Context, sh *Shell, appID, password string) error {
	p, err := s.Principal()
	if err != nil {
		return err
	}
	if err := s.RegisterAz(ctx, sh); err != nil {
		return err
	}
	_, err = sh.Run(ctx, "az", "login", "--service-principal", "-u", appID, "-p", password, "--tenant", p.Tenant)
	return err
}

// RegisterAz registers the server as a cloud with the real az, and makes it the current one.
func (s *Server) RegisterAz(ctx context.Context, sh *Shell) error {
	_, host, _ := strings.Cut(s.URL, "://")
	config := fmt.Sprintf(`{"endpoints":{"resourceManager":%q,"microsoftGraphResourceId":%q},"suffixes":{"keyvaultDns":%q}}`,
		s.URL, s.URL+"/graph/", ".vault."+host)
	for _, args := range [][]string{
		{"cloud", "register", "-n", "Tintype", "--cloud-config", config},
		{"cloud", "set", "-n", "Tintype"},
	} {
		if _, err := sh.Run(ctx, "az", args...); err != nil {
			return err
		}
	}
	return nil
}

// source does what a shell's "." does with an env.sh of comments and lines export NAME='VALUE'. Anything cleverer is
// refused, so that commands run with what a user's would.
func source(text string) ([]string, error) {
	var vars []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		assignment, exported := strings.CutPrefix(line, "export ")
		name, word, assigned := strings.Cut(assignment, "=")
		if !exported || !assigned {
			return nil, fmt.Errorf("not an export: %q", line)
		}
		value, err := unquote(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		vars = append(vars, name+"="+value)
	}
	return vars, nil
}

// unquote gives the value of one word of single-quoted pieces, between which \' stands for a quote.
func unquote(word string) (string, error) {
	var value strings.Builder
	for word != "" {
		if rest, ok := strings.CutPrefix(word, `\'`); ok {
			value.WriteByte('\'')
			word = rest
			continue
		}
		rest, quoted := strings.CutPrefix(word, "'")
		piece, after, closed := strings.Cut(rest, "'")
		if !quoted || !closed {
			return "", fmt.Errorf("not in single quotes: %s", word)
		}
		value.WriteString(piece)
		word = after
	}
	return value.String(), nil
}
