package state

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Schema is the version of the tables and records below. A store keeps it beside them, refuses a newer one, and upgrades an older one.
const Schema = 1

// The tables. "a·b" is a key of the components a and b; a number is eight bytes, the most significant first.
//
//	people    source·anchor         Person
//	links     target·source·anchor  Link
//	accounts  target·account        source·anchor      whose account it is: the links' other index
//	counts    target                links, active      two numbers: how many links there are, and how many are in LinkActive
//	intents   number                Intent             what a crash left open
//	cases     source·anchor         Case
//	holds     digest                Hold
//	findings  print                 Finding            by what makes two findings the same, and a hash of the detail
//	orphans   target·account        Orphan
//	closures  source·anchor         Closure
//	runs      number id             Run                the number counts down, so that the newest run is first
//	sources   name                  SourceRecord
//	targets   name                  TargetRecord
//	swept     target·account        number             when it was last swept: Unix time in nanoseconds
//	single    "intent"              number             the last intent's
//	single    "audit"               AuditHead
const (
	people   Table = "people"
	links    Table = "links"
	accounts Table = "accounts"
	counts   Table = "counts"
	// Intents is named for tests that make its writes fail.
	Intents  Table = "intents"
	cases    Table = "cases"
	holds    Table = "holds"
	findings Table = "findings"
	orphans  Table = "orphans"
	closures Table = "closures"
	runs     Table = "runs"
	sources  Table = "sources"
	targets  Table = "targets"
	swept    Table = "swept"
	single   Table = "single"
)

// Tables are all tables that a Ledger uses.
func Tables() []Table {
	return []Table{people, links, accounts, counts, Intents, cases, holds, findings, orphans, closures, runs, sources, targets, swept, single}
}

// ErrLinked: the account belongs to another person, or the person already has another account in that target.
var ErrLinked = errors.New("linked otherwise")

// A Ledger knows the records in a Store. Its methods may be called from several goroutines.
type Ledger struct {
	store Store
	codec codec
}

// NewLedger returns the ledger in store, which it owns from then on.
func NewLedger(store Store) *Ledger { return &Ledger{store: store, codec: newCodec()} }

// View runs fn on a consistent snapshot. The Reader and its sequences are good until fn returns; the records are the caller's to keep.
// fn must not call View, Update or Backup: the store may wait for the view to end.
func (l *Ledger) View(ctx context.Context, fn func(*Reader) error) error {
	return l.store.View(ctx, func(tx Tx) error { return fn(&Reader{tx: tx, codec: l.codec}) })
}

// Update runs fn and puts what it wrote on disk, or nothing where fn returns an error. fn may run more than once, also on another
// goroutine, and must have no effect but on its Writer, or only effects that running again repeats. An update costs one wait for the disk
// and a copy of every page it touches: a thousand to ten thousand records in one are cheap, each on its own is not.
func (l *Ledger) Update(ctx context.Context, fn func(*Writer) error) error {
	return l.store.Update(ctx, func(tx Tx) error { return fn(&Writer{Reader{tx: tx, codec: l.codec}}) })
}

// Backup writes a consistent copy that can be opened as a store.
func (l *Ledger) Backup(ctx context.Context, w io.Writer) error { return l.store.Backup(ctx, w) }

// Close waits for transactions under way and closes the store.
func (l *Ledger) Close() error { return l.store.Close() }

// Verify reads the store and every record, and reports the first damage: what cannot be decoded, and indexes that disagree.
func (l *Ledger) Verify(ctx context.Context) error {
	if err := l.store.Verify(ctx); err != nil {
		return err
	}
	return l.View(ctx, func(r *Reader) error {
		for _, check := range []func() error{
			func() error { return drain(scan(r, people, nil, decodePerson)) },
			func() error { return drain(r.Intents()) },
			func() error { return drain(r.Cases()) },
			func() error { return drain(r.Holds()) },
			func() error { return drain(r.Findings()) },
			func() error { return drain(scan(r, orphans, nil, decodeOrphan)) },
			func() error { return drain(r.Closures()) },
			func() error { return drain(r.Runs(maxRuns)) },
			func() error { return drain(scan(r, sources, nil, decodeSource)) },
			func() error { return drain(r.Targets()) },
			func() error { _, _, err := r.AuditHead(); return err },
			r.verifyLinks,
		} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
}

// verifyLinks checks that each link is found by its account, that each account leads to a link, and that the counts are true.
func (r *Reader) verifyLinks() error {
	type tally struct{ links, active, accounts uint64 }
	seen := map[string]tally{}
	for link, err := range scan(r, links, nil, decodeLink) {
		if err != nil {
			return err
		}
		owner, ok, err := r.owner(link.Target, link.Account)
		if err != nil {
			return err
		}
		if !ok || owner != link.Person {
			return fmt.Errorf("%w: %s: account %s does not lead to %s", ErrDamaged, link.Target, link.Account, link.Person)
		}
		t := seen[link.Target]
		t.links++
		if link.State == identity.LinkActive {
			t.active++
		}
		seen[link.Target] = t
	}
	for k := range r.tx.Range(accounts, nil) {
		var target, account string
		if err := key(k).split(&target, &account); err != nil {
			return err
		}
		t := seen[target]
		t.accounts++
		seen[target] = t
	}
	for target, t := range seen {
		c, err := r.count(target)
		if err != nil {
			return err
		}
		if t.accounts != t.links || c.links != t.links || c.active != t.active {
			return fmt.Errorf("%w: %s: %d links, %d active, %d accounts, but counted %d and %d",
				ErrDamaged, target, t.links, t.active, t.accounts, c.links, c.active)
		}
	}
	return nil
}
