package cli

import (
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
		Long:  "Exit code 0, or with --detailed-exitcode 2 where there is something to do; 1 where a source or target took no part.",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			report, err := a.pass(c, control.CmdPlan, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, planned) }); err != nil {
				return err
			}
			switch {
			case report.Outcome == outcomeFailed:
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
	c.Flags().StringVar(&request.Person, "person", "", "only this person: a login, DN, anchor or source/anchor")
}

// pass runs a command that reads sources and targets, and shows how it gets on.
func (a *app) pass(c *cobra.Command, command control.Command, request control.Request) (report control.Report, err error) {
	p := a.newProgress()
	defer p.Close()
	l, err := a.reach(c.Context(), p)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if l.remote {
		p.note("the daemon does it; this may take as long as a pass")
	}
	request.Actor = actor()
	err = l.Call(c.Context(), command, request, &report)
	return report, err
}
