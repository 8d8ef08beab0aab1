package modeltest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"

	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// judgeTrail judges what the trail tells of the whole history, once it is over.
func (w *world) judgeTrail(ctx context.Context, l look) {
	if _, err := w.trail.Verify(ctx); err != nil {
		w.broken(TrailHolds, "%s", err)
	}
	w.judgeSecret(ctx)
	changes := map[string][]audit.Record{} // by target
	for r, err := range w.trail.Records() {
		if err != nil {
			w.broken(TrailHolds, "%s", err)
			return
		}
		switch r.Kind {
		case audit.Closed:
			w.judgeProof(r, w.during(r.Seq))
		case audit.Change:
			changes[r.Target] = append(changes[r.Target], r)
		}
	}
	for _, step := range w.worked {
		for _, one := range step.closed {
			w.broken(Instants, "%s: %s: closed after %s, as the pass reports, and not as the trail tells", one.Target, one.Name, one.Took)
		}
	}
	for _, one := range w.all {
		target := targetNames[one.target]
		told := slices.ContainsFunc(changes[target], func(r audit.Record) bool { return w.tells(r, one) })
		if !told && !slices.ContainsFunc(l.unsettled, one.meantBy) {
			w.broken(Told, "%s: %s of %s, %s: %v", target, one.op, w.who(one.owner), one.id, one.delta)
		}
	}
}

// judgeSecret looks for the applications' token in everything that is kept.
func (w *world) judgeSecret(ctx context.Context) {
	var kept bytes.Buffer
	err := w.memory.Backup(ctx, &kept)
	told, readErr := os.ReadFile(w.trailPath())
	if err = errors.Join(err, readErr); err != nil || bytes.Contains(append(kept.Bytes(), told...), []byte(token)) {
		w.broken(Secret, "the applications' token: %v", err)
	}
}

// meantBy reports whether a change is the one that a write was made for.
func (one write) meantBy(c identity.Change) bool {
	if c.Target != targetNames[one.target] {
		return false
	}
	if c.Op == identity.Create {
		return c.UserName == one.want.UserName || c.UserName == one.before.UserName && one.op == identity.Update
	}
	return c.Account == one.id && (one.named(c.Op, c.Step) || c.Op == identity.Strip && one.op == identity.Update)
}

// tells reports whether a record of a change is about a write: what was done to whose account, why, what was before and
// after, and what came of it.
func (w *world) tells(r audit.Record, one write) bool {
	person, _ := identity.ParsePersonID(r.Person)
	whole := r.Outcome != "" && r.Cause != "" && r.Seq > one.after && w.bears(person.Anchor, one.owner)
	op := identity.Op(r.Op)
	made := op == identity.Create && r.UserName == one.want.UserName
	granted := op == identity.Create && one.op == identity.Update && r.Account == string(one.id) // what a new account is to have
	same := r.Account == string(one.id) && (one.named(op, r.Step) || op == identity.Strip && one.op == identity.Update)
	return whole && (made || granted || same && !slices.ContainsFunc(one.delta.Attributes, func(a identity.AttributeChange) bool {
		return r.Before[a.Path] != a.Before || r.After[a.Path] != a.After
	}))
}

// during is when a record was written.
func (w *world) during(seq uint64) *span {
	next := slices.IndexFunc(w.worked, func(s span) bool { return s.after >= seq })
	if next < 0 {
		next = len(w.worked)
	}
	return &w.worked[max(next-1, 0)]
}
