package judge_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/judge"
)

// TestR18WhoIsForgotten: whoever has left a trace is not.
func TestR18WhoIsForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left judge.Traces
		want bool
	}{
		"nothing":                 {judge.Traces{}, true},
		"an account":              {judge.Traces{Linked: true}, false},
		"a case":                  {judge.Traces{Case: true}, false},
		"an account that is gone": {judge.Traces{Tombstone: true}, false},
		"a hold":                  {judge.Traces{Held: true}, false},
		"an order":                {judge.Traces{Ordered: true}, false},
		"a change under way":      {judge.Traces{Begun: true}, false},
	} {
		if got := judge.Forgotten(c.left); got != c.want {
			t.Errorf("who left %s is forgotten: %v, want %v", name, got, c.want)
		}
	}
}
