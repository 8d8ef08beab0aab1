package judge_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// TestR01OnlyACurrentReadProves: what a server says that is older than the last accepted read, or that nobody can
// compare with it, is not believed.
func TestR01OnlyACurrentReadProves(t *testing.T) {
	last := judge.Accepted{Server: "one"}
	for _, c := range []struct {
		name      string
		last      judge.Accepted
		read      judge.Read
		whole     bool
		backwards bool
		server    string // remembered
		rival     string
	}{
		{"the first read", judge.Accepted{}, judge.Read{Server: "one"}, true, false, "one", ""},
		{"as current", last, judge.Read{Server: "one", Order: judge.Current}, true, false, "one", ""},
		{"another server, as current", last, judge.Read{Server: "two", Order: judge.Current}, true, false, "two", ""},
		{"a replica that lags", last, judge.Read{Server: "two", Order: judge.Older}, false, false, "one", ""},
		{"a server that nobody can compare", last, judge.Read{Server: "two", Order: judge.Incomparable}, false, false, "one", "two"},
		{
			"and again, a delta later: it has taken its place",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-30 * time.Second)},
			judge.Read{Server: "two", Order: judge.Incomparable},
			true, false, "two", "",
		},
		{
			"a replica that lags, again and again",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-time.Hour)},
			judge.Read{Server: "two", Order: judge.Older},
			false, false, "one", "two",
		},
		{"the same server went back", last, judge.Read{Server: "one", Order: judge.Older}, false, true, "one", ""},
		{"the same server, undated", last, judge.Read{Server: "one"}, true, false, "one", ""},
		{"a kind that tells nothing", judge.Accepted{}, judge.Read{}, true, false, "", ""},
		{"another server, undated", last, judge.Read{Server: "two"}, false, false, "one", "two"},
		{
			"and again, too soon",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-29 * time.Second)},
			judge.Read{Server: "two"},
			false, false, "one", "two",
		},
		{
			"and again, a delta later",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-30 * time.Second)},
			judge.Read{Server: "two"},
			true, false, "two", "",
		},
		{
			"a third server in between",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-time.Hour)},
			judge.Read{Server: "three"},
			false, false, "one", "three",
		},
		{
			"the first is back",
			judge.Accepted{Server: "one", Rival: "two", Since: noon.Add(-time.Hour)},
			judge.Read{Server: "one"},
			true, false, "one", "",
		},
	} {
		b := judge.Believe(c.last, c.read, noon)
		if b.Whole != c.whole || b.Backwards != c.backwards || b.Server != c.server || b.Rival != c.rival || (b.Why == "") != c.whole {
			t.Errorf("%s: %+v, want whole %t, backwards %t, server %q, rival %q", c.name, b, c.whole, c.backwards, c.server, c.rival)
		}
	}
}

// seen is an answer that proves all that an answer can.
func seen(where judge.Where) judge.Sighting {
	return judge.Sighting{
		Source: "corp", Where: where, Order: judge.Current, Witness: true, Place: judge.PlacePeopled, Proof: "asked", Changed: early, At: noon,
	}
}

func with(s judge.Sighting, change func(*judge.Sighting)) judge.Sighting { change(&s); return s }

func TestR01Absence(t *testing.T) {
	inactive := with(seen(judge.InScope), func(s *judge.Sighting) { s.Inactive = "nsAccountLock is TRUE" })
	for _, c := range []struct {
		name    string
		read    judge.Read
		asked   []judge.Sighting
		outcome judge.Outcome
		cause   identity.Cause
		why     string
		emptied bool
	}{
		{"gone", judge.Read{}, []judge.Sighting{seen(judge.Gone)}, judge.Left, identity.Deleted, "", false},
		{"a tombstone", judge.Read{}, []judge.Sighting{seen(judge.Tombstone)}, judge.Left, identity.Deleted, "", false},
		{"elsewhere", judge.Read{}, []judge.Sighting{seen(judge.Elsewhere)}, judge.Left, identity.Moved, "", false},
		{"in scope after all", judge.Read{}, []judge.Sighting{seen(judge.InScope)}, judge.Missed, "", "has them in scope", false},
		{"an answer that nobody knows", judge.Read{}, []judge.Sighting{seen("perhaps")}, judge.Unproven, "", "nobody knows", false},
		{"nobody to ask", judge.Read{}, nil, judge.Unproven, "", "no source", false},
		{
			"no Finder",
			judge.Read{},
			[]judge.Sighting{{Source: "corp", Trouble: "it cannot look one person up"}},
			judge.Unproven, "", "corp: it gave no answer: it cannot look", false,
		},
		{
			"deletions are shown, and theirs is not: a controller that does not know them yet",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Untraced = true })},
			judge.Unproven, "", "may not know of them yet", false,
		},
		{"B4: an entry has no readable anchor", judge.Read{Unnamed: 1}, []judge.Sighting{seen(judge.Gone)}, judge.Unproven, "", "no readable anchor", false},
		{"B4: a tombstone is nobody's entry", judge.Read{Unnamed: 1}, []judge.Sighting{seen(judge.Tombstone)}, judge.Left, identity.Deleted, "", false},
		{
			"B8: a replica that lags",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Order = judge.Older })},
			judge.Unproven, "", "lacks changes", false,
		},
		{
			"B8: a replica that nobody can compare",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Tombstone), func(s *judge.Sighting) { s.Order = judge.Incomparable })},
			judge.Unproven, "", "lacks changes", false,
		},
		{
			"B8: a replica that lags has them at their old place",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Elsewhere), func(s *judge.Sighting) { s.Order = judge.Older })},
			judge.Unproven, "", "lacks changes", false,
		},
		{
			"undated, another server than was read",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Order = judge.Undated })},
			judge.Unproven, "", "not the one that was read", false,
		},
		{
			"undated, the server that was read",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Order, s.Same = judge.Undated, true })},
			judge.Left, identity.Deleted, "", false,
		},
		{
			"no witness",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Witness = false })},
			judge.Unproven, "", "nobody whom it should", false,
		},
		{
			"B9: a hidden branch",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Place = judge.PlaceHidden })},
			judge.Unproven, "", "the place", false,
		},
		{
			"a place that nobody looked at",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Place = judge.PlaceUnknown })},
			judge.Unproven, "", "the place", false,
		},
		{
			"nobody remembers where they were, and it waits for an operator in any case",
			judge.Read{Nowhere: true},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Place = judge.PlaceUnknown })},
			judge.Left, identity.Deleted, "", false,
		},
		{
			"B9: an emptied container",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Gone), func(s *judge.Sighting) { s.Place = judge.PlaceEmpty })},
			judge.Left, identity.Deleted, "", true,
		},
		{
			"a tombstone out of an emptied container",
			judge.Read{},
			[]judge.Sighting{with(seen(judge.Tombstone), func(s *judge.Sighting) { s.Place = judge.PlaceEmpty })},
			judge.Left, identity.Deleted, "", false,
		},
		{
			"B12: out of one source into another",
			judge.Read{},
			[]judge.Sighting{seen(judge.Elsewhere), seen(judge.InScope)},
			judge.Missed, "", "in scope", false,
		},
		{
			"B12: out of one source, and the other gives no answer",
			judge.Read{},
			[]judge.Sighting{seen(judge.Elsewhere), {Source: "labs"}},
			judge.Unproven, "", "labs: it gave no answer", false,
		},
		{
			"R14: known by another anchor by now, and not active",
			judge.Read{},
			[]judge.Sighting{inactive},
			judge.Left, identity.Inactive, "", false,
		},
		{
			"R14: not active in one source, and active in another",
			judge.Read{},
			[]judge.Sighting{inactive, seen(judge.InScope)},
			judge.Missed, "", "in scope", false,
		},
		{
			"R14: not active in one source, and the other gives no answer",
			judge.Read{},
			[]judge.Sighting{inactive, {Source: "labs"}},
			judge.Unproven, "", "labs: it gave no answer", false,
		},
		{
			"B8: not active by a replica that lags",
			judge.Read{},
			[]judge.Sighting{with(inactive, func(s *judge.Sighting) { s.Order = judge.Older })},
			judge.Unproven, "", "lacks changes", false,
		},
		{"outside of both", judge.Read{}, []judge.Sighting{seen(judge.Elsewhere), seen(judge.Elsewhere)}, judge.Left, identity.Moved, "", false},
		{"one sees more than the other", judge.Read{}, []judge.Sighting{seen(judge.Gone), seen(judge.Elsewhere)}, judge.Left, identity.Moved, "", false},
		{"a tombstone in one", judge.Read{}, []judge.Sighting{seen(judge.Gone), seen(judge.Tombstone)}, judge.Left, identity.Deleted, "", false},
	} {
		a := judge.Absence(c.read, c.asked)
		if a.Outcome != c.outcome || a.Cause != c.cause || !strings.Contains(a.Why, c.why) || (a.Why == "") != (c.outcome == judge.Left) ||
			a.Emptied != c.emptied {
			t.Errorf("%s: %+v, want %s by %q, %q, emptied %t", c.name, a, c.outcome, c.cause, c.why, c.emptied)
		}
		if a.Outcome == judge.Left && (!strings.HasPrefix(a.Proof, "asked") || !a.Left.Equal(early) || !a.At.Equal(noon) || a.Strength == identity.Unproven) {
			t.Errorf("%s: %+v has lost its proof, its date or its strength", c.name, a)
		}
	}
}

// TestR01NobodyLeavesOnHalfAProof: whatever is taken away from a proof, what is left proves nothing.
func TestR01NobodyLeavesOnHalfAProof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked := make([]judge.Sighting, rapid.IntRange(0, 3).Draw(t, "sources"))
		all := len(asked) > 0
		for i := range asked {
			asked[i] = judge.Sighting{
				Source: "corp", Where: rapid.SampledFrom([]judge.Where{judge.NoAnswer, judge.InScope, judge.Gone}).Draw(t, "where"),
				Order:   rapid.SampledFrom([]judge.Order{judge.Undated, judge.Current, judge.Older, judge.Incomparable}).Draw(t, "order"),
				Same:    rapid.Bool().Draw(t, "same"),
				Witness: rapid.Bool().Draw(t, "witness"),
				Place:   rapid.SampledFrom([]judge.Place{judge.PlaceUnknown, judge.PlacePeopled, judge.PlaceEmpty, judge.PlaceHidden}).Draw(t, "place"),
			}
			s := asked[i]
			current := s.Order == judge.Current || s.Order == judge.Undated && s.Same
			all = all && s.Where == judge.Gone && current && s.Witness && (s.Place == judge.PlacePeopled || s.Place == judge.PlaceEmpty)
		}
		read := judge.Read{Unnamed: rapid.IntRange(0, 1).Draw(t, "unnamed")}
		if got, want := judge.Absence(read, asked).Outcome == judge.Left, all && read.Unnamed == 0; got != want {
			t.Fatalf("%+v: left %t, want %t", asked, got, want)
		}
	})
}

// TestR01AbsenceAlone: of a source that cannot be asked, where the config takes absence for leaving. It is the weakest
// word.
func TestR01AbsenceAlone(t *testing.T) {
	unlisted := judge.Sighting{
		Source: "hr", Where: judge.Unlisted, Order: judge.Current, Same: true, At: noon, Lacked: early, Later: judge.Current,
	}
	gone := judge.Sighting{
		Source: "corp", Where: judge.Gone, Order: judge.Current, Same: true, Witness: true, Place: judge.PlacePeopled, At: noon,
	}
	here := judge.Sighting{Source: "corp", Where: judge.InScope}
	silent := judge.Sighting{Source: "corp", Trouble: "no answer"}
	once := with(unlisted, func(s *judge.Sighting) { s.Lacked = time.Time{} })
	for name, c := range map[string]struct {
		read    judge.Read
		said    []judge.Sighting
		outcome judge.Outcome
		alone   bool
	}{
		"alone":                                  {judge.Read{}, []judge.Sighting{unlisted}, judge.Left, true},
		"another source knows nobody":            {judge.Read{}, []judge.Sighting{gone, unlisted}, judge.Left, true},
		"another source has them":                {judge.Read{}, []judge.Sighting{unlisted, here}, judge.Missed, false},
		"another source does not answer":         {judge.Read{}, []judge.Sighting{unlisted, silent}, judge.Unproven, false},
		"an entry without an anchor may be them": {judge.Read{Unnamed: 1}, []judge.Sighting{unlisted}, judge.Unproven, false},
		"one of two lists lacks them once":       {judge.Read{}, []judge.Sighting{once, unlisted}, judge.Unproven, false},
	} {
		a := judge.Absence(c.read, c.said)
		if a.Outcome != c.outcome || a.Unlisted != c.alone {
			t.Errorf("%s: %+v", name, a)
		}
		if c.alone && (a.Cause != identity.Deleted || a.Strength != identity.ByScope) {
			t.Errorf("%s: %s with strength %d", name, a.Cause, a.Strength)
		}
	}
}

// stamp is how messages write an instant.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// TestR01AbsenceIsConfirmed: one list may have lost lines (H1), so that two versions of it have to lack somebody.
func TestR01AbsenceIsConfirmed(t *testing.T) {
	const file = "people.csv of 2026-11-27 14:00 UTC"
	const newer = "missing from " + file + "; a second, newer one, 30s later or more, has to lack them as well"
	const again = "missing from " + file + "; a second read of it, 30s later or more, has to lack them as well"
	for name, c := range map[string]struct {
		lacked time.Time
		later  judge.Order
		left   bool
		first  bool
		why    string
	}{
		"H1 the first file that lacks them": {time.Time{}, judge.Incomparable, false, true, newer},
		"H1 the same file, read again": {
			early, judge.Older, false, false,
			"missing from " + file + ", and since " + stamp(early) + "; a second, newer one, 30s after that or more, has to lack them as well",
		},
		"H1 a newer file": {early, judge.Current, true, false, ""},
		"H1 a newer file within seconds": {
			noon.Add(-29 * time.Second), judge.Current, false, false,
			"missing from " + file + ", and since " + stamp(noon.Add(-29*time.Second)) + "; a second, newer one, 30s after that or more, has to lack them as well",
		},
		"H1 other files than those": {early, judge.Incomparable, false, true, newer},
		"undated, the first read":   {time.Time{}, judge.Undated, false, true, again},
		"undated, again within seconds": {
			noon.Add(-29 * time.Second), judge.Undated, false, false,
			"missing from " + file + ", and since " + stamp(noon.Add(-29*time.Second)) + "; a second read of it, 30s after that or more, has to lack them as well",
		},
		"undated, a delta later":                {noon.Add(-30 * time.Second), judge.Undated, true, false, ""},
		"the clock has gone back":               {noon.Add(time.Hour), judge.Undated, false, true, again},
		"a newer file, and the clock went back": {noon.Add(time.Hour), judge.Current, false, true, newer},
	} {
		a := judge.Absence(judge.Read{}, []judge.Sighting{{
			Source: "hr", Where: judge.Unlisted, Order: judge.Current, Same: true, At: noon, Version: file, Lacked: c.lacked, Later: c.later,
		}})
		why := c.why
		if why != "" {
			why = "hr: " + why
		}
		if (a.Outcome == judge.Left) != c.left || a.First != c.first || a.Why != why {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestH3EatenZeros: a list that has 123 in the place of 00123 proves nothing, in however many versions.
func TestH3EatenZeros(t *testing.T) {
	for _, where := range []judge.Where{judge.Unlisted, judge.NoAnswer} {
		a := judge.Absence(judge.Read{}, []judge.Sighting{{
			Source: "hr", Where: where, Order: judge.Current, Same: true, At: noon, Lacked: early, Later: judge.Current, Alike: "123",
		}})
		if a.Outcome != judge.Unproven || !strings.Contains(a.Why, "has 123, which differs only in leading zeros") {
			t.Errorf("%q: %+v", where, a)
		}
	}
}
