package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Presence is what a source's block says of somebody at an instant.
type Presence struct {
	Active bool
	Ended  time.Time // of who is not active: since when, where a date has them so
	// Why is that date: "their time ended 2026-12-31 18:00 CET by leave_date (config.hcl:12)"; "" where none has.
	Why  string
	By   string // which date it is, and nothing else of Why
	Next Turn
}

// A Turn is the next instant at which the clock alone changes what somebody is or has. Its zero value is never.
type Turn struct {
	At   time.Time
	What string // "leaves", "comes", "leaves wiki"
	By   string // which date has it so: "leave_date (config.hcl:12)", or an attribute of the entry: "accountExpires"
	Zone *time.Location
}

// Never reports whether the clock alone changes nothing.
func (t Turn) Never() bool { return t.At.IsZero() }

// String reads "leaves 2026-12-31 18:00 CET by leave_date (config.hcl:12)".
func (t Turn) String() string {
	if t.Never() {
		return ""
	}
	return t.What + " " + shown(t.At, t.Zone) + " by " + t.By
}

// shown is an instant as the clocks of a zone show it.
func shown(at time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	layout := "2006-01-02 15:04 MST"
	if at.Second() != 0 {
		layout = "2006-01-02 15:04:05 MST"
	}
	return at.In(zone).Format(layout)
}

// Earlier is the earlier of two turns.
func (t Turn) Earlier(other Turn) Turn {
	if t.Never() || !other.Never() && other.At.Before(t.At) {
		return other
	}
	return t
}

// A date is leave_date or enter_date of a source block.
type date struct {
	*expression
	edge edge
	zone *time.Location
}

// compileDate compiles one; nil where the block has none.
func (u *unit) compileDate(path string, expr hcl.Expression, at edge, zone *time.Location, diags *hcl.Diagnostics) *date {
	if expr == nil {
		return nil
	}
	d := &date{u.compile(path, expr, wantText, diags), at, zone}
	if d.timed {
		*diags = append(*diags, problem(expr.Range(), "A date that moves",
			path+" is an instant, and now() is another one at each pass: name the attribute that holds the date."))
	}
	return d
}

// instant is the instant that the date stands for; zero for never. Of one that cannot be read nobody knows anything.
func (d *date) instant(f *frame) (time.Time, error) {
	if d == nil {
		return time.Time{}, nil
	}
	v, err := d.value(f)
	if err != nil || v == "" {
		return time.Time{}, err
	}
	at, err := parseInstant(v.Text(), d.zone, d.edge)
	if err != nil {
		return time.Time{}, d.fail(f, err.Error())
	}
	return at, nil
}

// print fingerprints the date with its zone; 0 for none.
func (d *date) print() uint64 {
	if d == nil {
		return 0
	}
	h := xxhash.New()
	hashNumber(h, printOf(d.expression))
	hashText(h, d.zone.String())
	return h.Sum64()
}

// A life is the dates of one person: when they come and when their time is over, both zero for no such date.
type life struct {
	enters, leaves time.Time
	unread         error // of a date that cannot be read
}

func (s *Source) life(f *frame) (l life) {
	var early, late error
	l.enters, early = s.enter.instant(f)
	l.leaves, late = s.leave.instant(f)
	l.unread = cmp.Or(late, early)
	return l
}

// Presence says whether somebody is active at an instant, since when not, and when the clock alone changes that. One
// date that has passed, or has yet to come, is reason enough for not being active, whatever cannot be read beside it;
// of somebody who would be active, every date has to be read, else nobody knows whether they are: an error.
func (s *Source) Presence(p identity.Person, at time.Time) (Presence, error) {
	l := s.life(s.unit.frame(&p, nil))
	active, err := s.activeAt(p, l, at)
	if err != nil {
		return Presence{}, err
	}
	now := Presence{Active: active}
	for _, c := range s.candidates(p, l) {
		switch {
		case c.At.After(at) && now.Next.Never():
			if then, err := s.activeAt(judgedAt(p, c.At), l, c.At); err == nil && then != active {
				now.Next = c
			}
		case !c.At.After(at) && !active:
			before := c.At.Add(-time.Nanosecond)
			if was, err := s.activeAt(judgedAt(p, before), l, before); err != nil || was {
				now.Ended, now.By, now.Why = c.At, c.By, "their time ended "+shown(c.At, c.Zone)+" by "+c.By
			}
		}
	}
	switch {
	case now.Next.Never():
	case active:
		now.Next.What = "leaves"
	default:
		now.Next.What = "comes"
		if now.Ended.IsZero() {
			now.Why = "they come " + shown(now.Next.At, now.Next.Zone) + " by " + now.Next.By
		}
	}
	return now, nil
}

// Later is Presence at an instant that may be yet to come, with the kind's own judgement as it will be then.
func (s *Source) Later(p identity.Person, at time.Time) (Presence, error) {
	return s.Presence(judgedAt(p, at), at)
}

// activeAt is what the block says of somebody at an instant: p is as the kind judges them then.
func (s *Source) activeAt(p identity.Person, l life, at time.Time) (bool, error) {
	if !l.leaves.IsZero() && !at.Before(l.leaves) || at.Before(l.enters) {
		return false, nil
	}
	active := p.Active
	if s.active != nil {
		var err error
		if active, err = s.active.flag(s.unit.frameAt(&p, nil, at)); err != nil {
			return false, err
		}
	}
	if active && l.unread != nil {
		return false, l.unread
	}
	return active, nil
}

// judgedAt is a person as their kind judges them at another instant than it has.
func judgedAt(p identity.Person, at time.Time) identity.Person {
	if !p.Begins.IsZero() {
		p.Active = !at.Before(p.Begins)
	}
	if !p.Ends.IsZero() {
		p.Active = !at.Before(p.Begins) && at.Before(p.Ends)
	}
	return p
}

// candidates are the instants at which the clock may change whether somebody is active, in their order.
func (s *Source) candidates(p identity.Person, l life) (list []Turn) {
	add := func(at time.Time, by string, zone *time.Location) {
		if !at.IsZero() {
			list = append(list, Turn{At: at, By: by, Zone: zone})
		}
	}
	if s.leave != nil {
		add(l.leaves, s.leave.by(), s.leave.zone)
	}
	if s.enter != nil {
		add(l.enters, s.enter.by(), s.enter.zone)
	}
	if s.Judged() {
		add(p.Begins, p.BeginsBy, s.zone)
		add(p.Ends, p.EndsBy, s.zone)
	}
	if s.active != nil && len(s.active.flips) > 0 {
		for _, at := range s.active.changes(s.unit.frame(&p, nil)) {
			add(at, s.active.by(), s.zone)
		}
	}
	slices.SortStableFunc(list, func(a, b Turn) int { return a.At.Compare(b.At) })
	return list
}

// Ends is when the kind's own judgement of somebody who is active changes by the clock, where nothing else in the block
// depends on it.
func (s *Source) Ends(p identity.Person) Turn {
	if p.Ends.IsZero() || !p.Active || !s.Judged() {
		return Turn{}
	}
	return Turn{At: p.Ends, What: "leaves", By: p.EndsBy, Zone: s.zone}
}

// Begins is when the kind's own judgement of somebody who is not active yet changes by the clock.
func (s *Source) Begins(p identity.Person) Turn {
	if p.Begins.IsZero() || p.Active || !s.Judged() {
		return Turn{}
	}
	return Turn{At: p.Begins, What: "comes", By: p.BeginsBy, Zone: s.zone}
}

// Next is the next instant at which the clock alone changes what somebody, who is active, is to have at the target.
func (t *Target) Next(p identity.Person, at time.Time, target string) (next Turn) {
	f := t.unit.frame(&p, nil)
	in, err := t.InScope(p, at)
	if err != nil {
		return next
	}
	changes := t.scope.changes(f)
	slices.SortFunc(changes, time.Time.Compare)
	for _, c := range changes {
		if !c.After(at) {
			continue
		}
		if then, err := t.InScope(p, c); err == nil && then != in {
			next = Turn{At: c, What: map[bool]string{true: "joins ", false: "leaves "}[then] + target, By: t.scope.by()}
			break
		}
	}
	if !in {
		return next
	}
	for _, e := range append(slices.Clone(t.attributes), t.entitlements) {
		for _, c := range e.changes(f) {
			if c.After(at) {
				next = next.Earlier(Turn{At: c, What: "changes at " + target, By: e.by()})
			}
		}
	}
	return next
}

// by names an expression and its line.
func (e *expression) by() string { return fmt.Sprintf("%s (%s)", e.path, e.at) }

// Untold are the expressions that look at the clock in a way which does not tell when their value changes: "scope at
// config.hcl:18". They are evaluated in each pass.
func (s *Source) Untold() []string { return untold(s.active, s.rehire) }

// Untold are those of the target.
func (t *Target) Untold() []string { return untold(t.all()...) }

func untold(list ...*expression) []string {
	return places(list, func(e *expression) bool { return e.untold })
}
