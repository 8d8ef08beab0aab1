package judge_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/judge"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	early = noon.Add(-time.Hour)
	dawn  = noon.Add(-6 * time.Hour)
)

// TestR19WhoseTimeEndsLeftAtThatInstant: whoever is inactive by a date left at the instant that it names, if that was to
// come when they were last read; else when the directory says that it was set, if that was later.
func TestR19WhoseTimeEndsLeftAtThatInstant(t *testing.T) {
	never := time.Time{}
	for _, c := range []struct {
		name                  string
		turns, known, changed time.Time // when they were to turn, and when their entry was changed, then and now
		ended, want           time.Time
	}{
		{"as it was to be", early, dawn, dawn, early, early},
		{"and something else was changed since", early, dawn, noon, early, early},
		{"of whom nothing was known", never, never, dawn, early, early},
		{"an end that was set when it had passed", never, dawn, early, dawn.Add(-time.Hour), early},
		{"or that was to be another", noon.Add(time.Hour), dawn, early, dawn.Add(-time.Hour), early},
		{"an end that was set before it came, unseen", never, dawn, dawn.Add(time.Hour), early, early},
		{"or that within the second in which it was read before", never, early, early, time.Unix(0, 0), never},
		{"and the directory does not tell when", never, never, never, time.Unix(0, 0), never},
		{"no end", early, dawn, early, never, early},
		{"no end, and nothing was changed", early, dawn, dawn, never, never},
	} {
		known := judge.Known{Active: true, Changed: c.known, Turns: c.turns}
		r := judge.Person(known, judge.Entry{Changed: c.changed}, judge.Evaluation{Ended: c.ended}, nil, noon)
		if r.Verdict != judge.Leave || !r.Left.Equal(c.want) || !r.Noticed.Equal(noon) {
			t.Errorf("%s: %s, left %s, want %s", c.name, r.Verdict, r.Left, c.want)
		}
	}
}

// TestR01TroubleIsNotAbsence: an entry that cannot be read, and an expression that gives no answer, make nobody a
// leaver (M15).
func TestR01TroubleIsNotAbsence(t *testing.T) {
	targets := []string{"crm", "wiki"}
	was := judge.Known{Active: true, Scope: []string{"wiki"}, Changed: dawn}
	gone := judge.Known{Scope: []string{"wiki"}, Noticed: early, Left: dawn, Changed: dawn}
	for _, c := range []struct {
		name   string
		known  judge.Known
		entry  judge.Entry
		e      judge.Evaluation
		want   judge.Verdict
		unsure []string
		stays  bool // what is remembered is what was known
	}{
		{"active", was, judge.Entry{}, judge.Evaluation{Active: true, Scope: []string{"wiki"}}, judge.Stay, nil, false},
		{"new", judge.Known{}, judge.Entry{}, judge.Evaluation{Active: true}, judge.Stay, nil, false},
		{"inactive", was, judge.Entry{}, judge.Evaluation{}, judge.Leave, nil, false},
		{"inactive still", gone, judge.Entry{}, judge.Evaluation{}, judge.Leave, nil, false},
		{"active again", gone, judge.Entry{}, judge.Evaluation{Active: true}, judge.Return, nil, false},
		{"unreadable", was, judge.Entry{Unreadable: true}, judge.Evaluation{}, judge.Unsure, targets, true},
		{"unreadable after leaving", gone, judge.Entry{Unreadable: true}, judge.Evaluation{Active: true}, judge.Unsure, targets, true},
		{"active gave no answer", was, judge.Entry{}, judge.Evaluation{ActiveFailed: true}, judge.Unsure, targets, true},
		{
			"the scope of one target gave no answer", was,
			judge.Entry{},
			judge.Evaluation{Active: true, Failed: []string{"wiki"}},
			judge.Stay,
			[]string{"wiki"},
			false,
		},
		{
			"and they are not active: the scope does not matter", was,
			judge.Entry{},
			judge.Evaluation{Failed: []string{"wiki"}},
			judge.Leave, nil, false,
		},
	} {
		r := judge.Person(c.known, c.entry, c.e, targets, noon)
		if r.Verdict != c.want || !slices.Equal(r.Unsure, c.unsure) {
			t.Errorf("%s: %s, unsure at %v, want %s, unsure at %v", c.name, r.Verdict, r.Unsure, c.want, c.unsure)
		}
		if kept := cmp.Equal(r.Known, c.known); kept != c.stays {
			t.Errorf("%s: remembered is %+v, and was %+v", c.name, r.Known, c.known)
		}
		if left := !r.Noticed.IsZero(); r.Verdict != judge.Unsure && left != (r.Verdict == judge.Leave) {
			t.Errorf("%s: noticed at %s for somebody who %s", c.name, r.Noticed, r.Verdict)
		}
	}
}

// TestR01NobodyReturnsByAnOlderEntry: another server of the directory may not know yet that somebody has left. Its word
// counts where the entry is as new as the leaving, or where it is the server that told of the leaving.
func TestR01NobodyReturnsByAnOlderEntry(t *testing.T) {
	targets := []string{"crm", "wiki"}
	disabled := judge.Known{Noticed: early, Left: early, Changed: early}
	deleted := judge.Known{Noticed: early, Left: early, Changed: dawn}
	for name, c := range map[string]struct {
		known judge.Known
		entry judge.Entry
		back  bool
	}{
		"disabled, and an older entry":               {disabled, judge.Entry{Changed: dawn, Since: noon}, false},
		"deleted, and the entry as it was":           {deleted, judge.Entry{Changed: dawn, Since: noon}, false},
		"enabled since":                              {disabled, judge.Entry{Changed: noon, Since: noon}, true},
		"as new as the leaving":                      {disabled, judge.Entry{Changed: early, Since: noon}, true},
		"the leaving was seen on this server":        {disabled, judge.Entry{Changed: dawn, Since: dawn}, true},
		"no other server was ever believed":          {disabled, judge.Entry{Changed: dawn}, true},
		"the directory does not say":                 {disabled, judge.Entry{Since: noon}, true},
		"it did not say when they left":              {judge.Known{Noticed: early}, judge.Entry{Changed: dawn, Since: noon}, true},
		"nobody who has left: an older entry is all": {judge.Known{Active: true, Changed: early}, judge.Entry{Changed: dawn, Since: noon}, true},
	} {
		r := judge.Person(c.known, c.entry, judge.Evaluation{Active: true, Scope: targets}, targets, noon)
		if back := r.Verdict != judge.Unsure; back != c.back || r.Older == back || back != (len(r.Unsure) == 0) {
			t.Errorf("%s: %+v", name, r)
		}
		if !c.back && !cmp.Equal(r.Known, c.known) {
			t.Errorf("%s: remembered is %+v, and was %+v", name, r.Known, c.known)
		}
	}
	left := judge.Person(disabled, judge.Entry{Changed: dawn, Since: noon}, judge.Evaluation{}, targets, noon)
	if left.Verdict != judge.Leave {
		t.Errorf("by an older entry that is inactive too: %+v", left)
	}
}

// TestR19LeavingIsDatedByTheDirectory: where an entry was changed since the last read, that is when its person left.
func TestR19LeavingIsDatedByTheDirectory(t *testing.T) {
	for _, c := range []struct {
		name          string
		known         judge.Known
		changed       time.Time
		left, noticed time.Time
	}{
		{"changed since", judge.Known{Active: true, Changed: dawn}, early, early, noon},
		{"inactive by the clock: the entry is as it was", judge.Known{Active: true, Changed: dawn}, dawn, time.Time{}, noon},
		{"the directory does not say", judge.Known{Active: true, Changed: dawn}, time.Time{}, time.Time{}, noon},
		{"it did not say before", judge.Known{Active: true}, early, time.Time{}, noon},
		{"noticed before", judge.Known{Noticed: early, Left: dawn, Changed: dawn}, noon, dawn, early},
		{"noticed before, undated", judge.Known{Noticed: early, Changed: dawn}, noon, time.Time{}, early},
	} {
		r := judge.Person(c.known, judge.Entry{Changed: c.changed}, judge.Evaluation{}, nil, noon)
		if !r.Left.Equal(c.left) || !r.Noticed.Equal(c.noticed) {
			t.Errorf("%s: left %s, noticed %s, want %s and %s", c.name, r.Left, r.Noticed, c.left, c.noticed)
		}
	}
}
