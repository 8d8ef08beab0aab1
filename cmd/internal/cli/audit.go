package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
)

func (a *app) auditCommand() *cobra.Command {
	return family("audit", "Check the audit trail, or begin a new one where it is broken", a.auditVerifyCommand(), a.auditStartOverCommand())
}

func (a *app) auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify",
		Short:   "Find any cut, edit or reorder of the audit trail, also while the daemon runs",
		Example: "  dirsweep audit verify",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var s audit.Summary
			if err := a.call(c.Context(), control.CmdAudit, control.Request{}, &s); err != nil {
				return err
			}
			return a.show(s, func() {
				if s.Records == 0 {
					a.printf("Audit trail OK: nothing was done yet.\n")
					return
				}
				a.printf("Audit trail OK: %s from %s to %s, head %s.\n",
					count(s.Records, "record", "records"), clock(s.From), clock(s.To), s.Head.Hash)
			})
		},
	}
}

func (a *app) auditStartOverCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "start-over --reason TEXT",
		Short:   "Set a broken trail aside and begin a new one that says so",
		Example: "  dirsweep audit start-over --reason 'the disk lost its last hour, ticket 4711'",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return errors.New("audit start-over: say why with --reason TEXT; the new trail begins with it")
			}
			outline, err := a.outline()
			if err != nil {
				return err
			}
			if err := control.StartOver(c.Context(), outline.State, actor(), reason); err != nil {
				return err
			}
			answer := map[string]string{"trail": control.TrailPath(outline.State)}
			return a.show(answer, func() { a.printf("%s is a new trail; the old files end in .broken.\n", answer["trail"]) })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why (required)")
	return c
}
