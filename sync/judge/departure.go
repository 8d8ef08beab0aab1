package judge

import (
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Link is an account of a target and the person whose it is.
type Link struct {
	Target    string
	Person    identity.PersonID
	Name      string
	Account   identity.AccountID
	UserName  string
	Container string // where the person was last seen
}

// Facts are what there is to be known of a link's person at its target.
type Facts struct {
	Ordered  string // an operator ordered the person closed, with this reason; "" where nobody did
	Returned bool   // they are back under another anchor, and the account is theirs
	Watched  bool   // the target reads their source, and its read is believed

	// Of somebody who was read.
	Present bool
	Unsure  bool // nobody can tell at this target: an expression failed, or the entry cannot be read
	Active  bool
	InScope bool
	Why     string // why they are not active: "nsAccountLock is TRUE"; "" for the config's `active` expression
	// Over is the date that has them not active: "their time ended 2026-12-31 18:00 CET by leave_date (config.hcl:12)"; ""
	// where none has.
	Over    string
	Left    time.Time // when they left, by the directory's own clock
	Noticed time.Time // when that was seen
	Group   string    // a group that the scope names and that they were in and are no longer
	// Edited: what makes people stay here (scope, active, base, filter, groups) is not what it was when the person last
	// did (R14).
	Edited bool
	Edit   string // where that is, as far as it is known: "filter at config.hcl:17"
	// Condition is where the config says what they do not meet and had to meet before the edit, too: "config.hcl:10".
	// "" where the edit alone has them inactive.
	Condition string

	Absent *Absent // of somebody whom the read lacks; nil where nobody asked
	Anew   bool    // they are there and active under another anchor, by the rehire key, and have no account

	Rule  string // where the config says what is done about leavers
	Scope string // where the config's scope is; "" where it has none
	Now   time.Time
}

// Departure says whether, and why, a person may not keep an account. What is not known for sure is not a departure.
// What Absence proves is believed of a source that is held too: who is explained one by one does not wait for those who
// are not.
func Departure(link Link, f Facts) (identity.Leaver, bool) {
	l := identity.Leaver{
		Target: link.Target, Person: link.Person, Name: link.Name, Account: link.Account, UserName: link.UserName, Container: link.Container,
		Rule: f.Rule, Noticed: f.Now,
	}
	switch {
	case f.Ordered != "":
		l.Cause, l.Strength, l.Reason = identity.Emergency, identity.ByOrder, f.Ordered
		l.Rule, l.Proof = "sweep --reason "+f.Ordered, "ordered by an operator: "+f.Ordered
		return l, true
	case f.Returned:
		return l, false
	case !f.Present:
		return absent(l, f)
	case !f.Watched, f.Unsure, f.Active && f.InScope:
		return l, false
	}
	if !f.Noticed.IsZero() {
		l.Noticed = f.Noticed
	}
	switch {
	case !f.Active && f.Why != "":
		l.Cause, l.Strength, l.Left = identity.Inactive, identity.ByState, f.Left
		l.Proof = "the source says that the person is not active: " + f.Why
	case f.Edited && (f.Active || f.Condition == ""):
		l.Cause, l.Strength = identity.ConfigEdited, identity.ByScope
		l.Proof = "the config was edited, and no longer holds the person"
		if f.Scope != "" {
			l.Rule = f.Scope
		}
		edit(&l, f)
	case !f.Active:
		l.Cause, l.Strength, l.Left = identity.Inactive, identity.ByState, f.Left
		l.Proof = "the source, or the `active` expression, says that the person is not active"
		switch {
		case f.Over != "":
			l.Proof = "the person is not active: " + f.Over
			if f.Edited {
				l.Proof += ", as it was before the config was edited"
			}
		case f.Condition != "":
			l.Proof = "the `active` expression says that the person is not active, by what it asks at " + f.Condition +
				", as it did before the config was edited"
		}
	default:
		l.Cause, l.Strength, l.Group, l.Rule = identity.OutOfScope, identity.ByScope, f.Group, f.Scope
		l.Proof = "the scope at " + f.Scope + " no longer holds the person"
		if f.Group != "" {
			l.Proof += ", who has left " + f.Group
		}
	}
	return l, true
}

// Lapsed reports whether that a closing was accepted for one cause says nothing of another: who had left, and is there
// and active again, leaves by an edit of the config alone (R14).
func Lapsed(accepted, now identity.Cause, active bool) bool {
	left := accepted == identity.Deleted || accepted == identity.Inactive || accepted == identity.Moved
	return left && active && now == identity.ConfigEdited
}

func absent(l identity.Leaver, f Facts) (identity.Leaver, bool) {
	if f.Absent == nil || f.Absent.Outcome != Left {
		return l, false
	}
	l.Cause, l.Strength, l.Proof, l.Left = f.Absent.Cause, f.Absent.Strength, f.Absent.Proof, f.Absent.Left
	if !f.Noticed.IsZero() {
		l.Noticed = f.Noticed
	}
	if f.Edited && l.Cause == identity.Moved { // by the base, the filter or the depth, which may be what changed
		l.Cause = identity.ConfigEdited
		l.Proof = "the config was edited, and no longer reads the place of the person: " + l.Proof
		edit(&l, f)
	}
	if f.Edited && f.Anew { // the account would be theirs, were it not for the edit
		l.Cause, l.Strength = identity.ConfigEdited, identity.ByScope
		l.Proof = "the config was edited, and no longer holds the person, who is there under another anchor: " + l.Proof
		edit(&l, f)
	}
	return l, true
}

// edit names the line that was edited, where it is known, as the one by which somebody leaves.
func edit(l *identity.Leaver, f Facts) {
	if l.Edit = f.Edit; f.Edit != "" {
		l.Rule = f.Edit
	}
}
