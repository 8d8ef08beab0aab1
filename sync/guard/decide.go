package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Facts are everything that a decision rests on.
type Facts struct {
	Now      time.Time
	Limits   Limits                // the general ones: for causes that arise in a source, judged once in its people
	Targets  map[string]Limits     // each target's own, for its share
	People   map[string]Population // by directory: people with an active linked account; of returns: with any linked account
	Accounts map[string]Population // by target: linked active accounts; of returns: all linked accounts
	Spent    []identity.Spent      // what went ahead within the longest window, at least an hour
	Holds    []identity.Hold       // that stand, with their members

	// Ended are members of holds of whom it is known that there is nothing to be closed now. Of whom nothing is known
	// (a source that was not read, a pass for one person or target) nothing is said.
	Ended     map[Ref]End
	Anomalies []Anomaly
	Reports   map[string]bool // targets whose leaver block says action = "report"
	// Restored says why what is remembered is not believed: the state was put back to an older one. "" where it is.
	Restored string
	// FirstNames are the userNames that accounts had when they were first seen, where they have another now.
	FirstNames map[Account]string
	// Own are the accounts that dirsweep itself signs in as.
	Own []identity.Own
	// Leavers are those of every target that have no open step yet: all of them are judged before the first is closed.
	Leavers []identity.Leaver
}

// A Population is how many there are; a limit is a share of the larger number.
type Population struct {
	Start int // when the window began
	Now   int
}

func (p Population) base() int { return max(p.Start, p.Now) }

// An Account names one account of a target.
type Account struct {
	Target string
	ID     identity.AccountID
}

// A Ref names whom a hold binds: a person at a target, or an account that is nobody's.
type Ref struct {
	Person  identity.PersonID
	Target  string
	Account identity.AccountID // where Person is zero
}

// RefOf is what binds a leaver.
func RefOf(person identity.PersonID, target string, account identity.AccountID) Ref {
	if person.IsZero() {
		return Ref{Target: target, Account: account}
	}
	return Ref{Person: person, Target: target}
}

// End is why a member of a hold has nothing to be closed.
type End uint8

// The ends.
const (
	Returned  End = iota + 1 // the person is back where they should be
	NoAccount                // the account is closed, gone or no longer linked; a rejected person stays rejected
)

// An Anomaly is a state of a source in which people seem to leave and cannot be believed to: as long as it lasts
// whoever leaves by it is held, however few they are and in whatever pass (R1, R2, R14).
type Anomaly struct {
	What      string // "group wiki-users", "attribute nsAccountLock", "container ou=lab,dc=example,dc=org"
	Detail    string // "lost all its 40 members at once"
	Directory string
	Remedy    string // "check that dirsweep may read member of it"
	// Strength is the strongest proof that it may feign: who is known to have left by a stronger one does not leave by
	// this.
	Strength identity.Strength
	People   []identity.PersonID
}

// A Decision has each leaver in exactly one of Go, Held, Kept, Protected and Reported, sorted by target, person and
// account.
type Decision struct {
	Go        []Going
	Held      []Waiting
	Kept      []Keeping
	Protected []Protection
	Reported  []identity.Leaver

	Holds    []identity.Hold // new ones, with their members
	Dropped  []Place         // members that no longer leave, or that left by a stronger proof
	Consumed []Place         // members whose approval is used up
}

// Going is a leaver that is closed now.
type Going struct {
	identity.Leaver
	Counts   bool   // against the window
	Approved string // the hold whose approval lets it go; "" where none had to
}

// Waiting is a leaver on hold.
type Waiting struct {
	identity.Leaver
	Digest string
	Member identity.Member // by which the hold binds it: under the account that the person had when it was made
}

// Keeping is a leaver whose closing an operator rejected.
type Keeping struct {
	identity.Leaver
	Digest string
	Member identity.Member // by which the hold binds it: the person's at this target or, of what arises in a source, at another
	By     string
	At     time.Time
}

// Protection is a leaver that may not be closed.
type Protection struct {
	identity.Leaver
	Glob string       // of guard { protect }
	Own  identity.Own // where dirsweep itself signs in as the account (R5)
}

// Why says what keeps it from being closed.
func (p Protection) Why() string {
	if !p.Own.IsZero() {
		return p.Own.String()
	}
	return fmt.Sprintf("guard { protect } names it: %q", p.Glob)
}

// A Place is one member of one hold.
type Place struct {
	Digest string
	identity.Member
}

// Decide says of every leaver whether it goes now (R6). Order counts in none of the facts.
//
// What an operator orders goes, and what a hold binds stays bound. Of the rest, whoever leaves by an anomaly or an
// edited config is held at any size. Then causes that arise in a source are judged once, in people of that source, and
// what is left of each target's share in its accounts: a cause that is over the limit by itself is held whole, with
// everybody else who leaves by it until the window is over; where all causes together are, the largest cohorts of one
// cause and container are, until the rest is within the limit.
func Decide(f Facts) Decision { return decide(f, identity.HoldCohort) }

// Enables says of everybody whose account would be enabled whether it is (R6): as leavers are judged, in the linked
// accounts and people of any state, against what was enabled within the window and the holds of that kind. f.Leavers
// are those who are back, with the cause of that.
func Enables(f Facts) Decision { return decide(f, identity.HoldEnable) }

func decide(f Facts, kind identity.HoldKind) Decision {
	d := decider{Facts: f, kind: kind}
	d.index()
	fresh := d.settle()
	d.holdAll(d.joining)
	d.drop()
	fresh = d.suspicious(fresh)
	fresh = d.sources(fresh)
	fresh = d.targets(fresh)
	for _, l := range fresh {
		d.out.Go = append(d.out.Go, Going{Leaver: l, Counts: true})
	}
	d.sort()
	return d.out
}

type decider struct {
	Facts
	kind     identity.HoldKind
	standing map[Ref][]place
	persons  map[identity.PersonID][]place // of holds over causes that arise in a source
	here     map[Ref]bool
	joining  groups                       // by digest: people of standing holds who leave another target now
	suspects []map[identity.PersonID]bool // of each anomaly
	out      Decision
}

// A place is where a member is in the standing holds.
type place struct{ hold, member int }

func (d *decider) at(p place) (identity.Hold, identity.Member) {
	h := d.Facts.Holds[p.hold]
	m := h.Members[p.member]
	m.Ruling = h.RulingOf(m)
	return h, m
}

func (d *decider) index() {
	d.standing, d.persons, d.here = map[Ref][]place{}, map[identity.PersonID][]place{}, map[Ref]bool{}
	d.joining = groups{}
	for i, h := range d.Facts.Holds {
		if !d.mine(h) {
			continue
		}
		for j, m := range h.Members {
			ref := RefOf(m.Person, m.Target, m.Account)
			d.standing[ref] = append(d.standing[ref], place{i, j})
			if h.Directory != "" && !m.Person.IsZero() {
				d.persons[m.Person] = append(d.persons[m.Person], place{i, j})
			}
		}
	}
	for _, a := range d.Anomalies {
		suspects := make(map[identity.PersonID]bool, len(a.People))
		for _, id := range a.People {
			suspects[id] = true
		}
		d.suspects = append(d.suspects, suspects)
	}
	for _, l := range d.Leavers {
		d.here[RefOf(l.Person, l.Target, l.Account)] = true
	}
}

// mine reports whether a hold binds what is decided about here.
func (d *decider) mine(h identity.Hold) bool {
	return h.Kind == d.kind || d.kind == identity.HoldCohort && h.Kind == identity.HoldAnomaly
}

// settle decides about those who need no limit, and returns the others.
func (d *decider) settle() (fresh []identity.Leaver) {
	for _, l := range slices.SortedFunc(slices.Values(d.Leavers), compare) {
		if own, ok := identity.OwnOf(d.Own, l.Person, l.Target, l.Account, l.UserName); ok && d.kind != identity.HoldEnable {
			d.out.Protected = append(d.out.Protected, Protection{Leaver: l, Own: own})
		} else if glob, ok := d.limits(l.Target).Protected(l.UserName, d.FirstNames[Account{l.Target, l.Account}]); ok {
			d.out.Protected = append(d.out.Protected, Protection{Leaver: l, Glob: glob})
		} else if l.Strength == identity.ByOrder || l.Cause == identity.Emergency {
			d.out.Go = append(d.out.Go, Going{Leaver: l})
		} else if d.Reports[l.Target] && !l.Person.IsZero() {
			d.out.Reported = append(d.out.Reported, l)
		} else if !d.bound(l) {
			fresh = append(fresh, l)
		}
	}
	return slices.DeleteFunc(fresh, func(l identity.Leaver) bool {
		again := l.Cause == identity.Reactivated
		if again {
			d.out.Go = append(d.out.Go, Going{Leaver: l})
		}
		return again
	})
}

// bound decides about a leaver whom a standing hold binds. A stronger proof than the one that was held is another
// departure: the leaver is taken out of the hold and judged like anybody else.
func (d *decider) bound(l identity.Leaver) bool {
	places := d.standing[RefOf(l.Person, l.Target, l.Account)]
	if len(places) == 0 && arises(d.kind, l) {
		return d.boundElsewhere(l)
	}
	var binding []place
	for _, p := range places {
		if h, m := d.at(p); l.Strength > m.Strength {
			d.out.Dropped = append(d.out.Dropped, Place{h.Digest, m})
		} else {
			binding = append(binding, p)
		}
	}
	if len(binding) == 0 {
		return false
	}
	slices.SortFunc(binding, d.severity)
	h, m := d.at(binding[0])
	switch m.Ruling.What {
	case identity.Rejected:
		d.out.Kept = append(d.out.Kept, Keeping{l, h.Digest, m, m.Ruling.By, m.Ruling.At})
	case identity.Approved:
		d.out.Go = append(d.out.Go, Going{Leaver: l, Approved: h.Digest})
		for _, p := range binding {
			h, m := d.at(p)
			d.out.Consumed = append(d.out.Consumed, Place{h.Digest, m})
		}
	default:
		d.out.Held = append(d.out.Held, Waiting{l, h.Digest, m})
	}
	return true
}

// severity orders what binds one leaver: a rejection before a hold that is undecided, and that before an approval.
func (d *decider) severity(p, q place) int {
	rank := func(m identity.Member) int {
		return slices.Index([]identity.Verdict{identity.Rejected, "", identity.Approved}, m.Ruling.What)
	}
	h, m := d.at(p)
	i, n := d.at(q)
	return cmp.Or(cmp.Compare(rank(m), rank(n)), cmp.Compare(h.Digest, i.Digest))
}

// boundElsewhere keeps a person whose leaving is held, or was rejected, at other targets from being closed at this one:
// what arises in the source is one departure. The approval of the one covers its members alone.
func (d *decider) boundElsewhere(l identity.Leaver) bool {
	var binding []place
	for _, p := range d.persons[l.Person] {
		if _, m := d.at(p); l.Strength <= m.Strength && m.Ruling.What != identity.Approved && !d.over(m) {
			binding = append(binding, p)
		}
	}
	if len(binding) == 0 {
		return false
	}
	slices.SortFunc(binding, d.severity)
	h, m := d.at(binding[0])
	if m.Ruling.What == identity.Rejected {
		d.out.Kept = append(d.out.Kept, Keeping{l, h.Digest, m, m.Ruling.By, m.Ruling.At})
		return true
	}
	d.joining.add(h.Digest, cohort{
		directory: h.Directory, cause: h.Cause, group: h.Group, container: h.Container, anomaly: h.Anomaly,
		reason: "waits with hold " + h.Digest + " of the same people: " + h.Reason,
	}, l)
	return true
}

// over reports whether a member is taken out of its hold because the person has returned there.
func (d *decider) over(m identity.Member) bool {
	ref := RefOf(m.Person, m.Target, m.Account)
	return d.Ended[ref] == Returned && !d.here[ref]
}

// drop takes out of the holds whoever has nothing to be closed any more.
func (d *decider) drop() {
	for ref, places := range d.standing {
		end := d.Ended[ref]
		if d.here[ref] || end == 0 {
			continue
		}
		for _, p := range places {
			if h, m := d.at(p); end == Returned || m.Ruling.What != identity.Rejected {
				d.out.Dropped = append(d.out.Dropped, Place{h.Digest, m})
			}
		}
	}
}

// suspicious holds everybody who leaves by what does not look right, at any size.
func (d *decider) suspicious(fresh []identity.Leaver) (rest []identity.Leaver) {
	doubted := groups{}
	for _, l := range fresh {
		if c, ok := d.doubt(l); ok {
			doubted.add(strings.Join([]string{c.directory, c.target, c.anomaly, string(c.cause)}, "\x00"), c, l)
		} else {
			rest = append(rest, l)
		}
	}
	for key, c := range doubted {
		if c.cause == identity.ConfigEdited && c.anomaly == "" {
			c.reason = edited(c.leavers)
			doubted[key] = c
		}
	}
	d.holdAll(doubted)
	return rest
}

// anySize says of whom no number is small enough to go unasked.
const anySize = "held, however few they are"

// edited says by which edits of the config some leave.
func edited(leavers []identity.Leaver) string {
	var edits []string
	for _, l := range leavers {
		if l.Edit != "" {
			edits = append(edits, l.Edit)
		}
	}
	slices.Sort(edits)
	by := strings.Join(slices.Compact(edits), ", ")
	if by != "" {
		by = ", which was edited: " + by
	}
	return "they leave only by the config as it is now" + by + "; " + anySize +
		"; approve it where that is meant, or take the edit back, and the next pass goes on as before"
}

// doubt says why a leaver is held at any size.
func (d *decider) doubt(l identity.Leaver) (c cohort, ok bool) {
	best := -1
	for i, a := range d.Anomalies {
		if l.Strength > a.Strength || l.Person.IsZero() || !d.suspects[i][l.Person] {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(a.What, d.Anomalies[best].What), cmp.Compare(a.Detail, d.Anomalies[best].Detail)) < 0 {
			best = i
		}
	}
	switch {
	case best >= 0:
		a := d.Anomalies[best]
		return cohort{
			directory: a.Directory, cause: l.Cause, anomaly: a.What, reason: sentence(a.What+": "+a.Detail, a.Remedy),
		}, true
	case l.Cause == identity.ConfigEdited:
		return cohort{directory: l.Person.Directory, cause: l.Cause}, true // suspicious says why
	case l.Cause == identity.BeforeUs:
		return cohort{
			target: l.Target, cause: l.Cause,
			reason: "they left before anything was remembered of them; " + anySize +
				"; approve it where the accounts are theirs",
		}, true
	case d.Restored != "" && arises(d.kind, l):
		return cohort{directory: l.Person.Directory, cause: l.Cause, reason: d.Restored}, true
	case d.Restored != "":
		return cohort{target: l.Target, cause: l.Cause, reason: d.Restored}, true
	}
	return c, false
}

func sentence(what, remedy string) string {
	if remedy == "" {
		return what
	}
	return what + "; " + remedy
}

// arises reports whether a cause arises in the source, the same for every target, and so is judged once.
func arises(kind identity.HoldKind, l identity.Leaver) bool {
	switch {
	case l.Person.IsZero():
		return false
	case kind != identity.HoldCohort:
		return kind == identity.HoldEnable
	}
	switch l.Cause {
	case identity.Deleted, identity.Moved, identity.Inactive, identity.ConfigEdited:
		return true
	case identity.OutOfScope:
		return l.Group != ""
	}
	return false
}

func (d *decider) sort() {
	slices.SortFunc(d.out.Go, func(a, b Going) int { return compare(a.Leaver, b.Leaver) })
	slices.SortFunc(d.out.Held, func(a, b Waiting) int { return compare(a.Leaver, b.Leaver) })
	slices.SortFunc(d.out.Holds, func(a, b identity.Hold) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, list := range [][]Place{d.out.Dropped, d.out.Consumed} {
		slices.SortFunc(list, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Digest, b.Digest), a.Compare(b.Member)) })
	}
}
