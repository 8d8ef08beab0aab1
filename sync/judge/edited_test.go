package judge_test

import (
	"testing"

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
