package judge

// Traces are what there is of somebody whom a whole and believed read of their directory lacks.
type Traces struct {
	Linked    bool // to an account at some target, closed or not
	Case      bool // of a leaver, open or closed
	Tombstone bool // of an account that is gone
	Held      bool // a member of a hold
	Ordered   bool // swept by an operator
	Begun     bool // a change that is not settled: there may be an account
}

// Forgotten reports whether nobody has to know any more who somebody was (R18). Each trace leads to the record: by it
// an account is known again, its person asked for, or said who they are.
func Forgotten(left Traces) bool { return left == Traces{} }
