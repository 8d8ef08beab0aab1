package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

func (a *app) rejectCommand() *cobra.Command {
	return a.decide("reject DIGEST", "Drop one hold: nothing of it is done", daemon.CmdReject,
		"Rejected %s: %s. Nothing of it is done.\n")
}
