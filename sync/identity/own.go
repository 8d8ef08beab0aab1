package identity

import (
	"fmt"
	"strings"
)

// An Own is an account that dirsweep itself signs in as: never closed, since nothing could be read or written after
// that (R5).
type Own struct {
	Source string   // that signs in as Person; "" where a target signs in as one of its accounts
	Person PersonID //
	Target string   // that signs in as the account of this identifier or, where it does not tell that, of this userName
	ID     AccountID
	Name   string // userName
}

// IsZero reports whether nothing is known.
func (o Own) IsZero() bool { return o == Own{} }

// Is reports whether an account, of a person or of nobody, is the one that is signed in as.
func (o Own) Is(person PersonID, target string, account AccountID, userName string) bool {
	switch {
	case o.Source != "":
		return !person.IsZero() && person == o.Person
	case o.Target == "" || o.Target != target:
		return false
	case o.ID != "":
		return account == o.ID
	}
	return o.Name != "" && strings.EqualFold(o.Name, userName)
}

// String says who signs in as it, and what to do.
func (o Own) String() string {
	if o.Source != "" {
		return fmt.Sprintf("dirsweep itself signs in to source %s as this person: give it another account first", o.Source)
	}
	return fmt.Sprintf("dirsweep itself signs in to target %s as this account: give it another one first", o.Target)
}

// OwnOf is the one of own that an account is, false for none.
func OwnOf(own []Own, person PersonID, target string, account AccountID, userName string) (Own, bool) {
	for _, o := range own {
		if o.Is(person, target, account, userName) {
			return o, true
		}
	}
	return Own{}, false
}
