package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

func (a *app) sweepCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "sweep PERSON --reason TEXT",
		Short: "Emergency: close every account of a person now, whatever the source says",
		Long: "PERSON is a login, DN, anchor or source/anchor. The accounts stay closed until `dirsweep release PERSON`.\n" +
			"Exit code 0 every account is proven closed, 4 some are not yet: the case stays open and is retried.",
		Args: operand,
		RunE: func(c *cobra.Command, args []string) error {
			request.Person = args[0]
			if strings.TrimSpace(request.Reason) == "" {
				return errors.New("sweep: say why with --reason TEXT; it goes into the audit trail and the evidence")
			}
			report, err := a.pass(c, control.CmdSweep, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, done) }); err != nil {
				return err
			}
			if report.Outcome != string(reconcile.Converged) {
				return exit(ExitPartial)
			}
			return nil
		},
	}
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for the audit trail and the evidence (required)")
	return c
}
