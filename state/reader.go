package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Reader reads records within one transaction. Look-ups return false where there is no such record; sequences are in
// the order of keys and end after their first error.
type Reader struct {
	tx    Tx
	codec codec
}

// Person returns what is remembered of one person.
func (r *Reader) Person(id identity.PersonID) (Person, bool, error) {
	return lookup(r, people, key(nil).withPerson(id), decodePerson)
}

// People returns everyone of one source.
func (r *Reader) People(source string) iter.Seq2[Person, error] {
	return scan(r, people, makeKey(source), decodePerson)
}

// Known are the identities of everybody of a directory: it decodes nothing.
func (r *Reader) Known(directory string) iter.Seq2[identity.PersonID, error] {
	return func(yield func(identity.PersonID, error) bool) {
		for k := range r.tx.Range(people, makeKey(directory)) {
			id, err := key(k).person()
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// Heir is who somebody that has left is now: who is there, in the same directory, under another anchor and bears the
// same rehire key; false where nobody does. It reads everybody of the directory.
func (r *Reader) Heir(p Person) (heir Person, ok bool, err error) {
	if p.Rehire == "" {
		return heir, false, nil
	}
	for now, err := range r.People(p.ID.Directory) {
		if err != nil {
			return heir, false, err
		}
		if now.Active && !now.Proven && now.Rehire == p.Rehire && now.ID != p.ID {
			return now, true, nil
		}
	}
	return heir, false, nil
}

// Link returns a person's link in one target.
func (r *Reader) Link(target string, person identity.PersonID) (Link, bool, error) {
	return lookup(r, links, makeKey(target).withPerson(person), decodeLink)
}

// LinkByAccount returns the link that an account of a target has.
func (r *Reader) LinkByAccount(target string, account identity.AccountID) (Link, bool, error) {
	person, ok, err := r.owner(target, account)
	if err != nil || !ok {
		return Link{}, false, err
	}
	return r.Link(target, person)
}

// Links returns all links of one target, in the order of People.
func (r *Reader) Links(target string) iter.Seq2[Link, error] {
	return scan(r, links, makeKey(target), decodeLink)
}

// LinksOf returns a person's links in every target that has any.
func (r *Reader) LinksOf(person identity.PersonID) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		for target := range r.tx.Range(counts, nil) {
			link, ok, err := lookup(r, links, append(key(nil), target...).withPerson(person), decodeLink)
			if (ok || err != nil) && !yield(link, err) || err != nil {
				return
			}
		}
	}
}

// CountLinks returns how many links a target has.
func (r *Reader) CountLinks(target string) (int, error) {
	c, err := r.count(target)
	return int(c.links), err
}

// CountActive returns how many links of a target are in LinkActive.
func (r *Reader) CountActive(target string) (int, error) {
	c, err := r.count(target)
	return int(c.active), err
}

// Intent returns the intent with that number, while it is not settled.
func (r *Reader) Intent(seq uint64) (Intent, bool, error) {
	return lookup(r, Intents, makeNumber(seq), decodeIntent)
}

// Intents returns what has begun and is not settled, oldest first: after a start, what a crash left open.
func (r *Reader) Intents() iter.Seq2[Intent, error] { return scan(r, Intents, nil, decodeIntent) }

// Case returns a leaver's case with its steps.
func (r *Reader) Case(person identity.PersonID) (Case, bool, error) {
	c, ok, err := lookup(r, cases, key(nil).withPerson(person), decodeCase)
	if ok && err == nil {
		c.Steps, err = r.steps(person)
	}
	return c, ok, err
}

// Cases returns all cases, open and closed, with their steps.
func (r *Reader) Cases() iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		for c, err := range scan(r, cases, nil, decodeCase) {
			if err == nil {
				c.Steps, err = r.steps(c.Person)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

func (r *Reader) steps(person identity.PersonID) (out []Step, err error) {
	for s, err := range scan(r, steps, key(nil).withPerson(person), decodeStep) {
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Account, b.Account))
	})
	return out, nil
}

// A DueStep is a step that is to be tried or looked at.
type DueStep struct {
	Person  identity.PersonID
	Account identity.AccountID
	At      time.Time // since when
}

// Due returns a target's steps in the order in which they are due. It costs what is asked of it, however many cases
// there are.
func (r *Reader) Due(target string) iter.Seq2[DueStep, error] {
	return func(yield func(DueStep, error) bool) {
		prefix := makeKey(target)
		for k := range r.tx.Range(due, prefix) {
			rest := key(k)[len(prefix):]
			var d DueStep
			err := error(nil)
			if len(rest) < 8 {
				err = fmt.Errorf("%w: due %x", ErrDamaged, k)
			} else {
				d.At = fromNumber(binary.BigEndian.Uint64(rest))
				err = rest[8:].split(&d.Person.Directory, &d.Person.Anchor, (*string)(&d.Account))
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// A Turn is when the clock alone changes what a person is or is to have.
type Turn struct {
	Person identity.PersonID
	At     time.Time
}

// Turns returns who turns by the clock, in the order in which they do. It costs what is asked of it, however many people
// there are.
func (r *Reader) Turns() iter.Seq2[Turn, error] {
	return func(yield func(Turn, error) bool) {
		for k := range r.tx.Range(turns, nil) {
			var t Turn
			err := error(nil)
			if len(k) < 8 {
				err = fmt.Errorf("%w: turn %x", ErrDamaged, k)
			} else {
				t.At = fromNumber(binary.BigEndian.Uint64(k))
				t.Person, err = key(k[8:]).person()
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// Tombstone returns the leaver whose account of a target, gone since, bore this externalId or this userName.
func (r *Reader) Tombstone(target, externalID, userName string) (t Tombstone, byExternalID, ok bool, err error) {
	if externalID != "" {
		if t, ok, err = lookup(r, tombs, makeKey(target, "externalId", externalID), decodeTombstone); ok || err != nil {
			return t, true, ok, err
		}
	}
	if userName == "" {
		return t, false, false, nil
	}
	t, ok, err = lookup(r, tombs, makeKey(target, "userName", strings.ToLower(userName)), decodeTombstone)
	return t, false, ok, err
}

// Tombstones returns those of every target; one that is known by several names comes as often.
func (r *Reader) Tombstones() iter.Seq2[Tombstone, error] {
	return scan(r, tombs, nil, decodeTombstone)
}

// Epoch is the number of the process that owns the state; 0 before the first.
func (r *Reader) Epoch() (uint64, error) {
	v, err := r.tx.Get(single, makeKey("epoch"))
	if err != nil || v == nil {
		return 0, err
	}
	return key(v).number()
}

// Hold returns the hold of that digest, with its members.
func (r *Reader) Hold(digest string) (identity.Hold, bool, error) {
	h, ok, err := lookup(r, holds, makeKey(digest), decodeHold)
	if ok && err == nil {
		h.Members, err = r.members(digest)
	}
	return h, ok, err
}

// Holds returns all holds, decided ones included, with their members.
func (r *Reader) Holds() iter.Seq2[identity.Hold, error] {
	return func(yield func(identity.Hold, error) bool) {
		for h, err := range scan(r, holds, nil, decodeHold) {
			if err == nil {
				h.Members, err = r.members(h.Digest)
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// IsMember reports whether a member is in a hold still.
func (r *Reader) IsMember(digest string, m identity.Member) (bool, error) {
	v, err := r.tx.Get(members, memberKey(digest, m))
	return v != nil, err
}

func (r *Reader) members(digest string) (list []identity.Member, err error) {
	for m, err := range scan(r, members, makeKey(digest), decodeMember) {
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortFunc(list, identity.Member.Compare)
	return list, nil
}

// Findings returns the findings of the last passes, in an order that is always the same and means nothing.
func (r *Reader) Findings() iter.Seq2[Finding, error] { return scan(r, findings, nil, decodeFinding) }

// Unlinked returns an account of a target that nobody was linked to in its last whole listing.
func (r *Reader) Unlinked(target string, account identity.AccountID) (Unlinked, bool, error) {
	return lookup(r, unlinked, makeKey(target, string(account)), decodeUnlinked)
}

// Orphans returns a target's unlinked accounts that fitted nobody.
func (r *Reader) Orphans(target string) iter.Seq2[Unlinked, error] {
	return func(yield func(Unlinked, error) bool) {
		for a, err := range r.AllUnlinked(target) {
			if (err != nil || a.Fits.IsZero()) && !yield(a, err) {
				return
			}
		}
	}
}

// AllUnlinked returns a target's unlinked accounts.
func (r *Reader) AllUnlinked(target string) iter.Seq2[Unlinked, error] {
	return scan(r, unlinked, makeKey(target), decodeUnlinked)
}

// Closures returns everyone who is closed by order.
func (r *Reader) Closures() iter.Seq2[Closure, error] { return scan(r, closures, nil, decodeClosure) }

// Closure returns the order to close a person, where there is one.
func (r *Reader) Closure(person identity.PersonID) (Closure, bool, error) {
	return lookup(r, closures, key(nil).withPerson(person), decodeClosure)
}

// Runs returns at most limit runs, the newest first.
func (r *Reader) Runs(limit int) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		n := 0
		for run, err := range scan(r, runs, nil, decodeRun) {
			if n++; n > limit || !yield(run, err) {
				return
			}
		}
	}
}

// Source returns what is remembered of a source.
func (r *Reader) Source(name string) (SourceRecord, bool, error) {
	return lookup(r, sources, makeKey(name), decodeSource)
}

// Target returns what is remembered of a target.
func (r *Reader) Target(name string) (TargetRecord, bool, error) {
	return lookup(r, targets, makeKey(name), decodeTarget)
}

// Sources returns what is remembered of every source, also of those that the config no longer has.
func (r *Reader) Sources() iter.Seq2[SourceRecord, error] { return scan(r, sources, nil, decodeSource) }

// Names returns what the bits and numbers in people's records mean.
func (r *Reader) Names() (Names, error) {
	names, _, err := lookup(r, single, makeKey("names"), func(_ key, _ *Names) error { return nil })
	return names, err
}

// Targets returns what is remembered of every target, also of those that the config no longer has.
func (r *Reader) Targets() iter.Seq2[TargetRecord, error] { return scan(r, targets, nil, decodeTarget) }

// Own returns the accounts that sources and targets sign in as, as far as they have told (R5).
func (r *Reader) Own() (own []identity.Own, err error) {
	for s, err := range r.Sources() {
		if err != nil {
			return nil, err
		}
		if s.Own != "" {
			own = append(own, identity.Own{Source: s.Name, Person: identity.PersonID{Directory: s.Directory, Anchor: s.Own}})
		}
	}
	for t, err := range r.Targets() {
		if err != nil {
			return nil, err
		}
		if t.OwnID != "" || t.OwnName != "" {
			own = append(own, identity.Own{Target: t.Name, ID: t.OwnID, Name: t.OwnName})
		}
	}
	return own, nil
}

// Spent returns what went ahead and counts for a guard's window, as far back as it is kept.
func (r *Reader) Spent() iter.Seq2[identity.Spent, error] { return scan(r, spent, nil, decodeSpent) }

// Restored says whether the state was put back to an older one; the zero value where that was never seen.
func (r *Reader) Restored() (known Restored, err error) {
	known, _, err = lookup(r, single, makeKey("restored"), func(_ key, _ *Restored) error { return nil })
	return known, err
}

// AuditHead returns the last audit record that the state knows of.
func (r *Reader) AuditHead() (AuditHead, bool, error) {
	return lookup(r, single, makeKey("audit"), func(_ key, _ *AuditHead) error { return nil })
}

func (r *Reader) owner(target string, account identity.AccountID) (identity.PersonID, bool, error) {
	v, err := r.tx.Get(accounts, makeKey(target, string(account)))
	if err != nil || v == nil {
		return identity.PersonID{}, false, err
	}
	person, err := key(v).person()
	return person, err == nil, err
}

// A linkCount counts the links of one target.
type linkCount struct{ links, active uint64 }

func (r *Reader) count(target string) (linkCount, error) {
	v, err := r.tx.Get(counts, makeKey(target))
	switch {
	case err != nil || v == nil:
		return linkCount{}, err
	case len(v) != 16:
		return linkCount{}, fmt.Errorf("%w: the count of %s", ErrDamaged, target)
	}
	return linkCount{links: binary.BigEndian.Uint64(v), active: binary.BigEndian.Uint64(v[8:])}, nil
}

// lookup reads one record; complete fills in what the key says.
func lookup[T any](r *Reader, table Table, k key, complete func(key, *T) error) (record T, ok bool, err error) {
	v, err := r.tx.Get(table, k)
	if err != nil || v == nil {
		return record, false, err
	}
	if err = read(r, table, k, v, &record, complete); err != nil {
		return *new(T), false, err
	}
	return record, true, nil
}

func scan[T any](r *Reader, table Table, prefix key, complete func(key, *T) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for k, v := range r.tx.Range(table, prefix) {
			var record T
			if err := read(r, table, k, v, &record, complete); err != nil {
				yield(*new(T), err)
				return
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}

func read[T any](r *Reader, table Table, k key, v []byte, record *T, complete func(key, *T) error) error {
	if err := r.codec.decode(v, record); err != nil {
		return fmt.Errorf("%s %x: %w", table, []byte(k), err)
	}
	if err := complete(k, record); err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	return nil
}

// Collect reads a sequence of records to its end.
func Collect[T any](seq iter.Seq2[T, error]) (out []T, err error) {
	for record, err := range seq {
		if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
	return out, nil
}

func drain[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func decodePerson(k key, p *Person) (err error) { p.ID, err = k.person(); return err }

func decodeLink(k key, l *Link) error {
	return k.split(&l.Target, &l.Person.Directory, &l.Person.Anchor)
}

func decodeIntent(k key, i *Intent) (err error) { i.Seq, err = k.number(); return err }
func decodeCase(k key, c *Case) (err error)     { c.Person, err = k.person(); return err }

func decodeStep(k key, s *Step) error {
	var directory, anchor string
	return k.split(&directory, &anchor, &s.Target, (*string)(&s.Account))
}

func stepPerson(k key) (id identity.PersonID, err error) {
	var target, account string
	err = k.split(&id.Directory, &id.Anchor, &target, &account)
	return id, err
}

func stepKey(person identity.PersonID, s Step) key {
	return key(nil).withPerson(person).with(s.Target).with(string(s.Account))
}

func dueKey(person identity.PersonID, s Step, at time.Time) key {
	k := append(makeKey(s.Target), makeNumber(toNumber(at))...)
	return k.withPerson(person).with(string(s.Account))
}

func turnKey(p Person) key { return makeNumber(toNumber(p.Turns)).withPerson(p.ID) }

// toNumber orders instants; the zero time, and all before 1970, come first.
func toNumber(at time.Time) uint64 {
	if at.IsZero() || at.Before(time.Unix(0, 0)) {
		return 0
	}
	return uint64(at.UnixNano())
}

func fromNumber(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)) //nolint:gosec // toNumber made it of an int64
}

func decodeMember(k key, m *identity.Member) error {
	var digest string
	return k.split(&digest, &m.Target, &m.Person.Directory, &m.Person.Anchor, (*string)(&m.Account))
}

func memberKey(digest string, m identity.Member) key {
	return makeKey(digest, m.Target, m.Person.Directory, m.Person.Anchor, string(m.Account))
}

func decodeSpent(k key, s *identity.Spent) error {
	return k.split((*string)(&s.Kind), &s.Target, (*string)(&s.Account), &s.Entitlement)
}

func decodeTombstone(k key, t *Tombstone) error {
	var kind, value string
	return k.split(&t.Target, &kind, &value)
}

func decodeHold(k key, h *identity.Hold) error    { return k.split(&h.Digest) }
func decodeFinding(key, *Finding) error           { return nil }
func decodeClosure(k key, c *Closure) (err error) { c.Person, err = k.person(); return err }
func decodeSource(k key, s *SourceRecord) error   { return k.split(&s.Name) }
func decodeTarget(k key, t *TargetRecord) error   { return k.split(&t.Name) }

func decodeUnlinked(k key, o *Unlinked) error {
	return k.split(&o.Target, (*string)(&o.Account))
}

func decodeRun(k key, run *Run) error {
	if len(k) < 8 {
		return fmt.Errorf("%w: run %x", ErrDamaged, []byte(k))
	}
	run.ID = string(k[8:])
	return nil
}
