package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
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
