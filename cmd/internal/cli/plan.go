package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) planCommand() *cobra.Command {
	var request control.Request
	var detailed bool
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what a full pass would do, writing nothing",
		Long: "Show what a full pass would do, writing nothing: neither to an application nor to the state. With --config NEW, beside a running daemon\n" +
			"too, it is what that config would do.\n\n" +
			"Exit code 0, or with --detailed-exitcode 2 where there is something to do or to decide; 1 where a source or target could not be read.",
		Example: "  dirsweep plan\n  dirsweep plan --person alice\n  dirsweep --config new.hcl plan",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			p := a.newProgress()
			defer p.Close()
			conn, err := a.preview(c.Context(), p)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.close()) }()
			report, err := a.pass(c.Context(), conn, p, control.CmdPlan, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, planned) }); err != nil {
				return err
			}
			switch {
			case report.Outcome == control.Failed:
				return exit(ExitFailed)
			case detailed && (len(report.Changes) > 0 || len(report.Held) > 0):
				return exit(ExitChanges)
			}
			return nil
		},
	}
	passFlags(c, &request)
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 where there is something to do")
	return c
}

func passFlags(c *cobra.Command, request *control.Request) {
	c.Flags().StringSliceVar(&request.Targets, "target", nil, "only this target; may be repeated")
	c.Flags().StringVar(&request.Person, "person", "", "only this person: "+personIs)
}

// personIs says how a person may be named.
const personIs = "a login, mail address, full name, account name, DN, anchor or source/anchor"

// pass has a command that reads sources and targets done, and shows how it gets on.
func (a *app) pass(
	ctx context.Context, conn *connection, p *progress, command control.Command, request control.Request,
) (report control.Report, err error) {
	if conn.daemon != nil {
		p.note("Sent to the running daemon (pid %d, its own config %s). Waiting …", conn.daemon.PID, conn.daemon.Config)
	}
	request.Actor = actor()
	err = conn.Call(ctx, command, request, &report)
	return report, err
}
