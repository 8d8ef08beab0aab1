package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

func (a *app) approveCommand() *cobra.Command {
	return a.decide("approve DIGEST", "Release one hold, once, as it is now", daemon.CmdApprove,
		"Approved %s: %s. The next pass carries it out, if it is still the same people.\n")
}

// decide makes a command about one hold.
func (a *app) decide(use, short string, command daemon.Command, told string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  operand,
		RunE: func(c *cobra.Command, args []string) error {
			var h daemon.Hold
			if err := a.ask(c.Context(), command, daemon.Ask{Digest: args[0], Actor: actor()}, &h); err != nil {
				return err
			}
			return a.show(h, func() { a.printf(told, h.Digest, holdName(h)) })
		},
	}
}
