package guard

import "time"

const (
	// quarantineAfter is how many times in a row a target may fail before delta passes leave it alone for a while (R9).
	quarantineAfter   = 3
	longestQuarantine = time.Hour
)

// A Trouble is how often in a row a source or a target failed, and why it did so last; zero for not.
type Trouble struct {
	Failures int
	Reason   string
	Since    time.Time
	Next     time.Time // of a target, when a delta pass tries it again; zero for at once
}

// Again is the trouble after another failure at an instant.
func (t Trouble) Again(reason string, now time.Time) Trouble {
	if t.Failures == 0 {
		t.Since = now
	}
	t.Failures++
	t.Reason = reason
	if t.Failures >= quarantineAfter {
		t.Next = now.Add(min(time.Minute<<min(t.Failures-quarantineAfter, 6), longestQuarantine))
	}
	return t
}

// Quarantined reports whether delta passes leave the target alone at an instant.
func (t Trouble) Quarantined(now time.Time) bool { return !Due(t.Next, now, longestQuarantine) }
