package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) leaversCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "leavers",
		Short: "Show open leavers, and how long each account has waited",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []control.Leaver
			if err := a.call(c.Context(), control.CmdLeavers, request, &list); err != nil {
				return err
			}
			return a.show(list, func() { a.printLeavers(list) })
		},
	}
	c.Flags().BoolVar(&request.All, "all", false, "closed ones too")
	return c
}

func (a *app) printLeavers(list []control.Leaver) {
	var rows [][]string
	for _, l := range list {
		for _, s := range l.Steps {
			rows = append(rows, []string{clean(l.Name), l.Cause, clock(l.Left), s.Target, clean(s.UserName), a.stepText(s), stepClock(s)})
		}
		if len(l.Steps) == 0 {
			rows = append(rows, []string{clean(l.Name), l.Cause, clock(l.Left), "", "", "no accounts", ""})
		}
	}
	a.printTable("No open leavers.", []string{"person", "cause", "left", "target", "account", "status", "clock"}, rows)
}

func (a *app) stepText(s control.Step) string {
	switch s.Status {
	case "proven":
		text := a.style.add("proven " + s.Seen)
		if !s.Delete.IsZero() {
			text += ", delete after " + clock(s.Delete)
		}
		return text
	case "open":
		text := a.style.warn("open")
		if s.Attempts > 0 {
			text += fmt.Sprintf(", %s", count(s.Attempts, "attempt", "attempts"))
		}
		if s.Error != "" {
			text += ": " + clean(s.Error)
		}
		return text
	}
	return s.Status
}

// stepClock is how long closing took, or has been waited for.
func stepClock(s control.Step) string {
	if s.Status == "proven" {
		return span(s.At.Sub(s.Left))
	}
	return age(s.Left)
}
