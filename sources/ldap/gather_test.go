package ldap

import (
	"errors"
	"iter"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func gather(seq iter.Seq2[identity.Person, error]) (people []identity.Person, personal []*sources.PersonError, err error) {
	for p, e := range seq {
		var one *sources.PersonError
		switch {
		case errors.As(e, &one):
			personal = append(personal, one)
		case e != nil:
			err = e
		default:
			people = append(people, p)
		}
	}
	return people, personal, err
}
