package sweep

import (
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR11WhoseAnActiveAccountIs: an account that a case calls closed and that is active is closed again, unless it is no
// matter of that case any more.
func TestR11WhoseAnActiveAccountIs(t *testing.T) {
	ann, eve := identity.PersonID{Directory: "corp", Anchor: "ann"}, identity.PersonID{Directory: "corp", Anchor: "eve"}
	link := func(who identity.PersonID, is identity.LinkState) *state.Link {
		return &state.Link{Target: "wiki", Person: who, Account: "1", State: is}
	}
	enable := identity.Change{Op: identity.Enable, Target: "wiki", Account: "1", Person: ann}
	other := enable
	other.Account = "2"
	for _, c := range []struct {
		name    string
		link    *state.Link
		scope   []string // ann's
		ordered bool
		open    *identity.Change
		left    bool // ann has, altogether
		heir    bool // and is there again under another anchor
		belongs bool
	}{
		{name: "enabled by somebody else", link: link(ann, identity.LinkDisabled)},
		{name: "nobody's any more"},
		{name: "its person is back", link: link(ann, identity.LinkDisabled), scope: []string{"wiki"}, belongs: true},
		{name: "its person is back elsewhere", link: link(ann, identity.LinkDisabled), scope: []string{"chat"}},
		{name: "its person is back, and ordered closed", link: link(ann, identity.LinkDisabled), scope: []string{"wiki"}, ordered: true},
		{name: "enabled by dirsweep, and its person out of scope since", link: link(ann, identity.LinkActive), belongs: true},
		{name: "enabled by dirsweep, and its person gone since", link: link(ann, identity.LinkActive), left: true},
		{name: "enabling it was cut short, and its person gone since", link: link(ann, identity.LinkDisabled), open: &enable, left: true},
		{name: "its person is there under another anchor", link: link(ann, identity.LinkDisabled), left: true, heir: true, belongs: true},
		{name: "enabled by dirsweep, and ordered closed since", link: link(ann, identity.LinkActive), ordered: true},
		{name: "somebody else's by now", link: link(eve, identity.LinkDisabled), belongs: true},
		{name: "enabling it was cut short", link: link(ann, identity.LinkDisabled), open: &enable, belongs: true},
		{name: "enabling another was cut short", link: link(ann, identity.LinkDisabled), open: &other},
	} {
		t.Run(c.name, func(t *testing.T) {
			ledger := state.NewLedger(memory.New())
			err := ledger.Update(t.Context(), func(w *state.Writer) error {
				if err := w.PutPerson(state.Person{ID: ann, Active: !c.left, Scope: c.scope, Rehire: "E1"}); err != nil {
					return err
				}
				if c.heir {
					now := state.Person{ID: identity.PersonID{Directory: "corp", Anchor: "ann2"}, Active: true, Scope: []string{"wiki"}, Rehire: "E1"}
					if err := w.PutPerson(now); err != nil {
						return err
					}
				}
				if c.link != nil {
					if err := w.PutLink(*c.link); err != nil {
						return err
					}
				}
				if c.ordered {
					if err := w.PutClosure(state.Closure{Person: ann}); err != nil {
						return err
					}
				}
				if c.open == nil {
					return nil
				}
				_, err := w.Begin(state.Intent{Change: *c.open})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = ledger.View(t.Context(), func(r *state.Reader) error {
				got, err := belongs(r, "wiki", ann, "1")
				if got != c.belongs {
					t.Errorf("belongs: %t", got)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
