package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A follower reads everybody once, and then, each time, who there is (their anchors alone) and who has changed. So who
// has left, or is new, is never missed, whatever the statement changes returns; a change that it does not return shows
// in the next whole read.
type follower struct {
	source *source
	turn   *semaphore.Weighted // held while what is kept is used
	kept   *followed           // nil while there is nothing
}

// A followed reading is one brought up to date since.
type followed struct {
	*reading
	known   []uint64        // hashes of the anchors of the reading, sorted
	changed map[string]*row // by anchor: who has changed since it was read
	there   []uint64        // hashes of the anchors that there are now, sorted
	missed  sources.Sample  // what the reading found that had not been told of
}

// mostChanged is how many changed people are kept in memory, at most: with more, everybody is read anew.
const mostChanged = 50_000

func newFollower(s *source) *follower {
	f := &follower{source: s, turn: semaphore.NewWeighted(1)}
	s.forget = f.forget
	return f
}

// forget ends what is kept.
func (f *follower) forget() {
	if f.kept != nil {
		f.kept.close()
		f.kept = nil
	}
}

// follow makes a reading one that can be brought up to date.
func follow(c *reading) *followed {
	return &followed{reading: c, known: c.anchors, changed: map[string]*row{}, there: c.anchors}
}

// Renew implements sources.Follower. Meanwhile Latest goes on with what there is.
func (f *follower) Renew(ctx context.Context, read func(n int)) (bool, error) {
	s := f.source
	c, err := s.copy(ctx, read)
	if err != nil {
		return false, s.incomplete(err)
	}
	fresh := follow(c)
	if err := f.turn.Acquire(ctx, 1); err != nil {
		fresh.close()
		return false, s.incomplete(context.Cause(ctx))
	}
	defer f.turn.Release(1)
	if f.kept != nil {
		fresh.missed = s.missed(ctx, f.kept, fresh)
	}
	f.forget()
	f.kept = fresh
	return true, nil
}

// Latest implements sources.Follower.
func (f *follower) Latest(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		s := f.source
		if err := f.turn.Acquire(ctx, 1); err != nil {
			yield(identity.Person{}, s.incomplete(context.Cause(ctx)))
			return
		}
		defer f.turn.Release(1)
		t, err := f.latest(ctx)
		if err == nil {
			err = s.hand(ctx, t, facts, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(identity.Person{}, s.incomplete(err))
		}
	}
}

// latest brings what is kept up to date, or reads everybody anew where it cannot.
func (f *follower) latest(ctx context.Context) (telling, error) {
	s := f.source
	if f.kept != nil {
		err := s.catchUp(ctx, f.kept)
		if err == nil {
			return f.kept.told(), nil
		}
		if ctx.Err() != nil {
			return telling{}, context.Cause(ctx)
		}
		s.need.Log.Info("everybody is read anew", "source", s.name, "why", err)
		f.forget()
	}
	c, err := s.copy(ctx, func(int) {})
	if err != nil {
		return telling{}, err
	}
	f.kept = follow(c)
	return c.told(), nil
}

// catchUp takes in, in one transaction, what has changed since each of some readings.
func (s *source) catchUp(ctx context.Context, all ...*followed) error {
	from := s.currency(ctx)
	type update struct {
		changed map[string]*row
		there   []uint64
		groups  *membership
		since   string
	}
	updates := make([]update, len(all))
	err := s.transaction(ctx, func(ctx context.Context, tx *sql.Tx, alive func()) error {
		since, err := s.clock(ctx, tx)
		if err != nil {
			return err
		}
		groups, err := s.readGroups(ctx, tx, alive)
		if err != nil {
			return err
		}
		there, nameless, err := s.readAnchors(ctx, tx, alive)
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		for i, f := range all {
			changed, err := s.readChanges(ctx, tx, f, alive)
			if err != nil {
				return fmt.Errorf("changes: %w", err)
			}
			if err := f.accounts(there, nameless, changed); err != nil {
				return err
			}
			updates[i] = update{changed, there, groups, since}
		}
		return nil
	})
	if err != nil {
		return err
	}
	until := s.currency(ctx)
	for i, f := range all {
		u := updates[i]
		f.changed, f.there, f.groups, f.since, f.from, f.until = u.changed, u.there, u.groups.unmet(), u.since, from, until
	}
	return nil
}

// readAnchors reads who there is: the sorted hashes of the anchors of query, and how many rows have none.
func (s *source) readAnchors(ctx context.Context, tx *sql.Tx, alive func()) (there []uint64, nameless int, err error) {
	column, err := s.spelled(ctx, tx, s.block.query, s.block.anchor)
	if err != nil {
		return nil, 0, err
	}
	var kind string
	text := s.block.query.asTable(s.block.Driver, quote(s.block.Driver, column), "")
	err = s.run(ctx, tx, text, nil, func(r result) error {
		kind = r.kinds[0]
		return nil
	}, func(values []any) error {
		alive()
		anchor, _ := anchorOf(column, render(kind, values[0]))
		if anchor == "" {
			nameless++
			return nil
		}
		there = append(there, hash(anchor))
		return nil
	})
	slices.Sort(there)
	return there, nameless, err
}

// readChanges are the changed people of a reading, with those who have changed since it was last brought up to date.
func (s *source) readChanges(ctx context.Context, tx *sql.Tx, f *followed, alive func()) (map[string]*row, error) {
	changed := maps.Clone(f.changed)
	now := map[string]bool{}
	err := s.changedSince(ctx, tx, f.since, func(r *row) error {
		alive()
		if r.Anchor == "" {
			return nil
		}
		if now[r.Anchor] {
			return fmt.Errorf("it returns %s %s twice", s.block.anchor, r.Anchor)
		}
		if now[r.Anchor] = true; len(changed) > mostChanged {
			return fmt.Errorf("more than %d people have changed", mostChanged)
		}
		r.Number = 0
		changed[r.Anchor] = r
		return nil
	})
	return changed, err
}

// changedSince runs the statement changes, and tells each of every row.
func (s *source) changedSince(ctx context.Context, tx *sql.Tx, since string, each func(*row) error) error {
	text, args := s.block.changes.bind(s.block.Driver, map[string]string{"since": since})
	var shape *shape
	n := 0
	return s.run(ctx, tx, text, args, func(r result) (err error) {
		shape, err = s.block.shapeOf(r, s.need.Attributes)
		return err
	}, func(values []any) error {
		n++
		return each(shape.row(n, values))
	})
}

// accounts says why a reading and what has changed since do not account for everybody there is now.
func (f *followed) accounts(there []uint64, nameless int, changed map[string]*row) error {
	if nameless > 0 || f.nameless > 0 {
		return errors.New("some rows have no anchor")
	}
	more := make(map[uint64]bool, len(changed))
	for anchor := range changed {
		more[hash(anchor)] = true
	}
	for i, h := range there {
		if i > 0 && there[i-1] == h {
			return errors.New("some rows have one anchor")
		}
		if _, known := slices.BinarySearch(f.known, h); !known && !more[h] {
			return errors.New("somebody is there of whom changes says nothing")
		}
	}
	return nil
}

// told is everybody as they are since the last catchUp.
func (f *followed) told() telling {
	return telling{rows: f.each(), groups: f.groups.unmet(), from: f.from, until: f.until, missed: f.missed}
}

// each goes through those who are there: as they were read, or as they have changed since; then who is new.
func (f *followed) each() iter.Seq2[*row, error] {
	is := func(anchor string) bool {
		_, there := slices.BinarySearch(f.there, hash(anchor))
		return there
	}
	return func(yield func(*row, error) bool) {
		shown := make(map[string]bool, len(f.changed))
		for r, err := range f.reading.each() {
			if err == nil && !is(r.Anchor) {
				continue
			}
			if err == nil && f.changed[r.Anchor] != nil {
				r = f.changed[r.Anchor]
				shown[r.Anchor] = true
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		for _, anchor := range slices.Sorted(maps.Keys(f.changed)) {
			if !shown[anchor] && is(anchor) && !yield(f.changed[anchor], nil) {
				return
			}
		}
	}
}

// missed compares what was followed with what a whole read has found since, both as of one instant. Where that cannot
// be had it says nothing.
func (s *source) missed(ctx context.Context, old, fresh *followed) (found sources.Sample) {
	if err := s.catchUp(ctx, old, fresh); err != nil {
		s.need.Log.Debug("what was followed cannot be compared with what was read", "source", s.name, "why", err)
		return found
	}
	prints := make(map[uint64]uint64, len(old.there))
	for r, err := range old.each() {
		if err != nil {
			return found
		}
		prints[hash(r.Anchor)] = r.print()
	}
	for r, err := range fresh.each() {
		if err != nil {
			return found
		}
		if print, known := prints[hash(r.Anchor)]; known && print != r.print() {
			found.Add(place(s.block.name, r.Name, s.block.container, r.Container))
		}
	}
	return found
}

// clock is the server's own when the transaction began, in UTC, less the overlap, as the server writes it; "" where the
// block has no use for it.
func (s *source) clock(ctx context.Context, tx *sql.Tx) (string, error) {
	if !s.block.changes.given() {
		return "", nil
	}
	seconds := strconv.FormatFloat(s.block.overlap.Seconds(), 'f', -1, 64)
	query := "SELECT UTC_TIMESTAMP(6) - INTERVAL " + seconds + " SECOND"
	if s.block.Driver == sqlclient.PostgreSQL {
		query = "SELECT (now() - interval '" + seconds + " seconds')::text"
	}
	_, rows, err := s.all(ctx, tx, query)
	if err != nil {
		return "", fmt.Errorf("the server's clock: %w", err)
	}
	if len(rows) != 1 || rows[0][0].text() == "" {
		return "", errors.New("the server's clock cannot be read")
	}
	return strings.TrimSuffix(rows[0][0].text(), "+00"), nil
}
