package identity

import "time"

// A Strength orders the ways in which somebody is known to have left; a stronger one is another departure, judged
// afresh.
type Strength uint8

// The strengths, weakest first.
const (
	Unproven  Strength = iota // nothing says that they left
	ByScope                   // they are there and active, but not where the scope, a group or the base wants them
	ByState                   // their own entry says that they are not active, or that their time is over
	ByAbsence                 // the directory says that they were deleted
	ByOrder                   // an operator's `dirsweep sweep`
)

// A Leaver is one account that has to be closed and why: the same value from the judgement to the evidence.
type Leaver struct {
	Person    PersonID // zero for an orphan account
	Name      string   // the person, for messages
	DN        string   // where the person is or last was
	Container string   // DN's parent, by which cohorts are made
	Target    string
	Account   AccountID
	UserName  string
	Cause     Cause
	Strength  Strength
	Group     string    // the group that was lost, where Cause is OutOfScope by one
	Rule      string    // the config line that decides: "config.hcl:31"
	Edit      string    // of ConfigEdited: what was edited, "filter at config.hcl:17"; "" where that is not known
	Proof     string    // what was asked, of whom, and the answer
	Reason    string    // of an order: what the operator said
	Left      time.Time // when it happened by the directory's own clock; zero where it does not say
	Noticed   time.Time // when dirsweep saw it
}

// Change is the step op of closing the leaver's account.
func (l Leaver) Change(op Op) Change {
	return Change{
		Op: op, Cause: l.Cause, Rule: l.Rule, Target: l.Target, Person: l.Person, Name: l.Name, Account: l.Account, UserName: l.UserName,
		Container: l.Container,
	}
}
