package modeltest

import (
	"fmt"
	"slices"
	"time"
)

// A Fault is what goes wrong around the engine: for a few steps, or, where somebody else does something in an
// application, once.
type Fault int

// The faults.
const (
	NoFault Fault = iota
	// of a source
	SourceDown      // it does not answer
	ReadCut         // a read ends in an error half-way
	LookupDown      // nobody can be looked up
	PeopleMissed    // a read that calls itself whole lacks people whom a look-up finds
	ContainerHidden // a right was lost: nobody of one container can be seen, by whatever means
	AttributeLost   // a right was lost: nobody has a department any more
	MembersHidden   // a right was lost: nobody is in a group any more
	StaleServer     // another server answers, which lacks the latest changes
	AnchorHidden    // one person's anchor cannot be read
	PersonGarbled   // one person cannot be read as a whole
	// of a target
	TargetDown    // it does not answer
	ListingCut    // a listing ends in an error half-way
	ListingEmpty  // a listing that calls itself whole is empty
	NotFound      // 404 to everything
	Forbidden     // 403 to whatever is asked of one account
	Throttled     // 429 to everything, for ten minutes
	HollowWrites  // writes are answered well and not done
	LostAnswers   // writes are done and not answered
	Refused       // 401 to everything
	StoreFails    // one write to the state fails, and the process lives on
	AccountGone   // somebody deletes an account in the application
	AccountOpened // somebody enables one
	AccountClosed // somebody disables one
	AccountMade   // somebody makes one for a person of the company, or for a stranger
	IDReused      // an account is deleted, and a stranger's gets its id
	Renumbered    // an account's id is another
	faultCount
)

var faultNames = [faultCount]string{
	"none", "source down", "read cut", "lookup down", "people missed", "container hidden", "attribute lost", "members hidden", "stale server",
	"anchor hidden", "person garbled", "target down", "listing cut", "listing empty", "not found", "forbidden", "throttled", "hollow writes",
	"lost answers", "refused", "store fails", "account gone", "account opened", "account closed", "account made", "id reused", "renumbered",
}

func (f Fault) String() string { return faultNames[f] }

// ofSource reports whether a fault is one of reading.
func (f Fault) ofSource() bool { return f >= SourceDown && f <= PersonGarbled }

// ofRight reports whether a fault is a right that was lost.
func (f Fault) ofRight() bool {
	return f == ContainerHidden || f == AttributeLost || f == MembersHidden
}

// ofTarget reports whether a fault is one of answering.
func (f Fault) ofTarget() bool { return f >= TargetDown && f <= Refused }

// once reports whether a fault is a deed in an application.
func (f Fault) once() bool { return f >= AccountGone }

// An Edit is a change of the truth, or of the config.
type Edit int

// The edits.
const (
	NoEdit Edit = iota
	Hire
	HireWithOldLogin // a new person gets a leaver's login
	Rename
	Retitle
	Redepartment
	Join  // a group
	Leave // a group
	EmptyGroup
	Deactivate
	Activate
	Move     // to another container of the base
	MoveOut  // to a container that no source reads
	MoveBack // from there
	MoveOver // to the base of the other source, where both are of one directory
	Delete   // delete the entry; the directory says that it was deleted
	Purge    // delete the entry without a trace
	Restore  // the deleted entry is back
	Rehire   // a new entry, with the old number
	EditScope
	EditMapping
	EditAnchor
	Untitle // the title goes; comes as Step.Then alone
	editCount
)

var editNames = [editCount]string{
	"-", "hire", "hire with a leaver's login", "rename", "retitle", "redepartment", "join a group", "leave a group", "empty a group", "deactivate",
	"activate", "move", "move out", "move back", "move over", "delete", "purge", "restore", "rehire", "edit scope", "edit mapping", "edit anchor", "untitle",
}

func (e Edit) String() string { return editNames[e] }

// A Kind is what the engine is asked to do in a step.
type Kind int

// The kinds of step.
const (
	Full Kind = iota
	Delta
	One // a full pass for one person
	Retry
	Approve
	Reject
	Sweep
	Release
	kindCount
)

var kindNames = [kindCount]string{"full", "delta", "one person", "retry", "approve", "reject", "sweep", "release"}

func (k Kind) String() string { return kindNames[k] }

// A Crash is where the process dies.
type Crash int

// The crash points.
const (
	NoCrash     Crash = iota
	BeforeStore       // before a write to the state
	AfterStore        // after it was committed
	BeforeCall        // before a write to an application
	AfterCall         // after the application did it, before its answer
	DuringRead        // in a read of a source or an application
	crashCount
)

var crashNames = [crashCount]string{"none", "before store", "after store", "before call", "after call", "during read"}

func (c Crash) String() string { return crashNames[c] }

// MarshalText writes the name.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads it.
func (f *Fault) UnmarshalText(text []byte) error { return named(f, faultNames[:], text) }

// MarshalText writes the name.
func (e Edit) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads it.
func (e *Edit) UnmarshalText(text []byte) error { return named(e, editNames[:], text) }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads it.
func (k *Kind) UnmarshalText(text []byte) error { return named(k, kindNames[:], text) }

// MarshalText writes the name.
func (c Crash) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads it.
func (c *Crash) UnmarshalText(text []byte) error { return named(c, crashNames[:], text) }

// named sets what to the number of the name in text.
func named[T ~int](what *T, names []string, text []byte) error {
	n := slices.Index(names, string(text))
	if n < 0 {
		return fmt.Errorf("there is no %q", text)
	}
	*what = T(n)
	return nil
}

// jumps are by how much the clock goes on before a step; the last one is set back.
var jumps = []time.Duration{time.Minute, time.Minute, 5 * time.Minute, time.Hour, 25 * time.Hour, 50 * time.Hour, -2 * time.Hour}

// A Step of a history: edits, then a fault that stays for a while, then what the engine does, and where the process
// dies in it.
type Step struct {
	Edits  [2]Edit
	Who    [2]int // whom the edits are about, modulo the number of those who qualify
	To     int    // what they change to
	Jump   int
	Fault  Fault // comes, unless another is still there
	Deed   Fault // of somebody in an application, before the step
	Where  int   // which source, target, person or account
	Lasts  int   // engine steps
	Do     Kind
	Choice int // of a hold, a person
	Crash  Crash
	At     int   // how many writes, calls or reads go well before it
	Batch  Batch `json:",omitzero"` // in which a followed source is told what has changed

	Joined int `json:",omitzero"` // whom somebody puts into which of chat's groups by hand, or takes out; 0 for nobody

	Term int  `json:",omitzero"` // when somebody's time ends or begins: see terms
	Then Edit // one more, of Who[1]
	Tend int  // which account an application's administrator sees to, and to what of it that nobody maps; 0 for none
	// Shown says that a full pass is planned first, and that nothing but what is shown may be done: 1; or 2, where a title
	// that has changed before changes once more between.
	Shown int
	Stop  int // after how many calls the process is told to stop; 0 for never
}

// A Person of the company at the beginning.
type Person struct {
	Source, Place, Dept int
	Groups              int // bits
	Account             int // 0: none yet; 1: made by hand under their login; 2: also with their anchor; 3: a stranger's beside
}

// A History is a company and what happens to it.
type History struct {
	Shared   bool              // both sources are of one directory
	Followed [sourceCount]bool `json:",omitzero"` // sources that follow their directory
	Dated    bool              `json:",omitzero"` // times end and begin by dates that the config names
	Managed  int               `json:",omitzero"` // the step from which on chat's groups are managed, from 1; 0 for never
	People   []Person
	Steps    []Step
}
