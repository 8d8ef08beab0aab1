package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Departure is the judgement that somebody left, with its proof.
type Departure struct {
	Cause identity.Cause
	Proof string    // what was asked, and the answer
	At    time.Time // of the answer
}

// Prove asks the source for a person whom a complete snapshot lacks (R1). left is false where the source still returns them, or where it
// gave no answer, which is the error: neither makes a leaver.
func Prove(ctx context.Context, source sources.Source, who sources.Lookup) (d Departure, left bool, err error) {
	finder, ok := source.(sources.Finder)
	if !ok {
		return d, false, fmt.Errorf("the source cannot look one person up, so absence cannot be proven")
	}
	s, err := finder.Find(ctx, who)
	if err != nil {
		return d, false, err
	}
	d = Departure{Proof: s.Proof, At: s.At}
	switch s.Where {
	case sources.Gone, sources.Tombstone:
		d.Cause = identity.Deleted
	case sources.Elsewhere:
		d.Cause = identity.Moved
	default:
		return d, false, nil
	}
	return d, true, nil
}
