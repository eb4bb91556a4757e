package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// command describes one leaf command.
type command struct {
	name    string // "disk create"
	short   string
	long    string
	options []*option
	// run does the work; a nil result prints nothing, as az does.
	run func(context.Context, *session, *arguments) (any, error)
	// table picks the columns of one row for -o table; nil shows every scalar.
	table func(map[string]any) row
}

// globalOptions are the ones every command has.
func globalOptions() []*option {
	return []*option{
		{long: "output", short: "o", choices: outputFormats, help: "Output format"},
		{long: "query", help: "JMESPath query string"},
		{long: "subscription", help: "ID of the subscription; default: the one in the client folder"},
		{long: "client", help: "Folder with ca.pem and principal.json; default: $TINTYPE_CLIENT"},
		{long: "only-show-errors", arity: none, help: "Only show errors, suppressing warnings"},
		{long: "verbose", arity: none, help: "Say how long the command took"},
		{long: "debug", arity: none, help: "Show every request on standard error (never its contents or secrets)"},
		{long: "help", short: "h", arity: none, help: "Show this help message and exit"},
	}
}

// cobra makes the command that a program can execute. Cobra routes and documents;
// the parsing is ours, because az's grammar has options with several values.
func (c command) cobra(env Env) *cobra.Command {
	words := strings.Fields(c.name)
	options := append(c.options, globalOptions()...)
	cmd := &cobra.Command{
		Use:                words[len(words)-1],
		Short:              c.short,
		Long:               c.long,
		DisableFlagParsing: true,
		SilenceErrors:      true,
		SilenceUsage:       true,
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { writeHelp(env.Stdout, c, options) })
	cmd.RunE = func(cmd *cobra.Command, line []string) error {
		if asksForHelp(line) {
			return cmd.Help()
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		if err := c.execute(ctx, env, options, line); err != nil {
			return report(env, err)
		}
		return nil
	}
	return cmd
}

func (c command) execute(ctx context.Context, env Env, options []*option, line []string) error {
	args, err := parseArguments(c.name, options, line)
	if err != nil {
		return err
	}
	query, err := compileQuery(args.get("query"))
	if err != nil {
		return err
	}
	s := &session{env: env, notes: env, args: args}
	if args.has("only-show-errors") {
		s.notes.Stderr, s.notes.StderrTTY = io.Discard, false
	}
	if args.has("verbose") {
		start := env.Now()
		defer func() { fmt.Fprintf(env.Stderr, "INFO: Command ran in %.3f seconds\n", env.Now().Sub(start).Seconds()) }()
	}
	result, err := c.run(ctx, s, args)
	if err != nil {
		return err
	}
	if text, ok := plainLines(result); ok {
		_, err = fmt.Fprint(env.Stdout, text)
		return err
	}
	return printResult(env, result, args.or("output", "json"), query, c.table)
}

// line1 is a result that is always printed as one plain line, whatever the format.
type line1 string

// plainLines joins line1 results, one for every resource of the command.
func plainLines(result any) (string, bool) {
	if text, ok := result.(line1); ok {
		return string(text) + "\n", true
	}
	list, ok := result.([]any)
	if !ok || len(list) == 0 {
		return "", false
	}
	var b strings.Builder
	for _, item := range list {
		text, ok := item.(line1)
		if !ok {
			return "", false
		}
		b.WriteString(string(text) + "\n")
	}
	return b.String(), true
}

func asksForHelp(line []string) bool {
	for _, token := range line {
		if token == "-h" || token == "--help" {
			return true
		}
	}
	return false
}

// family makes a command that only has subcommands.
func family(env Env, name, short string, members []command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, SilenceErrors: true, SilenceUsage: true}
	for _, m := range members {
		cmd.AddCommand(m.cobra(env))
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return report(env, usagef("%s", err)) })
	cmd.RunE = func(cmd *cobra.Command, line []string) error {
		if len(line) > 0 {
			return report(env, usagef("'%s' is misspelled or not recognized by the system.", line[0]))
		}
		if err := cmd.Help(); err != nil {
			return err
		}
		return report(env, usagef("the following arguments are required: _subcommand"))
	}
	return cmd
}
