package survey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// A wish is an entitlement that people should have and the application cannot give.
type wish struct {
	people int
	why    string
}

// resolve names the application's own entitlements for those that want has, and takes out of it, and returns, those that
// cannot be had: the application lacks them, or the mapping may not give them.
func (s *Survey) resolve(ctx context.Context, want *identity.Account) (waiting []identity.Entitlement, err error) {
	if len(want.Entitlements) == 0 {
		return nil, nil
	}
	known, missing, err := s.app.Resolve(ctx, want.Entitlements)
	if err != nil {
		return nil, err
	}
	want.Entitlements = []identity.Entitlement{}
	for _, k := range known {
		if s.manages(k) {
			want.Entitlements = append(want.Entitlements, k)
		} else {
			waiting = append(waiting, k)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range missing {
		waiting = append(waiting, m.Entitlement)
		if name := m.Entitlement.String(); s.manages(m.Entitlement) {
			s.waiting[name] = wish{s.waiting[name].people + 1, m.Why}
		}
	}
	return waiting, nil
}

// manages reports whether the mapping may give an entitlement.
func (s *Survey) manages(e identity.Entitlement) bool {
	managed := s.Mapping.Managed()
	return managed == nil || managed.Has(e)
}

// tellUnmanaged tells of those of waiting that the mapping gives a person, and that `manage` does not let it give.
func (s *Survey) tellUnmanaged(e roster.Entry, waiting []identity.Entitlement) {
	refused := slices.DeleteFunc(slices.Clone(waiting), s.manages)
	if len(refused) == 0 {
		return
	}
	s.o.Find(identity.Finding{
		Kind: "not managed", Subject: s.Name + ": " + e.Person.Name, Target: s.Name, Person: e.Person.ID,
		Detail: fmt.Sprintf("should have %s (%s), which no pattern of manage (%s) fits, so it is neither granted nor taken: "+
			"add one to manage, or correct the mapping",
			quoted(refused), s.Mapping.At("entitlements"), s.Mapping.At("manage")),
	})
}

func quoted(list []identity.Entitlement) string {
	names := identity.EntitlementNames(list)
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return strings.Join(names, ", ")
}

// waitingFor are entitlements that somebody waits for, as a link remembers them.
func waitingFor(list []identity.Entitlement) (unmet []string) {
	for _, name := range identity.EntitlementNames(list) {
		unmet = append(unmet, apply.Waiting+name)
	}
	return unmet
}

// tellWaiting tells of entitlements that people wait for. Only a whole look at the target knows how many they are.
func (s *Survey) tellWaiting() {
	if !s.o.Full && !s.o.One {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.waiting)) {
		w := s.waiting[name]
		s.o.Find(identity.Finding{
			Kind: "entitlement", Subject: s.Name + ": " + name, Target: s.Name,
			Detail: fmt.Sprintf("%d should have %q, and %s; make it there, or correct the mapping", w.people, name, w.why),
		})
	}
}

// leaveOut withholds from want the attributes that the application refused when they were last tried, which nothing has
// changed since. It returns those that still differ.
func (s *Survey) leaveOut(person identity.PersonID, link state.Link, want *identity.Account, have identity.Account) (unmet []string) {
	for _, path := range link.Unmet {
		wanted, ok := want.Attributes[path]
		if !slices.Contains(s.paths, path) || wanted.Covers(have.Get(path)) {
			continue
		}
		unmet = append(unmet, path)
		want.Withheld = append(want.Withheld, identity.Withheld{Path: path, Reason: "the application refused it"})
		text := "nothing"
		if ok {
			text = string(wanted)
		}
		s.o.Find(identity.Finding{
			Kind: "refused", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: person, Account: have.ID,
			Detail: fmt.Sprintf("%s should be %s and is %s: the application refused the change when it was last tried; change it there by hand, or the mapping",
				path, text, have.Get(path)),
		})
	}
	return unmet
}

// Refused tells what an application did not take of a change, while it took the rest.
func (s *Survey) Refused(c identity.Change, res apply.Result) {
	for _, refusal := range res.Refused {
		f := identity.Finding{
			Kind: "refused", Subject: s.Name + ": " + c.UserName, Target: s.Name, Person: c.Person, Account: res.Account.ID,
			Detail: fmt.Sprintf("the application refused %s: %s", refusal.Path, refusal.Why),
		}
		for _, a := range c.Delta.Attributes {
			if a.Path == refusal.Path {
				f.Detail = fmt.Sprintf("%s should be %s and is %s: the application refused the change: %s", a.Path, a.After, a.Before, refusal.Why)
			}
		}
		s.o.Find(f)
	}
}

// aFreeLogin is what accounts wait for whose logins are swapped.
const aFreeLogin = apply.Waiting + "a free login"

// breakCycles leaves out logins that wait for each other, and names them with what an operator can do (R9). Everything
// else about those accounts is written.
func (s *Survey) breakCycles() {
	var renames []plan.Rename
	var at []int // indices of s.Work
	for n, w := range s.Work {
		for _, c := range s.Changes[w.first : w.first+w.steps] {
			if i := loginOf(c.Delta); c.Op == identity.Update && i >= 0 {
				renames = append(renames, plan.Rename{Now: c.UserName, Next: c.Delta.Attributes[i].After.Text()})
				at = append(at, n)
			}
		}
	}
	for _, cycle := range plan.Cycles(renames) {
		var wants []string
		for _, i := range cycle {
			w := &s.Work[at[i]]
			w.waiting = append(w.waiting, aFreeLogin)
			for n := w.first; n < w.first+w.steps; n++ {
				if login := loginOf(s.Changes[n].Delta); s.Changes[n].Op == identity.Update && login >= 0 {
					s.Changes[n].Delta.Attributes = slices.Delete(slices.Clone(s.Changes[n].Delta.Attributes), login, login+1)
				}
			}
			wants = append(wants, fmt.Sprintf("%s should become %s", renames[i].Now, renames[i].Next))
		}
		first := renames[cycle[0]].Now
		account := s.Changes[s.Work[at[cycle[0]]].first].Account
		s.o.Find(identity.Finding{
			Kind: "cycle", Subject: s.Name + ": " + first, Target: s.Name, Account: account,
			Detail: strings.Join(wants, ", ") + ": each waits for the other's login. " +
				fmt.Sprintf("Give %s a login that is free, by hand in the application; the next full pass does the rest", first),
		})
	}
	s.dropEmpty()
}

// dropEmpty takes updates out of the plan that change nothing any more.
func (s *Survey) dropEmpty() {
	for i := len(s.Changes) - 1; i >= 0; i-- {
		if c := s.Changes[i]; c.Op != identity.Update || !c.Delta.IsZero() {
			continue
		}
		s.Changes = slices.Delete(s.Changes, i, i+1)
		for n := range s.Work {
			switch w := &s.Work[n]; {
			case w.first > i:
				w.first--
			case i < w.first+w.steps:
				w.steps--
			}
		}
	}
	s.Work = slices.DeleteFunc(s.Work, func(w Work) bool { return w.steps == 0 })
}

// loginOf is where a delta changes the login, -1 where it does not.
func loginOf(d identity.Delta) int {
	return slices.IndexFunc(d.Attributes, func(a identity.AttributeChange) bool { return a.Path == "userName" })
}
