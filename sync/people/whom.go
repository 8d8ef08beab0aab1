package people

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// ErrNobody says that no person fits what was asked for.
var ErrNobody = errors.New("no such person in the sources or in the state")

// Candidates are the people whom a name that an operator typed may mean: those whom it fits most certainly.
type Candidates struct {
	Who    string
	fit    identity.Fit
	people []identity.PersonID
	known  map[identity.PersonID]string // what messages call them
}

// Consider takes somebody in who fits as well as those before, and instead of them where they fit better.
func (c *Candidates) Consider(fit identity.Fit, id identity.PersonID, name string) {
	if fit == identity.NoFit || c.fit.Better(fit) {
		return
	}
	if fit.Better(c.fit) {
		c.fit, c.people, c.known = fit, nil, map[identity.PersonID]string{}
	}
	if !slices.Contains(c.people, id) {
		c.people = append(c.people, id)
	}
	if name != "" {
		c.known[id] = name
	}
}

// shownCandidates is how many people a message lists.
const shownCandidates = 10

// One is the person who is meant: an error where that is nobody, or not clear.
func (c *Candidates) One() (identity.PersonID, error) {
	switch len(c.people) {
	case 0:
		return identity.PersonID{}, fmt.Errorf("%q: %w", c.Who, ErrNobody)
	case 1:
		return c.people[0], nil
	}
	var lines []string
	for _, id := range c.people {
		lines = append(lines, strings.TrimSpace(id.String()+" "+c.known[id]))
	}
	slices.Sort(lines)
	if n := len(lines) - shownCandidates; n > 0 {
		lines = append(lines[:shownCandidates], fmt.Sprintf("and %d more", n))
	}
	return identity.PersonID{}, fmt.Errorf("%q fits %d people; name one by its anchor:\n  %s", c.Who, len(c.people), strings.Join(lines, "\n  "))
}

// Remembered looks a person up in the state: among the people of the sources, and among those with links at the targets
// of these names.
func Remembered(
	ctx context.Context, ledger *state.Ledger, sources []Source, targets []string, who string,
) (identity.PersonID, error) {
	c := Candidates{Who: who}
	names, err := DirectoryNames(ctx, ledger, sources)
	if err != nil {
		return identity.PersonID{}, err
	}
	directories := slices.Compact(slices.Sorted(maps.Values(names)))
	err = ledger.View(ctx, func(v *state.Reader) error {
		for _, directory := range directories {
			for p, err := range v.People(directory) {
				if err != nil {
					return err
				}
				c.Consider(identity.FitsOf(who, p.ID, p.DN, p.Name), p.ID, p.DN)
			}
		}
		for _, t := range targets {
			for link, err := range v.Links(t) {
				if err != nil {
					return err
				}
				fit := identity.FitsOf(who, link.Person, "", link.Name, link.UserName)
				if fit == identity.NoFit {
					continue
				}
				id, err := known(v, directories, link.Person)
				if err != nil {
					return err
				}
				c.Consider(fit, id, link.Name)
			}
		}
		return nil
	})
	if err != nil {
		return identity.PersonID{}, fmt.Errorf("read the state: %w", err)
	}
	return c.One()
}

// known is who somebody with an account is of those who are remembered: the same, or, where nobody has ever read them,
// the one of another directory who has their anchor; themselves where that is nobody, or several.
func known(v *state.Reader, directories []string, id identity.PersonID) (identity.PersonID, error) {
	var found []identity.PersonID
	for _, directory := range directories {
		one := identity.PersonID{Directory: directory, Anchor: id.Anchor}
		_, ok, err := v.Person(one)
		switch {
		case err != nil:
			return id, err
		case ok && one == id:
			return id, nil
		case ok:
			found = append(found, one)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return id, nil
}
