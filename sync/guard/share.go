package guard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A share is what one set of limits allows of one population: the people of a directory, or the accounts of a target.
type share struct {
	kind      identity.HoldKind
	directory string // one of the two is set
	target    string
	limits    Limits
	base      int
	now       time.Time
	spent     []identity.Spent
	waiting   []identity.Leaver // held since the window began, and not decided
}

// sources judges, once for all targets, whoever leaves by something that arises in a source.
func (d *decider) sources(fresh []identity.Leaver) (rest []identity.Leaver) {
	by := map[string][]identity.Leaver{}
	for _, l := range fresh {
		if arises(d.kind, l) {
			by[l.Person.Directory] = append(by[l.Person.Directory], l)
		} else {
			rest = append(rest, l)
		}
	}
	for _, directory := range slices.Sorted(maps.Keys(by)) {
		s := share{kind: d.kind, directory: directory, limits: d.Limits, base: d.People[directory].base(), now: d.Now}
		for _, spent := range d.Spent {
			if spent.Kind == d.kind && spent.Person.Directory == directory && arises(d.kind, leaverOf(spent)) {
				s.spent = append(s.spent, spent)
			}
		}
		s.waiting = d.waiting(s.limits.Window, func(h identity.Hold) bool { return h.Directory == directory })
		rest = append(rest, d.judge(s, by[directory])...)
	}
	return rest
}

// targets judges each target's share in its own accounts.
func (d *decider) targets(fresh []identity.Leaver) (rest []identity.Leaver) {
	by := map[string][]identity.Leaver{}
	for _, l := range fresh {
		by[l.Target] = append(by[l.Target], l)
	}
	for _, target := range slices.Sorted(maps.Keys(by)) {
		s := share{kind: d.kind, target: target, limits: d.limits(target), base: d.Accounts[target].base(), now: d.Now}
		for _, spent := range d.Spent {
			if spent.Kind == d.kind && spent.Target == target {
				s.spent = append(s.spent, spent)
			}
		}
		s.waiting = d.waiting(s.limits.Window, func(h identity.Hold) bool { return h.Directory == "" && h.Target == target })
		rest = append(rest, d.judge(s, by[target])...)
	}
	return rest
}

// limits are a target's own, or the general ones where it has none.
func (d *decider) limits(target string) Limits {
	if l, ok := d.Facts.Targets[target]; ok {
		return l
	}
	return d.Limits
}

// waiting are the members of holds over a limit that were made within the window and that nobody has decided. What is
// held at any size, because it does not look right, is no measure of a cause.
func (d *decider) waiting(window time.Duration, of func(identity.Hold) bool) (list []identity.Leaver) {
	for _, h := range d.Facts.Holds {
		if h.Kind != d.kind || !of(h) || h.Anomaly != "" || atAnySize(h.Cause) || h.Since.Before(d.Now.Add(-window)) {
			continue
		}
		for _, m := range h.Members {
			if h.RulingOf(m).What == "" {
				list = append(list, identity.Leaver{
					Person: m.Person, Name: m.Name, Target: m.Target, Account: m.Account, Cause: m.Cause, Group: h.Group, Strength: m.Strength,
				})
			}
		}
	}
	return list
}

// judge returns those of a share who go, and holds the others: first whole causes, then cohorts. Who went by the same
// cause within the window goes again: another account of theirs is no other departure.
func (d *decider) judge(s share, leavers []identity.Leaver) (goes []identity.Leaver) {
	type departure struct {
		of    Ref
		cause string
	}
	went := map[departure]bool{}
	closed := s.closed(s.limits.Window, nil)
	for _, l := range closed {
		went[departure{s.unit(l), causeKey(l)}] = true
	}
	again, leavers := divide(leavers, func(l identity.Leaver) bool { return went[departure{s.unit(l), causeKey(l)}] })
	byCause := map[string][]identity.Leaver{}
	for _, l := range leavers {
		byCause[causeKey(l)] = append(byCause[causeKey(l)], l)
	}
	for _, key := range slices.Sorted(maps.Keys(byCause)) {
		if c, held := s.cause(byCause[key]); held {
			d.hold(c)
			continue
		}
		goes = append(goes, byCause[key]...)
	}
	proven, rest := divide(goes, s.proven)
	allowed, _ := s.allowed()
	few := s.closed(max(s.limits.Window, floorWindow), s.proven)
	proven = d.fit(s, proven, func(left []identity.Leaver) bool {
		return s.units(slices.Concat(closed, left)) <= allowed || s.units(slices.Concat(few, left)) <= s.limits.floor()
	})
	rest = d.fit(s, rest, func(left []identity.Leaver) bool {
		return s.units(slices.Concat(closed, proven, left)) <= allowed
	})
	return slices.Concat(again, proven, rest)
}

// cause says whether all who leave by one cause are over the limit by themselves, together with those who have left by
// it within the window and those who wait for the same.
func (s share) cause(leavers []identity.Leaver) (c cohort, held bool) {
	same := func(l identity.Leaver) bool { return causeKey(l) == causeKey(leavers[0]) }
	waiting, _ := divide(s.waiting, same)
	closed := s.closed(s.limits.Window, same)
	allowed, setting := s.allowed()
	switch {
	case s.units(slices.Concat(closed, waiting, leavers)) <= allowed:
		return c, false
	case s.proven(leavers[0]):
		recent := s.closed(max(s.limits.Window, floorWindow), same)
		if s.units(slices.Concat(recent, waiting, leavers)) <= s.limits.floor() {
			return c, false
		}
	}
	l := leavers[0]
	c = cohort{directory: s.directory, target: s.target, cause: l.Cause, group: l.Group, leavers: leavers}
	c.closed = names(closed)
	c.reason = fmt.Sprintf("%s, %s allows %s",
		s.count(s.units(leavers), c.because(), s.units(closed), s.units(waiting)), setting, s.allowance(allowed))
	return c, true
}

// fit returns those who go where there is room for them, and holds the largest cohorts of the others.
func (d *decider) fit(s share, leavers []identity.Leaver, room func([]identity.Leaver) bool) []identity.Leaver {
	if room(leavers) {
		return leavers
	}
	allowed, setting := s.allowed()
	closed := s.closed(s.limits.Window, nil)
	cohorts := map[string]cohort{}
	for _, l := range leavers {
		key := causeKey(l) + "\x00" + strings.ToLower(l.Container)
		c, ok := cohorts[key]
		if !ok {
			c = cohort{directory: s.directory, target: s.target, cause: l.Cause, group: l.Group, container: l.Container, closed: names(closed)}
		}
		c.leavers = append(c.leavers, l)
		cohorts[key] = c
	}
	order := slices.SortedFunc(maps.Keys(cohorts), func(a, b string) int {
		return cmp.Or(-cmp.Compare(s.units(cohorts[a].leavers), s.units(cohorts[b].leavers)), cmp.Compare(a, b))
	})
	for i, key := range order {
		var left []identity.Leaver
		for _, next := range order[i:] {
			left = append(left, cohorts[next].leavers...)
		}
		if room(left) {
			return left
		}
		c := cohorts[key]
		c.reason = fmt.Sprintf("%s, %s allows %s; these are %d of them",
			s.count(s.units(leavers), "all causes", s.units(closed), 0), setting, s.allowance(allowed), s.units(c.leavers))
		d.hold(c)
	}
	return nil
}

// allowed is how many may go within the window, and which setting says so.
func (s share) allowed() (n int, setting string) {
	if s.kind == identity.HoldDelete {
		return s.limits.MaxDeleteCount, fmt.Sprintf("max_delete_count = %d", s.limits.MaxDeleteCount)
	}
	return s.limits.allowed(s.base)
}

// closed are those who went ahead within the window.
func (s share) closed(window time.Duration, which func(identity.Leaver) bool) (list []identity.Leaver) {
	for _, spent := range s.spent {
		l := leaverOf(spent)
		if !spent.At.Before(s.now.Add(-window)) && (which == nil || which(l)) {
			list = append(list, l)
		}
	}
	return list
}

// unit is what is counted of a leaver: the person in a directory's share, the account in a target's.
func (s share) unit(l identity.Leaver) Ref {
	if s.directory != "" {
		return Ref{Person: l.Person}
	}
	return Ref{Target: l.Target, Account: l.Account}
}

func (s share) units(leavers []identity.Leaver) int {
	seen := map[Ref]bool{}
	for _, l := range leavers {
		seen[s.unit(l)] = true
	}
	return len(seen)
}

// proven reports whether a leaver is known to have left one by one: the directory says that they are gone, or their own
// entry that they are not active. Lost memberships, moves, edits and what only a listing shows are not.
func (s share) proven(l identity.Leaver) bool {
	if s.kind != identity.HoldCohort {
		return s.kind == identity.HoldEnable
	}
	return (l.Cause == identity.Deleted || l.Cause == identity.Inactive) && l.Strength >= identity.ByState
}

// count says how many would go, and how many have.
func (s share) count(n int, because string, closed, waiting int) string {
	done := map[identity.HoldKind]string{
		identity.HoldCohort: "closed", identity.HoldEnable: "enabled", identity.HoldDelete: "deleted",
	}[s.kind]
	unit, verb := "accounts", "would be "+done
	if s.directory != "" {
		unit = "people"
	}
	text := fmt.Sprintf("%d %s of %s %s (%s)", n, unit, cmp.Or(s.directory, s.target), verb, because)
	if closed > 0 {
		text += fmt.Sprintf(", %d were %s already", closed, done)
	}
	if waiting > 0 {
		text += fmt.Sprintf(", %d wait", waiting)
	}
	return text
}

// allowance says what the limit is, and where it is set.
func (s share) allowance(allowed int) string {
	where := "guard {} of " + s.target
	if s.directory != "" {
		where = "guard {}"
	}
	of := map[identity.HoldKind][2]string{
		identity.HoldCohort: {"active accounts", "people with an active account"},
		identity.HoldEnable: {"linked accounts", "people with an account"},
	}[s.kind]
	text := fmt.Sprint(allowed)
	if unit := of[0]; unit != "" {
		if s.directory != "" {
			unit = of[1]
		}
		text += fmt.Sprintf(" of %d %s", s.base, unit)
	}
	return fmt.Sprintf("%s within %s: raise it in %s, or approve this", text, hours(s.limits.Window), where)
}

// hours writes a window as people do.
func hours(window time.Duration) string {
	if window%time.Hour == 0 {
		return fmt.Sprintf("%d h", window/time.Hour)
	}
	return window.String()
}

func leaverOf(s identity.Spent) identity.Leaver {
	return identity.Leaver{
		Person: s.Person, Name: s.Name, Target: s.Target, Account: s.Account, Cause: s.Cause, Group: s.Group, Strength: s.Strength,
	}
}

func causeKey(l identity.Leaver) string { return string(l.Cause) + "\x00" + strings.ToLower(l.Group) }

func divide(leavers []identity.Leaver, which func(identity.Leaver) bool) (in, out []identity.Leaver) {
	for _, l := range leavers {
		if which(l) {
			in = append(in, l)
		} else {
			out = append(out, l)
		}
	}
	return in, out
}

func names(leavers []identity.Leaver) (list []string) {
	for _, l := range leavers {
		list = append(list, cmp.Or(l.Name, string(l.Account)))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
