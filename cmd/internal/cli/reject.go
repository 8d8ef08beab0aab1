package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) rejectCommand() *cobra.Command {
	return a.decide("reject DIGEST", "Reject one hold: nobody of it is closed for this reason", control.CmdReject,
		"Rejected %s: %s. Nothing was changed; who of it leaves for the same reason stays blocked. `dirsweep approve` still works.\n")
}
