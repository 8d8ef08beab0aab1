package modeltest

import (
	"context"
	"slices"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// judgeTrail reads what the trail tells of the whole history, once it is over.
func (w *world) judgeTrail(ctx context.Context) {
	if _, err := w.trail.Verify(ctx); err != nil {
		w.broken(TrailHolds, "%s", err)
	}
	for r, err := range w.trail.Records() {
		if err != nil {
			w.broken(TrailHolds, "%s", err)
			return
		}
		if r.Kind == audit.Closed {
			w.judgeProof(r, w.during(r))
		}
	}
}

// during is when a record was written.
func (w *world) during(r audit.Record) span {
	next := slices.IndexFunc(w.worked, func(s span) bool { return s.after >= r.Seq })
	if next < 0 {
		next = len(w.worked)
	}
	return w.worked[max(next-1, 0)]
}
