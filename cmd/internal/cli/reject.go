package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) rejectCommand() *cobra.Command {
	return a.rule("reject DIGEST", "Reject one hold: nobody of it is closed for this reason", control.CmdReject, &control.Request{})
}
