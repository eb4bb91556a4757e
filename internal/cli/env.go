package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Env is everything that the commands take from the process around them.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	// StdinTTY allows questions, StdoutTTY colours, StderrTTY a moving progress bar.
	StdinTTY, StdoutTTY, StderrTTY bool
}

// ExitError is what every command returns when it fails. Its text has already
// been written to Env.Stderr: the program only has to end with Code, which is
// az's: 1 for a failure, 2 for wrong usage, 3 for something that does not exist.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode says with which status a program should end after err.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 1
}

// Commands returns the top-level client commands. A command stops at the
// cancellation of the context that it is executed with: what it holds on the
// server (an export's or import's SAS) is released before it returns.
func Commands(env Env) []*cobra.Command {
	return []*cobra.Command{
		groupCommands(env), diskCommands(env), snapshotCommands(env), storeCommands(env), usageCommands(env), adCommands(env), roleCommands(env),
		lockCommands(env), tagCommands(env), monitorCommands(env), accessCommands(env), setCommands(env), restorePointCommands(env),
		vaultCommands(env), imageCommands(env), identityCommands(env),
	}
}

// azText is an error in the Azure CLI's words, which are kept as they are.
type azText string

func (e azText) Error() string { return string(e) }

// usageError is a command line that cannot be understood: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// report writes err the way az does and turns it into an ExitError.
func report(env Env, err error) error {
	code := 1
	var usage *usageError
	var problem *Problem
	switch {
	case errors.As(err, &usage):
		code = 2
	case errors.As(err, &problem) && problem.Status == 404:
		code = 3
	case errors.Is(err, context.Canceled):
		interrupted := azText("Keyboard interrupt is captured.")
		var left *accessLeft
		if errors.As(err, &left) {
			interrupted += azText(" " + left.Error()) // must not vanish behind the interrupt
		}
		err = interrupted
	}
	fmt.Fprintf(env.Stderr, "ERROR: %s\n", err)
	return &ExitError{Code: code, Err: err}
}

func warnf(env Env, format string, args ...any) {
	fmt.Fprintf(env.Stderr, "WARNING: "+format+"\n", args...)
}
