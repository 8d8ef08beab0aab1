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
		return fmt.Errorf("write `%s`: it was given %s", strings.TrimSuffix(c.UseLine(), " [flags]"), count(len(args), "argument", "arguments"))
	}
	return nil
}

// subcommand refuses the name of a command that there is not. A family of commands without it would print its help and succeed.
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
