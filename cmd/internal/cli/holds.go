package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

func (a *app) holdsCommand() *cobra.Command {
	var ask daemon.Ask
	c := &cobra.Command{
		Use:   "holds",
		Short: "Show what waits for an operator, and its digest",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []daemon.Hold
			if err := a.ask(c.Context(), daemon.CmdHolds, ask, &list); err != nil {
				return err
			}
			return a.show(list, func() {
				if len(list) == 0 {
					a.printf("Nothing is held.\n")
				}
				a.printHeld(list, done)
			})
		},
	}
	c.Flags().BoolVar(&ask.All, "all", false, "decided ones too")
	return c
}
