package survey

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// mostAsked bounds how many accounts that nothing is remembered of are asked about in one survey.
const mostAsked = 1000

// former finds out whether an active account that nobody fits was somebody's who left (R11): closed here under another
// identifier, gone and back, or, where the state was lost, of somebody who left before anything was remembered.
func (s *Survey) former(ctx context.Context, have identity.Account) (out people.Leaver, leaving bool, err error) {
	if have.ExternalID != "" {
		link, known := s.marked[have.ExternalID]
		switch {
		case known && link.State == identity.LinkActive:
			return out, false, nil // they are known, and closing the linked one looks for this one
		case known:
			return s.again(ctx, link, have, leftBefore(link), "under another identifier than "+string(link.Account))
		}
	}
	tomb, certain, known, err := tombstone(ctx, s.o.Ledger, s.Name, have)
	switch {
	case err != nil:
		return out, false, err
	case known && certain:
		link := state.Link{Target: s.Name, Person: tomb.Person, Name: tomb.Name}
		return s.again(ctx, link, have, true, "after it was gone")
	case known:
		return out, false, s.doubtful(ctx, tomb, have)
	case have.ExternalID != "":
		return s.beforeUs(ctx, have)
	}
	return out, false, nil
}

func tombstone(
	ctx context.Context, ledger *state.Ledger, target string, have identity.Account,
) (tomb state.Tombstone, certain, known bool, err error) {
	err = ledger.View(ctx, func(v *state.Reader) (err error) {
		tomb, certain, known, err = v.Tombstone(target, have.ExternalID, have.UserName)
		return err
	})
	if err != nil {
		err = fmt.Errorf("read the state: %w", err)
	}
	return tomb, certain, known, err
}

// again makes a leaver of whoever had this account once and was closed; before says that this is no new departure.
func (s *Survey) again(
	ctx context.Context, link state.Link, have identity.Account, before bool, how string,
) (out people.Leaver, leaving bool, err error) {
	link.Account, link.UserName, link.ExternalID = have.ID, have.UserName, have.ExternalID
	if out, leaving, err = s.people.Former(ctx, s.view, link); err != nil || !leaving {
		return out, false, err
	}
	if err := s.o.Ledger.View(ctx, func(v *state.Reader) error { return s.people.Recall(v, &out) }); err != nil {
		return out, false, fmt.Errorf("read the state: %w", err)
	}
	out.Left, out.Noticed, out.Rule, out.Again = time.Time{}, s.o.Now, "R11", before
	s.o.Find(identity.Finding{
		Kind: "drift", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: link.Person, Account: have.ID,
		Detail: fmt.Sprintf("a leaver's account came back, %s; it is closed again", how),
	})
	return out, true, nil
}

// doubtful notes an account that bears the userName of one that is gone, and nothing else of its person: nothing proves
// that it is theirs, so that it is an open step of theirs, and written only after an operator has linked it.
func (s *Survey) doubtful(ctx context.Context, tomb state.Tombstone, have identity.Account) error {
	if have.ExternalID != "" {
		return nil // somebody else's
	}
	out, leaving, err := s.people.Former(ctx, s.view, state.Link{
		Target: s.Name, Person: tomb.Person, Name: tomb.Name, Account: have.ID, UserName: have.UserName,
	})
	if err != nil || !leaving {
		return err
	}
	why := fmt.Sprintf("it bears the userName of %s, who left, and nothing proves that it is theirs: settle it with `dirsweep link %s %s %s`, "+
		"or close it by hand", tomb.Name, tomb.Person, s.Name, have.ID)
	s.o.Find(identity.Finding{
		Kind: "disputed", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: tomb.Person, Account: have.ID, Detail: why,
	})
	if !s.o.Write {
		return nil
	}
	err = s.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return sweep.Open(w, out.Leaver, have, state.StepDisputed, why, s.o.Now)
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// tellUnasked tells, once, that there are more accounts of people whom nothing is remembered of than are asked about.
func (s *Survey) tellUnasked() {
	if s.unasked {
		return
	}
	s.unasked = true
	s.o.Find(identity.Finding{
		Kind: "unproven", Subject: s.Name + ": accounts that are nobody's", Target: s.Name,
		Detail: fmt.Sprintf("more than %d have the externalId of somebody whom nothing is remembered of: whether the others are "+
			"of people who left is not known. Close or link those that are told of, and the next full pass asks about more", mostAsked),
	})
}

// beforeUs makes a leaver of somebody whom the account's externalId names, and whom every directory that the target
// reads says to be gone, though nothing is remembered of them: the state was lost, or dirsweep is new here. The guard
// holds them at any size.
func (s *Survey) beforeUs(ctx context.Context, have identity.Account) (out people.Leaver, leaving bool, err error) {
	named, err := s.people.Anchored(s.view, have.ExternalID)
	if err != nil || len(named) == 0 {
		return out, false, err
	}
	if s.asked >= mostAsked {
		s.tellUnasked()
		return out, false, nil
	}
	for _, id := range named {
		s.asked++
		left, gone, err := s.people.Former(ctx, s.view, state.Link{
			Target: s.Name, Person: id, Name: have.UserName, Account: have.ID, UserName: have.UserName, ExternalID: have.ExternalID,
			State: identity.LinkActive,
		})
		if err != nil || !gone {
			return out, false, err
		}
		if out.Person.IsZero() || left.Strength < out.Strength {
			out = left // whoever is known to be elsewhere was there
		}
	}
	if out.Link = (state.Link{}); out.Cause != identity.Emergency { // what an operator ordered can be released
		out.Cause = identity.BeforeUs
	}
	return out, true, nil
}
