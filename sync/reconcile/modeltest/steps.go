package modeltest

import (
	"context"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// The closing steps of the applications, and where chat keeps leavers' accounts.
const (
	sessions = "sessions"
	move     = "move"
	leavers  = "leavers"
)

// Closing implements targets.Pass. Every application ends sessions; chat shows whether it did, and keeps leavers' accounts
// elsewhere.
func (t target) Closing() []targets.Step {
	end := t.step(sessions, (*application).endSessions)
	end.Revokes = true
	if t.app.n != chat {
		return []targets.Step{end}
	}
	away := t.step(move, (*application).moveAway)
	end.Left = t.left("somebody is signed in", func(held *account) bool { return held.signedIn })
	away.Left = t.left("it is where it was", func(held *account) bool { return held.place != leavers })
	return []targets.Step{end, away}
}

func (t target) step(name string, effect func(*application, identity.AccountID) (string, error)) targets.Step {
	return targets.Step{
		Name: name,
		Do: func(ctx context.Context, have identity.Account) (kept string, r targets.Receipt, err error) {
			err = t.call(ctx, identity.Finish, have.ID, func() error {
				kept, err = effect(t.app, have.ID)
				return err
			})
			return kept, r, err
		},
	}
}

func (t target) left(what string, is func(*account) bool) func(context.Context, identity.Account) (string, error) {
	return func(ctx context.Context, have identity.Account) (left string, err error) {
		err = t.call(ctx, "", have.ID, func() error {
			held, ok := t.app.accounts[have.ID]
			switch {
			case !ok:
				return gone(have.ID)
			case is(held):
				left = what
			}
			return nil
		})
		return left, err
	}
}

func (a *application) endSessions(id identity.AccountID) (string, error) {
	held, ok := a.accounts[id]
	if !ok {
		return "", gone(id)
	}
	a.record(write{
		op: identity.Finish, step: sessions, owner: held.owner, id: id, before: copied(held.Account),
		idle: a.n == chat && !held.signedIn,
	})
	held.signedIn, held.sent = false, false
	return "", nil
}

func (a *application) moveAway(id identity.AccountID) (was string, err error) {
	held, ok := a.accounts[id]
	if !ok {
		return "", gone(id)
	}
	a.record(write{
		op: identity.Finish, step: move, owner: held.owner, id: id, before: copied(held.Account), idle: held.place == leavers,
	})
	if held.place == leavers {
		return "", nil
	}
	was, held.place, held.fresh = held.place, leavers, true
	return was, nil
}

// moveBack is what enabling an account does with what its closing kept.
func (a *application) moveBack(held *account, kept map[string]string) {
	if back := kept[move]; back != "" {
		held.place = back
	} else if held.place == leavers && held.known && held.closedBy == "engine" {
		a.world.broken(MovedBack, "%s: %s of %s", a.name(), held.ID, a.world.who(held.owner))
	}
}

// checkSteps judges how the closing steps of an account stand that the books call closed.
func (w *world) checkSteps(p place, acc *account) {
	if acc.signedIn && !acc.sent {
		w.broken(SessionsEnd, "%s: %s of %s", targetNames[p.target], acc.ID, w.who(p.human))
	}
	if p.target == chat && acc.place != leavers {
		w.broken(SessionsEnd, "%s: %s of %s was not moved", targetNames[p.target], acc.ID, w.who(p.human))
	}
}

// noteKept notes of the accounts what the state says that their closing kept; undisturbed says that nothing went wrong
// in the step.
func (w *world) noteKept(l look, undisturbed bool) {
	for t, app := range w.applications {
		for _, acc := range app.accounts {
			acc.known = false
		}
		for _, link := range l.links[t] {
			acc := app.accounts[link.Account]
			if acc == nil {
				continue
			}
			acc.known = link.Kept[move] != "" && link.OwnDisable()
			found := (acc.made || acc.cut) && !acc.kept // closed before it was linked: there was nowhere to keep it
			if acc.fresh && undisturbed && !acc.Active && link.Kept[move] == "" && !found {
				w.broken(MovedBack, "%s: where %s was is forgotten", app.name(), link.Account)
			}
		}
		for _, acc := range app.accounts {
			acc.fresh = false
		}
	}
}

// named is a write's operation, with its closing step.
func (one write) named(op identity.Op, step string) bool { return op == one.op && step == one.step }
