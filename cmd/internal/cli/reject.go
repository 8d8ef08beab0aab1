package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) rejectCommand() *cobra.Command {
	return a.decide("reject DIGEST", "Drop one hold: nothing of it is done", control.CmdReject,
		"Rejected %s: %s. Nothing of it is done.\n")
}
