package state

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Schema is the version of the tables and records below. A store keeps it beside them, refuses a newer one, and
// upgrades an older one.
const Schema = 1

// The tables. "a·b" is a key of the components a and b; a number is eight bytes, the most significant first.
//
//	people    directory·anchor         Person
//	turns     number·directory·anchor  nothing: when the clock alone changes what a person is, Unix time in nanoseconds
//	links     target·directory·anchor  Link
//	accounts  target·account        directory·anchor      whose account it is: the links' other index
//	counts    target                links, active      two numbers: how many links there are, and how many are in LinkActive
//	intents   number                Intent             what a crash left open
//	cases     directory·anchor      Case, without its steps
//	steps     directory·anchor·target·account  Step
//	due       target·number·directory·anchor·account  nothing: when a step is next to be tried, Unix time in nanoseconds
//	tombs     target·"externalId" or "userName"·value  Tombstone  of leavers' accounts that are gone
//	holds     digest                Hold, without its members
//	members   digest·target·directory·anchor·account  Member of a hold
//	findings  print                 Finding            by what makes two findings the same, and a hash of the detail
//	unlinked  target·account        Unlinked
//	closures  directory·anchor         Closure
//	runs      number id             Run                the number counts down, so that the newest run is first
//	sources   name                  SourceRecord
//	targets   name                  TargetRecord
//	spent     kind·target·account   Spent              what went ahead, for the guard's window
//	single    "intent"              number             the last intent's
//	single    "epoch"               number             how many processes have owned the state
//	single    "audit"               AuditHead
//	single    "restored"            Restored
//	single    "names"               Names
const (
	people   Table = "people"
	turns    Table = "turns"
	links    Table = "links"
	accounts Table = "accounts"
	counts   Table = "counts"
	// Intents is named for tests that make its writes fail.
	Intents  Table = "intents"
	cases    Table = "cases"
	steps    Table = "steps"
	due      Table = "due"
	tombs    Table = "tombs"
	holds    Table = "holds"
	members  Table = "members"
	findings Table = "findings"
	unlinked Table = "unlinked"
	closures Table = "closures"
	runs     Table = "runs"
	sources  Table = "sources"
	targets  Table = "targets"
	spent    Table = "spent"
	single   Table = "single"
)

// Tables are all tables that a Ledger uses.
func Tables() []Table {
	return []Table{
		people, turns, links, accounts, counts, Intents, cases, steps, due, tombs, holds, members, findings, unlinked, closures,
		runs, sources, targets, spent, single,
	}
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

// View runs fn on a consistent snapshot. The Reader and its sequences are good until fn returns; the records are the
// caller's to keep. fn must not call View, Update or Backup: the store may wait for the view to end.
func (l *Ledger) View(ctx context.Context, fn func(*Reader) error) error {
	return l.store.View(ctx, func(tx Tx) error { return fn(&Reader{tx: tx, codec: l.codec}) })
}

// Update runs fn and puts what it wrote on disk, or nothing where fn returns an error. fn may run more than once, also
// on another goroutine, and must have no effect but on its Writer, or only effects that running again repeats. An
// update costs one wait for the disk and a copy of every page it touches: a thousand to ten thousand records in one are
// cheap, each on its own is not.
func (l *Ledger) Update(ctx context.Context, fn func(*Writer) error) error {
	return l.store.Update(ctx, func(tx Tx) error { return fn(&Writer{Reader{tx: tx, codec: l.codec}}) })
}

// Backup writes a consistent copy that can be opened as a store.
func (l *Ledger) Backup(ctx context.Context, w io.Writer) error { return l.store.Backup(ctx, w) }

// Close waits for transactions under way and closes the store.
func (l *Ledger) Close() error { return l.store.Close() }

// Verify reads the store and every record, and reports the first damage: what cannot be decoded, and indexes that
// disagree.
func (l *Ledger) Verify(ctx context.Context) error {
	if err := l.store.Verify(ctx); err != nil {
		return err
	}
	return l.View(ctx, func(r *Reader) error {
		for _, check := range []func() error{
			r.verifyPeople,
			func() error { return drain(r.Intents()) },
			func() error { return drain(r.Cases()) },
			func() error { return drain(r.Holds()) },
			func() error { return drain(scan(r, members, nil, decodeMember)) },
			func() error { return drain(r.Spent()) },
			func() error { return drain(scan(r, tombs, nil, decodeTombstone)) },
			func() error { return drain(r.Findings()) },
			func() error { return drain(scan(r, unlinked, nil, decodeUnlinked)) },
			func() error { return drain(r.Closures()) },
			func() error { return drain(r.Runs(maxRuns)) },
			func() error { return drain(scan(r, sources, nil, decodeSource)) },
			func() error { return drain(r.Targets()) },
			func() error { _, _, err := r.AuditHead(); return err },
			func() error { _, err := r.Names(); return err },
			func() error { _, err := r.Restored(); return err },
			r.verifyLinks,
			r.verifySteps,
		} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
}

// verifyPeople checks that the index of when people turn is true.
func (r *Reader) verifyPeople() error {
	want := 0
	for p, err := range scan(r, people, nil, decodePerson) {
		if err != nil {
			return err
		}
		if _, ever := p.turns(); !ever {
			continue
		}
		want++
		if raw, err := r.tx.Get(turns, turnKey(p)); err != nil || raw == nil {
			return errors.Join(err, fmt.Errorf("%w: %s is not among those who turn at %s", ErrDamaged, p.ID, p.Turns))
		}
	}
	for range r.tx.Range(turns, nil) {
		want--
	}
	if want != 0 {
		return fmt.Errorf("%w: %d people too few or too many turn by the clock", ErrDamaged, want)
	}
	return nil
}

// verifySteps checks that each step belongs to a case, and that the index of when steps are due is true.
func (r *Reader) verifySteps() error {
	want := 0
	for k, v := range r.tx.Range(steps, nil) {
		var s Step
		if err := read(r, steps, k, v, &s, decodeStep); err != nil {
			return err
		}
		person, err := stepPerson(k)
		if err != nil {
			return err
		}
		if raw, err := r.tx.Get(cases, key(nil).withPerson(person)); err != nil || raw == nil {
			return errors.Join(err, fmt.Errorf("%w: a step of %s has no case", ErrDamaged, person))
		}
		at, ok := s.Due()
		if !ok {
			continue
		}
		want++
		if raw, err := r.tx.Get(due, dueKey(person, s, at)); err != nil || raw == nil {
			return errors.Join(err, fmt.Errorf("%w: a step of %s on %s is not among what is due", ErrDamaged, person, s.Target))
		}
	}
	for range r.tx.Range(due, nil) {
		want--
	}
	if want != 0 {
		return fmt.Errorf("%w: %d steps too few or too many are due", ErrDamaged, want)
	}
	return nil
}

// verifyLinks checks that each link is found by its account, that each account leads to a link, and that the counts are
// true.
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
