package judge

import "time"

// Traces are what there is of somebody whom a whole and believed read of their directory lacks.
type Traces struct {
	Linked    bool // to an account at some target, closed or not
	Case      bool // of a leaver, open or closed
	Tombstone bool // of an account that is gone
	Held      bool // a member of a hold
	Ordered   bool // swept by an operator
	Begun     bool // a change that is not settled: there may be an account
}

// Nowhere reports whether nothing but the record is left of somebody. Each trace leads to it: by it an account is known
// again, its person asked for, or said who they are.
func Nowhere(left Traces) bool { return left == Traces{} }

// lacked is for how long whole reads have to lack somebody until they are forgotten: one read may have missed them, and
// by what is remembered of them somebody else's account is known to be theirs (R3).
const lacked = 24 * time.Hour

// Forgotten reports whether nobody has to know any more who somebody was (R18), of whom nothing has been left and whom
// the reads lack since an instant. A clock that has gone back since begins anew.
func Forgotten(since, now time.Time) bool { return !since.IsZero() && now.Sub(since) >= lacked }
