package reconcile

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

// candidates are the people whom a name that an operator typed may mean: those whom it fits most certainly.
type candidates struct {
	who    string
	fit    identity.Fit
	people []identity.PersonID
	known  map[identity.PersonID]string // what messages call them
}

// consider takes somebody in who fits as well as those before, and instead of them where they fit better.
func (c *candidates) consider(fit identity.Fit, id identity.PersonID, name string) {
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

// one is the person who is meant: an error where that is nobody, or not clear.
func (c *candidates) one() (identity.PersonID, error) {
	switch len(c.people) {
	case 0:
		return identity.PersonID{}, fmt.Errorf("%q: %w", c.who, ErrNobody)
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
	return identity.PersonID{}, fmt.Errorf("%q fits %d people; name one by its anchor:\n  %s", c.who, len(c.people), strings.Join(lines, "\n  "))
}

// remembered looks a person up in the state.
func (e *Engine) remembered(ctx context.Context, who string) (identity.PersonID, error) {
	c := candidates{who: who}
	names, err := e.directoryNames(ctx)
	if err != nil {
		return identity.PersonID{}, err
	}
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, directory := range slices.Compact(slices.Sorted(maps.Values(names))) {
			for p, err := range v.People(directory) {
				if err != nil {
					return err
				}
				c.consider(identity.FitsOf(who, p.ID, p.DN, p.Name), p.ID, p.DN)
			}
		}
		for _, t := range e.o.Targets {
			for link, err := range v.Links(t.Name) {
				if err != nil {
					return err
				}
				c.consider(identity.FitsOf(who, link.Person, "", link.Name, link.UserName), link.Person, link.Name)
			}
		}
		return nil
	})
	if err != nil {
		return identity.PersonID{}, fmt.Errorf("read the state: %w", err)
	}
	return c.one()
}
