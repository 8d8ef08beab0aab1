package apply

import (
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR07OrdinaryWorkIsFenced: what was planned is not done once the state says otherwise.
func TestR07OrdinaryWorkIsFenced(t *testing.T) {
	alice, bob := identity.PersonID{Directory: "corp", Anchor: "a"}, identity.PersonID{Directory: "corp", Anchor: "b"}
	link := state.Link{Target: "wiki", Person: alice, Account: "1", State: identity.LinkActive}
	update := Job{Link: link, Change: identity.Change{Op: identity.Update, Target: "wiki", Person: alice, Account: "1"}}
	create := Job{Change: identity.Change{Op: identity.Create, Target: "wiki", Person: alice}}
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
	} {
		there := link
		now := grounds{person: &state.Person{ID: alice, Active: true, Scope: []string{"wiki"}}, link: &there}
		if c.now(&now); now.overtake(c.job) != c.want {
			t.Errorf("%s: overtaken %t", c.name, !c.want)
		}
	}
}
