package reconcile_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A copied directory has several servers, of which one answers: each counts its changes by itself, so that nobody can
// tell which of two is more current.
type copied struct {
	server string
	people map[string]*identity.Person // by login
	gone   map[string]time.Time        // by anchor: who was deleted, and when
}

func (c *copied) Close() error { return nil }

func (c *copied) currency() sources.Currency {
	return sources.Currency{c.server: "00000000000000000900"}
}

func (c *copied) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return c.PeopleAndFacts(ctx, new(sources.ReadFacts))
}

func (c *copied) PeopleAndFacts(_ context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for _, p := range c.people {
			if !yield(*p, nil) {
				return
			}
		}
		*facts = sources.ReadFacts{Server: c.server, From: c.currency(), Until: c.currency(), People: len(c.people)}
	}
}

func (c *copied) Find(_ context.Context, who sources.Lookup) (sources.Sighting, error) {
	seen := sources.Sighting{
		Server: c.server, Currency: c.currency(), At: time.Now(), Where: sources.Gone, Place: sources.PlacePeopled, Proof: "asked",
		Witness: "somebody", Untraced: true,
	}
	if deleted, ok := c.gone[who.Anchor]; ok {
		seen.Where, seen.Changed = sources.Tombstone, deleted
	}
	return seen, nil
}

// put makes somebody, or changes them.
func (c *copied) put(login string, active bool, changed time.Time) {
	c.people[login] = &identity.Person{
		ID: identity.PersonID{Directory: "corp", Anchor: "anchor-" + login}, Source: "corp", Name: login, Active: active, Changed: changed,
		DN: "uid=" + login + ",ou=people,dc=example,dc=org",
		Attributes: identity.Attributes{
			"uid": {login}, "cn": {login}, "sn": {login}, "givenName": {login}, "mail": {login + "@example.org"}, "displayName": {login},
		},
	}
}

// delete takes somebody out.
func (c *copied) delete(login string, at time.Time) {
	c.gone["anchor-"+login] = at
	delete(c.people, login)
}

// R1 B2: whoever left, as one domain controller had it, is not back because another one that does not know it yet answers;
// and whom that one has never heard of has not left.
func TestR01AnotherControllerKnowsLess(t *testing.T) {
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", slapdtest.Start(t, slapdtest.Options{People: 1}), "")
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	now := noon
	l.now = func() time.Time { return now }
	l.application("wiki", app, "", nil)
	l.must(l.sources[0].Source.Close())
	dc := &copied{server: "dc1", people: map[string]*identity.Person{}, gone: map[string]time.Time{}}
	l.sources[0].Source = dc
	pass := func(after time.Duration, want ...string) reconcile.Report {
		t.Helper()
		now = now.Add(after)
		report := l.run(reconcile.Pass{})
		if names := active(t, app); !slices.Equal(names, want) {
			t.Errorf("at %s active are %q, want %q", now.Format(time.TimeOnly), names, want)
		}
		return report
	}
	for n := range 20 {
		dc.put(fmt.Sprintf("p%02d", n), true, noon.Add(-time.Hour))
	}
	var others []string
	for n := 2; n < 20; n++ {
		others = append(others, fmt.Sprintf("p%02d", n))
	}
	pass(0, append([]string{"p00", "p01"}, others...)...)
	dc.put("p00", false, noon.Add(time.Minute))
	dc.delete("p01", noon.Add(time.Minute))
	dc.put("young", true, noon.Add(time.Minute))
	with := func(more ...string) []string { return slices.Sorted(slices.Values(append(more, others...))) }
	pass(2*time.Minute, with("young")...)

	old := *dc
	dc.server, dc.people, dc.gone = "dc2", map[string]*identity.Person{}, map[string]time.Time{}
	for login, p := range old.people {
		dc.people[login] = p
	}
	delete(dc.people, "young")
	dc.put("p00", true, noon.Add(-time.Hour))
	dc.put("p01", true, noon.Add(-time.Hour))
	for range 4 {
		report := pass(time.Minute, with("young")...)
		if report.Sources[0].Err != "" {
			continue // nobody has believed it yet
		}
		if n := len(findings(report, "older entry")); n != 2 {
			t.Errorf("%d are told to be older: %+v", n, report.Findings)
		}
		if n := len(findings(report, "unproven")); n != 1 {
			t.Errorf("%d are told to be unproven: %+v", n, report.Findings)
		}
	}

	dc.put("young", true, noon.Add(time.Minute)) // it catches up
	dc.put("p00", false, noon.Add(time.Minute))
	dc.delete("p01", noon.Add(time.Minute))
	if report := pass(time.Minute, with("young")...); len(report.Findings) > 0 {
		t.Errorf("%+v", report.Findings)
	}
	dc.put("p00", true, noon.Add(time.Hour))
	dc.put("p01", true, noon.Add(time.Hour))
	pass(time.Minute, with("p00", "p01", "young")...)
}

// R1: a server whose clock was put back is not another one.
func TestR01AClockThatWasPutBackHidesNoReturn(t *testing.T) {
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", slapdtest.Start(t, slapdtest.Options{People: 1}), "")
	l.application("wiki", app, "", nil)
	l.must(l.sources[0].Source.Close())
	dc := &copied{server: "dc1", people: map[string]*identity.Person{}, gone: map[string]time.Time{}}
	l.sources[0].Source = dc
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for step, c := range []struct {
		active  bool
		changed time.Time
		want    []string
	}{
		{true, noon.Add(-time.Hour), []string{"ann", "bob"}},
		{false, noon.Add(time.Hour), []string{"bob"}},
		{true, noon, []string{"ann", "bob"}},
	} {
		dc.put("bob", true, noon)
		dc.put("ann", c.active, c.changed)
		l.run(reconcile.Pass{})
		if names := active(t, app); !slices.Equal(names, c.want) {
			t.Errorf("step %d: active are %q, want %q", step, names, c.want)
		}
	}
}
