package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// A way is one way to leave.
type way struct {
	cause    identity.Cause
	strength identity.Strength
	group    string
}

var (
	deleted  = way{identity.Deleted, identity.ByAbsence, ""}
	inactive = way{identity.Inactive, identity.ByState, ""}
	moved    = way{identity.Moved, identity.ByScope, ""}
	scope    = way{identity.OutOfScope, identity.ByScope, ""}
	edited   = way{identity.ConfigEdited, identity.ByScope, ""}
	ordered  = way{identity.Emergency, identity.ByOrder, ""}
	again    = way{identity.Reactivated, identity.ByScope, ""}
	orphan   = way{identity.Orphaned, identity.Unproven, ""}
	before   = way{identity.BeforeUs, identity.ByAbsence, ""}
)

func left(group string) way { return way{identity.OutOfScope, identity.ByScope, group} }

// person is one of directory corp.
func person(name string) identity.PersonID { return identity.PersonID{Directory: "corp", Anchor: name} }

// one is a leaver of a target.
func one(w way, container, target, name string) identity.Leaver {
	l := identity.Leaver{
		Person: person(name), Name: name, Container: container, Target: target, Account: identity.AccountID("a-" + name), UserName: name,
		Cause: w.cause, Strength: w.strength, Group: w.group,
	}
	if w.cause == identity.Orphaned {
		l.Person = identity.PersonID{}
	}
	return l
}

// crowd is n leavers of target wiki, named after how and where they left.
func crowd(w way, container string, n int) (out []identity.Leaver) {
	for i := range n {
		out = append(out, one(w, container, "wiki", fmt.Sprintf("%s%s-%s-%04d", w.cause, w.group, container, i)))
	}
	return out
}

// at is the same leavers at another target.
func at(target string, leavers []identity.Leaver) (out []identity.Leaver) {
	for _, l := range leavers {
		l.Target = target
		out = append(out, l)
	}
	return out
}

// by is the same leavers, leaving in another way.
func by(w way, leavers []identity.Leaver) (out []identity.Leaver) {
	for _, l := range leavers {
		l.Cause, l.Strength, l.Group = w.cause, w.strength, w.group
		out = append(out, l)
	}
	return out
}

func join(lists ...[]identity.Leaver) []identity.Leaver { return slices.Concat(lists...) }

// books are what a caller keeps between decisions.
type books struct {
	now       time.Time
	limits    guard.Limits
	targets   map[string]guard.Limits
	base      int
	bases     map[string]int // of targets, where another
	spent     []identity.Spent
	holds     []identity.Hold
	ended     map[guard.Ref]guard.End
	anomalies []guard.Anomaly
	reports   map[string]bool
	first     map[guard.Account]string
}

func company(base int) *books { return &books{now: morning, limits: guard.Default(), base: base} }

func (b *books) facts(leavers []identity.Leaver) guard.Facts {
	f := guard.Facts{
		Now: b.now, Limits: b.limits, Targets: b.targets, People: map[string]guard.Population{"corp": {Now: b.base}},
		Accounts: map[string]guard.Population{}, Spent: b.spent, Holds: b.holds, Ended: b.ended, Anomalies: b.anomalies, Reports: b.reports,
		FirstNames: b.first, Leavers: leavers,
	}
	for _, target := range []string{"wiki", "chat", "crm"} {
		f.Accounts[target] = guard.Population{Now: b.base}
		if n, ok := b.bases[target]; ok {
			f.Accounts[target] = guard.Population{Now: n}
		}
	}
	return f
}

// pass decides, and writes down what was decided.
func (b *books) pass(leavers ...[]identity.Leaver) guard.Decision {
	d := guard.Decide(b.facts(join(leavers...)))
	b.keep(d)
	return d
}

func (b *books) keep(d guard.Decision) { b.keepAs(identity.HoldCohort, d) }

func (b *books) keepAs(kind identity.HoldKind, d guard.Decision) {
	gone := map[string]bool{}
	for _, p := range slices.Concat(d.Dropped, d.Consumed) {
		gone[p.Digest+string(p.Account)+p.Target] = true
	}
	var holds []identity.Hold
	for _, h := range b.holds {
		h.Members = slices.DeleteFunc(slices.Clone(h.Members), func(m identity.Member) bool { return gone[h.Digest+string(m.Account)+m.Target] })
		if len(h.Members) > 0 {
			holds = append(holds, h)
		}
	}
	b.holds = append(holds, d.Holds...)
	for _, l := range d.Go {
		if l.Counts {
			b.spent = append(b.spent, identity.Spent{
				Kind:   kind,
				Person: l.Person, Name: l.Name, Target: l.Target, Account: l.Account, Cause: l.Cause, Group: l.Group, Strength: l.Strength, At: b.now,
			})
		}
	}
	b.ended = nil
}

// rule is an operator's word on a hold, but for some people.
func (b *books) rule(digest string, what identity.Verdict, except ...string) {
	for i, h := range b.holds {
		if h.Digest != digest {
			continue
		}
		b.holds[i].Members = slices.Clone(h.Members)
		for j := range h.Members {
			ruling := identity.Ruling{What: what, By: "olga", At: b.now}
			if slices.Contains(except, h.Members[j].Name) {
				ruling.What = identity.Rejected
			}
			b.holds[i].Members[j].Ruling = ruling
		}
	}
}

// returned says of people that they are back, at every target.
func (b *books) returned(end guard.End, leavers ...identity.Leaver) {
	b.ended = map[guard.Ref]guard.End{}
	for _, l := range leavers {
		b.ended[guard.RefOf(l.Person, l.Target, l.Account)] = end
	}
}

// said renders a decision: how many go, are kept, protected and reported, and what waits.
func said(d guard.Decision) string {
	count := map[string]int{}
	for _, w := range d.Held {
		count[w.Digest]++
	}
	var held []string
	for _, h := range d.Holds {
		parts := []string{fmt.Sprint(count[h.Digest]), string(h.Cause)}
		for _, p := range []string{h.Group, h.Container, h.Anomaly} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		held = append(held, strings.Join(parts, " "))
		delete(count, h.Digest)
	}
	slices.Sort(held)
	standing := 0
	for _, n := range count {
		standing += n
	}
	out := fmt.Sprintf("%d go", len(d.Go))
	if len(held) > 0 {
		out += "; held " + strings.Join(held, ", ")
	}
	for what, n := range map[string]int{"; standing %d": standing} {
		if n > 0 {
			out += fmt.Sprintf(what, n)
		}
	}
	for i, n := range []int{len(d.Kept), len(d.Protected), len(d.Reported)} {
		if n > 0 {
			out += fmt.Sprintf("; %s %d", []string{"kept", "protected", "reported"}[i], n)
		}
	}
	return out
}
