package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// people counts n people who were as before and are as now.
func people(s *judge.Survey, n int, before, now judge.Traits) {
	for range n {
		s.Note(before, now)
	}
}

func in(groups ...string) judge.Traits { return judge.Traits{Container: "ou=a", Groups: groups} }

func has(container string, attributes ...string) judge.Traits {
	return judge.Traits{Container: container, Attributes: attributes}
}

func whats(list []judge.Anomaly) (out []string) {
	for _, a := range list {
		out = append(out, a.What())
	}
	return out
}

func TestR01WhatManyLoseAtOnce(t *testing.T) {
	dated := func(changed time.Time, attributes ...string) judge.Traits {
		return judge.Traits{Container: "ou=a", Attributes: attributes, Changed: changed}
	}
	locked := func(changed time.Time, locked bool) judge.Traits {
		return judge.Traits{Container: "ou=a", Inactive: locked, Changed: changed}
	}
	for _, c := range []struct {
		name   string
		note   func(*judge.Survey)
		groups map[string]judge.GroupSeen
		want   []string
	}{
		{"nothing changed", func(s *judge.Survey) { people(s, 40, in("g"), in("g")) }, nil, nil},
		{"three leave a group", func(s *judge.Survey) { people(s, 3, in("g"), in()); people(s, 1, in("g"), in("g")) }, nil, nil},
		{"four do", func(s *judge.Survey) { people(s, 4, in("g"), in()); people(s, 1, in("g"), in("g")) }, nil, []string{"group g"}},
		{"a tenth of a large one", func(s *judge.Survey) { people(s, 10, in("g"), in()); people(s, 90, in("g"), in("g")) }, nil, nil},
		{"and one more", func(s *judge.Survey) { people(s, 11, in("g"), in()); people(s, 90, in("g"), in("g")) }, nil, []string{"group g"}},
		{"everybody of a small one", func(s *judge.Survey) { people(s, 2, in("g"), in()) }, nil, []string{"group g"}},
		{
			"everybody, and others came", func(s *judge.Survey) { people(s, 2, in("g"), in()); s.New(in("g")) }, nil, nil,
		},
		{
			"everybody, and somebody who was known came", func(s *judge.Survey) { people(s, 2, in("g"), in()); s.Note(in(), in("g")) }, nil, nil,
		},
		{
			"one of a group that hides its members", func(s *judge.Survey) { people(s, 1, in("g"), in()); people(s, 9, in("g"), in("g")) },
			map[string]judge.GroupSeen{"g": {Name: "g", Hidden: true}},
			[]string{"group g"},
		},
		{"another group's members are no matter", func(s *judge.Survey) { people(s, 4, in("g", "h"), in("h")) }, nil, []string{"group g"}},
		{
			"three lose an attribute", func(s *judge.Survey) { people(s, 3, has("ou=a", "mail"), has("ou=a")) }, nil, nil,
		},
		{
			"four do, too", func(s *judge.Survey) { people(s, 4, has("ou=a", "mail"), has("ou=a")) }, nil, []string{"attribute mail"},
		},
		{
			"a tenth of a container, few of all", func(s *judge.Survey) {
				people(s, 4, has("ou=a", "mail"), has("ou=a"))
				people(s, 96, has("ou=b", "mail"), has("ou=b", "mail"))
			}, nil, []string{"attribute mail in ou=a"},
		},
		{
			"letter case makes no other container", func(s *judge.Survey) {
				people(s, 2, has("ou=a", "mail"), has("ou=a"))
				people(s, 2, has("OU=A", "mail"), has("OU=A"))
				people(s, 96, has("ou=b", "mail"), has("ou=b", "mail"))
			}, nil, []string{"attribute mail in OU=A"},
		},
		{
			"F4: one who is as they were", func(s *judge.Survey) {
				people(s, 1, dated(early, "mail"), dated(early))
				people(s, 60, dated(early, "mail"), dated(early, "mail"))
			}, nil, []string{"attribute mail"},
		},
		{
			"one who was changed", func(s *judge.Survey) {
				people(s, 1, dated(early, "mail"), dated(noon))
				people(s, 60, dated(early, "mail"), dated(early, "mail"))
			}, nil, nil,
		},
		{"F4: a locked entry is as it was, and unlocked", func(s *judge.Survey) { people(s, 1, locked(early, true), locked(early, false)) }, nil, []string{"mark of inactive people"}},
		{"a fresh entry is unlocked within the second", func(s *judge.Survey) {
			was := locked(early, true)
			was.Fresh = true
			people(s, 1, was, locked(early, false))
		}, nil, nil},
		{"an entry is unlocked", func(s *judge.Survey) { people(s, 1, locked(early, true), locked(noon, false)) }, nil, nil},
		{
			"F4: an entry is changed otherwise, and the attribute that locks has gone from many", func(s *judge.Survey) {
				s.Faded = []judge.Fade{{Name: "userAccountControl", Had: 40, Lost: 40}}
				people(s, 1, locked(early, true), locked(noon, false))
			}, nil, []string{"mark of inactive people"},
		},
		{
			"the attribute that locks has gone from three more than were unlocked", func(s *judge.Survey) {
				s.Faded = []judge.Fade{{Name: "pwdAccountLockedTime", Had: 9, Lost: 9}}
				people(s, 6, locked(early, true), locked(noon, false))
			}, nil, nil,
		},
		{
			"the attribute that locks has gone from those alone who were unlocked", func(s *judge.Survey) {
				s.Faded = []judge.Fade{{Name: "pwdAccountLockedTime", Had: 6, Lost: 6}}
				people(s, 6, locked(early, true), locked(noon, false))
			}, nil, nil,
		},
		{"many entries are unlocked", func(s *judge.Survey) { people(s, 4, locked(early, true), locked(noon, false)) }, nil, nil},
		{"three are unlocked, undated", func(s *judge.Survey) { people(s, 3, locked(time.Time{}, true), locked(noon, false)) }, nil, nil},
		{"four are", func(s *judge.Survey) { people(s, 4, locked(early, true), locked(time.Time{}, false)) }, nil, []string{"mark of inactive people"}},
		{"many are locked", func(s *judge.Survey) { people(s, 40, locked(early, false), locked(noon, true)) }, nil, nil},
	} {
		var s judge.Survey
		c.note(&s)
		list := s.Anomalies(c.groups)
		if got := whats(list); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for _, a := range list {
			if a.Detail == "" || a.Remedy == "" || a.Lost == 0 || a.Had < a.Lost || a.Strength == identity.Unproven {
				t.Errorf("%s: %+v says too little", c.name, a)
			}
		}
	}
}

func TestR01AnAnomalyNamesItsGroup(t *testing.T) {
	for _, c := range []struct {
		seen judge.GroupSeen
		want string
	}{
		{judge.GroupSeen{Renamed: "wiki-people"}, "wiki-people"},
		{judge.GroupSeen{Missing: true}, "no group of that name"},
		{judge.GroupSeen{Hidden: true}, "shows no member"},
		{judge.GroupSeen{}, "lost all its 4 members"},
	} {
		var s judge.Survey
		people(&s, 4, in("wiki"), in())
		list := s.Anomalies(map[string]judge.GroupSeen{"wiki": c.seen})
		if len(list) != 1 || !strings.Contains(list[0].Detail, c.want) {
			t.Errorf("%+v: %+v, want words with %q", c.seen, list, c.want)
		}
	}
}

// TestR01WhomAnAnomalyBinds: those who lost the thing, and nobody else.
func TestR01WhomAnAnomalyBinds(t *testing.T) {
	for _, c := range []struct {
		name        string
		a           judge.Anomaly
		before, now judge.Traits
		binds       bool
	}{
		{"who lost the group", judge.Anomaly{Trait: judge.Group, Name: "g"}, in("g"), in(), true},
		{"who is still in it", judge.Anomaly{Trait: judge.Group, Name: "g"}, in("g"), in("g"), false},
		{"who lost another", judge.Anomaly{Trait: judge.Group, Name: "g"}, in("h"), in(), false},
		{"who never was in it", judge.Anomaly{Trait: judge.Group, Name: "g"}, in(), in(), false},
		{"a group is no attribute", judge.Anomaly{Trait: judge.Attribute, Name: "g"}, in("g"), in(), false},
		{"who lost the attribute", judge.Anomaly{Trait: judge.Attribute, Name: "mail"}, has("ou=a", "mail"), has("ou=a"), true},
		{"in another container", judge.Anomaly{Trait: judge.Attribute, Name: "mail", Container: "ou=a"}, has("ou=b", "mail"), has("ou=b"), false},
		{"in that container", judge.Anomaly{Trait: judge.Attribute, Name: "mail", Container: "ou=a"}, has("OU=A", "mail"), has("ou=b"), true},
		{"who is inactive no more", judge.Anomaly{Trait: judge.Mark}, judge.Traits{Inactive: true}, judge.Traits{}, true},
		{"who is still inactive", judge.Anomaly{Trait: judge.Mark}, judge.Traits{Inactive: true}, judge.Traits{Inactive: true}, false},
	} {
		if got := c.a.Binds(c.before, c.now); got != c.binds {
			t.Errorf("%s: binds %t, want %t", c.name, got, c.binds)
		}
	}
}

// TestR01WhatDecidesWhoIsActive: a lost right to that may feign more than one to a title.
func TestR01WhatDecidesWhoIsActive(t *testing.T) {
	s := judge.Survey{Deciding: func(trait judge.Trait, name string) bool { return trait == judge.Attribute && name == "status" }}
	people(&s, 9, has("ou=a", "mail", "status"), has("ou=a"))
	list := s.Anomalies(nil)
	if got := whats(list); !slices.Equal(got, []string{"attribute mail", "attribute status"}) {
		t.Fatalf("anomalies %q", got)
	}
	if list[0].Strength != identity.ByScope || list[1].Strength != identity.ByState {
		t.Errorf("mail feigns %d and status %d, want %d and %d", list[0].Strength, list[1].Strength, identity.ByScope, identity.ByState)
	}
}

// TestWhatASurveyCounts: who is in a group now, and who had and lost what.
func TestWhatASurveyCounts(t *testing.T) {
	var s judge.Survey
	people(&s, 3, in("g", "h"), in("g"))
	people(&s, 2, in(), in("g"))
	s.New(in("g", "i"))
	s.NoteMany(has("ou=a", "mail"), has("ou=a", "mail"), 7)
	if got := s.Names(judge.Group); !slices.Equal(got, []string{"g", "h", "i"}) {
		t.Errorf("groups %q", got)
	}
	for name, want := range map[string]int{"g": 6, "h": 0, "i": 1, "j": 0} {
		if got := s.Members(judge.Group, name); got != want {
			t.Errorf("%s has %d people, want %d", name, got, want)
		}
	}
	if got := s.Members(judge.Attribute, "mail"); got != 7 {
		t.Errorf("%d people have mail, want 7", got)
	}
	list := s.Anomalies(nil)
	if len(list) != 1 || list[0].Had != 3 || list[0].Lost != 3 {
		t.Errorf("%+v, want h, which 3 had and 3 lost", list)
	}
	// Who only came does not count among those who had it.
	var more judge.Survey
	people(&more, 4, in("g"), in())
	people(&more, 90, in(), in("g"))
	if got := whats(more.Anomalies(nil)); !slices.Equal(got, []string{"group g"}) {
		t.Errorf("four of four left, and ninety came: %q", got)
	}
}

// TestWhatAnAnomalySays: what was seen, as far as it was.
func TestWhatAnAnomalySays(t *testing.T) {
	at := func(inactive bool, changed time.Time) judge.Traits {
		return judge.Traits{Container: "ou=a", Inactive: inactive, Changed: changed}
	}
	for _, c := range []struct {
		faded   []judge.Fade
		changed time.Time
		want    string
	}{
		{nil, early, "4 of the 4 people who had it have it no more, 4 of them though their entries are as they were"},
		{nil, time.Time{}, "4 of the 4 people who had it have it no more"},
		{
			[]judge.Fade{{Name: "userAccountControl", Had: 40, Lost: 40}},
			noon,
			"4 of the 4 people who had it have it no more, and many entries no longer show userAccountControl",
		},
	} {
		s := judge.Survey{Faded: c.faded}
		people(&s, 4, at(true, early), at(false, c.changed))
		if list := s.Anomalies(nil); len(list) != 1 || list[0].Detail != c.want {
			t.Errorf("%+v, want %q", list, c.want)
		}
	}
}

func TestR01Fades(t *testing.T) {
	for _, c := range []struct {
		had, has, people, now int
		asked, want           bool
	}{
		{40, 40, 40, 40, true, false},
		{40, 0, 40, 40, true, true},
		{40, 36, 40, 40, true, false},
		{40, 35, 40, 40, true, true},
		{3, 0, 40, 40, true, false},
		{4, 0, 40, 40, true, true},
		{40, 0, 40, 40, false, false},   // nobody asks for it any more
		{100, 60, 100, 60, true, false}, // its people are gone
		{100, 40, 100, 60, true, true},
		{10, 20, 40, 40, true, false},
	} {
		now := map[string]int{}
		if c.asked {
			now["a"] = c.has
		}
		if got := judge.Fades(map[string]int{"a": c.had}, now, c.people, c.now); (len(got) > 0) != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestFresh(t *testing.T) {
	if !judge.Fresh(noon, noon.Add(time.Second)) {
		t.Error("an entry changed a second before it was read is not fresh")
	}
	if at := noon.Add(time.Microsecond); judge.Fresh(at, at) {
		t.Error("an entry whose change is told to the microsecond is fresh")
	}
	if judge.Fresh(noon, noon.Add(2*time.Second)) {
		t.Error("an entry changed two seconds before it was read is fresh")
	}
}

// TestR03RenamesKeepTheirGroups: case 17.
func TestR03RenamesKeepTheirGroups(t *testing.T) {
	for _, c := range []struct {
		name                      string
		before, now, former, want []string
	}{
		{"their old name is still listed", []string{"g"}, nil, []string{"g"}, []string{"g"}},
		{"it is not", []string{"g"}, nil, nil, nil},
		{"they were never in it", nil, nil, []string{"g"}, nil},
		{"they are in it by their new name, too", []string{"g"}, []string{"g"}, []string{"g"}, nil},
		{"two groups", []string{"g", "h"}, nil, []string{"h", "g"}, []string{"g", "h"}},
	} {
		if got := judge.Kept(c.before, c.now, c.former); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestR17AnomaliesHaveNoOrder: the order in which people are counted makes no difference, and nobody is bound who lost
// nothing.
func TestR17AnomaliesHaveNoOrder(t *testing.T) {
	type pair struct{ Before, Now judge.Traits }
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID[string])
		traits := func() judge.Traits {
			return judge.Traits{
				Container: rapid.SampledFrom([]string{"ou=x", "ou=y"}).Draw(t, "container"), Attributes: some.Draw(t, "attributes"),
				Groups: some.Draw(t, "groups"), Inactive: rapid.Bool().Draw(t, "inactive"),
				Changed: rapid.SampledFrom([]time.Time{{}, dawn, early}).Draw(t, "changed"),
			}
		}
		var list []pair
		for range rapid.IntRange(0, 12).Draw(t, "people") {
			list = append(list, pair{traits(), traits()})
		}
		count := func(list []pair) []judge.Anomaly {
			var s judge.Survey
			for _, p := range list {
				s.Note(p.Before, p.Now)
			}
			return s.Anomalies(nil)
		}
		found := count(list)
		if again := count(rapid.Permutation(list).Draw(t, "again")); fmt.Sprint(found) != fmt.Sprint(again) {
			t.Fatalf("%+v, and in another order %+v", found, again)
		}
		for _, a := range found {
			bound := 0
			for _, p := range list {
				if a.Binds(p.Before, p.Now) {
					bound++
				}
				if a.Binds(p.Now, p.Now) {
					t.Fatalf("%+v binds somebody who lost nothing: %+v", a, p.Now)
				}
			}
			if bound != a.Lost {
				t.Fatalf("%+v binds %d", a, bound)
			}
		}
	})
}

// R1: who is not active by what was not lost is not active, however much else was.
func TestR01CertainWhateverWasLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		unmet [][]string
		lost  []string
		want  bool
	}{
		{"nothing that they do not meet", nil, []string{"employeeType"}, false},
		{"what was lost", [][]string{{"employeeType"}}, []string{"employeeType"}, false},
		{"what was not lost", [][]string{{"nsAccountLock"}}, []string{"employeeType"}, true},
		{"both, each by itself", [][]string{{"employeeType"}, {"nsAccountLock"}}, []string{"employeeType"}, true},
		{"both, in one", [][]string{{"employeeType", "nsAccountLock"}}, []string{"employeeType"}, false},
		{"both, and both were lost", [][]string{{"employeeType"}, {"nsAccountLock"}}, []string{"employeeType", "nsAccountLock"}, false},
		{"a group was lost, and no attribute", [][]string{{"nsAccountLock"}}, nil, true},
	} {
		if got := judge.Certain(c.unmet, c.lost); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
