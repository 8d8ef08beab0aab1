package judge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

func TestR01Departure(t *testing.T) {
	stays := judge.Facts{Watched: true, Present: true, Active: true, InScope: true}
	but := func(change func(*judge.Facts)) judge.Facts {
		f := stays
		change(&f)
		return f
	}
	gone := &judge.Absent{Outcome: judge.Left, Cause: identity.Deleted, Strength: identity.ByAbsence, Proof: "asked", Left: early}
	moved := &judge.Absent{Outcome: judge.Left, Cause: identity.Moved, Strength: identity.ByScope, Proof: "asked", Left: early}
	for _, c := range []struct {
		name     string
		facts    judge.Facts
		leaves   bool
		cause    identity.Cause
		strength identity.Strength
		proof    string
		left     time.Time
	}{
		{name: "stays", facts: stays},
		{
			"inactive", but(func(f *judge.Facts) { f.Active, f.Left = false, early }),
			true, identity.Inactive, identity.ByState, "`active`", early,
		},
		{
			"inactive by their own entry", but(func(f *judge.Facts) { f.Active, f.Why = false, "nsAccountLock is TRUE" }),
			true, identity.Inactive, identity.ByState, "nsAccountLock is TRUE",
			time.Time{},
		},
		{
			"out of scope", but(func(f *judge.Facts) { f.InScope = false }),
			true, identity.OutOfScope, identity.ByScope, "config.hcl:9",
			time.Time{},
		},
		{
			"out of scope by a group", but(func(f *judge.Facts) { f.InScope, f.Group = false, "staff" }),
			true, identity.OutOfScope, identity.ByScope, "has left staff",
			time.Time{},
		},
		{name: "M15: unsure, out of scope", facts: but(func(f *judge.Facts) { f.Unsure, f.InScope = true, false })},
		{name: "M15: unsure, inactive", facts: but(func(f *judge.Facts) { f.Unsure, f.Active = true, false })},
		{name: "R2: the source is not believed", facts: but(func(f *judge.Facts) { f.Watched, f.Active = false, false })},
		{
			"R14: edited, out of scope", but(func(f *judge.Facts) { f.Edited, f.InScope = true, false }),
			true, identity.ConfigEdited, identity.ByScope, "edited",
			time.Time{},
		},
		{
			"R14: edited, inactive by an expression", but(func(f *judge.Facts) { f.Edited, f.Active = true, false }),
			true, identity.ConfigEdited, identity.ByScope, "edited",
			time.Time{},
		},
		{
			"R14: edited, and the entry itself says inactive",
			but(func(f *judge.Facts) { f.Edited, f.Active, f.Why = true, false, "locked" }), true, identity.Inactive, identity.ByState, "locked",
			time.Time{},
		},
		{
			"R14: edited, and inactive by what the config asked before, too",
			but(func(f *judge.Facts) { f.Edited, f.Active, f.Condition = true, false, "config.hcl:10" }),
			true, identity.Inactive, identity.ByState, "config.hcl:10",
			time.Time{},
		},
		{
			"R14: edited, active and out of scope, whatever the config asked before",
			but(func(f *judge.Facts) { f.Edited, f.InScope, f.Condition = true, false, "config.hcl:10" }),
			true, identity.ConfigEdited, identity.ByScope, "edited",
			time.Time{},
		},
		{name: "missing, nobody asked", facts: but(func(f *judge.Facts) { f.Present = false })},
		{name: "missing, unproven", facts: judge.Facts{Watched: true, Absent: &judge.Absent{Outcome: judge.Unproven}}},
		{name: "missing, missed", facts: judge.Facts{Watched: true, Absent: &judge.Absent{Outcome: judge.Missed}}},
		{
			"deleted",
			judge.Facts{Watched: true, Absent: gone},
			true, identity.Deleted, identity.ByAbsence, "asked", early,
		},
		{
			"R2: deleted out of a source that is held: who is explained goes",
			judge.Facts{Absent: gone},
			true, identity.Deleted, identity.ByAbsence, "asked", early,
		},
		{
			"R14: edited, and deleted all the same",
			judge.Facts{Watched: true, Edited: true, Absent: gone},
			true, identity.Deleted, identity.ByAbsence, "asked", early,
		},
		{"moved", judge.Facts{Watched: true, Absent: moved}, true, identity.Moved, identity.ByScope, "asked", early},
		{
			"R14: out of an edited base",
			judge.Facts{Watched: true, Edited: true, Absent: moved},
			true, identity.ConfigEdited, identity.ByScope, "asked", early,
		},
		{name: "R3: back under another anchor", facts: judge.Facts{Watched: true, Returned: true, Absent: gone}},
		{
			"ordered", but(func(f *judge.Facts) { f.Ordered = "fraud" }),
			true, identity.Emergency, identity.ByOrder, "fraud",
			time.Time{},
		},
		{
			"ordered, whatever else is known",
			judge.Facts{Ordered: "fraud", Returned: true, Unsure: true},
			true, identity.Emergency, identity.ByOrder, "fraud",
			time.Time{},
		},
	} {
		link := judge.Link{Target: "wiki", Person: id("a"), Name: "ann", Account: "7", UserName: "ann", Container: "ou=a"}
		c.facts.Now, c.facts.Rule, c.facts.Scope = noon, "config.hcl:12", "config.hcl:9"
		l, leaves := judge.Departure(link, c.facts)
		if leaves != c.leaves {
			t.Errorf("%s: leaves %t, want %t", c.name, leaves, c.leaves)
		}
		if !leaves {
			continue
		}
		if l.Cause != c.cause || l.Strength != c.strength || !strings.Contains(l.Proof, c.proof) || !l.Left.Equal(c.left) || !l.Noticed.Equal(noon) {
			t.Errorf("%s: %+v, want %s at strength %d, %q, left %s", c.name, l, c.cause, c.strength, c.proof, c.left)
		}
		if l.Target != "wiki" || l.Person != id("a") || l.Account != "7" || l.UserName != "ann" || l.Container != "ou=a" || l.Rule == "" {
			t.Errorf("%s: %+v has lost whose account it is", c.name, l)
		}
		c.facts.Noticed = dawn
		if l, _ := judge.Departure(link, c.facts); c.facts.Ordered == "" && !l.Noticed.Equal(dawn) {
			t.Errorf("%s: noticed at %s, and it was noticed before, at %s", c.name, l.Noticed, dawn)
		}
	}
}

// R14: who was closed, or let go, for a cause of their own and is there again leaves by an edit of the config as anybody
// does: what was accepted then does not cover it.
func TestR14AnAcceptanceLapses(t *testing.T) {
	for _, c := range []struct {
		accepted, now identity.Cause
		active        bool
		lapsed        bool
	}{
		{identity.Inactive, identity.ConfigEdited, true, true},
		{identity.Deleted, identity.ConfigEdited, true, true},
		{identity.Moved, identity.ConfigEdited, true, true},
		{identity.Inactive, identity.ConfigEdited, false, false}, // inactive still, by an expression
		{identity.Inactive, identity.OutOfScope, true, false},
		{identity.OutOfScope, identity.ConfigEdited, true, false},
		{identity.ConfigEdited, identity.ConfigEdited, true, false}, // approved
		{identity.Emergency, identity.ConfigEdited, true, false},
	} {
		if got := judge.Lapsed(c.accepted, c.now, c.active); got != c.lapsed {
			t.Errorf("accepted as %q, now %q, active %t: lapsed %t", c.accepted, c.now, c.active, got)
		}
	}
}
