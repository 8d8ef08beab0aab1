package apply

import (
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR07WorkIsFenced: what was planned is not done once the state says otherwise.
func TestR07WorkIsFenced(t *testing.T) {
	alice, bob := identity.PersonID{Directory: "corp", Anchor: "a"}, identity.PersonID{Directory: "corp", Anchor: "b"}
	link := state.Link{Target: "wiki", Person: alice, Account: "1", State: identity.LinkActive}
	update := Job{Link: link, Change: identity.Change{Op: identity.Update, Target: "wiki", Person: alice, Account: "1"}}
	create := Job{Change: identity.Change{Op: identity.Create, Target: "wiki", Person: alice}}
	closing := Job{Link: link, Change: identity.Change{Op: identity.Disable, Target: "wiki", Person: alice, Account: "1"}}
	rehired := Job{
		Link: link, Have: identity.Account{ID: "1"}, Change: identity.Change{Op: identity.Link, Target: "wiki", Person: bob, Account: "1"},
	}
	moved := Job{Link: link, Have: identity.Account{ID: "2"}, Change: rehired.Change}
	out := func(g *grounds) { g.person.Active = false }
	step := func(list ...state.Step) func(*grounds) {
		return func(g *grounds) { g.step = undecided(state.Case{Steps: list}, "wiki") }
	}
	proven := state.Step{Target: "wiki", Account: "1", Status: state.StepProven}
	held := state.Step{Target: "wiki", Account: "2", Status: state.StepHeld}
	for _, c := range []struct {
		name string
		job  Job
		now  func(*grounds)
		want bool
	}{
		{"as it was planned", update, func(*grounds) {}, false},
		{"nothing is remembered of the person", update, func(g *grounds) { g.person = nil }, false},
		{"not active", update, func(g *grounds) { g.person.Active = false }, true},
		{"out of scope", update, func(g *grounds) { g.person.Scope = []string{"chat"} }, true},
		{"swept by an operator", update, func(g *grounds) { g.ordered = true }, true},
		{"to be closed", update, step(state.Step{Target: "wiki", Account: "1", Status: state.StepOpen}), true},
		{"held, by another account of theirs", update, step(proven, held), true},
		{"held before they have one", create, step(held), true},
		{"to be closed elsewhere", update, step(state.Step{Target: "chat", Account: "1", Status: state.StepOpen}), false},
		{"closed before, and back", update, step(proven), false},
		{"kept by an operator", update, step(state.Step{Target: "wiki", Account: "1", Status: state.StepKept}), false},
		{"unlinked", update, func(g *grounds) { g.link = nil }, true},
		{"closed since", update, func(g *grounds) { g.link.State = identity.LinkDisabled }, true},
		{"somebody else's since", update, func(g *grounds) { g.link.Person = bob }, true},
		{"an account made since", create, func(*grounds) {}, true},
		{"made again, as what was linked is gone", Job{Link: link, Change: create.Change}, func(*grounds) {}, false},
		{"another account is linked since", Job{Link: link, Change: create.Change}, func(g *grounds) { g.link.Account = "2" }, true},
		{"no account yet", create, func(g *grounds) { g.link = nil }, false},
		{"closed for who left", closing, out, false},
		{"closed for whom nobody remembers", closing, func(g *grounds) { g.person, g.link = nil, nil }, false},
		{"closed for who is back", closing, func(*grounds) {}, true},
		{"closed for who is there, as it was decided", closing, step(state.Step{Target: "wiki", Account: "1", Status: state.StepOpen}), false},
		{"closed by an operator's order", closing, func(g *grounds) { g.ordered = true }, false},
		{"somebody else's by now, and closed", closing, func(g *grounds) { out(g); g.link.Person = bob }, true},
		{"another account of theirs is closed", closing, func(g *grounds) { out(g); g.link.Account = "2" }, false},
		{"linked to who they are now", rehired, func(*grounds) {}, false},
		{"linked to who they are now, and closed since it was read", rehired, func(g *grounds) { g.link.State = identity.LinkDisabled }, true},
		{"linked to who they are now, and linked already", rehired, func(g *grounds) { g.link.Person = bob }, true},
		{"an account under another identifier", moved, func(g *grounds) { g.link = nil }, false},
	} {
		there := link
		now := grounds{person: &state.Person{ID: alice, Active: true, Scope: []string{"wiki"}}, link: &there}
		if c.now(&now); now.overtake(c.job) != c.want {
			t.Errorf("%s: overtaken %t", c.name, !c.want)
		}
	}
}
