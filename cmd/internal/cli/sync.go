package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) syncCommand() *cobra.Command {
	var request control.Request
	var yes bool
	c := &cobra.Command{
		Use:   "sync",
		Short: "Run one full pass, then exit",
		Long: "Run one full pass over every source and target, then exit. Where a daemon runs, it does the pass, with its own config. On a terminal\n" +
			"sync asks before it begins, unless --yes is given.\n\n" +
			"With --plan DIGEST it does exactly the plan that `dirsweep plan` printed with that digest, or nothing.\n\n" +
			"Exit code 0: everything is as wanted, and no account of anybody who left is open. 1: failed, or a source or target could not be read.\n" +
			"3: something waits for an operator (a hold, a dispute, an account that is protected or only observed, a mapping that failed).\n" +
			"4: a change failed, or an account of somebody who left is still open. The first of 1, 4, 3 that applies.",
		Example: "  dirsweep sync --yes\n  dirsweep sync --target wiki\n  dirsweep sync --plan 72973296d4fe5c6e",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			p := a.newProgress()
			defer p.Close()
			conn, err := a.whole(c.Context(), p)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.close()) }()
			if err := a.ownConfig(conn); err != nil {
				return err
			}
			if err := a.confirm(conn, request, yes); err != nil {
				return err
			}
			report, err := a.pass(c.Context(), conn, p, control.CmdSync, request)
			if err != nil {
				return err
			}
			if err := a.show(report, func() { a.printReport(report, done) }); err != nil {
				return err
			}
			return exitOf(report.Outcome)
		},
	}
	passFlags(c, &request)
	c.Flags().StringVar(&request.Digest, "plan", "", "do exactly the plan of this digest, or nothing")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// ownConfig refuses to have a daemon do with its config what was asked for with another.
func (a *app) ownConfig(conn *connection) error {
	path, err := a.configPath()
	if err != nil || conn.daemon == nil || sameFile(path, conn.daemon.Config) {
		return err
	}
	return fmt.Errorf("the daemon (pid %d) has this state and uses %s, so nothing was done with %s: `dirsweep --config %s plan` shows what it would do; "+
		"to use it, write it to %s", conn.daemon.PID, conn.daemon.Config, path, path, conn.daemon.Config)
}

// confirm asks on a terminal whether to begin.
func (a *app) confirm(conn *connection, request control.Request, yes bool) error {
	if yes || !isTerminal(os.Stdin) || !isTerminal(a.err) {
		return nil
	}
	what := "a full pass over every target"
	if len(request.Targets) > 0 {
		what = "a pass over " + strings.Join(request.Targets, ", ")
	}
	if request.Person != "" {
		what += " for " + clean(request.Person) + " alone"
	}
	_, _ = fmt.Fprintf(a.err, "Begin %s, %s? `dirsweep plan` shows what it would do. [y/N] ", what, conn.name())
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") && !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return errors.New("not begun; nothing was changed")
	}
	return nil
}
