package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

const outcomeFailed = string(reconcile.Failed)

func (a *app) syncCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "sync",
		Short: "Run one full pass, then exit",
		Long:  "Exit code 0 everything is as it should be, 1 failed, 3 something is held, 4 some changes failed.",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := a.pass(c, control.CmdSync, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, done) }); err != nil {
				return err
			}
			return outcome(report)
		},
	}
	passFlags(c, &request)
	return c
}

// outcome is the exit code of a pass that was run.
func outcome(r control.Report) error {
	switch reconcile.Outcome(r.Outcome) {
	case reconcile.Failed:
		return exit(ExitFailed)
	case reconcile.Held:
		return exit(ExitHeld)
	case reconcile.Partial:
		return exit(ExitPartial)
	}
	return nil
}
