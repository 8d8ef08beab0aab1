package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A tense says whether a report's changes are to come.
type tense bool

const (
	planned tense = false
	done    tense = true
)

// opOrder is how summaries list operations: what takes access away first, as a pass runs them.
var opOrder = []identity.Op{
	identity.Disable, identity.Finish, identity.Strip, identity.Delete, identity.Link, identity.Enable, identity.Create, identity.Update,
}

// heldShown is how many people of a hold are named; `holds --json` has them all.
const heldShown = 5

// printReport prints a pass: each target's changes, leavers first, then what did not go ahead and why, then one line
// that sums it up.
func (a *app) printReport(r control.Report, t tense) {
	for _, target := range targetsOf(r) {
		a.printTarget(r, target)
	}
	a.printHeld(r.Held, t)
	a.printFailures(r.Failures)
	a.printFindings(r.Findings)
	a.printAbsent("source", r.Sources)
	a.printAbsent("target", r.Targets)
	a.printClosed(r.Closed)
	a.printStillOpen(r.Open)
	a.printSummary(r, t)
}

func targetsOf(r control.Report) []string {
	var names []string
	for _, part := range r.Targets {
		names = append(names, part.Name)
	}
	for _, c := range r.Changes {
		if !slices.Contains(names, c.Target) {
			names = append(names, c.Target)
		}
	}
	return names
}

func (a *app) printTarget(r control.Report, target string) {
	steps := group(r.Changes, target)
	if len(steps) == 0 {
		return
	}
	a.printf("%s%s\n", a.style.bold(target), modeOf(r, target))
	wide := 0
	for _, s := range steps {
		wide = max(wide, len(s.ops()))
	}
	for _, s := range steps {
		a.printStep("", s, wide)
	}
	for _, why := range impossible(r, target) {
		a.printf("  %s cannot be done for leavers: %s\n", a.style.warn("!"), clean(why))
	}
	if n := unlisted(r, target); n > 0 {
		a.printf("  … and %d more creations, not listed here: the audit trail tells of each (`dirsweep audit show`)\n", n)
	}
	a.printf("\n")
}

// unlisted is how many accounts of a target were made beside those that the report lists.
func unlisted(r control.Report, target string) int {
	for _, part := range r.Targets {
		if part.Name == target {
			return part.Unlisted
		}
	}
	return 0
}

// impossible are the closing steps of a target about which nothing can be done.
func impossible(r control.Report, target string) []string {
	for _, part := range r.Targets {
		if part.Name == target {
			return part.Impossible
		}
	}
	return nil
}

// modeOf is what has to be said beside a target's name.
func modeOf(r control.Report, target string) string {
	for _, part := range r.Targets {
		if part.Name == target && part.Mode == "observe" {
			return " (observe mode: nothing is written)"
		}
	}
	return ""
}

// A step is what happens to one account: changes that follow each other.
type step []control.Change

func group(changes []control.Change, target string) []step {
	var steps []step
	for _, c := range changes {
		if c.Target != target {
			continue
		}
		if n := len(steps); n > 0 && steps[n-1].takes(c) {
			steps[n-1] = append(steps[n-1], c)
			continue
		}
		steps = append(steps, step{c})
	}
	return steps
}

func (s step) takes(c control.Change) bool {
	last := s[len(s)-1]
	return last.Person == c.Person && last.Account == c.Account && last.Name == c.Name &&
		last.Cause == c.Cause && last.Rule == c.Rule && c.Account != ""
}

func (s step) ops() string {
	var ops []string
	for _, c := range s {
		ops = append(ops, strings.TrimSpace(c.Op+" "+c.Step))
	}
	return strings.Join(ops, ", ")
}

// printStep prints one account's changes behind indent.
func (a *app) printStep(indent string, s step, wide int) {
	first := s[0]
	symbol, paint := "~", a.style.change
	switch op := identity.Op(first.Op); {
	case op.Sweeps():
		symbol, paint = "-", a.style.remove
	case op == identity.Create:
		symbol, paint = "+", a.style.add
	}
	a.printf("%s  %s %s  %s  %s\n", indent, paint(symbol), paint(fmt.Sprintf("%-*s", wide, s.ops())), who(first), a.style.faint(why(first)))
	for _, c := range s {
		a.printDelta(indent+"      ", c)
	}
}

// who names the account and the person: the login, and where in the directory they are.
func who(c control.Change) string {
	text := first(c.UserName, c.Name, c.Account)
	if c.Name != "" && c.Name != text {
		text += ", " + c.Name
	}
	if c.Container != "" {
		text += " (" + c.Container + ")"
	}
	return clean(text)
}

// why tells the cause, and the config line that asks for it. The numbers of dirsweep's own rules say nothing to an
// operator.
func why(c control.Change) string {
	if _, err := strconv.Atoi(strings.TrimPrefix(c.Rule, "R")); c.Rule == "" || err == nil {
		return c.Cause
	}
	return c.Cause + ", " + c.Rule
}

func (a *app) printDelta(indent string, c control.Change) {
	wide := 0
	for _, at := range c.Attributes {
		wide = max(wide, len(at.Path))
	}
	for _, at := range c.Attributes {
		if identity.Op(c.Op) == identity.Create {
			a.printf("%s%-*s  %s\n", indent, wide, at.Path, value(at.After, "(none)"))
			continue
		}
		a.printf("%s%-*s  %s -> %s\n", indent, wide, at.Path, value(at.Before, "(none)"), value(at.After, "(cleared)"))
	}
	if len(c.Grant) > 0 {
		a.printf("%s%s %s%s\n", indent, a.style.add("grant"), clean(strings.Join(c.Grant, ", ")), a.reason("by", c.GrantRule))
	}
	if len(c.Withdraw) > 0 {
		a.printf("%s%s %s%s\n", indent, a.style.remove("withdraw"), clean(strings.Join(c.Withdraw, ", ")), a.reason("", c.WithdrawRule))
	}
}

// reason is why something is granted or taken away; "" where nothing says so.
func (a *app) reason(word, rule string) string {
	if rule == "" {
		return ""
	}
	return "  " + a.style.faint(strings.TrimSpace(word+" "+rule))
}

func value(v json.RawMessage, absent string) string {
	if len(v) == 0 || string(v) == "null" {
		return absent
	}
	return clean(string(v))
}

// printHeld prints what waits, for whom, and what an operator can do about it.
func (a *app) printHeld(held []control.Hold, t tense) {
	for _, h := range held {
		a.printf("%s %s: %s: %s\n", a.style.warn("! held"), h.Digest, holdName(h), clean(h.Reason))
		if len(h.People) > 0 {
			a.printf("      %s\n", people(h))
		}
		a.printf("      %s\n", decision(h, t))
	}
	if len(held) > 0 {
		a.printf("\n")
	}
}

// decision says what an operator has decided about a hold, or can.
func decision(h control.Hold, t tense) string {
	switch {
	case !h.Approved.IsZero():
		return "approved " + clock(h.Approved) + " by " + h.By
	case !h.Rejected.IsZero():
		return "rejected " + clock(h.Rejected) + " by " + h.By + ": they are kept as they are until they have returned and left again; `dirsweep approve " +
			h.Digest + "` still releases them"
	}
	approve, reject := rulings(h)
	if t == planned {
		return fmt.Sprintf("a pass holds it, until `dirsweep approve %[1]s` %[2]s or `dirsweep reject %[1]s` %[3]s",
			h.Digest, approve, reject)
	}
	return fmt.Sprintf("since %[4]s; `dirsweep approve %[1]s` %[2]s, `dirsweep reject %[1]s` %[3]s",
		h.Digest, approve, reject, clock(h.Since))
}

// rulings say what approving a hold does, and what rejecting it does.
func rulings(h control.Hold) (approve, reject string) {
	reject = "leaves it as it is"
	switch identity.HoldKind(h.Kind) {
	case identity.HoldAnomaly, identity.HoldCohort:
		if len(h.People) > 0 {
			return "closes these accounts", "keeps them as they are"
		}
		return "takes it as it is now", reject
	case identity.HoldEnable:
		return "enables these accounts", "keeps them as they are"
	case identity.HoldDelete:
		return "deletes these accounts", "keeps them as they are"
	case identity.HoldShrink:
		return "takes what was read as it is now", reject
	case identity.HoldRelink:
		return "has people known by their new anchor", reject
	}
	return "makes the change", reject
}

// holdName says what waits: "40 people of corp in wiki, deleted, from ou=sales,…".
func holdName(h control.Hold) string {
	text := count(h.Persons(), "person", "people")
	if len(h.People) == 0 {
		text = h.Kind
	}
	of := h.Source
	if h.Target == "" {
		of = ""
	}
	for _, p := range []struct{ word, what string }{
		{" of ", of}, {" in ", first(h.Target, h.Source)}, {", ", h.Cause}, {", from ", h.Container},
	} {
		if p.what != "" {
			text += p.word + p.what
		}
	}
	return clean(text)
}

func people(h control.Hold) string {
	var names []string
	for _, p := range h.People[:min(len(h.People), heldShown)] {
		names = append(names, first(p.UserName, p.Name, p.Account))
	}
	text := strings.Join(names, ", ")
	if n := len(h.People) + h.More - len(names); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return clean(text)
}

func (a *app) printFailures(failures []control.Failure) {
	for _, f := range failures {
		a.printf("%s %s: %s %s: %s\n", a.style.warn("! failed"), f.Change.Target, f.Change.Op, who(f.Change), clean(f.Error))
	}
	if len(failures) > 0 {
		a.printf("\n")
	}
}

func (a *app) printFindings(findings []control.Finding) {
	for _, g := range grouped(findings) {
		a.printf("%s %s: %s: %s\n", a.style.change("!"), g.Kind, clean(g.subjects()), clean(g.Detail))
	}
	if len(findings) > 0 {
		a.printf("\n")
	}
}

// A findingGroup is findings that say the same of several subjects.
type findingGroup struct {
	control.Finding
	about []string
}

// grouped puts findings together that differ in whom they are about only.
func grouped(findings []control.Finding) (groups []*findingGroup) {
	type key struct{ kind, target, source, detail string }
	known := map[key]*findingGroup{}
	for _, f := range findings {
		k := key{f.Kind, f.Target, f.Source, f.Detail}
		g := known[k]
		if g == nil {
			g = &findingGroup{Finding: f}
			known[k] = g
			groups = append(groups, g)
		}
		if f.First.Before(g.First) {
			g.First = f.First
		}
		g.about = append(g.about, f.Subject)
	}
	return groups
}

// subjectsShown is how many subjects of one finding are named; `findings --json` has them all.
const subjectsShown = 3

func (g *findingGroup) subjects() string {
	if len(g.about) <= subjectsShown {
		return strings.Join(g.about, ", ")
	}
	return fmt.Sprintf("%d, %s and %d more", len(g.about), strings.Join(g.about[:subjectsShown], ", "), len(g.about)-subjectsShown)
}

func (a *app) printAbsent(what string, parts []control.Part) {
	for _, part := range parts {
		if part.Error != "" {
			where := ""
			if part.At != "" {
				where = " (" + part.At + ")"
			}
			a.printf("%s %s %s skipped: %s%s\n", a.style.warn("!"), what, part.Name, clean(strings.TrimPrefix(part.Error, part.Name+": ")), where)
		}
	}
}

func (a *app) printClosed(closed []control.Closing) {
	var rows [][]string
	for _, c := range closed {
		rows = append(rows, []string{clean(c.Name), c.Target, seconds(c.Seconds)})
	}
	if len(rows) > 0 {
		a.printTable("", []string{"proven closed", "target", "after leaving"}, rows)
		a.printf("\n")
	}
}

func (a *app) printStillOpen(open []control.Open) {
	for _, o := range open {
		a.printf("%s %s: %s%s\n", a.style.warn("! not seen closed"), o.Target, clean(o.UserName), clean(because(o.Why)))
	}
	if len(open) > 0 {
		a.printf("\n")
	}
}

// printSummary says all three: what was done or is to be done, what waits, and what failed.
func (a *app) printSummary(r control.Report, t tense) {
	a.printf("%s\n", a.style.bold(summaryLine(r, t)))
	a.printObserved(r, t)
	if r.Refused != "" {
		a.printf("%s\n", a.style.warn(r.Refused))
	}
	if r.Digest != "" {
		a.printf("%s\n", a.style.faint("digest "+r.Digest))
	}
	a.printf("%s\n", a.style.faint(origin(r.By)))
}

func summaryLine(r control.Report, t tense) string {
	word, nothing := "Plan: ", "nothing to change"
	if t == done {
		word, nothing = "Done: ", "nothing"
	}
	parts := []string{
		word + first(counted(r.Counts, t), nothing),
		"Waits for you: " + first(waiting(r.Facts), "nothing"),
		"Failed: " + first(failed(r.Facts), "nothing"),
	}
	if n := r.Facts.Open; n > 0 {
		parts = append(parts, "Still open: "+count(n, "account of somebody who left", "accounts of people who left"))
	}
	return strings.Join(parts, ". ") + "."
}

// printObserved says of targets in observe mode that nothing was written there, and what would have been.
func (a *app) printObserved(r control.Report, t tense) {
	var names []string
	for _, part := range r.Targets {
		if part.Mode == "observe" {
			names = append(names, part.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	written := "nothing written"
	if t == planned {
		written = "nothing is written"
	}
	a.printf("%s\n", a.style.change(fmt.Sprintf("Observe mode (%s), %s. Would %s.", strings.Join(names, ", "), written, first(wouldBe(r.Observed), "change nothing"))))
}

func origin(by control.Origin) string {
	if by.Daemon != 0 {
		return fmt.Sprintf("by the daemon (pid %d), with its config %s", by.Daemon, by.Config)
	}
	return "by this process, with " + by.Config
}

// counted lists how many of each operation there are: "2 to disable", "2 disabled".
func counted(counts map[string]int, t tense) string {
	var parts []string
	for _, op := range opOrder {
		switch n := counts[string(op)]; {
		case n <= 0:
		case op == identity.Finish:
			parts = append(parts, count(n, "closing step", "closing steps"))
		case t == planned:
			parts = append(parts, fmt.Sprintf("%d to %s", n, op))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, past(op)))
		}
	}
	return strings.Join(parts, ", ")
}

func wouldBe(counts map[string]int) string {
	var parts []string
	for _, op := range opOrder {
		if n := counts[string(op)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", op, n))
		}
	}
	return strings.Join(parts, ", ")
}

// waiting lists what waits for an operator, by kind.
func waiting(f control.Facts) string {
	var parts []string
	for _, kind := range f.Kinds() {
		parts = append(parts, fmt.Sprintf("%d %s", f.Waiting[kind], kindText(kind)))
	}
	return strings.Join(parts, ", ")
}

// kindText says in an operator's words what a kind of what waits is.
func kindText(kind string) string {
	switch kind {
	case "expression":
		return "whose mapping failed"
	case "leaver":
		return "left to you by the config"
	case "observed":
		return "only observed"
	}
	return kind
}

func failed(f control.Facts) string {
	var parts []string
	if f.Failed > 0 {
		parts = append(parts, count(f.Failed, "change", "changes"))
	}
	if text := unread(f); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func unread(f control.Facts) string {
	if f.Absent == 0 {
		return ""
	}
	return count(f.Absent, "source or target", "sources and targets")
}

func past(op identity.Op) string {
	switch op {
	case identity.Strip:
		return "stripped"
	case identity.Link:
		return "linked"
	}
	return strings.TrimSuffix(string(op), "e") + "ed"
}

// first returns the first value that is not zero.
func first[T comparable](values ...T) (zero T) {
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
