package cli

import (
	"fmt"
	"io"
	"strings"
)

// writeHelp prints a command's page in az's layout.
func writeHelp(w io.Writer, c command, options []*option) {
	fmt.Fprintf(w, "\nCommand\n    tintype %s : %s\n", c.name, c.short)
	if c.long != "" {
		fmt.Fprintf(w, "\n%s\n", wrap(c.long, 4, 100))
	}
	width := 0
	for _, o := range options {
		if !o.hidden {
			width = max(width, len(helpName(o)))
		}
	}
	section := func(title string, list []*option) {
		fmt.Fprintf(w, "\n%s\n", title)
		for _, o := range list {
			if o.hidden {
				continue
			}
			text := strings.TrimLeft(wrap(helpText(o), width+7, 100), " ")
			fmt.Fprintf(w, "    %-*s : %s\n", width, helpName(o), text)
		}
	}
	own := len(options) - len(globalOptions())
	section("Arguments", options[:own])
	section("Global Arguments", options[own:])
}

func helpName(o *option) string {
	name := strings.Join(o.names(), " ")
	if o.required {
		name += " [Required]"
	}
	return name
}

func helpText(o *option) string {
	text := o.help + "."
	if len(o.choices) > 0 {
		text += " Allowed values: " + strings.Join(o.choices, ", ") + "."
	}
	return text
}

// wrap breaks text into lines of at most width columns, each indented.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	column := width
	for _, word := range strings.Fields(text) {
		if column+1+len(word) > width {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat(" ", indent))
			column = indent
		} else {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
