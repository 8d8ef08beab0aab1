package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) leaversCommand() *cobra.Command {
	var request control.Request
	var older time.Duration
	c := &cobra.Command{
		Use:   "leavers",
		Short: "Show open leavers, and how long each account has waited",
		Long: "Show open leavers, and how long each account has waited. It reads the state alone and needs no secret.\n\n" +
			"With --older, for monitoring: only those who have been open for longer, and exit code 2 where there is one, 0 where there is none.",
		Example: "  dirsweep leavers\n  dirsweep leavers --older 15m",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []control.Leaver
			if err := a.call(c.Context(), control.CmdLeavers, request, &list); err != nil {
				return err
			}
			if older > 0 {
				list = openFor(list, older, time.Now())
			}
			if err := a.show(list, func() { a.printLeavers(list) }); err != nil {
				return err
			}
			if older > 0 && len(list) > 0 {
				return exit(ExitChanges)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&request.All, "all", false, "closed ones too")
	c.Flags().DurationVar(&older, "older", 0, "only those open for longer than this; exit code 2 where there are any")
	c.MarkFlagsMutuallyExclusive("all", "older")
	return c
}

// openFor are the leavers who have an account that has been open for longer than d.
func openFor(list []control.Leaver, d time.Duration, now time.Time) []control.Leaver {
	out := []control.Leaver{}
	for _, l := range list {
		if slices.ContainsFunc(l.Steps, func(s control.Step) bool { return s.Open && now.Sub(first(s.Left, l.Left)) > d }) {
			out = append(out, l)
		}
	}
	return out
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
	a.printTable("No open leavers.", []string{"person", "cause", "left", "target", "account", "status", "elapsed"}, rows)
}

func (a *app) stepText(s control.Step) string {
	switch s.Status {
	case "proven":
		text := a.style.add("verified " + s.Seen)
		if !s.Delete.IsZero() {
			text += ", delete after " + clock(s.Delete)
		}
		return text
	case "open", "unprovable", "disputed":
		text := a.style.warn(s.Status)
		if s.Attempts > 0 {
			text += fmt.Sprintf(", %s", count(s.Attempts, "attempt", "attempts"))
		}
		if s.Error != "" {
			text += ": " + clean(s.Error)
		}
		return text
	}
	if s.Open {
		return a.style.warn(s.Status)
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
