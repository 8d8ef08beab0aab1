package judge_test

import (
	"testing"
	"time"

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
		if got := judge.Nowhere(c.left); got != c.want {
			t.Errorf("who left %s is forgotten: %v, want %v", name, got, c.want)
		}
	}
}

// TestR18WhoIsForgottenWhen: one read may have missed somebody: a day of reads has to lack them.
func TestR18WhoIsForgottenWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		since time.Time
		want  bool
	}{
		"missed for the first time": {time.Time{}, false},
		"missing for an hour":       {now.Add(-time.Hour), false},
		"missing for a day":         {now.Add(-24 * time.Hour), true},
		"the clock went back since": {now.Add(48 * time.Hour), false},
	} {
		if got := judge.Forgotten(c.since, now); got != c.want {
			t.Errorf("%s: forgotten %v, want %v", name, got, c.want)
		}
	}
}
