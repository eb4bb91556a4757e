// Command tintype is the whole of Tintype in one program: the server, its offline check, the demonstration, and the
// client commands. It only wires what the packages under internal do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tintype/internal/cli"
)

func main() {
	// The first signal asks for a clean stop; after it the default is back, so that a second one ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	env := Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	os.Exit(Run(ctx, os.Args[1:], env))
}

// Env is what the program takes from the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
}

// Run runs one command line and gives the exit status. It returns when the command has ended and everything that it
// opened is closed.
func Run(ctx context.Context, args []string, env Env) int {
	root := newRoot(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var reported *cli.ExitError
	if err != nil && !errors.As(err, &reported) {
		fmt.Fprintln(env.Stderr, "tintype:", err)
	}
	return cli.ExitCode(err)
}

// newRoot lists every command.
func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "tintype",
		Short:         "Disks and snapshots with Azure's interfaces, on your own machine",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetIn(env.Stdin)
	root.AddCommand(newServe(env), newCheck(env), newDemo(env))
	root.AddCommand(cli.Commands(cli.Env{
		Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Getenv: env.Getenv, Now: env.Now,
		StdinTTY: isTerminal(env.Stdin), StdoutTTY: isTerminal(env.Stdout), StderrTTY: isTerminal(env.Stderr),
	})...)
	return root
}

// isTerminal tells whether a stream is a person's terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
