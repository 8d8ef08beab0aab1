package apply

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

const (
	tries       = 4 // of one call within a pass
	firstPause  = 200 * time.Millisecond
	longestWait = 30 * time.Second // a longer Retry-After is left to the next pass
	readBacks   = 3                // of an account that still looks open after a call that succeeded: some targets answer from a replica
	finish      = 5 * time.Second  // for settling a call that was under way when the pass was stopped
)

// An Executor carries changes out, one at a time and in whatever order it is asked: it writes the intent, calls, repeats where that is safe,
// reads back, and settles intent, link and audit record. It is safe for concurrent use.
type Executor struct {
	Ledger *state.Ledger
	Trail  *audit.Trail
	Log    hclog.Logger
	Now    func() time.Time
	Pass   string // id of the pass, for intents and audit
}

// A Job is a change with the accounts that it needs.
type Job struct {
	Change  identity.Change
	Want    identity.Account // of a Create
	Have    identity.Account // as last observed; at least its ID, but for a Create
	Link    state.Link       // as recorded; zero for none
	Mapping uint64           // fingerprints of the target's expressions, for the link
	Scope   uint64
	// Uncounted: a sweep that does not count for the guard's window.
	Uncounted bool
}

// A Result is what became of a job.
type Result struct {
	Account identity.Account // as the target holds it now
	Link    state.Link       // as recorded now; zero where it was removed
	Seen    string           // of a sweeping operation: what the read-back saw, "inactive" or "gone"
	At      time.Time
	Err     error
}

// ErrTaken wraps the error of a Create whose account exists already and belongs to somebody else.
var ErrTaken = errors.New("the name is taken")

// Do carries one change out. Whatever it returns has been settled and audited, or, where the outcome is unknown, stays an intent for the next
// pass to look into (R7).
func (x *Executor) Do(ctx context.Context, lane *Lane, job Job) Result {
	if err := lane.Down(); err != nil {
		return Result{Account: job.Have, Link: job.Link, Err: err}
	}
	intent := state.Intent{Pass: x.Pass, Change: job.Change, At: x.Now()}
	err := x.Ledger.Update(ctx, func(w *state.Writer) error {
		begun, err := w.Begin(intent)
		if err == nil {
			intent = begun[0]
		}
		return err
	})
	if err != nil {
		return Result{Account: job.Have, Link: job.Link, Err: fmt.Errorf("write the intent: %w", err)}
	}
	r := x.perform(ctx, lane, job)
	lane.learn(r.Err)
	r.At = x.Now()
	if unknown(ctx, job, r.Err) {
		return r
	}
	// A call that was answered is settled even while the pass is being stopped.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	return x.settle(settling, lane, intent, job, r)
}

// unknown reports whether a call may have worked though it failed: a Create without an answer, or any call cut short by ctx.
func unknown(ctx context.Context, job Job, err error) bool {
	if err == nil {
		return false
	}
	return ctx.Err() != nil || job.Change.Op == identity.Create && errors.Is(err, targets.ErrUnavailable)
}

func outcome(err error) string {
	if err != nil {
		return audit.Failed
	}
	return audit.Done
}

// perform calls the target and reads back.
func (x *Executor) perform(ctx context.Context, lane *Lane, job Job) Result {
	c := job.Change
	r := Result{Account: job.Have, Link: job.Link}
	switch c.Op {
	case identity.Link:
	case identity.Create:
		r.Account, r.Err = x.create(ctx, lane, job)
	case identity.Update, identity.Strip:
		r.Err = lane.call(ctx, c.Op.Sweeps(), func(ctx context.Context) (err error) {
			r.Account, err = lane.Target.Update(ctx, job.Have, c.Delta)
			return err
		})
		if r.Err == nil && c.Op == identity.Strip {
			r.Account, r.Seen, r.Err = x.readBack(ctx, lane, job, stripped)
		}
	case identity.Enable:
		r.Err = lane.call(ctx, false, func(ctx context.Context) error { return lane.Target.Enable(ctx, job.Have) })
		if r.Err == nil {
			r.Account, _, r.Err = x.readBack(ctx, lane, job, enabled)
		}
	case identity.Disable:
		r.Err = lane.call(ctx, true, func(ctx context.Context) error { return lane.Target.Disable(ctx, job.Have) })
		if r.Err == nil {
			r.Account, r.Seen, r.Err = x.readBack(ctx, lane, job, disabled)
		}
	case identity.Revoke:
		r.Err = lane.call(ctx, true, func(ctx context.Context) error { return lane.Target.Revoke(ctx, job.Have) })
		if r.Err == nil {
			r.Account, r.Seen, r.Err = x.readBack(ctx, lane, job, disabled)
		}
	case identity.Delete:
		r.Err = lane.call(ctx, true, func(ctx context.Context) error { return lane.Target.Delete(ctx, job.Have) })
		if r.Err == nil {
			r.Account, r.Seen, r.Err = x.readBack(ctx, lane, job, deleted)
		}
	default:
		r.Err = fmt.Errorf("%q is no operation", c.Op)
	}
	return r
}

// create makes the account and gives it its entitlements. An earlier try without an answer may have worked, and a conflict may be its trace,
// so before any repetition the target is asked for an account that is provably this person's. Without such a try, one that bears no mark
// is somebody else's.
func (x *Executor) create(ctx context.Context, lane *Lane, job Job) (made identity.Account, err error) {
	unanswered := false
	err = lane.call(ctx, false, func(ctx context.Context) error {
		made, err = lane.Target.Create(ctx, job.Want)
		if err != nil && made.ID != "" && ctx.Err() == nil {
			// The account is there, its entitlements are not: it is linked, and the next pass finds them missing.
			x.Log.Warn("created without entitlements", "target", lane.Name, "account", made.UserName, "error", err)
			return nil
		}
		if err == nil || !errors.Is(err, targets.ErrConflict) && !errors.Is(err, targets.ErrUnavailable) {
			return err
		}
		unanswered = unanswered || errors.Is(err, targets.ErrUnavailable)
		found, findErr := x.Own(ctx, lane, job.Change.Person, job.Want)
		switch {
		case errors.Is(findErr, ErrTaken):
			return findErr
		case findErr == nil && found.ID != "" && found.ExternalID == "" && !unanswered:
			return fmt.Errorf("%w: %s is there already, and nothing says whose it is", ErrTaken, found.UserName)
		case findErr == nil && found.ID != "":
			made = found
			return nil
		}
		return err
	})
	if err != nil || len(job.Want.Entitlements) == 0 {
		return made, err
	}
	if grant := identity.WithoutEntitlements(job.Want.Entitlements, made.Entitlements); len(grant) > 0 {
		err = lane.call(ctx, false, func(ctx context.Context) error {
			granted, err := lane.Target.Update(ctx, made, identity.Delta{Grant: grant})
			if err == nil {
				made = granted
			}
			return err
		})
		if err != nil {
			// The account exists: it is linked, and the next pass, finding the entitlements missing, repeats this part alone.
			x.Log.Warn("created without entitlements", "target", lane.Name, "account", made.UserName, "error", err)
			return made, nil
		}
	}
	return made, nil
}

// Own looks for the account that wanted would be, and returns it only with proof that it is this person's: its externalId is the wanted
// one, or it carries none and is linked to nobody. The zero account means that there is none; ErrTaken that it is another's.
func (x *Executor) Own(ctx context.Context, lane *Lane, person identity.PersonID, want identity.Account) (identity.Account, error) {
	for _, key := range [][2]string{{"externalId", want.ExternalID}, {"userName", want.UserName}} {
		if key[1] == "" {
			continue
		}
		found, err := lane.Target.Find(ctx, key[0], key[1])
		if err != nil {
			return identity.Account{}, fmt.Errorf("look for %s %q: %w", key[0], key[1], err)
		}
		for _, a := range found {
			if a.ExternalID != "" && a.ExternalID != want.ExternalID {
				return identity.Account{}, fmt.Errorf("%w: %s is the account of another person (externalId %q)", ErrTaken, a.UserName, a.ExternalID)
			}
			holder, linked, err := x.holder(ctx, lane.Name, a.ID)
			switch {
			case err != nil:
				return identity.Account{}, err
			case linked && holder.Person != person:
				return identity.Account{}, fmt.Errorf("%w: %s is linked to %s (%s)", ErrTaken, a.UserName, holder.Name, holder.Person)
			case a.ExternalID == want.ExternalID || a.ExternalID == "":
				return a, nil
			}
		}
	}
	return identity.Account{}, nil
}

func (x *Executor) holder(ctx context.Context, target string, id identity.AccountID) (link state.Link, linked bool, err error) {
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		link, linked, err = r.LinkByAccount(target, id)
		return err
	})
	return link, linked, err
}

// readBack reads the account until proof is satisfied or the tries are used up (R8), and says what it saw.
func (x *Executor) readBack(ctx context.Context, lane *Lane, job Job, proof func(identity.Account, bool) error) (identity.Account, string, error) {
	id := job.Have.ID
	for try := 1; ; try++ {
		var have identity.Account
		gone := false
		err := lane.call(ctx, job.Change.Op.Sweeps(), func(ctx context.Context) (err error) {
			have, err = lane.Target.Account(ctx, id)
			if gone = errors.Is(err, targets.ErrNotFound); gone {
				return nil
			}
			return err
		})
		if err != nil {
			return identity.Account{ID: id}, "", fmt.Errorf("read back: %w", err)
		}
		seen := "active"
		if gone {
			have, seen = identity.Account{ID: id}, "gone"
		} else if !have.Active {
			seen = "inactive"
		}
		if err = proof(have, gone); err == nil {
			return have, seen, nil
		}
		if try == readBacks {
			return have, seen, err
		}
		if err := pause(ctx, firstPause<<try); err != nil {
			return have, seen, err
		}
	}
}

func disabled(a identity.Account, gone bool) error {
	if !gone && a.Active {
		return fmt.Errorf("%w: read back, the account is still active", targets.ErrConflict)
	}
	return nil
}

func enabled(a identity.Account, gone bool) error {
	if gone || !a.Active {
		return fmt.Errorf("%w: read back, the account is still inactive", targets.ErrConflict)
	}
	return nil
}

func deleted(_ identity.Account, gone bool) error {
	if !gone {
		return fmt.Errorf("%w: read back, the account is still there", targets.ErrConflict)
	}
	return nil
}

func stripped(a identity.Account, gone bool) error {
	if !gone && len(a.Entitlements) > 0 {
		return fmt.Errorf("%w: read back, %d entitlements are still there", targets.ErrConflict, len(a.Entitlements))
	}
	return nil
}

// pause sleeps for about d, so that many that wait do not come back at once.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
