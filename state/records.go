package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Person is what dirsweep remembers of one person between passes: no attributes, only what it takes to see that they
// changed or left.
type Person struct {
	ID    identity.PersonID `cbor:"-"`
	Name  string            `cbor:"1,keyasint,omitempty"`
	DN    string            `cbor:"2,keyasint,omitempty"`
	Print uint64            `cbor:"3,keyasint,omitempty"` // identity.Person.Fingerprint when last evaluated
	// Program is the fingerprint of every expression in the config then; together with Print it tells that nothing has
	// to be evaluated.
	Program uint64   `cbor:"4,keyasint,omitempty"`
	Active  bool     `cbor:"5,keyasint,omitempty"`
	Scope   []string `cbor:"6,keyasint,omitempty"` // the targets whose scope holds them, sorted
	Rehire  string   `cbor:"7,keyasint,omitempty"` // the declared rehire key's value, "" where none
	// Noticed is when the person was first seen to have left (by absence, inactivity or a move); zero for one who has
	// not. Left is when they did by the directory's own clock; zero where it does not say. Where Proven is set, absence
	// has been proven and is not asked for again.
	Noticed time.Time `cbor:"10,keyasint,omitzero"`
	Left    time.Time `cbor:"8,keyasint,omitzero"`
	Proven  bool      `cbor:"9,keyasint,omitempty"`
	// What the entry showed when it was last believed (R1): when it was last changed, in microseconds of Unix time by
	// the directory's own clock; whether it said itself that the person is not active; a bit for each of
	// Names.Attributes that it had; the numbers in Names.Groups of those that they were in, sorted.
	Changed    int64    `cbor:"11,keyasint,omitempty"`
	Inactive   bool     `cbor:"12,keyasint,omitempty"`
	Attributes []byte   `cbor:"13,keyasint,omitempty"`
	Groups     []uint32 `cbor:"14,keyasint,omitempty"`
	// Lost are the groups that they were in last and are no longer, sorted: the reason, where a scope no longer holds
	// them.
	Lost []uint32 `cbor:"16,keyasint,omitempty"`
	// KnownBy is the attribute that the anchor is a value of: where the source has come to know people by another, they
	// are asked for by that too (R14). "" for the source's own, as far as anybody knows.
	KnownBy string `cbor:"17,keyasint,omitempty"`
	// Former are names that they had before, by which a group still lists them (R3).
	Former []Former `cbor:"15,keyasint,omitempty"`
	// Turns is when the clock alone changes next what the person is or is to have, zero for never; Turn says what then:
	// "leaves 2026-12-31 18:00 CET by leave_date (config.hcl:12)" (R13).
	Turns time.Time `cbor:"19,keyasint,omitzero"`
	Turn  string    `cbor:"20,keyasint,omitempty"`
	// Parts are the entries that a joined person was last made of.
	Parts []identity.Part `cbor:"21,keyasint,omitempty"`
	// Missing is since when whole reads lack somebody of whom nothing else is left; zero where they do not.
	Missing time.Time `cbor:"18,keyasint,omitzero"`
	// Lacked is when a believed read of a source that cannot be asked first lacked them, and LackedIn how current it was;
	// zero where none has since they were last read (R1).
	Lacked   time.Time         `cbor:"31,keyasint,omitzero"`
	LackedIn map[string]string `cbor:"32,keyasint,omitempty"`
}

// turns is when the person is in the index of turns; false for never, and for later than numbers of nanoseconds go.
func (p Person) turns() (time.Time, bool) { return p.Turns, !p.Turns.IsZero() && p.Turns.Year() < 2262 }

// InScope reports whether the person is active and in a target's scope, as the last judgement has it.
func (p Person) InScope(target string) bool { return p.Active && slices.Contains(p.Scope, target) }

// A Former is what a person was called before.
type Former struct {
	DN   string `cbor:"1,keyasint,omitempty"`
	Name string `cbor:"2,keyasint,omitempty"`
}

// A Link joins a person and an account of a target.
type Link struct {
	Target    string             `cbor:"-"`
	Person    identity.PersonID  `cbor:"-"`
	Account   identity.AccountID `cbor:"1,keyasint,omitempty"`
	UserName  string             `cbor:"2,keyasint,omitempty"`
	FirstName string             `cbor:"17,keyasint,omitempty"` // the userName when the account was first seen, by which it stays protected
	Name      string             `cbor:"3,keyasint,omitempty"`  // the person, for messages
	Container string             `cbor:"4,keyasint,omitempty"`  // where the person was last seen
	State     identity.LinkState `cbor:"5,keyasint,omitempty"`
	Created   bool               `cbor:"6,keyasint,omitempty"` // dirsweep created the account (else it adopted it)
	Disabled  time.Time          `cbor:"7,keyasint,omitzero"`  // when dirsweep itself disabled it and read that back; zero where it did not (R10)
	// Want and Have fingerprint the account as it was wanted and as the target then held it, and Person the person it
	// was wanted for; while all of them stay as they are nothing has to be looked at.
	PersonPrint  uint64                 `cbor:"8,keyasint,omitempty"`
	Want         uint64                 `cbor:"9,keyasint,omitempty"`
	Have         uint64                 `cbor:"10,keyasint,omitempty"`
	Mapping      uint64                 `cbor:"11,keyasint,omitempty"` // fingerprint of the target's expressions
	ScopePrint   uint64                 `cbor:"12,keyasint,omitempty"` // fingerprint of the target's scope expression when the person was last in scope (R14)
	Entitlements []identity.Entitlement `cbor:"13,keyasint,omitempty"` // what dirsweep granted, sorted
	// ExternalID is the mark that the account was last seen to carry: with the identifier it tells whose the account is
	// (R5).
	ExternalID string `cbor:"14,keyasint,omitempty"`
	// Unmet is what is wanted and the application does not take or have: paths of attributes, and "group NAME". Each
	// full pass tells of it.
	Unmet []string `cbor:"15,keyasint,omitempty"`
	// Asked is when the application was last asked to disable the account and gave no answer, AskedName the userName
	// that it is being asked to give it, or was and gave no answer: what is seen of either later is dirsweep's own
	// doing. Zero where nothing is open.
	Asked     time.Time `cbor:"18,keyasint,omitzero"`
	AskedName string    `cbor:"19,keyasint,omitempty"`
	// Returned says of an account that dirsweep disabled that its person is where they should be again: whoever enables
	// it may, and closing it later is another leaving.
	Returned bool `cbor:"20,keyasint,omitempty"`
	// Opened says of an account that dirsweep disabled that it was seen active since: where it is found disabled later,
	// without having been asked for again, that was somebody else.
	Opened bool `cbor:"21,keyasint,omitempty"`
	// Kept is what enabling the account needs to undo what closing it did, by the closing step's name (targets.Step). It
	// outlives somebody else's enabling it: what that left as it was is still to be undone one day.
	Kept map[string]string `cbor:"22,keyasint,omitempty"`
}

// UserNames are those by which the account may be found: the one that it was last seen with, and the one that dirsweep
// asked for and does not know to be given.
func (l Link) UserNames() (names []string) {
	for _, name := range []string{l.UserName, l.AskedName} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// OwnSince is since when the account is disabled by dirsweep itself, as far as anybody can tell; zero where it is not
// (R10).
func (l Link) OwnSince() time.Time {
	if l.Opened {
		return time.Time{}
	}
	return l.Disabled
}

// OwnDisable reports whether an account that is seen inactive was disabled by dirsweep, as far as anybody can tell.
func (l Link) OwnDisable() bool { return !l.OwnSince().IsZero() || !l.Asked.IsZero() }

// Enabled notes that the account is active: no disable from before counts any more.
func (l *Link) Enabled() {
	l.State, l.Disabled, l.Opened = identity.LinkActive, time.Time{}, false
}

// SeenActive notes that an account that dirsweep disabled at an instant was seen active after it.
func (l *Link) SeenActive(disabled time.Time) {
	l.Opened = l.Opened || l.State == identity.LinkDisabled && !l.Disabled.IsZero() && l.Disabled.Equal(disabled)
}

// An Intent is a change that may be under way at the target (R7).
type Intent struct {
	Seq    uint64          `cbor:"-"`
	Epoch  uint64          `cbor:"4,keyasint,omitempty"` // of the process that began it; an older one left it open
	Pass   string          `cbor:"1,keyasint,omitempty"`
	Change identity.Change `cbor:"2,keyasint"`
	At     time.Time       `cbor:"3,keyasint,omitzero"`
	Scope  uint64          `cbor:"5,keyasint,omitempty"` // fingerprint of what had the person in scope when it was planned (R14)
}

// A Case is an open or closed leaver.
type Case struct {
	Person identity.PersonID `cbor:"-"`
	Name   string            `cbor:"1,keyasint,omitempty"`
	DN     string            `cbor:"2,keyasint,omitempty"`
	Cause  identity.Cause    `cbor:"3,keyasint,omitempty"`
	Reason string            `cbor:"4,keyasint,omitempty"` // for an emergency: what the operator said
	Proof  string            `cbor:"5,keyasint,omitempty"` // of absence: the source's answer
	Left   time.Time         `cbor:"6,keyasint,omitzero"`
	Closed time.Time         `cbor:"7,keyasint,omitzero"` // zero while any step is open
	// Noticed is when dirsweep saw that they left; Left is when it happened, where the directory says so, else the
	// same.
	Noticed time.Time `cbor:"9,keyasint,omitzero"`
	// Opened names the case together with the person: somebody who leaves twice has two.
	Opened time.Time `cbor:"10,keyasint,omitzero"`
	Steps  []Step    `cbor:"-"` // sorted by Target and Account; each is a record of its own
}

// Open reports whether something of the case is still to be done or decided: an account that may be open.
func (c Case) Open() bool {
	return slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Status.Open() })
}

// StepStatus is how far a leaver's account is.
type StepStatus string

// The statuses of a step.
const (
	StepOpen       StepStatus = "open"       // not yet seen closed, and tried again until it is
	StepHeld       StepStatus = "held"       // the guard holds it until an operator decides
	StepKept       StepStatus = "kept"       // an operator rejected closing it
	StepProtected  StepStatus = "protected"  // guard { protect } names the account, or dirsweep itself signs in as it
	StepDisputed   StepStatus = "disputed"   // whose the account is has to be settled first
	StepUnprovable StepStatus = "unprovable" // done as far as can be, but nothing proves it
	StepReported   StepStatus = "reported"   // leaver { action = "report" } leaves it to the operator
	StepProven     StepStatus = "proven"     // read back inactive, gone or hidden (R8)
)

// Open reports whether the account may still be open: nothing but a proof ends that.
func (s StepStatus) Open() bool { return s != StepProven && s != StepReported }

// Waits reports whether an operator has to decide or do something before the account can be closed.
func (s StepStatus) Waits() bool {
	return s == StepHeld || s == StepKept || s == StepProtected || s == StepDisputed || s == StepUnprovable
}

// A Step is one account of a leaver.
type Step struct {
	Target   string             `cbor:"-"`
	Account  identity.AccountID `cbor:"-"`
	UserName string             `cbor:"3,keyasint,omitempty"`
	Status   StepStatus         `cbor:"4,keyasint,omitempty"`
	Attempts int                `cbor:"5,keyasint,omitempty"`
	Next     time.Time          `cbor:"6,keyasint,omitzero"`  // when it is tried, or looked at, again; zero for at once
	Error    string             `cbor:"7,keyasint,omitempty"` // of the last attempt
	Seen     string             `cbor:"8,keyasint,omitempty"` // what the read-back saw: "inactive", "gone"
	At       time.Time          `cbor:"9,keyasint,omitzero"`  // of Status
	Delete   time.Time          `cbor:"10,keyasint,omitzero"` // when grace ends; zero for never (R10)
	Left     time.Time          `cbor:"11,keyasint,omitzero"` // when this account's clock began: the person left, or it was enabled again (R19)
	// Noticed is when dirsweep saw that the account has to be closed; Left is the same where the directory does not say
	// when that came to be.
	Noticed time.Time `cbor:"16,keyasint,omitzero"`
	// ExternalID is the mark that the account carried, by which it is known again under another identifier (R11).
	ExternalID string `cbor:"12,keyasint,omitempty"`
	Rule       string `cbor:"14,keyasint,omitempty"` // the config line or rule that asks for it
	// Finishes are the target's own closing steps, in the order in which they ran, as they are since the account was last
	// seen active.
	Finishes []Finish `cbor:"17,keyasint,omitempty"`
	// Taken is what closing took away, for undo and for a rehire.
	Taken []identity.Entitlement `cbor:"13,keyasint,omitempty"`
}

// FinishStatus is how far a closing step is.
type FinishStatus string

// The statuses of a closing step.
const (
	FinishProven     FinishStatus = "proven"     // read back
	FinishSent       FinishStatus = "sent"       // answered well; the application does not show it
	FinishImpossible FinishStatus = "impossible" // nothing can be done about it
	FinishFailed     FinishStatus = "failed"     // tried again with the account's next attempt
)

// A Finish is one of a target's own closing steps (targets.Step) on one account of a leaver.
type Finish struct {
	Name   string       `cbor:"1,keyasint,omitempty"`
	Status FinishStatus `cbor:"2,keyasint,omitempty"`
	At     time.Time    `cbor:"3,keyasint,omitzero"`  // of Status
	Why    string       `cbor:"4,keyasint,omitempty"` // it is impossible, or failed
}

// Done reports whether the closing step was taken.
func (s FinishStatus) Done() bool { return s == FinishProven || s == FinishSent }

// Due is when the step is next to be tried or looked at; false for never.
func (s Step) Due() (time.Time, bool) {
	switch {
	case s.Status == StepOpen:
		return s.Next, true
	case s.Status != StepProven || s.Delete.IsZero() && s.Next.IsZero():
		return time.Time{}, false
	case s.Next.IsZero() || !s.Delete.IsZero() && s.Delete.Before(s.Next):
		return s.Delete, true
	}
	return s.Next, true
}

// Took is how long a proven step took from leaving.
func (s Step) Took() time.Duration {
	if s.Left.IsZero() {
		return 0
	}
	return s.At.Sub(s.Left)
}

// A SourceRecord is what dirsweep remembers of a source as a whole.
type SourceRecord struct {
	Name     string    `cbor:"-"`
	Accepted int       `cbor:"1,keyasint,omitempty"` // people in the last accepted snapshot
	At       time.Time `cbor:"2,keyasint,omitzero"`
	Cursor   []byte    `cbor:"3,keyasint,omitempty"` // of a Changer
	// Failures are the passes in a row in which the source could not be read, since when, and why in the last of them.
	Failures int       `cbor:"20,keyasint,omitempty"`
	Reason   string    `cbor:"21,keyasint,omitempty"`
	Since    time.Time `cbor:"22,keyasint,omitzero"`
	// Server answered the last accepted read, and Currency is how current it then was, where it says so. Rival is
	// another server, which does not say, and which has answered since RivalSince.
	Server     string            `cbor:"4,keyasint,omitempty"`
	Currency   map[string]string `cbor:"5,keyasint,omitempty"`
	Rival      string            `cbor:"6,keyasint,omitempty"`
	RivalSince time.Time         `cbor:"7,keyasint,omitzero"`
	// Undated is when a server was last met that nobody can tell to be as current as the one before.
	Undated time.Time     `cbor:"16,keyasint,omitzero"`
	Anchor  string        `cbor:"10,keyasint,omitempty"` // the attribute by which people were known then
	Groups  []GroupRecord `cbor:"9,keyasint,omitempty"`  // those that expressions name, by name
	// Counts says how many entries showed each attribute that was asked for, while it was believed.
	Counts map[string]int `cbor:"13,keyasint,omitempty"`
	// DirectoryID is what the directory calls itself, and Directory the name by which its people are known: that of the
	// first source which read it, whatever sources read it now.
	DirectoryID string `cbor:"11,keyasint,omitempty"`
	Directory   string `cbor:"12,keyasint,omitempty"`
	// Own is the anchor of the person as whom the source signs in; "" where that is nobody whom it reads, or not known
	// (R5).
	Own string `cbor:"14,keyasint,omitempty"`
	// Stays are what made people of the source stay at targets, now and by configs of before, the latest last (R14).
	Stays []Stay `cbor:"15,keyasint,omitempty"`
}

// A Stay is what the config asked of people while a Link.ScopePrint was as it is here.
type Stay struct {
	ScopePrint uint64   `cbor:"1,keyasint,omitempty"`
	Conditions []uint64 `cbor:"2,keyasint,omitempty"` // fingerprints of what had to be so of each of them
	// Settings are fingerprints of all that ScopePrint is of, by what the config calls it: "scope", "active", "filter".
	Settings map[string]uint64 `cbor:"3,keyasint,omitempty"`
}

// Names are the attributes and groups that expressions name or have named. They only grow, so that the bits and numbers
// in people's records keep their meaning.
type Names struct {
	Attributes []string `cbor:"1,keyasint,omitempty"`
	Groups     []string `cbor:"2,keyasint,omitempty"`
}

// A GroupRecord is what dirsweep remembers of a group.
type GroupRecord struct {
	Name  string `cbor:"1,keyasint,omitempty"` // as an expression spells it, or as the source calls it
	ID    string `cbor:"2,keyasint,omitempty"` // its own immutable identifier, where it has one
	Count int    `cbor:"3,keyasint,omitempty"` // people in it in the last accepted read
	DN    string `cbor:"4,keyasint,omitempty"` // where it was last seen
}

// A TargetRecord is what dirsweep remembers of a target as a whole.
type TargetRecord struct {
	Name     string    `cbor:"-"`
	Scope    uint64    `cbor:"1,keyasint,omitempty"` // fingerprint of the scope expression last applied (R14)
	Failures int       `cbor:"2,keyasint,omitempty"` // in a row
	Reason   string    `cbor:"3,keyasint,omitempty"` // of the last failure
	Since    time.Time `cbor:"4,keyasint,omitzero"`
	Next     time.Time `cbor:"5,keyasint,omitzero"` // quarantined until then; zero when healthy (R9)
	// Refused is how many changes failed in the last pass in which the target was read, and RefusedReason what was said
	// about one of them.
	Refused       int    `cbor:"20,keyasint,omitempty"`
	RefusedReason string `cbor:"21,keyasint,omitempty"`
	// PausedUntil is until when the target asked to be left alone (Retry-After); zero for not.
	PausedUntil time.Time `cbor:"6,keyasint,omitzero"`
	// HidesInactive: an account that dirsweep disabled was seen to be invisible, with a witness.
	HidesInactive bool `cbor:"7,keyasint,omitempty"`
	// OwnID and OwnName are the account that the target is signed in to as, as far as it tells (R5).
	OwnID   identity.AccountID `cbor:"8,keyasint,omitempty"`
	OwnName string             `cbor:"9,keyasint,omitempty"`
}

// A Tombstone is what is remembered of a leaver's account that is gone, so that it is known again should it come back
// (R11).
type Tombstone struct {
	Target     string             `cbor:"-"`
	Person     identity.PersonID  `cbor:"1,keyasint,omitzero"`
	Name       string             `cbor:"2,keyasint,omitempty"`
	Account    identity.AccountID `cbor:"3,keyasint,omitempty"`
	UserName   string             `cbor:"4,keyasint,omitempty"`
	AskedName  string             `cbor:"7,keyasint,omitempty"` // as Link's
	ExternalID string             `cbor:"5,keyasint,omitempty"`
	At         time.Time          `cbor:"6,keyasint,omitzero"` // when it was proven gone
}

// Tombstone is what is remembered of a link whose account was proven gone.
func (l Link) Tombstone(at time.Time) Tombstone {
	return Tombstone{
		Target: l.Target, Person: l.Person, Name: l.Name, Account: l.Account, UserName: l.UserName, AskedName: l.AskedName,
		ExternalID: l.ExternalID, At: at,
	}
}

// keys are those by which a tombstone is found.
func (t Tombstone) keys() (list []key) {
	if t.ExternalID != "" {
		list = append(list, makeKey(t.Target, "externalId", t.ExternalID))
	}
	for _, name := range []string{t.UserName, t.AskedName} {
		if name != "" {
			list = append(list, makeKey(t.Target, "userName", strings.ToLower(name)))
		}
	}
	return list
}

// A Finding is an identity.Finding with its age.
type Finding struct {
	identity.Finding `cbor:"1,keyasint"`
	First            time.Time `cbor:"2,keyasint,omitzero"`
}

// An Unlinked account is one that nobody was linked to in the last whole listing of its target, or when it came to be on
// somebody's books.
type Unlinked struct {
	Target   string             `cbor:"-"`
	Account  identity.AccountID `cbor:"-"`
	UserName string             `cbor:"1,keyasint,omitempty"`
	Active   bool               `cbor:"2,keyasint,omitempty"`
	First    time.Time          `cbor:"3,keyasint,omitzero"`
	// Fits is the person without an account there whom it fitted, who should have none; zero for an orphan, which
	// fitted nobody. Fitting fingerprints the config by which that was found out; 0 where a case of that person has the
	// account, whatever the config is.
	Fits    identity.PersonID `cbor:"5,keyasint,omitzero"`
	Fitting uint64            `cbor:"4,keyasint,omitempty"`
}

// A Closure orders the closing of every account of a person, whatever the source says, until it is released.
type Closure struct {
	Person identity.PersonID `cbor:"-"`
	Reason string            `cbor:"1,keyasint,omitempty"`
	At     time.Time         `cbor:"2,keyasint,omitzero"`
	Rehire string            `cbor:"3,keyasint,omitempty"` // the person's rehire key; "" where none is known
}

// A Run is the summary of one pass.
type Run struct {
	ID       string         `cbor:"-"`
	Mode     string         `cbor:"1,keyasint,omitempty"` // "full", "delta", "retry"
	Started  time.Time      `cbor:"2,keyasint,omitzero"`
	Ended    time.Time      `cbor:"3,keyasint,omitzero"`
	Digest   string         `cbor:"4,keyasint,omitempty"` // of the plan
	People   int            `cbor:"5,keyasint,omitempty"`
	Counts   map[string]int `cbor:"6,keyasint,omitempty"` // changes done, by operation
	Held     int            `cbor:"7,keyasint,omitempty"`
	Failed   int            `cbor:"8,keyasint,omitempty"`
	Findings int            `cbor:"9,keyasint,omitempty"`
	Problems []string       `cbor:"10,keyasint,omitempty"` // sources and targets that took no part, and why
}

// Restored says that the state was put back to an older one: the trail tells of what was done since.
type Restored struct {
	At      time.Time `cbor:"1,keyasint,omitzero"`  // when that was seen
	From    time.Time `cbor:"2,keyasint,omitzero"`  // of the first record of the trail that is not in the state
	Records int       `cbor:"3,keyasint,omitempty"` // how many there are
	// Read is when everybody was first read, and judged, after that; zero while nobody knows who is back.
	Read time.Time `cbor:"4,keyasint,omitzero"`
}

// Why says what it means for whoever would be closed, enabled or deleted by what the state remembers, at an instant and
// for a window from when it was seen; "" for nothing any more.
func (r Restored) Why(now time.Time, window time.Duration) string {
	if r.At.IsZero() || now.Sub(r.At).Abs() >= window {
		return ""
	}
	return fmt.Sprintf("the state was put back to an older one: %d records of the audit trail, from %s on, are not in it, "+
		"so that until %s nobody is closed or enabled by what it remembers unless an operator approves it, and nothing is deleted", r.Records,
		r.From.UTC().Format(time.RFC3339), r.At.Add(window).UTC().Format(time.RFC3339))
}

// AuditHead is the last audit record that the state knows of; a shorter trail has been cut.
type AuditHead struct {
	Seq  uint64 `cbor:"1,keyasint,omitempty"`
	Hash string `cbor:"2,keyasint,omitempty"`
}
