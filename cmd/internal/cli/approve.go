package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) approveCommand() *cobra.Command {
	return a.decide("approve DIGEST", "Release one hold, once, as it is now", control.CmdApprove,
		"Approved %s: %s. The next pass carries it out, if it is still the same people.\n")
}

// decide makes a command about one hold.
func (a *app) decide(use, short string, command control.Command, told string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  operand,
		RunE: func(c *cobra.Command, args []string) error {
			var h control.Hold
			if err := a.call(c.Context(), command, control.Request{Digest: args[0]}, &h); err != nil {
				return err
			}
			return a.show(h, func() { a.printf(told, h.Digest, holdName(h)) })
		},
	}
}
