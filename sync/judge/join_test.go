package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// stays is an entry that has somebody active, leaves one that does not.
func stays(member int, anchor string) judge.Word {
	return judge.Word{Member: member, Anchor: anchor, Active: true}
}

func leaves(member int, anchor, why string) judge.Word {
	return judge.Word{Member: member, Anchor: anchor, Why: why}
}

// TestR01JoinedWords: one human in two sources. hr says who leaves, corp as well unless the config says otherwise.
func TestR01JoinedWords(t *testing.T) {
	hr, corp := judge.Member{Name: "hr", Leaves: true}, judge.Member{Name: "corp", Leaves: true}
	several := func(m judge.Member) judge.Member { m.Several = true; return m }
	silent := func(m judge.Member) judge.Member { m.Leaves = false; return m }
	needed := func(m judge.Member) judge.Member { m.Needed = true; return m }
	unread := func(m judge.Member) judge.Member { m.Unread = true; return m }
	unknown := judge.Word{Member: 0, Anchor: "17", Unknown: "status is no text"}
	human := func(w judge.Word, born string) judge.Word { w.Human = born; return w }
	for _, c := range []struct {
		name    string
		members []judge.Member
		words   []judge.Word
		want    judge.Union
	}{
		{"active in both", []judge.Member{hr, corp}, []judge.Word{stays(0, "17"), stays(1, "a")}, judge.Union{Active: true}},
		{"hr says that they left", []judge.Member{hr, corp}, []judge.Word{leaves(0, "17", "status"), stays(1, "a")}, judge.Union{Why: "hr: status", By: []int{0}}},
		{"corp has them locked", []judge.Member{hr, corp}, []judge.Word{stays(0, "17"), leaves(1, "a", "locked")}, judge.Union{Why: "corp: locked", By: []int{1}}},
		{
			"both say so",
			[]judge.Member{hr, corp},
			[]judge.Word{leaves(0, "17", ""), leaves(1, "a", "locked")},
			judge.Union{Why: "hr; corp: locked", By: []int{0, 1}},
		},
		{"corp has no say", []judge.Member{hr, silent(corp)}, []judge.Word{stays(0, "17"), leaves(1, "a", "locked")}, judge.Union{Active: true}},
		{
			"corp has no say, and is all there is",
			[]judge.Member{hr, silent(corp)},
			[]judge.Word{leaves(1, "a", "locked")},
			judge.Union{Why: "corp: locked", By: []int{0}},
		},
		{"in hr alone: a hire to come, without a login", []judge.Member{hr, corp}, []judge.Word{stays(0, "17")}, judge.Union{Active: true}},
		{"in corp alone: a contractor", []judge.Member{hr, corp}, []judge.Word{stays(1, "a")}, judge.Union{Active: true}},
		{
			"in corp alone, where hr is needed",
			[]judge.Member{needed(hr), corp},
			[]judge.Word{stays(1, "a")},
			judge.Union{Why: "hr has nobody of that key"},
		},
		{
			"one of two contracts ends",
			[]judge.Member{several(hr), corp},
			[]judge.Word{stays(0, "17-2"), leaves(0, "17-1", "ended"), stays(1, "a")},
			judge.Union{Active: true},
		},
		{
			"the last contract ends",
			[]judge.Member{several(hr), corp},
			[]judge.Word{leaves(0, "17-1", "ended"), leaves(0, "17-2", "ended"), stays(1, "a")},
			judge.Union{Why: "hr: ended", By: []int{0, 1}},
		},
		{
			"one contract ended, of the other nobody knows",
			[]judge.Member{several(hr), corp},
			[]judge.Word{leaves(0, "17-1", "ended"), unknown, stays(1, "a")},
			judge.Union{Active: true, Unknown: "hr: status is no text"},
		},
		{
			"two entries, and one human has one",
			[]judge.Member{hr, corp},
			[]judge.Word{stays(0, "17"), leaves(1, "a", ""), stays(1, "b")},
			judge.Union{Disputed: "2 entries of corp bear it (a, b): give each human a key of their own, or say several = true where one human " +
				"may have several entries"},
		},
		{
			"born on two days",
			[]judge.Member{hr, corp},
			[]judge.Word{human(stays(0, "17"), "1980-01-01"), human(stays(1, "a"), "1991-02-02")},
			judge.Union{Disputed: "hr 17 and corp a bear it, and `human` says that they are not one"},
		},
		{
			"born on one day, or on none that is known",
			[]judge.Member{hr, several(corp)},
			[]judge.Word{human(stays(0, "17"), "1980-01-01"), human(stays(1, "a"), "1980-01-01"), stays(1, "b")},
			judge.Union{Active: true},
		},
		{
			"hr alone says who leaves, and was not read",
			[]judge.Member{unread(hr), silent(corp)},
			[]judge.Word{leaves(1, "a", "locked")},
			judge.Union{Active: true, Unknown: "hr was not read"},
		},
		{"hr was not read", []judge.Member{unread(hr), corp}, []judge.Word{stays(1, "a")}, judge.Union{Active: true, Unknown: "hr was not read"}},
		{
			"hr was not read, and corp says that they left",
			[]judge.Member{unread(hr), corp},
			[]judge.Word{leaves(1, "a", "locked")},
			judge.Union{Why: "corp: locked", By: []int{0}},
		},
		{"a source without a say was not read", []judge.Member{hr, unread(silent(corp))}, []judge.Word{stays(0, "17")}, judge.Union{Active: true}},
		{
			"a needed source was not read",
			[]judge.Member{unread(needed(silent(hr))), corp},
			[]judge.Word{stays(1, "a")},
			judge.Union{Active: true, Unknown: "hr was not read"},
		},
		{"of one nobody knows", []judge.Member{hr, corp}, []judge.Word{unknown, stays(1, "a")}, judge.Union{Active: true, Unknown: "hr: status is no text"}},
		{
			"of one nobody knows, the other has left",
			[]judge.Member{hr, corp},
			[]judge.Word{unknown, leaves(1, "a", "locked")},
			judge.Union{Why: "corp: locked", By: []int{1}},
		},
	} {
		t.Run(c.name, func(t *testing.T) { equal(t, judge.Join(c.members, c.words), c.want) })
	}
}

// TestR01UnknownIsNoLeaving: whatever the words, taking knowledge away from a join makes nobody a leaver who was none.
func TestR01UnknownIsNoLeaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := []judge.Member{{Name: "hr"}, {Name: "corp"}, {Name: "club"}}
		var words []judge.Word
		for n := range members {
			members[n].Several, members[n].Leaves = true, rapid.Bool().Draw(t, "leaves")
			for range rapid.IntRange(0, 2).Draw(t, "entries") {
				words = append(words, judge.Word{Member: n, Anchor: "a", Active: rapid.Bool().Draw(t, "active")})
			}
		}
		before := judge.Join(members, words)
		gone := rapid.IntRange(0, len(members)-1).Draw(t, "unread")
		members[gone].Unread = true
		var rest []judge.Word
		for _, w := range words {
			if w.Member != gone {
				rest = append(rest, w)
			}
		}
		after := judge.Join(members, rest)
		if before.Active && !after.Active {
			t.Fatalf("%+v became %+v without %s", before, after, members[gone].Name)
		}
	})
}

// TestR01LostEntries: who is missing from a source, though others show them.
func TestR01LostEntries(t *testing.T) {
	members := []judge.Member{{Name: "hr", Leaves: true, Several: true}, {Name: "corp", Leaves: true}, {Name: "club"}}
	part := func(source, anchor string) identity.Part { return identity.Part{Source: source, Anchor: anchor} }
	all := []identity.Part{part("hr", "17-1"), part("corp", "a"), part("club", "x")}
	for _, c := range []struct {
		name   string
		unread int
		now    []identity.Part
		want   []identity.Part
	}{
		{"all there", -1, all, nil},
		{"another contract in place of the first", -1, []identity.Part{part("hr", "17-2"), part("corp", "a")}, nil},
		{"hr lacks them", -1, []identity.Part{part("corp", "a"), part("club", "x")}, []identity.Part{part("hr", "17-1")}},
		{"hr was not read", 0, []identity.Part{part("corp", "a"), part("club", "x")}, nil},
		{"a source without a say lacks them", -1, all[:2], nil},
		{"nobody has them", -1, nil, all[:2]},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := append([]judge.Member{}, members...)
			if c.unread >= 0 {
				rules[c.unread].Unread = true
			}
			equal(t, judge.Lost(rules, true, all, c.now), c.want)
		})
	}
	club := []identity.Part{part("club", "x"), part("gym", "y")}
	equal(t, judge.Lost(append(members, judge.Member{Name: "gym"}), true, club, club[1:]), club[:1]) // known to nobody whose word ends
	members[2].Needed = true
	equal(t, judge.Lost(members, true, all, all[:2]), all[2:])
	over := []identity.Part{{Source: "hr", Anchor: "17-0", Over: true}, all[1], all[2]}
	equal(t, judge.Lost(members, true, all, over), all[:1])
	equal(t, judge.Lost(members, false, all, over), nil)
}

// TestR03ReusedKeys: somebody who left, and whose key somebody has of whom no entry is known.
func TestR03ReusedKeys(t *testing.T) {
	before := []identity.Part{{Source: "hr", Anchor: "17"}, {Source: "corp", Anchor: "a", DN: "cn=old"}}
	for _, c := range []struct {
		name string
		left bool
		now  []identity.Part
		want string
	}{
		{"back, in the same entries", true, before, ""},
		{"back, with a new account in corp", true, []identity.Part{{Source: "hr", Anchor: "17"}, {Source: "corp", Anchor: "b"}}, ""},
		{"nothing is as it was", true, []identity.Part{{Source: "corp", Anchor: "b", DN: "cn=new"}}, "hr 17, corp cn=old left, and corp cn=new has the key now"},
		{"nothing is as it was, and they never left", false, []identity.Part{{Source: "corp", Anchor: "b"}}, ""},
		{"an operator has said that they are one", true, before[:0], ""},
	} {
		t.Run(c.name, func(t *testing.T) { equal(t, judge.Succeeded(c.left, before, c.now), c.want) })
	}
}

// TestR01MissingEntries: one source that says that they left is enough; no answer is none.
func TestR01MissingEntries(t *testing.T) {
	left := judge.Absent{Outcome: judge.Left, Cause: identity.Deleted, Proof: "tombstone"}
	listed := judge.Absent{Outcome: judge.Left, Cause: identity.Deleted, Unlisted: true, Proof: "lacks them"}
	unproven := judge.Absent{Outcome: judge.Unproven, Why: "no answer"}
	there := judge.Absent{Outcome: judge.Missed, Why: "in scope"}
	for _, c := range []struct {
		name string
		said []judge.Absent
		want judge.Absent
	}{
		{"a tombstone and no answer", []judge.Absent{unproven, left}, left},
		{"a list that lacks them and a tombstone", []judge.Absent{listed, left}, left},
		{"a list that lacks them and one who is there", []judge.Absent{there, listed}, listed},
		{"no answer and one who is there", []judge.Absent{there, unproven}, unproven},
		{"there", []judge.Absent{there}, there},
		{"nothing is remembered", nil, judge.Absent{Outcome: judge.Unproven, Why: "nothing is remembered of the entries that they were made of"}},
	} {
		t.Run(c.name, func(t *testing.T) { equal(t, judge.Missing(c.said), c.want) })
	}
}

// TestR17PrecedenceOfEntries: the same order, however they came.
func TestR17PrecedenceOfEntries(t *testing.T) {
	later := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	ordered := []judge.Word{
		stays(0, "b"),
		{Member: 0, Anchor: "a", Active: true, Ends: later},
		{Member: 0, Anchor: "c", Active: true, Ends: later.Add(-time.Hour)},
		leaves(0, "a", ""), leaves(0, "b", ""), stays(1, "a"),
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := judge.Precedence(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%+v beside %+v: %d", a, b, got)
			}
		}
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
