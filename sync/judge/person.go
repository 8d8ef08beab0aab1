// Package judge says of people whether they stay, leave, return, or whether nobody can tell: from what was known of
// them, what a read shows and what a look-up answers. It is pure: facts come in as values, and the clock with them.
//
//	what was read of a person      Person      stays, leaves, returns, unsure
//	what a read shows as a whole   Believe     whether it proves anything
//	who a read lacks               Absence     moved, deleted, unproven
//	who came back as another       Returns     one to one by key, or disputed
//	what many lost at once         Survey      anomalies, and whom they bind
//	one account of all that        Departure   a leaver, or not
package judge

import (
	"slices"
	"time"
)

// A Verdict is what is believed of one person.
type Verdict string

// The verdicts.
const (
	Unsure Verdict = "unsure"  // nobody can tell: neither a leaver nor changed
	Stay   Verdict = "stays"   // active, as before
	Leave  Verdict = "leaves"  // there, and no longer active
	Return Verdict = "returns" // active again
)

// Known is what is remembered of a person. Its zero value is of somebody who is new.
type Known struct {
	Active  bool
	Scope   []string  // targets whose scope holds them, sorted
	Noticed time.Time // when they were seen to have left; zero for who has not
	Left    time.Time // when they left, by the directory's own clock; zero where it did not say
	Changed time.Time // when their entry was last changed, by the directory's own clock; zero where it did not say
	Turns   time.Time // when the clock alone was to change what they are; zero for never
}

// An Entry is what a read returned of a person.
type Entry struct {
	Unreadable bool      // the source returned them in a state that cannot be read
	Changed    time.Time // when the entry was last changed, by the directory's own clock; zero where it does not say
	// Since is when a server was last believed that nobody could tell to be as current as the one before; zero for never.
	Since time.Time
}

// older reports whether an entry was last changed before what is known of its person: whoever was seen to have left on one
// server is not back because another one, whose copy of the directory is older, still has them as they were.
func (e Entry) older(known Known) bool {
	return known.Noticed.Before(e.Since) && !known.Noticed.IsZero() && !e.Changed.IsZero() &&
		(e.Changed.Before(known.Changed) || e.Changed.Before(known.Left))
}

// An Evaluation is what the config's expressions say of an entry that could be read.
type Evaluation struct {
	ActiveFailed bool // nothing of the rest is known then
	Active       bool
	Ended        time.Time // of who is not active: since when, where a date has them so
	Scope        []string  // targets whose scope holds the person, sorted
	Failed       []string  // targets whose scope gave no answer
}

// A Record is what is to be remembered of a person now, and where nothing is.
type Record struct {
	Verdict Verdict
	Known
	Unsure []string // the targets at which nobody can tell, sorted; all of them where Verdict is Unsure
	Older  bool     // they seem to be back, by an entry that is older than their leaving
}

// Person judges somebody whom a read returned. targets are all that read the source, sorted. Somebody of whom not all
// is known is unsure where it is not known, and remembered as before: trouble with an entry or an expression is not
// absence.
func Person(known Known, entry Entry, e Evaluation, targets []string, now time.Time) Record {
	if entry.Unreadable || e.ActiveFailed {
		return Record{Verdict: Unsure, Known: known, Unsure: targets}
	}
	if e.Active && entry.older(known) {
		return Record{Verdict: Unsure, Known: known, Unsure: targets, Older: true}
	}
	r := Record{Known: Known{Active: e.Active, Scope: e.Scope, Changed: entry.Changed}}
	if !e.Active {
		r.Verdict, r.Noticed, r.Left = Leave, known.Noticed, known.Left
		if r.Noticed.IsZero() {
			r.Noticed, r.Left = now, leftAt(known, entry, e.Ended)
		}
		return r
	}
	r.Verdict = Stay
	if !known.Noticed.IsZero() {
		r.Verdict = Return
	}
	for _, target := range targets {
		if slices.Contains(e.Failed, target) {
			r.Unsure = append(r.Unsure, target)
		}
	}
	return r
}

// leftAt is when somebody left whom their entry no longer has active. Who is so by a date left at that very instant, if it
// was known beforehand that they would; if not, the date may have been set when it had passed, and until then nothing
// said that they were to leave: where the directory does not tell when that was, nothing dates it.
func leftAt(known Known, entry Entry, ended time.Time) time.Time {
	if !ended.IsZero() && (ended.Equal(known.Turns) || entry.setBefore(ended)) {
		return ended
	}
	return Happened(known.Changed, entry.Changed)
}

// setBefore reports whether an entry said before an instant what it says: it was not changed since.
func (e Entry) setBefore(at time.Time) bool { return !e.Changed.IsZero() && at.After(e.Changed) }

// Happened is when an entry came to say what it says: when it was last changed, if that was since it was last known to
// be. An entry that was not changed says it by the clock, by the config, or because something else was changed, such as
// the container that it is in, and then nothing dates it.
func Happened(known, changed time.Time) time.Time {
	if known.IsZero() || !changed.After(known) {
		return time.Time{}
	}
	return changed
}
