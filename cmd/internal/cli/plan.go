package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

// A planOutput says what of a plan is written, how and where.
type planOutput struct {
	format, file string
	summary      bool
}

func (a *app) planCommand() *cobra.Command {
	var request control.Request
	var detailed bool
	var o planOutput
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what a full pass would do, writing nothing",
		Long: "Show what a full pass would do, writing nothing: neither to an application nor to the state. With --config NEW, beside a running daemon\n" +
			"too, it is what that config would do.\n\n" +
			"  + an account is made   ~ one is linked, enabled or changed   - one is closed   ! something waits, failed or wants a look\n\n" +
			"Exit code 0, or with --detailed-exitcode 2 where there is something to do or to decide; 1 where a source or target could not be read.",
		Example: "  dirsweep plan\n  dirsweep plan --person alice\n  dirsweep --config new.hcl plan --summary\n" +
			"  dirsweep plan --format html --out plan.html",
		Args: nothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if !slices.Contains(formats(), o.format) {
				return fmt.Errorf("there is no format %q; there are: %s", o.format, strings.Join(formats(), ", "))
			}
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
			if err := a.writePlan(report, o); err != nil {
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
	c.Flags().BoolVar(&o.summary, "summary", false, "how many of what in each target, instead of each change")
	c.Flags().StringVar(&o.format, "format", "text", strings.Join(formats(), ", "))
	c.Flags().StringVar(&o.file, "out", "", "write this new file instead")
	return c
}

// writePlan prints a plan, or writes it to a new file for its owner only.
func (a *app) writePlan(r control.Report, o planOutput) error {
	if a.json {
		o.format = "json"
	}
	var out bytes.Buffer
	to := *a
	if to.out = io.Writer(&out); o.file != "" {
		to.style = newStyle(false)
	}
	switch {
	case o.format != "text":
		if err := writePlan(&out, r, o.format); err != nil {
			return err
		}
	case o.summary:
		to.printTotals(r)
	default:
		to.printReport(r, planned)
	}
	if o.file != "" {
		return writeNew(o.file, out.Bytes())
	}
	_, err := out.WriteTo(a.out)
	return err
}

// printTotals prints how many of what there is to do in each target.
func (a *app) printTotals(r control.Report) {
	for _, target := range targetsOf(r) {
		counts := map[string]int{}
		for _, c := range r.Changes {
			if c.Target == target {
				counts[c.Op]++
			}
		}
		a.printf("%s%s: %s\n", a.style.bold(target), modeOf(r, target), first(counted(counts, planned), "nothing to change"))
	}
	a.printHeld(r.Held, planned)
	a.printAbsent("source", r.Sources)
	a.printAbsent("target", r.Targets)
	a.printSummary(r, planned)
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
