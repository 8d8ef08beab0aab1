package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what runs, how each source and target is, and what is open",
		Args:  nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var s control.Status
			if err := a.call(c.Context(), control.CmdStatus, control.Request{}, &s); err != nil {
				return err
			}
			return a.show(s, func() { a.printStatus(s) })
		},
	}
}

func (a *app) printStatus(s control.Status) {
	a.printProcess(s)
	var rows [][]string
	for _, src := range s.Sources {
		rows = append(rows, []string{src.Name, src.Kind, fmt.Sprint(src.People), orNever(clock(src.At))})
	}
	a.printf("\n")
	a.printTable("No sources.", []string{"source", "kind", "people", "last accepted"}, rows)
	rows = nil
	for _, t := range s.Targets {
		closing := "not measured yet"
		if k := t.Closing; k != nil {
			closing = fmt.Sprintf("P50 %s, P95 %s, worst %s (%d)", seconds(k.P50), seconds(k.P95), seconds(k.Worst), k.Count)
		}
		rows = append(rows, []string{t.Name, t.Kind, t.Mode, fmt.Sprint(t.Active), fmt.Sprint(t.Owed), fmt.Sprint(t.Orphans), a.health(t), closing})
	}
	a.printf("\n")
	a.printTable("No targets.", []string{"target", "kind", "mode", "active", "owed", "orphans", "health", "from leaving to closed"}, rows)
	for _, t := range s.Targets {
		if t.Reason != "" && (t.Failures > 0 || !t.Next.IsZero()) {
			a.printf("  %s %s: %s\n", a.style.warn("!"), t.Name, clean(t.Reason))
		}
	}
	a.printf("\n")
	for _, r := range s.Runs {
		a.printRun(r)
	}
	if len(s.Runs) == 0 {
		a.printf("No pass yet.\n")
	}
	a.printOpen(s)
}

func (a *app) printProcess(s control.Status) {
	p := s.Daemon
	if p == nil {
		a.printf("No daemon runs. State %s, config %s\n", s.State, s.Config)
		return
	}
	a.printf("The daemon runs: dirsweep %s, pid %d, since %s. State %s, config %s (taken over %s)\n",
		p.Version, p.PID, clock(p.Since), s.State, s.Config, clock(p.Loaded))
	if p.Refused != "" {
		a.printf("%s\n%s\n", a.style.warn("The config on disk is refused, an older one is in use:"), strings.TrimSpace(p.Refused))
	}
	if p.Pass != "" {
		a.printf("A %s pass is under way.\n", p.Pass)
	}
}

func (a *app) health(t control.TargetStatus) string {
	switch {
	case !t.Next.IsZero():
		return a.style.warn("quarantined until " + clock(t.Next))
	case t.Failures > 0:
		return a.style.change(count(t.Failures, "failure", "failures"))
	}
	return a.style.add("good")
}

func (a *app) printRun(r control.Run) {
	took := "did not end"
	if !r.Ended.IsZero() {
		took = "took " + span(r.Ended.Sub(r.Started))
	}
	changes := 0
	for _, n := range r.Counts {
		changes += n
	}
	a.printf("Last %s pass: %s, %s, %s, %d failed, %d held\n", r.Mode, clock(r.Started), took, count(changes, "change", "changes"), r.Failed, r.Held)
	for _, p := range r.Problems {
		a.printf("  %s %s\n", a.style.warn("!"), clean(p))
	}
}

func (a *app) printOpen(s control.Status) {
	text := count(s.Open, "open leaver", "open leavers")
	if s.Open > 0 {
		text = a.style.warn(text + ", the oldest left " + age(s.Oldest) + " ago")
	}
	a.printf("%s; %s; %s; %s\n", text, count(s.Held, "hold", "holds"), count(s.Found, "finding", "findings"),
		count(s.Orphans, "orphan account", "orphan accounts"))
}

func orNever(s string) string {
	if s == "" {
		return "never"
	}
	return s
}
