package orders

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
)

// Evidence returns a leaver's file: of an open case as it stands, else the last one that was written about them, also
// when they have returned since.
func (d *Desk) Evidence(ctx context.Context, who string) ([]byte, error) {
	if d.Folder == nil {
		return nil, errors.New("there is no evidence yet: nobody was ever closed here")
	}
	id, unknown := d.leaverNamed(ctx, who)
	var c state.Case
	err := d.Ledger.View(ctx, func(v *state.Reader) (err error) {
		c, _, err = v.Case(id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the state: %w", err)
	case !c.Opened.IsZero() && c.Closed.IsZero():
		return d.Folder.Draft(ctx, c, d.Now())
	case !c.Opened.IsZero():
		path, err := d.Folder.Write(ctx, c) // where a crash kept it from being written
		if err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	}
	raw, err := d.Folder.Latest(ctx, id, who)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return raw, err
	case unknown != nil:
		return nil, unknown
	}
	return nil, fmt.Errorf("%q has not left, so there is no evidence; `dirsweep explain` tells how they stand", who)
}

// leaverNamed looks a person up among the cases first: a leaver's login may be somebody else's by now.
func (d *Desk) leaverNamed(ctx context.Context, who string) (id identity.PersonID, err error) {
	left := people.Candidates{Who: who}
	err = d.Ledger.View(ctx, func(v *state.Reader) error {
		for c, err := range v.Cases() {
			if err != nil {
				return err
			}
			names := []string{c.Name}
			for _, s := range c.Steps {
				names = append(names, s.UserName)
			}
			left.Consider(identity.FitsOf(who, c.Person, c.DN, names...), c.Person, c.DN)
		}
		return nil
	})
	if err != nil {
		return id, fmt.Errorf("read the state: %w", err)
	}
	if id, err = left.One(); !errors.Is(err, people.ErrNobody) {
		return id, err
	}
	return d.remembered(ctx, who)
}
