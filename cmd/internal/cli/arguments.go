package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// nothing refuses arguments.
func nothing(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("`%s` takes no argument, but was given %q", c.CommandPath(), args[0])
	}
	return nil
}

// operand asks for exactly the one argument that the command's Use names.
func operand(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(c, args, 1)
	}
	return nil
}

// operands asks for exactly the n arguments that the command's Use names.
func operands(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(c, args, n)
		}
		return nil
	}
}

// usage says what was given too little or too much, and how the command is written.
func usage(c *cobra.Command, args []string, wanted int) error {
	line := strings.TrimSuffix(c.UseLine(), " [flags]")
	words := strings.Fields(strings.TrimPrefix(line, c.CommandPath()))
	if len(args) < wanted && len(args) < len(words) {
		return fmt.Errorf("missing %s; write `%s`", words[len(args)], line)
	}
	return fmt.Errorf("`%s` was given %s; write `%s`", c.CommandPath(), count(len(args), "argument", "arguments"), line)
}

// atMostOne takes the one argument that the command's Use names, or none.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(c, args, 1)
	}
	return nil
}

// subcommand refuses the name of a command that there is not. A family of commands without it would print its help and
// succeed.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	hint := fmt.Sprintf("`%s --help` lists them", c.CommandPath())
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		hint = fmt.Sprintf("did you mean `%s %s`?", c.CommandPath(), like[0])
	}
	return fmt.Errorf("there is no command `%s %s`; %s", c.CommandPath(), args[0], hint)
}

// family makes a command of subcommands; by itself it prints its help.
func family(use, short string, members ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: subcommand, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(members...)
	return c
}
