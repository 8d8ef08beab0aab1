package demo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// teller prints what happens, for people. It says nothing where only JSON was asked for.
type teller struct {
	out               io.Writer
	began             time.Time
	bold, faint       func(a ...any) string
	good, bad, warned func(a ...any) string
}

func newTeller(o Options) *teller {
	paint := func(attributes ...color.Attribute) func(a ...any) string {
		c := color.New(attributes...)
		c.DisableColor()
		if o.Color {
			c.EnableColor()
		}
		return c.Sprint
	}
	t := &teller{
		out: o.Out, began: time.Now(), bold: paint(color.Bold), faint: paint(color.Faint),
		good: paint(color.FgGreen), bad: paint(color.FgRed), warned: paint(color.FgYellow),
	}
	if o.JSON {
		t.out = io.Discard
	}
	return t
}

func (t *teller) headline(format string, a ...any) {
	fmt.Fprintf(t.out, "%s\n\n", t.bold(fmt.Sprintf(format, a...)))
}

// event tells what happens in the company.
func (t *teller) event(format string, a ...any) {
	fmt.Fprintf(t.out, "%s  %s\n", t.faint(t.clock()), fmt.Sprintf(format, a...))
}

// result tells what came of it.
func (t *teller) result(text string) { fmt.Fprintf(t.out, "%s    %s\n", t.faint(t.clock()), text) }

func (t *teller) clock() string { return fmt.Sprintf("%6.2f s", time.Since(t.began).Seconds()) }

// report tells what a pass did, one line for each target, and what it could or would not do.
func (t *teller) report(r reconcile.Report) {
	for _, part := range r.Targets {
		if text := t.done(r, part.Name); text != "" {
			t.result(part.Name + ": " + text)
		}
	}
	for _, part := range append(slices.Clone(r.Sources), r.Targets...) {
		if part.Err != "" {
			t.result(t.bad(part.Name + ": " + firstLine(part.Err)))
		}
	}
	for _, f := range r.Failures {
		t.result(t.bad(fmt.Sprintf("%s: not done: %s", f.Change.Target, firstLine(f.Err))))
	}
	for _, h := range r.Held {
		t.result(t.warned(fmt.Sprintf("%s: %d people held, nothing written:", cmp.Or(h.Target, h.Directory), h.People())))
		t.result(t.warned("  " + h.Reason))
		t.result(t.warned("  `dirsweep approve " + h.Digest + "` releases them"))
	}
	for _, f := range r.Findings {
		t.result(t.faint("finding: " + f.Subject + ": " + f.Detail))
	}
}

// done counts what a pass changed in a target. Of an account where a step failed, nothing counts.
func (t *teller) done(r reconcile.Report, target string) string {
	counts := map[identity.Op]int{}
	for _, c := range r.Plan.Changes {
		failed := slices.ContainsFunc(r.Failures, func(f reconcile.Failure) bool {
			return f.Change.Target == target && f.Change.Person == c.Person && f.Change.Account == c.Account
		})
		if c.Target == target && !failed {
			counts[c.Op]++
		}
	}
	var done []string
	for _, op := range []identity.Op{identity.Link, identity.Create, identity.Update, identity.Enable, identity.Disable, identity.Finish, identity.Strip, identity.Delete} {
		if counts[op] > 0 {
			done = append(done, fmt.Sprintf("%s %d", op, counts[op]))
		}
	}
	if n := closings(r, target); n > 0 {
		done = append(done, t.good(fmt.Sprintf("%d proven closed", n)))
	}
	return strings.Join(done, ", ")
}

func closings(r reconcile.Report, target string) (n int) {
	for _, c := range r.Closed {
		if c.Target == target {
			n++
		}
	}
	return n
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// summary tells how it ended.
func (t *teller) summary(s Summary) {
	if len(s.Closed) > 0 {
		fmt.Fprintln(t.out)
		tab := table.NewWriter()
		tab.SetOutputMirror(t.out)
		tab.SetStyle(table.StyleLight)
		tab.Style().Options = table.OptionsNoBordersAndSeparators
		tab.AppendHeader(table.Row{"leaver", "left", "application", "proven", "seen by the demo"})
		for _, c := range s.Closed {
			tab.AppendRow(table.Row{c.Person, short(c.How), c.Application, span(c.Proven), span(c.Seen)})
		}
		tab.Render()
	}
	fmt.Fprintln(t.out)
	fmt.Fprintf(t.out, "%d people, %d joined, %d moved, %d left: %s\n", s.People, s.Joined, s.Moved, s.Left, spread(s.Closed))
	if s.Records > 0 {
		fmt.Fprintf(t.out, "%d audit records and %d evidence files verified\n", s.Records, s.Files)
		fmt.Fprintf(t.out, "%d people held back by the guard, accounts that are nobody's and were left alone: %d\n", s.Held, s.Orphans)
	}
	for _, wrong := range s.Wrong {
		fmt.Fprintln(t.out, t.bad(wrong))
	}
	if len(s.Wrong) == 0 {
		fmt.Fprintln(t.out, t.good("Both applications, read by the demo itself, hold exactly what they should."), t.faint(fmt.Sprintf("(%.1f s)", s.Took.Seconds())))
	}
}

// short cuts a text that would make the table wider than a terminal.
func short(text string) string {
	const most = 24
	if len(text) <= most {
		return text
	}
	return text[:most-1] + "…"
}

// span is a duration as one reads it.
func span(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(time.Millisecond).String()
}

// spread sums up how long closing took: the middle one and the worst.
func spread(all []*Closing) string {
	var times []time.Duration
	open := 0
	for _, c := range all {
		if c.Seen == 0 {
			open++
			continue
		}
		times = append(times, c.Seen)
	}
	if len(times) == 0 {
		return "no account had to be closed yet"
	}
	slices.Sort(times)
	text := fmt.Sprintf("%d accounts closed, half of them within %s, the last within %s", len(times), span(times[len(times)/2]), span(times[len(times)-1]))
	if open > 0 {
		text += fmt.Sprintf("; %d open", open)
	}
	return text
}
