package reconcile_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A forgetful source follows its directory and is never told of a change.
type forgetful struct {
	sources.Source
	people []identity.Person
	facts  sources.ReadFacts
}

func (s *forgetful) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	return s.Source.(sources.Finder).Find(ctx, who)
}

func (s *forgetful) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return s.Source.(sources.FactReader).PeopleAndFacts(ctx, facts)
}

func (s *forgetful) Renew(ctx context.Context, _ func(int)) (bool, error) {
	var people []identity.Person
	var facts sources.ReadFacts
	for p, err := range s.PeopleAndFacts(ctx, &facts) {
		if err != nil {
			return false, err
		}
		people = append(people, p)
	}
	for _, p := range s.people {
		if !slices.ContainsFunc(people, func(now identity.Person) bool { return now.ID == p.ID }) {
			facts.Missed.Add(p.DN)
		}
	}
	s.people, s.facts = people, facts
	return true, nil
}

func (s *forgetful) Latest(_ context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	*facts = s.facts
	return func(yield func(identity.Person, error) bool) {
		for _, p := range s.people {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// R1, R21: who left without the directory's having told so is found by the next full pass, which says that it was not told.
func TestR01AFullPassFindsWhatWasNotTold(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 3})
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", dir, "")
	l.sources[0].Source = &forgetful{Source: l.sources[0].Source}
	l.application("wiki", app, "", nil)
	if report := l.full(); len(findings(report, "missed by push")) > 0 {
		t.Errorf("before anything was missed: %+v", report.Findings)
	}
	dir.Delete(t, dir.PersonDN(slapdtest.UID(2)))
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if names := active(t, app); len(names) != 3 {
		t.Errorf("after a delta that was told nothing, active are %q", names)
	}
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		told := findings(l.run(reconcile.Pass{Mode: mode}), "missed by push")
		if len(told) != 1 || !strings.Contains(told[0].Detail, dir.PersonDN(slapdtest.UID(2))) {
			t.Errorf("%s: told %+v", mode, told)
		}
		if names := active(t, app); !slices.Equal(names, []string{slapdtest.UID(1), slapdtest.UID(3)}) {
			t.Errorf("%s: active are %q", mode, names)
		}
	}
}
