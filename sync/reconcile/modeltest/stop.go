package modeltest

import (
	"context"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// judgeStop judges what a process leaves that was told to stop, in the middle of whatever it did (R20).
func (w *world) judgeStop() error {
	l, err := w.look()
	if err != nil {
		return err
	}
	var told []audit.Record
	for r, err := range w.trail.Records() {
		if err != nil {
			return err
		}
		if r.Kind == audit.Change {
			told = append(told, r)
		}
	}
	for _, one := range w.writes {
		settled := slices.ContainsFunc(told, func(r audit.Record) bool { return w.tells(r, one) })
		needsNoMore := one.op == identity.Create && one.answered && w.fault.Fault == NoFault // whatever else is read back
		if !settled && (needsNoMore || !slices.ContainsFunc(l.unsettled, one.meantBy)) {
			w.broken(Settled, "%s: %s of %s, %s", targetNames[one.target], one.op, w.who(one.owner), one.id)
		}
	}
	return w.ledger.View(context.Background(), func(r *state.Reader) error { return w.judgeBlame(r, l) })
}

// judgeBlame looks for a stop where failures are counted.
func (w *world) judgeBlame(r *state.Reader, l look) error {
	blame := func(who, why string) {
		if strings.Contains(why, context.Canceled.Error()) {
			w.broken(NoFailure, "%s: %s", who, why)
		}
	}
	for _, name := range sourceNames {
		rec, _, err := r.Source(name)
		if err != nil {
			return err
		}
		blame(name, rec.Reason)
	}
	for _, name := range targetNames {
		rec, _, err := r.Target(name)
		if err != nil {
			return err
		}
		blame(name, rec.Reason+rec.RefusedReason)
	}
	for _, c := range l.cases {
		for _, s := range c.Steps {
			blame(s.Target+": "+c.Name, s.Error)
		}
	}
	for _, f := range l.findings {
		blame(f.Subject, f.Detail)
	}
	return nil
}
