package identity

import (
	"slices"
	"strings"
)

// An Op is one kind of step that a plan may contain, named after what it does to the account.
type Op string

// The operations, in the order in which a plan runs those of one account.
const (
	Disable Op = "disable"
	Finish  Op = "finish" // one of the target's own closing steps: Change.Step says which
	Strip   Op = "strip"  // take every entitlement away
	Delete  Op = "delete"
	Link    Op = "link" // remember only; nothing is written to the target
	Enable  Op = "enable"
	Create  Op = "create"
	Update  Op = "update"
)

// Sweeps reports whether op takes access away from a leaver.
func (op Op) Sweeps() bool { return op == Disable || op == Finish || op == Strip || op == Delete }

// A Cause is why a change is made. Leavers are grouped into cohorts by it.
type Cause string

// Causes of leaving.
const (
	Deleted    Cause = "deleted"      // the source says tombstone or gone (R1)
	Inactive   Cause = "inactive"     // the source or the `active` expression says no
	OutOfScope Cause = "out of scope" // the target's scope says no, because the person changed
	Moved      Cause = "moved"        // found elsewhere in the source, outside what is read
	// ConfigEdited: they left only by the config as it is now, not by the one that was accepted before (R14).
	ConfigEdited Cause = "config edited"
	Orphaned     Cause = "orphan"     // nobody's account, where on_orphan = "disable"
	Emergency    Cause = "emergency"  // `dirsweep sweep PERSON`
	GraceOver    Cause = "grace over" // delete_after has passed since the proven disable (R10)
	// Reactivated: an account that dirsweep closed was enabled again by somebody else (R11).
	Reactivated Cause = "enabled again"
	SecondFound Cause = "second account"  // another account of a leaver, found while the first was closed (R8)
	BeforeUs    Cause = "before our time" // an orphan whose externalId names somebody who is gone (ENGINE, lost state)
)

// Causes of everything else.
const (
	Joined    Cause = "joined"
	Changed   Cause = "changed" // the person, their groups or the mapping
	Rehired   Cause = "rehired"
	Drifted   Cause = "drifted"   // the account was changed in the application by somebody else (R11)
	Withdrawn Cause = "withdrawn" // an entitlement that the mapping no longer gives
	Adopted   Cause = "adopted"   // an account that was there already fits exactly one person
)

// An AttributeChange is one attribute's value before and after. An empty After clears it.
type AttributeChange struct {
	Path   string
	Before Value
	After  Value
}

// A Delta is what an update changes: only attributes that the mapping names (R12).
type Delta struct {
	Attributes []AttributeChange // sorted by Path
	Grant      []Entitlement     // to add, sorted
	Withdraw   []Entitlement     // to take away, sorted
}

// IsZero reports whether the delta changes nothing.
func (d Delta) IsZero() bool {
	return len(d.Attributes) == 0 && len(d.Grant) == 0 && len(d.Withdraw) == 0
}

// UserName is the userName that the delta gives an account; "" where it gives none.
func (d Delta) UserName() string {
	for _, a := range d.Attributes {
		if a.Path == "userName" {
			return a.After.Text()
		}
	}
	return ""
}

// A Change is one step on one account of one target.
type Change struct {
	Op       Op
	Step     string `json:",omitempty"` // of a Finish: the closing step's name
	Cause    Cause
	Rule     string // the config line or rule that asks for it: "config.hcl:31", "R11"
	Target   string
	Person   PersonID // zero for an orphan account
	Name     string   // the person, for messages
	Account  AccountID
	UserName string
	// Container is where the person is or last was in the source; with Cause and Target it makes the cohort.
	Container string
	Delta     Delta // of an Update; of a Create all attributes, their Before empty
	// GrantRule is the config line behind Delta.Grant, WithdrawRule why Delta.Withdraw is taken away, with its lines.
	GrantRule    string `json:",omitempty"`
	WithdrawRule string `json:",omitempty"`
	// PersonPrint and WantPrint fingerprint the person and the account this change was planned from; Settle records
	// them in the link.
	PersonPrint, WantPrint uint64
}

// Compare orders changes as a plan runs them: what sweeps before everything else (R4), then by target, person, account
// and operation.
func (c Change) Compare(d Change) int {
	if a, b := c.Op.Sweeps(), d.Op.Sweeps(); a != b {
		if a {
			return -1
		}
		return 1
	}
	for _, pair := range [][2]string{
		{c.Target, d.Target},
		{c.Person.Directory, d.Person.Directory},
		{c.Person.Anchor, d.Person.Anchor},
		{string(c.Account), string(d.Account)},
	} {
		if n := strings.Compare(pair[0], pair[1]); n != 0 {
			return n
		}
	}
	return rank(c.Op) - rank(d.Op)
}

func rank(op Op) int {
	return slices.Index([]Op{Disable, Finish, Strip, Delete, Link, Enable, Create, Update}, op)
}
