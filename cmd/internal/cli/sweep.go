package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) sweepCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "sweep PERSON --reason TEXT",
		Short: "Emergency: close every account of a person now, whatever the source says",
		Long: "Emergency: close every account of a person now, whatever the source says, and keep them closed until `dirsweep release PERSON`.\n" +
			"PERSON is " + personIs + ".\n\n" +
			"Exit code 0 only where each account was seen closed. Otherwise 4: the answer names each account that is not, or may not be, closed;\n" +
			"those that dirsweep may close stay open in its books and are tried again.",
		Example: "  dirsweep sweep alice --reason 'stolen laptop, ticket 4711'",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) (err error) {
			request.Person = args[0]
			if strings.TrimSpace(request.Reason) == "" {
				return errors.New("sweep: say why with --reason TEXT; it goes into the audit trail and the evidence")
			}
			p := a.newProgress()
			defer p.Close()
			conn, err := a.whole(c.Context(), p)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.close()) }()
			report, err := a.pass(c.Context(), conn, p, control.CmdSweep, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, done) }); err != nil {
				return err
			}
			if report.Outcome != control.AsWanted {
				return exit(ExitIncomplete)
			}
			return nil
		},
	}
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for the audit trail and the evidence (required)")
	return c
}
