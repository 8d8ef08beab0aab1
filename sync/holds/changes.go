package holds

import (
	"context"
	"maps"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Enables decides which of those who are back get their accounts enabled (R6), writes that down, and returns the
// accounts that wait. An approval is used up when its account is seen active, not when that is tried.
func (b *Book) Enables(ctx context.Context, back []identity.Leaver, ask Facts) (waiting map[identity.AccountID]bool, err error) {
	b.Turn.Lock()
	defer b.Turn.Unlock()
	facts, err := b.facts(ctx, ask)
	if err != nil || len(back)+len(facts.Ended) == 0 {
		return nil, err
	}
	facts.Leavers = back
	d := guard.Enables(facts)
	waiting = map[identity.AccountID]bool{}
	for _, out := range d.Held {
		waiting[out.Account] = true
		b.noteDigest(out.Digest, d.Holds)
	}
	for _, out := range d.Kept {
		waiting[out.Account] = true
		b.noteDigest(out.Digest, nil)
	}
	return waiting, b.keepEnables(ctx, d)
}

func (b *Book) keepEnables(ctx context.Context, d guard.Decision) error {
	var spent []identity.Spent
	for _, out := range d.Go {
		if out.Counts {
			spent = append(spent, identity.Spent{
				Kind: identity.HoldEnable, Target: out.Target, Account: out.Account, Person: out.Person, Name: out.Name, Cause: out.Cause,
				Strength: out.Strength, At: b.Now,
			})
		}
	}
	if !b.Write {
		b.spent, b.standing = append(b.spent, spent...), append(b.standing, d.Holds...)
		return nil
	}
	if err := b.putMembers(ctx, d.Holds); err != nil {
		return err
	}
	if err := b.putSpent(ctx, spent); err != nil {
		return err
	}
	if err := b.putHolds(ctx, d.Holds, nil); err != nil {
		return err
	}
	return b.dropMembers(ctx, d.Dropped)
}

// putSpent writes down what goes ahead and counts for the window, before it is done.
func (b *Book) putSpent(ctx context.Context, spent []identity.Spent) error {
	for batch := range slices.Chunk(spent, batchSize) {
		err := b.update(ctx, func(w *state.Writer) error {
			for _, s := range batch {
				if err := w.PutSpent(s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Changes decides what of an edited mapping's changes may not be sent (R14), and writes that down. listed says that the
// whole target was looked at: only then is known which holds are over. What else has to be counted about the edit is
// asked of count, where it matters.
func (b *Book) Changes(
	ctx context.Context, edit guard.Edit, listed bool, count func(*guard.Edit) error,
) (held guard.EditDecision, err error) {
	b.Turn.Lock()
	defer b.Turn.Unlock()
	if err := b.refresh(ctx); err != nil {
		return held, err
	}
	edit.Now, edit.Holds, edit.Spent = b.Now, b.standing, b.spent
	standing := slices.ContainsFunc(edit.Holds, func(h identity.Hold) bool {
		return h.Kind == identity.HoldChange && h.Target == edit.Target
	})
	if len(edit.Attributes)+len(edit.Withdrawn) == 0 && (!standing || !listed) {
		return held, nil
	}
	if err := count(&edit); err != nil {
		return held, err
	}
	held = guard.Changes(edit)
	for _, digest := range slices.Concat(slices.Collect(maps.Values(held.Attributes)), slices.Collect(maps.Values(held.Withdrawn))) {
		b.noteDigest(digest, held.Holds)
	}
	if !listed {
		held.Over = nil
	}
	if !b.Write {
		b.spent = append(b.spent, held.Spent...)
		return held, nil
	}
	if err := b.putSpent(ctx, held.Spent); err != nil {
		return held, err
	}
	return held, b.putHolds(ctx, held.Holds, held.Over)
}
