package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	var age time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, how each source and target is, and what is open",
		Long: "Show what runs, how each source and target is, and what is open. It reads the state alone and needs no secret.\n\n" +
			"With --check, for monitoring: exit code 0 where everything is as wanted, 2 where anything failed, waits for an operator or is still\n" +
			"open, where no pass has ended within --max-age, or where the daemon could not load the config on disk.",
		Example: "  dirsweep status\n  dirsweep status --check --max-age 1h",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var s control.Status
			if err := a.call(c.Context(), control.CmdStatus, control.Request{}, &s); err != nil {
				return err
			}
			doubts := doubts(s, age, time.Now())
			if err := a.show(s, func() { a.printStatus(s, check, doubts) }); err != nil {
				return err
			}
			if check && (s.Outcome != control.AsWanted || doubts != "") {
				return exit(ExitChanges)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "exit with 2 unless everything is as wanted")
	c.Flags().DurationVar(&age, "max-age", 26*time.Hour, "with --check: how long ago the last pass may have ended")
	return c
}

// doubts say why what the state tells may not be how things are, "" where nothing does.
func doubts(s control.Status, age time.Duration, now time.Time) string {
	var last time.Time
	for _, r := range s.Runs {
		if r.Ended.After(last) {
			last = r.Ended
		}
	}
	switch {
	case s.Daemon != nil && s.Daemon.Refused != "":
		return "the config on disk has mistakes, and the one loaded before is in use"
	case last.IsZero():
		return "no pass has ended yet"
	case now.Sub(last) > age:
		return "the last pass ended " + span(now.Sub(last)) + " ago"
	}
	return ""
}

func (a *app) printStatus(s control.Status, check bool, doubts string) {
	a.printProcess(s)
	var rows [][]string
	for _, src := range s.Sources {
		rows = append(rows, []string{
			src.Name, src.Kind, fmt.Sprint(src.People), orNever(clock(src.At)), pushText(s.Daemon, src.Name),
			a.health(src.Health, time.Time{}),
		})
	}
	a.printf("\n")
	a.printTable("No sources.", []string{"source", "kind", "people", "last accepted", "changes", "health"}, rows)
	rows = nil
	for _, t := range s.Targets {
		closing := "not measured yet"
		if k := t.Closing; k != nil {
			closing = fmt.Sprintf("P50 %s, P95 %s, worst %s (%d)", seconds(k.P50), seconds(k.P95), seconds(k.Worst), k.Count)
		}
		rows = append(rows, []string{
			t.Name, t.Kind, t.Mode, fmt.Sprint(t.Active), fmt.Sprint(t.Open), fmt.Sprint(t.Orphans), a.health(t.Health, t.Next), closing,
		})
	}
	a.printf("\n")
	a.printTable("No targets.", []string{"target", "kind", "mode", "active", "open", "orphans", "health", "time to close (since detected)"}, rows)
	for _, src := range s.Sources {
		a.printReason(src.Name, src.Health)
		if s.Daemon != nil && s.Daemon.Push[src.Name].Why != "" {
			a.printf("  %s %s: %s\n", a.style.warn("!"), src.Name, clean(s.Daemon.Push[src.Name].Why))
		}
		for _, note := range src.Notes {
			a.printf("  %s %s: %s\n", a.style.warn("!"), src.Name, clean(note))
		}
	}
	for _, t := range s.Targets {
		a.printReason(t.Name, t.Health)
	}
	a.printf("\n")
	for _, r := range s.Runs {
		a.printRun(r)
	}
	if len(s.Runs) == 0 {
		a.printf("No pass yet.\n")
	}
	if n := s.Next; n != nil {
		a.printf("Next by the clock: %s\n", clean(first(n.Name, n.Person)+" "+n.What))
	}
	a.printHeld(s.Waiting, done)
	a.printOpen(s)
	if check && doubts != "" {
		a.printf("%s\n", a.style.warn("Not good: "+doubts+"."))
	}
}

// pushText is how the daemon comes to know of a source's changes.
func pushText(p *control.Process, source string) string {
	if p == nil {
		return "no daemon runs"
	}
	push, known := p.Push[source]
	switch {
	case !known:
		return "read by the clock"
	case push.On:
		return "pushed since " + clock(push.Since)
	case push.CatchingUp:
		return "catching up since " + clock(push.Since)
	}
	return "read by the clock since " + clock(push.Since)
}

func (a *app) printReason(name string, h control.Health) {
	if !h.Good && h.Reason != "" {
		a.printf("  %s %s: %s\n", a.style.warn("!"), name, clean(strings.TrimPrefix(h.Reason, name+": ")))
	}
}

func (a *app) printProcess(s control.Status) {
	p := s.Daemon
	if p == nil {
		a.printf("No daemon runs. State %s, config %s\n", s.State, s.Config)
		return
	}
	a.printf("The daemon runs: dirsweep %s, pid %d, since %s. State %s, config %s (loaded %s)\n",
		p.Version, p.PID, clock(p.Since), s.State, s.Config, clock(p.Loaded))
	if p.Refused != "" {
		a.printf("%s\n%s\n", a.style.warn("The config on disk has mistakes; the one loaded before is in use:"), strings.TrimSpace(p.Refused))
	}
	if p.Pass != "" {
		a.printf("A %s pass is under way.\n", p.Pass)
	}
}

func (a *app) health(h control.Health, next time.Time) string {
	switch {
	case !next.IsZero():
		return a.style.warn("quarantined until " + clock(next))
	case h.Failures > 0:
		return a.style.warn(fmt.Sprintf("not read since %s (%s)", clock(h.Since), count(h.Failures, "pass", "passes")))
	case h.Refused > 0:
		return a.style.warn(count(h.Refused, "change failed", "changes failed"))
	case !h.Good:
		return a.style.warn("does not close leavers")
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

// printOpen says what is not as wanted, or that everything is.
func (a *app) printOpen(s control.Status) {
	text := count(s.Open, "open leaver", "open leavers")
	if s.Waits > 0 {
		text += fmt.Sprintf(", %d of them held", s.Waits)
	}
	if s.Open > 0 {
		text = a.style.warn(text + ", the longest for " + age(s.Oldest))
	}
	a.printf("%s; %s; %s; %s\n", text, count(s.Held, "hold", "holds"), count(s.Found, "finding", "findings"),
		count(s.Orphans, "orphan account", "orphan accounts"))
	if s.Outcome == control.AsWanted {
		return
	}
	a.printf("%s\n", a.style.warn(fmt.Sprintf("Not as wanted. Waits for you: %s. Failed: %s. Still open: %s.",
		first(waiting(s.Facts), "nothing"), first(failed(s.Facts), "nothing"), count(s.Facts.Open, "account", "accounts"))))
}

func orNever(s string) string {
	if s == "" {
		return "never"
	}
	return s
}
