package people

import (
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TellRestored tells of a state that was put back to an older one, and notes when everybody was first judged after
// that.
func (r *Read) TellRestored(ctx context.Context) error {
	var known state.Restored
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		known, err = v.Restored()
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	why := known.Why(r.o.Now, r.o.Limits.Window)
	if why == "" {
		return nil
	}
	r.o.Find(identity.Finding{
		Kind: "restored", Subject: "state",
		Detail: why + "; orders to sweep and releases in it were carried over, other decisions were not: `dirsweep audit` shows them",
	})
	everybody := r.o.Full && r.o.Person == "" && !slices.Contains(r.whole, false)
	if !r.o.Write || !everybody || !known.Read.IsZero() {
		return nil
	}
	known.Read = r.o.Now
	return r.update(ctx, func(w *state.Writer) error { return w.SetRestored(known) })
}
