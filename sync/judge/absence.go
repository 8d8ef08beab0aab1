package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// An Order is how current one answer of a directory is beside another.
type Order uint8

// The orders.
const (
	Undated      Order = iota // at least one of the two servers does not tell
	Current                   // as current, or more
	Older                     // less current
	Incomparable              // each knows something that the other does not
)

// A Read is what one whole read of a source was, beside its people.
type Read struct {
	Server  string // who answered; "" where the kind does not tell
	Order   Order  // beside the last accepted read
	Unnamed int    // entries without a readable anchor: any of them may be somebody whom the read lacks
	// Nowhere: nothing is remembered of where the person was, and whatever comes of the answer waits for an operator.
	Nowhere bool
}

// Accepted is what is remembered of the last read that was believed. Its zero value is of a source that was never read.
type Accepted struct {
	Server string
	Rival  string    // another server that could not be dated, which answered the last read
	Since  time.Time // since when Rival has
}

// apart is how long two reads of a server that cannot be dated have to be apart, at least: the second one is then that of
// the next delta pass, a minute after the first at the latest.
const apart = 30 * time.Second

// A Belief is what is to be made of a read.
type Belief struct {
	Whole     bool   // it proves what it says
	Backwards bool   // the server itself has gone back: an operator has to take it as it is now
	Why       string // where it is not whole: one sentence
	Accepted         // what is to be remembered
}

// Believe says whether a read proves anything. It does where its server is at least as current as that of the last
// accepted one; a server that cannot be dated is believed where it is the same as before, or where a second read of it,
// a delta later, says so again.
func Believe(last Accepted, read Read, now time.Time) Belief {
	same := read.Server == last.Server
	b := Belief{Accepted: last}
	switch {
	case read.Order == Current, read.Order == Undated && (same || last.Server == ""):
		return Belief{Whole: true, Accepted: Accepted{Server: read.Server}}
	case read.Order == Older && same:
		b.Backwards = true
		b.Why = fmt.Sprintf("%s is older than when it was last read, as after a restore: nothing of it is believed", read.Server)
		return b
	case read.Order == Older:
		b.Why = fmt.Sprintf("%s answered and lacks changes that %s, which was read before, has: nothing of it is believed",
			read.Server, last.Server)
		return b
	case read.Server != last.Rival:
		b.Rival, b.Since = read.Server, now
	case now.Sub(last.Since) >= apart:
		return Belief{Whole: true, Accepted: Accepted{Server: read.Server}}
	}
	b.Why = fmt.Sprintf("%s answered in the place of %s, and nothing tells which of them is more current: "+
		"it is believed when it answers again, %s after %s", read.Server, last.Server, apart, b.Since.UTC().Format(time.TimeOnly))
	return b
}

// Where is what a source answers of one anchor.
type Where string

// The answers.
const (
	NoAnswer  Where = ""          // it cannot be asked, or did not answer
	InScope   Where = "in scope"  // a read would return them
	Elsewhere Where = "elsewhere" // they exist outside of what is read
	Tombstone Where = "tombstone" // it says that they were deleted
	Gone      Where = "gone"      // it knows nobody by that anchor
	// Unlisted: it cannot be asked for one person, and the config says that whoever a whole read of it lacks has left.
	Unlisted Where = "unlisted"
)

// A Place is what is to be seen of the container that held a person.
type Place string

// The places.
const (
	PlaceUnknown Place = ""
	PlacePeopled Place = "peopled" // others are seen there
	PlaceEmpty   Place = "empty"   // it is there, and nobody is seen in it
	PlaceHidden  Place = "hidden"  // it is not there, or may not be seen
)

// A Sighting is what one source says of one anchor, asked for it after a read that lacks it.
type Sighting struct {
	Source  string
	Where   Where
	Trouble string // where there is no answer: why
	Order   Order  // beside the last accepted read of that source
	Same    bool   // the server that answered is the one that was read
	Witness bool   // somebody who should be seen was
	Place   Place  // of where the person was
	// Untraced: the source shows what was deleted in it, and nothing of the person, whom it has shown before.
	Untraced bool
	Now      string // where they are, of Elsewhere: a DN
	// Inactive says why somebody in scope is not active, where the read has them by another anchor; "" where they are,
	// or nobody can tell.
	Inactive string
	Proof    string    // for evidence: what was asked, of whom, and the answer
	Changed  time.Time // when the directory says that it happened; zero where it does not
	At       time.Time // of the answer

	// Of Unlisted: Version is what messages call the list that lacks them, Lacked when a list that was believed first did,
	// zero where this one is the first, and Later how this one is beside that: Current where all of it has been written
	// anew since, Older where not, Undated where the source does not tell, Incomparable where that one was of other files.
	Version string
	Lacked  time.Time
	Later   Order
	// Alike, of a source that cannot be asked, is an anchor that the list has, that nobody else's account is linked to, and
	// that differs from theirs in leading zeros alone; "" for none.
	Alike string
}

// An Outcome is what became of somebody whom a read lacks.
type Outcome string

// The outcomes.
const (
	Unproven Outcome = "unproven" // nobody can tell: not a leaver
	Missed   Outcome = "missed"   // they are there: the read was not whole
	Left     Outcome = "left"
)

// An Absent is the judgement of somebody whom a read lacks.
type Absent struct {
	Outcome  Outcome
	Why      string // where it is not Left: one clause
	Cause    identity.Cause
	Strength identity.Strength
	Proof    string
	Now      string    // where they moved to: a DN
	Left     time.Time // by the directory's own clock; zero where it does not say
	At       time.Time // of the answer
	// Emptied: their container was emptied with them. They are held at any size, unless a tombstone says that they were
	// deleted.
	Emptied bool
	// Unlisted: nothing says that they left but a read that lacks them, of a source that cannot be asked. They count as
	// missing without an explanation (R2), and no floor lets them go (R6).
	Unlisted bool
	// First: they are unproven since this read is the first of a source that cannot be asked which lacks them. It has to be
	// remembered, if it is believed.
	First bool
}

// Absence judges somebody whom a read lacks by what each source of their directory says when asked for that very anchor
// (R1). The strongest word counts: who is in scope of one is there, and who is anywhere else has moved; gone has to be
// the answer of all. Without an answer of every source, from a server that is current, with a witness and the place
// where they were, nobody is a leaver. A source that cannot be asked answers by its reads alone where the config says
// so, and that is the weakest proof of all: two versions of the list have to lack them, since one may have lost lines.
func Absence(read Read, sightings []Sighting) Absent {
	var inactive, elsewhere, tombstone, gone, unlisted *Sighting
	if len(sightings) == 0 {
		return unproven("", "no source of their directory is read")
	}
	for i := range sightings {
		s := &sightings[i]
		switch s.Where {
		case InScope:
			if s.Inactive != "" {
				inactive = s
				continue
			}
			return Absent{
				Outcome: Missed, Proof: s.Proof,
				Why: s.Source + " has them in scope, though a read that called itself complete lacks them",
			}
		case Elsewhere:
			elsewhere = s
		case Tombstone:
			tombstone = s
		case Gone:
			gone = s
		case Unlisted:
			unlisted = s
		case NoAnswer:
		default:
			return unproven(s.Source, "it gave an answer that nobody knows: "+string(s.Where))
		}
	}
	for _, s := range sightings {
		if why := doubt(read, s); why != "" {
			return unproven(s.Source, why)
		}
	}
	for _, s := range sightings {
		if why := unconfirmed(s); why != "" {
			a := unproven(s.Source, why)
			a.First = s.first()
			return a
		}
	}
	switch {
	case inactive != nil:
		a := left(*inactive, identity.Inactive, identity.ByState)
		a.Proof += "; they are not active: " + inactive.Inactive
		return a
	case elsewhere != nil:
		return left(*elsewhere, identity.Moved, identity.ByScope)
	case tombstone != nil:
		return left(*tombstone, identity.Deleted, identity.ByAbsence)
	case unlisted != nil:
		a := left(*unlisted, identity.Deleted, identity.ByScope)
		a.Unlisted = true
		return a
	}
	a := left(*gone, identity.Deleted, identity.ByAbsence)
	a.Emptied = gone.Place == PlaceEmpty
	return a
}

func unproven(source, why string) Absent {
	if source != "" {
		why = source + ": " + why
	}
	return Absent{Outcome: Unproven, Why: why}
}

func left(s Sighting, cause identity.Cause, strength identity.Strength) Absent {
	return Absent{Outcome: Left, Cause: cause, Strength: strength, Proof: s.Proof, Now: s.Now, Left: s.Changed, At: s.At}
}

// doubt says why an answer is not believed, "" where it is.
func doubt(read Read, s Sighting) string {
	switch {
	case s.Alike != "":
		return fmt.Sprintf("%s has %s, which differs only in leading zeros: a spreadsheet may have eaten them; "+
			"have that column exported as text", s.list(), s.Alike)
	case s.Where == NoAnswer:
		return strings.TrimSuffix("it gave no answer: "+s.Trouble, ": ")
	case s.Order == Older || s.Order == Incomparable:
		return "the server that answered lacks changes that were read before"
	case s.Order == Undated && !s.Same:
		return "the server that answered is not the one that was read, and does not tell how current it is"
	case s.Where != Gone && s.Where != Unlisted:
		return ""
	case read.Unnamed > 0:
		return fmt.Sprintf("%d entries of the read have no readable anchor, and each of them may be this person", read.Unnamed)
	case s.Where == Unlisted:
		return ""
	case s.Untraced:
		return "it shows what is deleted, and nothing of theirs: it may not know of them yet"
	case !s.Witness:
		return "it showed nobody whom it should show"
	case s.Place == PlaceUnknown && read.Nowhere:
		return ""
	case s.Place == PlaceHidden || s.Place == PlaceUnknown:
		return "the place where they were cannot be seen"
	}
	return ""
}

// first reports whether nothing is remembered of an earlier list that lacks them and that this one can be compared with.
func (s Sighting) first() bool {
	return s.Lacked.IsZero() || s.Lacked.After(s.At) || s.Later == Incomparable
}

// list is what messages call the list that lacks them.
func (s Sighting) list() string {
	if s.Version == "" {
		return "the list"
	}
	return s.Version
}

// unconfirmed says why a list that lacks somebody is not enough; "" where it is, and of whatever is not Unlisted. Two
// versions within seconds are one export that is still being written, and a source that does not tell its versions is
// asked twice.
func unconfirmed(s Sighting) string {
	second := "a second, newer one"
	if s.Later == Undated {
		second = "a second read of it"
	}
	switch {
	case s.Where != Unlisted:
		return ""
	case s.first():
		return fmt.Sprintf("missing from %s; %s, %s later or more, has to lack them as well", s.list(), second, apart)
	case s.Later == Older, s.At.Sub(s.Lacked) < apart:
		return fmt.Sprintf("missing from %s, and since %s; %s, %s after that or more, has to lack them as well",
			s.list(), s.Lacked.UTC().Format("2006-01-02 15:04:05 UTC"), second, apart)
	}
	return ""
}
