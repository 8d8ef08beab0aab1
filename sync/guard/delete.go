package guard

import (
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Clock is what is known of the time when something irrevocable rests on it (R10).
type Clock struct {
	Last    time.Time // when the last pass ended, by the same clock; zero where there was none
	Doubted time.Time // what Deletion.Doubted of the last pass was
	Second  time.Time // what a second clock, a directory's or an HTTP Date, says now; zero where none was asked
}

const (
	longestGap = 26 * time.Hour  // between two passes: a day and some
	drift      = 5 * time.Minute // between two clocks that agree
)

// check says whether the clock may be believed, since when it is in doubt, and why. After a jump it is believed again when a second clock
// agrees, or when another pass finds that it has gone on from there.
func (c Clock) check(now time.Time) (doubted time.Time, why string) {
	switch {
	case !c.Second.IsZero() && c.Second.Sub(now).Abs() > drift:
		return now, fmt.Sprintf("another clock says %s where this machine's says %s",
			c.Second.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !c.Second.IsZero():
		return time.Time{}, ""
	case c.Last.IsZero():
		return now, "this is the first pass, so that nothing tells whether the clock is right"
	case now.Sub(c.Last) > longestGap || now.Before(c.Last):
		return now, fmt.Sprintf("the clock went from %s to %s between two passes",
			c.Last.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return time.Time{}, ""
}

// A Deletion is a Decision about accounts whose grace is over.
type Deletion struct {
	Decision
	Restamp []identity.Leaver // disabled in what is the future now, since the clock went back: their grace counts from now
	Doubted time.Time         // since when the clock is in doubt, to be kept for the next pass; zero where it is believed
	Why     string            // nothing is deleted, since
}

// Deletes says which accounts are deleted (R10), where f.Leavers are those whose grace is over, Left being when they were disabled, and f.Spent
// what was deleted within the window. While the clock is in doubt nothing is.
func Deletes(f Facts, c Clock) (out Deletion) {
	if out.Doubted, out.Why = c.check(f.Now); out.Why != "" {
		return out
	}
	restamp, due := divide(f.Leavers, func(l identity.Leaver) bool { return l.Left.After(f.Now) })
	f.Leavers = due
	out.Decision, out.Restamp = decide(f, identity.HoldDelete), restamp
	return out
}

// Due reports whether the time of a stamp has come, where no stamp is made for later than longest from when it is made: one beyond that was made
// by a clock that has gone back since. It is for attempts; what is irrevocable is never due for that reason (see Deletion.Restamp).
func Due(stamp, now time.Time, longest time.Duration) bool {
	return !stamp.After(now) || stamp.After(now.Add(longest))
}
