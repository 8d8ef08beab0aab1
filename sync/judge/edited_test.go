package judge_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// R14: who leaves by an edit leaves by the line of the scope, where there is one, else by what the config says of
// leavers.
func TestR14AnEditNamesItsLine(t *testing.T) {
	f := judge.Facts{Watched: true, Present: true, Active: true, Edited: true, Rule: "config.hcl:12", Scope: "config.hcl:9", Now: noon}
	for scope, want := range map[string]string{"config.hcl:9": "config.hcl:9", "": "config.hcl:12"} {
		f.Scope = scope
		if l, leaves := judge.Departure(judge.Link{Target: "wiki", Person: id("a")}, f); !leaves || l.Rule != want {
			t.Errorf("scope at %q: leaves %t by %q, want %q", scope, leaves, l.Rule, want)
		}
	}
}

// R14: who leaves by an edited line is told to leave by that line.
func TestR14AnEditIsNamed(t *testing.T) {
	for name, f := range map[string]judge.Facts{
		"scope": {Watched: true, Present: true, Active: true, Edited: true, Scope: "config.hcl:18", Edit: "scope at config.hcl:18"},
		"base":  {Watched: true, Edited: true, Edit: "base_dn at config.hcl:4", Absent: &judge.Absent{Outcome: judge.Left, Cause: identity.Moved}},
	} {
		l, leaves := judge.Departure(judge.Link{Target: "wiki"}, f)
		if !leaves || l.Cause != identity.ConfigEdited || l.Edit != f.Edit || l.Rule != f.Edit {
			t.Errorf("%s: %t, %+v", name, leaves, l)
		}
	}
}
