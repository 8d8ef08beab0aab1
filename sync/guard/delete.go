package guard

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Clock is what is known of the time when something irrevocable rests on it (R10).
type Clock struct {
	Last   time.Time // when the last pass ended, by the same clock; zero where there was none
	Before time.Time // when the one before it did
	Second time.Time // what a second clock, a directory's or an HTTP Date, says now; zero where none was asked
}

const (
	longestGap = 26 * time.Hour  // between two passes: a day and some
	drift      = 5 * time.Minute // between two clocks that agree
)

// doubt says why the clock cannot be believed; "" where it can. After a jump it is believed again when a second clock
// agrees, or when another pass finds that it has gone on from there.
func (c Clock) doubt(now time.Time) string {
	switch {
	case !c.Second.IsZero() && c.Second.Sub(now).Abs() > drift:
		return fmt.Sprintf("another clock says %s where this machine's says %s",
			c.Second.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !c.Second.IsZero():
		return ""
	case c.Last.IsZero():
		return "no pass has ended yet, so that nothing tells whether the clock is right"
	case now.Sub(c.Last) > c.usual() || now.Before(c.Last):
		return fmt.Sprintf("the clock went from %s to %s since the last pass ended",
			c.Last.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return ""
}

// usual is how long there may be between two passes: a day and some or, where they are made less often, twice as long
// as between the last two.
func (c Clock) usual() time.Duration {
	if c.Before.IsZero() {
		return longestGap
	}
	return max(longestGap, 2*c.Last.Sub(c.Before))
}

// A Deletion is a Decision about accounts whose grace is over.
type Deletion struct {
	Decision
	Why string // nothing is deleted now, since the clock or the state is in doubt; "" where neither is
}

// Deletes says which accounts are deleted (R10), where f.Leavers are those whose grace is over and f.Spent is what was
// deleted within the window. While the clock is in doubt nothing is. Whoever was disabled in what is the future now,
// since the clock went back, has not begun their grace: the caller leaves them out.
func Deletes(f Facts, c Clock) (out Deletion) {
	if out.Why = cmp.Or(f.Restored, c.doubt(f.Now)); out.Why != "" {
		return out
	}
	out.Decision = decide(f, identity.HoldDelete)
	return out
}

// Due reports whether the time of a stamp has come, where no stamp is made for later than longest from when it is made:
// one beyond that was made by a clock that has gone back since. It is for attempts: what is irrevocable is never due
// for that reason.
func Due(stamp, now time.Time, longest time.Duration) bool {
	return !stamp.After(now) || stamp.After(now.Add(longest))
}
