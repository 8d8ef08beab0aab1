package guard

import (
	"slices"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Booked is what is on record of a leaver's account.
type Booked struct {
	Active bool // it is the person's, and active
	Step   bool // the person's case has a step for it that is open, waits for an operator, or is left to one
}

// Unbooked are those who left, have an active account and are in no books (R8): whatever was decided about them was not
// written down. It asks for the level and not for the edge, so that it finds them by whatever way they came to be so.
func Unbooked(left []identity.Leaver, books map[Account]Booked) []identity.Leaver {
	return slices.DeleteFunc(slices.Clone(left), func(l identity.Leaver) bool {
		b := books[Account{l.Target, l.Account}]
		return l.Person.IsZero() || !b.Active || b.Step
	})
}
