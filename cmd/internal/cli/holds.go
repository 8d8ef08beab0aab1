package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) holdsCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "holds",
		Short: "Show what waits for an operator, and its digest",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []control.Hold
			if err := a.call(c.Context(), control.CmdHolds, request, &list); err != nil {
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
	c.Flags().BoolVar(&request.All, "all", false, "decided ones too")
	return c
}
