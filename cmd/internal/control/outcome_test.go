package control

import "testing"

// TestR21NothingIsCalledGoodThatIsNot: one fact of any kind is never outweighed, and the worst one decides.
func TestR21NothingIsCalledGoodThatIsNot(t *testing.T) {
	t.Parallel()
	waiting := func(kinds ...string) map[string]int {
		m := map[string]int{}
		for _, kind := range kinds {
			m[kind] = 1
		}
		return m
	}
	for name, c := range map[string]struct {
		facts Facts
		want  Outcome
	}{
		"nothing":                         {Facts{}, AsWanted},
		"a kind with nobody in it":        {Facts{Waiting: map[string]int{"held": 0}}, AsWanted},
		"a leaver held":                   {Facts{Waiting: waiting("held")}, Waiting},
		"a rejected one":                  {Facts{Waiting: waiting("kept")}, Waiting},
		"a disputed account":              {Facts{Waiting: waiting("disputed")}, Waiting},
		"an absence without proof":        {Facts{Waiting: waiting("unproven")}, Waiting},
		"an account that nobody watches":  {Facts{Waiting: waiting("unwatched")}, Waiting},
		"a protected leaver":              {Facts{Waiting: waiting("protected")}, Waiting},
		"a leaver only observed":          {Facts{Waiting: waiting("observed")}, Waiting},
		"a leaver only reported":          {Facts{Waiting: waiting("reported")}, Waiting},
		"a mapping that failed":           {Facts{Waiting: waiting("expression")}, Waiting},
		"a kind that nobody thought of":   {Facts{Waiting: waiting("surprise")}, Waiting},
		"a change that failed":            {Facts{Failed: 1}, Incomplete},
		"a leaver still open":             {Facts{Open: 1}, Incomplete},
		"open before what waits":          {Facts{Open: 1, Waiting: waiting("held")}, Incomplete},
		"a source that could not be read": {Facts{Absent: 1}, Failed},
		"unread before everything":        {Facts{Absent: 1, Failed: 1, Open: 1, Waiting: waiting("held")}, Failed},
	} {
		if got := c.facts.Outcome(); got != c.want {
			t.Errorf("%s is %q, want %q", name, got, c.want)
		}
	}
	for kind, want := range map[string]bool{
		"drift": true, "missing": true, "orphan": true, "disabled": true, "relinked": true, "dangling": true, "left alone": true, "one person": true,
		"withheld": false, "refused": false, "entitlement": false, "contradiction": false, "anomaly": false, "unsettled": false, "missed": false,
		"disputed": false, "unproven": false, "unwatched": false, "protected": false, "leaver": false, "expression": false, "unreadable": false,
		"surprise": false,
	} {
		if calm(kind) != want {
			t.Errorf("a finding of kind %q: calm is %v", kind, !want)
		}
	}
}
