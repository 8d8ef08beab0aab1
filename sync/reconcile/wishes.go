package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
)

// A wish is an entitlement that people should have and the application cannot give.
type wish struct {
	people int
	why    string
}

// resolve names the application's own entitlements for those that want has, and takes out of it those that the application lacks.
func (r *run) resolve(ctx context.Context, l *lane, want *identity.Account) (waiting []string, err error) {
	if len(want.Entitlements) == 0 {
		return nil, nil
	}
	known, missing, err := l.app.Resolve(ctx, want.Entitlements)
	if err != nil {
		return nil, err
	}
	if want.Entitlements = known; known == nil {
		want.Entitlements = []identity.Entitlement{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range missing {
		name := m.Entitlement.String()
		l.waiting[name] = wish{l.waiting[name].people + 1, m.Why}
		waiting = append(waiting, apply.Waiting+name)
	}
	return waiting, nil
}

// tellWaiting tells of entitlements that people wait for. Only a whole look at the target knows how many they are.
func (r *run) tellWaiting(l *lane) {
	if r.pass.Mode != Full && r.pass.Person == "" {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.waiting)) {
		w := l.waiting[name]
		r.find(identity.Finding{
			Kind: "entitlement", Subject: l.Name + ": " + name, Target: l.Name,
			Detail: fmt.Sprintf("%d should have %q, and %s; make it there, or correct the mapping", w.people, name, w.why),
		})
	}
}

// leaveOut withholds from want the attributes that the application refused when they were last tried, which nothing has changed since. It
// returns those that still differ.
func (r *run) leaveOut(l *lane, person identity.PersonID, link state.Link, want *identity.Account, have identity.Account) (unmet []string) {
	for _, path := range link.Unmet {
		wanted, ok := want.Attributes[path]
		if !slices.Contains(l.paths, path) || wanted.Covers(have.Get(path)) {
			continue
		}
		unmet = append(unmet, path)
		want.Withheld = append(want.Withheld, identity.Withheld{Path: path, Reason: "the application refused it"})
		text := "nothing"
		if ok {
			text = string(wanted)
		}
		r.find(identity.Finding{
			Kind: "refused", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: person, Account: have.ID,
			Detail: fmt.Sprintf("%s should be %s and is %s: the application refused the change when it was last tried; change it there by hand, or the mapping",
				path, text, have.Get(path)),
		})
	}
	return unmet
}

// refused tells what an application did not take of a change, while it took the rest.
func (r *run) refused(l *lane, c identity.Change, res apply.Result) {
	for _, refusal := range res.Refused {
		f := identity.Finding{
			Kind: "refused", Subject: l.Name + ": " + c.UserName, Target: l.Name, Person: c.Person, Account: res.Account.ID,
			Detail: fmt.Sprintf("the application refused %s: %s", refusal.Path, refusal.Why),
		}
		for _, a := range c.Delta.Attributes {
			if a.Path == refusal.Path {
				f.Detail = fmt.Sprintf("%s should be %s and is %s: the application refused the change: %s", a.Path, a.After, a.Before, refusal.Why)
			}
		}
		r.find(f)
	}
}

// aFreeLogin is what accounts wait for whose logins are swapped.
const aFreeLogin = apply.Waiting + "a free login"

// breakCycles leaves out logins that wait for each other, and names them with what an operator can do (R9). Everything else about those
// accounts is written.
func (r *run) breakCycles(l *lane) {
	var renames []plan.Rename
	var at []int // indices of l.work
	for n, w := range l.work {
		for _, c := range l.changes[w.first : w.first+w.steps] {
			if i := loginOf(c.Delta); c.Op == identity.Update && i >= 0 {
				renames = append(renames, plan.Rename{Now: c.UserName, Next: c.Delta.Attributes[i].After.Text()})
				at = append(at, n)
			}
		}
	}
	for _, cycle := range plan.Cycles(renames) {
		var wants []string
		for _, i := range cycle {
			w := &l.work[at[i]]
			w.waiting = append(w.waiting, aFreeLogin)
			for n := w.first; n < w.first+w.steps; n++ {
				if login := loginOf(l.changes[n].Delta); l.changes[n].Op == identity.Update && login >= 0 {
					l.changes[n].Delta.Attributes = slices.Delete(slices.Clone(l.changes[n].Delta.Attributes), login, login+1)
				}
			}
			wants = append(wants, fmt.Sprintf("%s should become %s", renames[i].Now, renames[i].Next))
		}
		first := renames[cycle[0]].Now
		account := l.changes[l.work[at[cycle[0]]].first].Account
		r.find(identity.Finding{
			Kind: "cycle", Subject: l.Name + ": " + first, Target: l.Name, Account: account,
			Detail: strings.Join(wants, ", ") + ": each waits for the other's login. " +
				fmt.Sprintf("Give %s a login that is free, by hand in the application; the next full pass does the rest", first),
		})
	}
	l.dropEmpty()
}

// dropEmpty takes updates out of the plan that change nothing any more.
func (l *lane) dropEmpty() {
	for i := len(l.changes) - 1; i >= 0; i-- {
		if c := l.changes[i]; c.Op != identity.Update || !c.Delta.IsZero() {
			continue
		}
		l.changes = slices.Delete(l.changes, i, i+1)
		for n := range l.work {
			switch w := &l.work[n]; {
			case w.first > i:
				w.first--
			case i < w.first+w.steps:
				w.steps--
			}
		}
	}
	l.work = slices.DeleteFunc(l.work, func(w work) bool { return w.steps == 0 })
}

// loginOf is where a delta changes the login, -1 where it does not.
func loginOf(d identity.Delta) int {
	return slices.IndexFunc(d.Attributes, func(a identity.AttributeChange) bool { return a.Path == "userName" })
}
