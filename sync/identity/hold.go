package identity

import (
	"cmp"
	"time"
)

// A HoldKind is what a hold keeps from happening.
type HoldKind string

// The kinds of holds.
const (
	HoldCohort HoldKind = "cohort" // closing accounts of leavers (R6)
	HoldEnable HoldKind = "enable" // enabling accounts of people who are back (R6)
	// HoldAnomaly is over what many people lost at once (R1): whoever leaves by it, and what else it would change.
	HoldAnomaly HoldKind = "anomaly"
	HoldShrink  HoldKind = "shrink" // believing a read that lacks people, or a listing that lacks accounts (R2)
	HoldChange  HoldKind = "change" // what an edited mapping would change (R14)
	HoldDelete  HoldKind = "delete" // deletes after grace (R10)
	// HoldWithdrawal is of what was spent alone: taking an entitlement away is held as a change (R6).
	HoldWithdrawal HoldKind = "withdrawal"
	HoldRelink     HoldKind = "relink" // linking accounts to the anchors of an edited config (R14)
)

// A Hold is what waits for an operator: these accounts, for this reason. Its members are named when it is made; they
// may drop out, and whoever else leaves later is another hold. It binds its members, person by person and target by
// target, until an operator rules.
type Hold struct {
	Digest    string   `cbor:"-"` // 64 bits in hex over kind, cause and members
	Kind      HoldKind `cbor:"1,keyasint,omitempty"`
	Directory string   `cbor:"2,keyasint,omitempty"` // whose people, where the cause arose in a source
	Target    string   `cbor:"3,keyasint,omitempty"` // where all members are of one
	Cause     Cause    `cbor:"4,keyasint,omitempty"`
	Group     string   `cbor:"5,keyasint,omitempty"`  // the group that they left
	Container string   `cbor:"6,keyasint,omitempty"`  // where they are or were, for a cohort by container
	Anomaly   string   `cbor:"7,keyasint,omitempty"`  // what does not look right: "group wiki-users", "container ou=lab,…"
	Attribute string   `cbor:"8,keyasint,omitempty"`  // what an edited mapping would change, or the entitlement that would be withdrawn
	Reason    string   `cbor:"9,keyasint,omitempty"`  // which limit, the numbers, and the setting to raise
	Closed    []string `cbor:"10,keyasint,omitempty"` // names of those who went by the same within the window
	// Count is how many it was over when it was made: members, or what would change or is missing where it names none.
	Count   int       `cbor:"11,keyasint,omitempty"`
	Since   time.Time `cbor:"12,keyasint,omitzero"`
	Mapping uint64    `cbor:"13,keyasint,omitempty"` // fingerprint of the edited mapping that it is over
	Ruling  Ruling    `cbor:"14,keyasint,omitzero"`  // of the whole
	Members []Member  `cbor:"-"`                     // those who still wait or are kept, sorted by Compare
}

// RulingOf is what an operator said of a member: of it alone, or of the whole hold.
func (h Hold) RulingOf(m Member) Ruling {
	if m.Ruling.What != "" {
		return m.Ruling
	}
	return h.Ruling
}

// People is how many people its members are; an account that is nobody's counts as one.
func (h Hold) People() int {
	seen := map[Member]bool{}
	for _, m := range h.Members {
		if m.Person.IsZero() {
			seen[Member{Target: m.Target, Account: m.Account}] = true
		} else {
			seen[Member{Person: m.Person}] = true
		}
	}
	return len(seen)
}

// A Member is one account of a hold.
type Member struct {
	Target   string    `cbor:"-"`
	Person   PersonID  `cbor:"-"` // zero for an orphan account
	Account  AccountID `cbor:"-"`
	Name     string    `cbor:"1,keyasint,omitempty"` // the person, for messages
	UserName string    `cbor:"2,keyasint,omitempty"`
	Cause    Cause     `cbor:"3,keyasint,omitempty"`
	Strength Strength  `cbor:"4,keyasint,omitempty"`
	Ruling   Ruling    `cbor:"5,keyasint,omitzero"`
}

// Compare orders members by target, person and account.
func (m Member) Compare(n Member) int {
	return cmp.Or(cmp.Compare(m.Target, n.Target), cmp.Compare(m.Person.Directory, n.Person.Directory),
		cmp.Compare(m.Person.Anchor, n.Person.Anchor), cmp.Compare(m.Account, n.Account))
}

// A Ruling is what an operator said of a hold or of one of its members. The zero value says that nobody has.
type Ruling struct {
	What Verdict   `cbor:"1,keyasint,omitempty"`
	By   string    `cbor:"2,keyasint,omitempty"` // who: the socket's peer or the console's login
	At   time.Time `cbor:"3,keyasint,omitzero"`
}

// A Verdict is one of the two things that an operator can say of a hold.
type Verdict string

// The verdicts.
const (
	Approved Verdict = "approved" // may go, once
	Rejected Verdict = "rejected" // is kept until the person has returned and left again
)

// Spent is one account that went ahead within a guard's window, as later decisions count it. What an operator approved
// or ordered, and what was only closed again, is not kept.
type Spent struct {
	Kind    HoldKind  `cbor:"-"` // what was done
	Target  string    `cbor:"-"`
	Account AccountID `cbor:"-"`
	// Entitlement is what was taken away, where that was one.
	Entitlement string    `cbor:"-"`
	Person      PersonID  `cbor:"1,keyasint,omitzero"`
	Name        string    `cbor:"2,keyasint,omitempty"`
	Cause       Cause     `cbor:"3,keyasint,omitempty"`
	Group       string    `cbor:"4,keyasint,omitempty"`
	Strength    Strength  `cbor:"5,keyasint,omitempty"`
	At          time.Time `cbor:"6,keyasint,omitzero"`
}
