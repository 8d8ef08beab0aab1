package people

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// order compares how current two answers of a directory are.
func order(answer, accepted sources.Currency) judge.Order {
	switch {
	case len(answer) == 0 || len(accepted) == 0:
		return judge.Undated
	case answer.Covers(accepted):
		return judge.Current
	case accepted.Covers(answer):
		return judge.Older
	}
	return judge.Incomparable
}

// believe judges a read as a whole: by how current its server is (R1), and whether it has anybody.
func (r *Read) believe(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	r.Parts[n].Count = r.Roster.Count(n)
	last := judge.Accepted{Server: g.record.Server, Rival: g.record.Rival, Since: g.record.RivalSince}
	read := judge.Read{Server: g.facts.Server, Order: order(g.facts.From, g.record.Currency)}
	if read.Order == judge.Incomparable && read.Server == last.Server { // several servers answer under one address
		read.Server += " " + strings.Join(sortedKeys(g.facts.From), " ")
	}
	b := judge.Believe(last, read, r.o.Now)
	if b.Backwards {
		_, released, err := r.o.Keeper.Hold(ctx, identity.Hold{
			Kind: identity.HoldShrink, Directory: name, Anomaly: "server " + g.facts.Server, Count: g.record.Accepted,
			Reason: b.Why + "; approve it to take the directory as it is now",
		})
		if err == nil && r.o.Write {
			err = r.o.Ledger.Update(ctx, func(w *state.Writer) error { return r.putUndated(w, name) })
		}
		if err != nil || !released {
			return err
		}
		b = judge.Belief{Whole: true, Accepted: judge.Accepted{Server: g.facts.Server}}
	}
	if !b.Whole {
		if r.o.Write {
			record := g.record
			record.Rival, record.RivalSince, record.Undated = b.Rival, b.Since, r.o.Now
			if err := r.o.Ledger.Update(ctx, func(w *state.Writer) error { return r.putRival(w, record) }); err != nil {
				return fmt.Errorf("write the state: %w", err)
			}
		}
		return fmt.Errorf("%w: %s", sources.ErrIncomplete, b.Why)
	}
	if r.Roster.Count(n) == 0 {
		return r.nobody(ctx, n)
	}
	believed, err := r.anchored(ctx, n)
	g.complete = believed
	return err
}

// putRival remembers which server answered, and nothing else of its read.
func (r *Read) putRival(w *state.Writer, record state.SourceRecord) error {
	now, _, err := w.Source(record.Name)
	if err != nil {
		return err
	}
	now.Name, now.Rival, now.RivalSince, now.Undated = record.Name, record.Rival, record.RivalSince, record.Undated
	return w.PutSource(now)
}

// putUndated remembers that a server is about to be believed that has gone back.
func (r *Read) putUndated(w *state.Writer, name string) error {
	now, _, err := w.Source(name)
	if err != nil {
		return err
	}
	now.Name, now.Undated = name, r.o.Now
	return w.PutSource(now)
}

// nobody holds a read without people, unless an operator says that this is so.
func (r *Read) nobody(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	if g.record.Accepted == 0 {
		return fmt.Errorf("%w: %s returned nobody: check what it reads (base_dn and filter, or files), and its rights to see it",
			sources.ErrIncomplete, name)
	}
	belief, err := r.o.Keeper.Size(ctx, guard.Read{
		Now: r.o.Now, Limits: r.o.Limits, Source: name, Before: g.record.Accepted, Missing: g.record.Accepted,
	})
	g.complete = belief.Believed
	return err
}

// accept believes a read of which not more is missing, and not explained one by one, than may be (R2). Who is
// explained goes on all the same.
func (r *Read) accept(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	count := r.Roster.Count(n)
	explained, words := r.explained(n)
	before := g.record.Accepted - explained
	if count > 0 { // what nobody being there means was said before
		belief, err := r.o.Keeper.Size(ctx, guard.Read{
			Now: r.o.Now, Limits: r.o.Limits, Source: name, Before: before, Count: count, Missing: max(0, before-count),
			Words: words,
		})
		if err != nil || !belief.Believed {
			r.listAgain(n)
			return err
		}
	}
	if !r.o.Write {
		r.whole[n] = true
		return nil
	}
	record := g.record
	record.Name, record.Accepted, record.At = name, count, r.o.Now
	record.Server, record.Currency, record.Rival, record.RivalSince = g.facts.Server, g.facts.Until, "", unix(0)
	record.Groups, record.Counts = g.groupRecords(), g.counts()
	if anchor, _ := r.o.Sources[n].selection(); anchor != "" {
		record.Anchor = anchor
	}
	record.Directory, record.DirectoryID = r.directories[n].name, r.directories[n].id
	record.Own = r.ownOf(n)
	record.Stays = r.stays(n)
	err := r.update(ctx, func(w *state.Writer) error {
		return errors.Join(w.PutNames(r.names.all()), w.PutSource(record))
	})
	r.whole[n] = err == nil
	return err
}

// explained counts those who have left a source's directory since its last accepted read, each proven, and says what
// became of all who are missing.
func (r *Read) explained(n int) (count int, words string) {
	since, directory := r.readings[n].record.At, r.directories[n].name
	noticed := map[identity.PersonID]bool{}
	for _, p := range r.records {
		noticed[p.ID] = p.Noticed.After(since) || p.Noticed.Equal(r.o.Now)
	}
	moved, why := map[string]int{}, map[string]int{}
	for id, a := range r.gone {
		switch {
		case id.Directory != directory:
		case a.Outcome != judge.Left:
			why[a.Why]++
		case a.Unlisted:
			why["the source cannot be asked for them"]++
		default:
			if noticed[id] || a.At.After(since) {
				count++
			}
			if a.Cause == identity.Moved {
				moved["moved to "+identity.ParentDN(a.Now)]++
			} else {
				moved["deleted"]++
			}
		}
	}
	var list []string
	for _, what := range sortedKeys(moved) {
		list = append(list, fmt.Sprintf("%d of them %s", moved[what], what))
	}
	for _, what := range sortedKeys(why)[:min(3, len(why))] {
		list = append(list, fmt.Sprintf("%d of them not proven to have left: %s", why[what], what))
	}
	if len(list) == 0 {
		return count, "nobody of them has an account"
	}
	return count, strings.Join(list, ", ")
}
