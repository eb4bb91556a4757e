package rig

import (
	"bytes"
	"context"
	"errors"
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
	vars, err := source(string(text), os.Getenv)
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

// LoginAz registers the server as a cloud with the real az and logs in as its service principal.
func (s *Server) LoginAz(ctx context.Context, sh *Shell) error {
	p, err := s.Principal()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"cloud", "register", "-n", "Tintype", "--endpoint-resource-manager", s.URL},
		{"cloud", "set", "-n", "Tintype"},
		{"login", "--service-principal", "-u", p.AppID, "-p", p.Password, "--tenant", p.Tenant},
	} {
		if _, err := sh.Run(ctx, "az", args...); err != nil {
			return err
		}
	}
	return nil
}

// source does what a shell's "." does with the exports of an env.sh, and passes over comments and functions. It knows
// plain and quoted words, and in double quotes $NAME and ${NAME:+words}; anything cleverer is refused.
func source(text string, getenv func(string) string) ([]string, error) {
	var vars []string
	set := map[string]string{}
	get := func(name string) string {
		if v, ok := set[name]; ok {
			return v
		}
		return getenv(name)
	}
	inFunction := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case inFunction:
			inFunction = line != "}"
			continue
		case strings.HasSuffix(line, "() {"):
			inFunction = true
			continue
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		}
		assignment, exported := strings.CutPrefix(line, "export ")
		name, word, assigned := strings.Cut(assignment, "=")
		if !exported || !assigned {
			return nil, fmt.Errorf("not an export: %q", line)
		}
		value, err := expand(word, get)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		set[name] = value
		vars = append(vars, name+"="+value)
	}
	return vars, nil
}

// expand gives the value of one word: pieces that are bare, escaped, or in single or double quotes.
func expand(word string, get func(string) string) (string, error) {
	var value strings.Builder
	for word != "" {
		switch c := word[0]; c {
		case '\'', '"':
			end := strings.IndexByte(word[1:], c)
			if end < 0 {
				return "", errors.New("a quote is not closed")
			}
			piece := word[1 : 1+end]
			if c == '"' {
				if strings.ContainsAny(piece, "`\\") || strings.Contains(piece, "$(") {
					return "", fmt.Errorf("too clever: %s", piece)
				}
				piece = os.Expand(piece, func(name string) string { return variable(name, get) })
			}
			value.WriteString(piece)
			word = word[end+2:]
		case '\\':
			if len(word) < 2 {
				return "", errors.New("nothing after a backslash")
			}
			value.WriteByte(word[1])
			word = word[2:]
		default:
			if strings.ContainsRune("$`;&|<>() \t", rune(c)) {
				return "", fmt.Errorf("too clever: %s", word)
			}
			value.WriteByte(c)
			word = word[1:]
		}
	}
	return value.String(), nil
}

// variable gives what stands in ${...}: NAME, or NAME:+words, which is words if NAME is not empty.
func variable(expr string, get func(string) string) string {
	name, words, conditional := strings.Cut(expr, ":+")
	switch {
	case !conditional:
		return get(name)
	case get(name) == "":
		return ""
	}
	return os.Expand(words, get)
}
