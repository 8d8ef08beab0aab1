package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) approveCommand() *cobra.Command {
	return a.decide("approve DIGEST", "Release one hold, once, for those of it who still leave", control.CmdApprove,
		"Approved %s: %s. A running daemon carries it out at once, otherwise the next `dirsweep sync` does, for those who still leave.\n")
}

// decide makes a command about one hold.
func (a *app) decide(use, short string, command control.Command, told string) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    "`dirsweep holds` lists the holds and their digests, `dirsweep holds DIGEST` everybody of one.",
		Example: "  dirsweep " + string(command) + " 976b3f9de375",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			var h control.Hold
			if err := a.call(c.Context(), command, control.Request{Digest: args[0]}, &h); err != nil {
				return err
			}
			return a.show(h, func() { a.printf(told, h.Digest, holdName(h)) })
		},
	}
}
