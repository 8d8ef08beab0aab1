package state

import (
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Person is what dirsweep remembers of one person between passes: no attributes, only what it takes to see that they changed or left.
type Person struct {
	ID    identity.PersonID
	Name  string
	DN    string
	Print uint64 // identity.Person.Fingerprint when last evaluated
	// Program is the fingerprint of every expression in the config then; together with Print it tells that nothing has to be evaluated.
	Program uint64
	Active  bool
	Scope   []string // the targets whose scope holds them, sorted
	Rehire  string   // the declared rehire key's value, "" where none
	// Left is when the person was first seen to have left (by absence, inactivity or a move); zero for one who has not. Where Proven is
	// set too, absence has been proven and is not asked for again.
	Left   time.Time
	Proven bool
}

// A Link joins a person and an account of a target.
type Link struct {
	Target    string
	Person    identity.PersonID
	Account   identity.AccountID
	UserName  string
	Name      string // the person, for messages
	Container string // where the person was last seen
	State     identity.LinkState
	Created   bool      // dirsweep created the account (else it adopted it)
	Disabled  time.Time // when dirsweep itself disabled it and read that back; zero where it did not (R10)
	// Want and Have fingerprint the account as it was wanted and as the target then held it, and Person the person it was wanted for;
	// while all of them stay as they are nothing has to be looked at.
	PersonPrint, Want, Have uint64
	Mapping                 uint64   // fingerprint of the target's expressions
	ScopePrint              uint64   // fingerprint of the target's scope expression when the person was last in scope (R14)
	Entitlements            []string // what dirsweep granted, sorted
}

// An Intent is a change that may be under way at the target (R7).
type Intent struct {
	Seq    uint64
	Pass   string
	Change identity.Change
	At     time.Time
}

// A Case is an open or closed leaver.
type Case struct {
	Person identity.PersonID
	Name   string
	DN     string
	Cause  identity.Cause
	Reason string // for an emergency: what the operator said
	Proof  string // of absence: the source's answer
	Left   time.Time
	Closed time.Time // zero while any step is open
	Steps  []Step    // sorted by Target and Account
}

// StepStatus is how far a leaver's account is.
type StepStatus string

// The statuses of a step.
const (
	StepOpen     StepStatus = "open"     // owed: not yet seen closed
	StepHeld     StepStatus = "held"     // the guard holds it
	StepProven   StepStatus = "proven"   // read back inactive or gone (R8)
	StepReported StepStatus = "reported" // leaver { action = "report" }, observe mode, or a protected account
)

// A Step is one account of a leaver.
type Step struct {
	Target   string
	Account  identity.AccountID
	UserName string
	Status   StepStatus
	Attempts int
	Next     time.Time // not before; zero for at once
	Error    string    // of the last attempt
	Seen     string    // what the read-back saw: "inactive", "gone"
	At       time.Time // of Status
	Delete   time.Time // when grace ends; zero for never (R10)
}

// A Hold is a part of a plan that waits for an operator.
type Hold struct {
	Digest    string // names exactly this hold: another person in it is another digest
	Kind      string // "cohort" (R6) or "shrink" (R2)
	Target    string
	Source    string
	Cause     identity.Cause
	Container string
	People    []HeldPerson // sorted
	Reason    string       // which limit, and the numbers
	Since     time.Time
	Approved  time.Time // zero until approved; an approval releases the hold once
	Rejected  time.Time
}

// A HeldPerson is one person of a hold.
type HeldPerson struct {
	Person   identity.PersonID
	Name     string
	Account  identity.AccountID
	UserName string
}

// A SourceRecord is what dirsweep remembers of a source as a whole.
type SourceRecord struct {
	Name     string
	Accepted int // people in the last accepted snapshot
	At       time.Time
	Cursor   []byte // of a Changer
}

// A TargetRecord is what dirsweep remembers of a target as a whole.
type TargetRecord struct {
	Name     string
	Scope    uint64 // fingerprint of the scope expression last applied (R14)
	Failures int    // in a row
	Reason   string // of the last failure
	Since    time.Time
	Next     time.Time // quarantined until then; zero when healthy (R9)
}

// A Finding is an identity.Finding with its age.
type Finding struct {
	identity.Finding
	First time.Time
}

// An Orphan is an account that nobody is linked to.
type Orphan struct {
	Target   string
	Account  identity.AccountID
	UserName string
	Active   bool
	First    time.Time
}

// A Closure orders the closing of every account of a person, whatever the source says, until it is released.
type Closure struct {
	Person identity.PersonID
	Reason string
	At     time.Time
}

// A Run is the summary of one pass.
type Run struct {
	ID       string
	Mode     string // "full", "delta", "retry"
	Started  time.Time
	Ended    time.Time
	Digest   string // of the plan
	People   int
	Counts   map[string]int // changes done, by operation
	Held     int
	Failed   int
	Findings int
	Problems []string // sources and targets that took no part, and why
}

// AuditHead is the last audit record that the state knows of; a shorter trail has been cut.
type AuditHead struct {
	Seq  uint64
	Hash string
}
