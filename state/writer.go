package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Writer reads and writes records within one transaction.
type Writer struct{ Reader }

// maxRuns is how many runs are kept (R18).
const maxRuns = 500

// PutPerson remembers p.
func (w *Writer) PutPerson(p Person) error {
	if p.ID.Directory == "" || p.ID.Anchor == "" {
		return fmt.Errorf("remember %q: no anchor", p.Name)
	}
	if err := w.deleteTurn(p.ID); err != nil {
		return err
	}
	if _, ever := p.turns(); ever {
		if err := w.tx.Put(turns, turnKey(p), nil); err != nil {
			return err
		}
	}
	return w.put(people, key(nil).withPerson(p.ID), p)
}

// DeletePerson forgets a person, not their links.
func (w *Writer) DeletePerson(id identity.PersonID) error {
	return errors.Join(w.deleteTurn(id), w.tx.Delete(people, key(nil).withPerson(id)))
}

// deleteTurn takes a person off those who turn by the clock.
func (w *Writer) deleteTurn(id identity.PersonID) error {
	old, known, err := w.Person(id)
	if err != nil || !known {
		return err
	}
	if _, ever := old.turns(); !ever {
		return nil
	}
	return w.tx.Delete(turns, turnKey(old))
}

// PutLink remembers link, with the userName that its account had when it was first put. ErrLinked where its account
// belongs to another person, or its person has another account in that target: such a link has to be deleted first.
func (w *Writer) PutLink(link Link) error {
	if link.Target == "" || link.Account == "" || link.Person.Directory == "" || link.Person.Anchor == "" {
		return fmt.Errorf("%s: link %q: no account or no person", link.Target, link.Name)
	}
	owner, owned, err := w.owner(link.Target, link.Account)
	if err != nil {
		return err
	}
	if owned && owner != link.Person {
		return fmt.Errorf("%s: link %s: account %s belongs to %s: %w", link.Target, link.Person, link.Account, owner, ErrLinked)
	}
	old, exists, err := w.Link(link.Target, link.Person)
	if err != nil {
		return err
	}
	if exists && old.Account != link.Account {
		return fmt.Errorf("%s: link %s: has account %s, not %s: %w", link.Target, link.Person, old.Account, link.Account, ErrLinked)
	}
	link.FirstName = cmp.Or(old.FirstName, link.FirstName, link.UserName)
	if !exists {
		err = w.tx.Put(accounts, makeKey(link.Target, string(link.Account)), key(nil).withPerson(link.Person))
	}
	if err == nil {
		err = w.recount(link.Target, old, exists, link, true)
	}
	if err != nil {
		return err
	}
	return w.put(links, makeKey(link.Target).withPerson(link.Person), link)
}

// DeleteLink forgets a link.
func (w *Writer) DeleteLink(target string, person identity.PersonID) error {
	old, exists, err := w.Link(target, person)
	if err != nil || !exists {
		return err
	}
	return errors.Join(
		w.tx.Delete(accounts, makeKey(target, string(old.Account))),
		w.recount(target, old, true, Link{}, false),
		w.tx.Delete(links, makeKey(target).withPerson(person)),
	)
}

// recount carries one link's change over into its target's count; a target without links has none.
func (w *Writer) recount(target string, old Link, was bool, link Link, is bool) error {
	one := func(exists bool) uint64 {
		if exists {
			return 1
		}
		return 0
	}
	c, err := w.count(target)
	if err != nil {
		return err
	}
	c.links += one(is) - one(was)
	c.active += one(is && link.State == identity.LinkActive) - one(was && old.State == identity.LinkActive)
	if c.links == 0 {
		return w.tx.Delete(counts, makeKey(target))
	}
	v := binary.BigEndian.AppendUint64(nil, c.links)
	return w.tx.Put(counts, makeKey(target), binary.BigEndian.AppendUint64(v, c.active))
}

// Begin writes intents, before their calls go out (R7), and returns them with their numbers, which only ever grow.
func (w *Writer) Begin(begun ...Intent) ([]Intent, error) {
	var last uint64
	v, err := w.tx.Get(single, makeKey("intent"))
	if err == nil && v != nil {
		last, err = key(v).number()
	}
	if err != nil {
		return nil, err
	}
	out := slices.Clone(begun)
	for i := range out {
		last++
		out[i].Seq = last
		if err := w.put(Intents, makeNumber(last), out[i]); err != nil {
			return nil, err
		}
	}
	return out, w.tx.Put(single, makeKey("intent"), makeNumber(last))
}

// Amend writes an open intent anew: its person is known by another name since.
func (w *Writer) Amend(intent Intent) error { return w.put(Intents, makeNumber(intent.Seq), intent) }

// Settle removes an intent: its outcome is known, and what it means for links and cases is written in the same
// transaction.
func (w *Writer) Settle(seq uint64) error { return w.tx.Delete(Intents, makeNumber(seq)) }

// PutCase remembers a leaver's case and exactly these steps of it.
func (w *Writer) PutCase(c Case) error {
	known, err := w.steps(c.Person)
	if err != nil {
		return err
	}
	for _, old := range known {
		kept := slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Target == old.Target && s.Account == old.Account })
		if err := w.deleteStep(c.Person, old, kept); err != nil {
			return err
		}
	}
	for _, s := range c.Steps {
		if err := w.put(steps, stepKey(c.Person, s), s); err != nil {
			return err
		}
		if at, ok := s.Due(); ok {
			if err := w.tx.Put(due, dueKey(c.Person, s, at), []byte{}); err != nil {
				return err
			}
		}
	}
	return w.put(cases, key(nil).withPerson(c.Person), c)
}

// DeleteCase forgets a leaver's case.
func (w *Writer) DeleteCase(person identity.PersonID) error {
	known, err := w.steps(person)
	if err != nil {
		return err
	}
	for _, s := range known {
		if err := w.deleteStep(person, s, false); err != nil {
			return err
		}
	}
	return w.tx.Delete(cases, key(nil).withPerson(person))
}

// deleteStep takes a step off what is due and, unless it is to be written anew, off the case.
func (w *Writer) deleteStep(person identity.PersonID, s Step, kept bool) error {
	if at, ok := s.Due(); ok {
		if err := w.tx.Delete(due, dueKey(person, s, at)); err != nil {
			return err
		}
	}
	if kept {
		return nil
	}
	return w.tx.Delete(steps, stepKey(person, s))
}

// PutTombstone remembers a leaver's account that is gone, by its externalId and by its userName.
func (w *Writer) PutTombstone(t Tombstone) error {
	for _, k := range t.keys() {
		if err := w.put(tombs, k, t); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTombstone forgets a leaver's account, but not what a later one of the same name has left.
func (w *Writer) DeleteTombstone(t Tombstone) error {
	for _, k := range t.keys() {
		known, ok, err := lookup(&w.Reader, tombs, k, decodeTombstone)
		if err == nil && ok && known.Person == t.Person && known.At.Equal(t.At) {
			err = w.tx.Delete(tombs, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// NextEpoch takes the state over for a new process, whose number is above every earlier one's and above least.
func (w *Writer) NextEpoch(least uint64) (uint64, error) {
	last, err := w.Epoch()
	if err != nil {
		return 0, err
	}
	next := max(last, least) + 1
	return next, w.tx.Put(single, makeKey("epoch"), makeNumber(next))
}

// PutHold remembers a hold, not its members: those are put before it, in as many transactions as it takes, and count
// from when it is there.
func (w *Writer) PutHold(h identity.Hold) error { return w.put(holds, makeKey(h.Digest), h) }

// PutMembers remembers members of a hold.
func (w *Writer) PutMembers(digest string, list ...identity.Member) error {
	for _, m := range list {
		if err := w.put(members, memberKey(digest, m), m); err != nil {
			return err
		}
	}
	return nil
}

// DeleteMember takes a member out of a hold. A hold that has lost its last one is forgotten, but for one over an
// anomaly: what its members lost others lost too.
func (w *Writer) DeleteMember(digest string, m identity.Member) error {
	if err := w.tx.Delete(members, memberKey(digest, m)); err != nil {
		return err
	}
	for range w.tx.Range(members, makeKey(digest)) {
		return nil
	}
	if h, ok, err := w.Hold(digest); err != nil || !ok || h.Kind == identity.HoldAnomaly {
		return err
	}
	return w.tx.Delete(holds, makeKey(digest))
}

// DeleteHold forgets a hold with its members.
func (w *Writer) DeleteHold(digest string) error {
	if err := w.deleteMembers(makeKey(digest)); err != nil {
		return err
	}
	return w.tx.Delete(holds, makeKey(digest))
}

func (w *Writer) deleteMembers(prefix key) error {
	var gone []key
	for k := range w.tx.Range(members, prefix) {
		gone = append(gone, bytes.Clone(k))
	}
	for _, k := range gone {
		if err := w.tx.Delete(members, k); err != nil {
			return err
		}
	}
	return nil
}

// PruneMembers forgets the members of holds that were never put: a crash came between.
func (w *Writer) PruneMembers() error {
	var digests []string
	for k := range w.tx.Range(members, nil) {
		digest, _, err := key(k).cut()
		if err != nil {
			return err
		}
		if n := len(digests); n == 0 || digests[n-1] != digest {
			digests = append(digests, digest)
		}
	}
	for _, digest := range digests {
		if v, err := w.tx.Get(holds, makeKey(digest)); err != nil {
			return err
		} else if v != nil {
			continue
		}
		if err := w.deleteMembers(makeKey(digest)); err != nil {
			return err
		}
	}
	return nil
}

// SetFindings replaces all findings. One that was there already keeps its First; a new one gets now.
func (w *Writer) SetFindings(fs []identity.Finding, now time.Time) error {
	return w.SetFindingsWhere(func(identity.Finding) bool { return true }, fs, now)
}

// SetFindingsWhere is SetFindings for a pass in which not every source and target took part: findings for which took is
// false stay.
func (w *Writer) SetFindingsWhere(took func(identity.Finding) bool, fs []identity.Finding, now time.Time) error {
	first := map[string]time.Time{} // by exact finding, and by all but the detail
	var gone []key
	for k, v := range w.tx.Range(findings, nil) {
		var f Finding
		if err := read(&w.Reader, findings, k, v, &f, decodeFinding); err != nil {
			return err
		}
		if !took(f.Finding) {
			continue
		}
		gone = append(gone, bytes.Clone(k))
		first[string(k)] = f.First
		subject := string(k[:sha256.Size])
		if old, ok := first[subject]; !ok || f.First.Before(old) {
			first[subject] = f.First
		}
	}
	for _, k := range gone {
		if err := w.tx.Delete(findings, k); err != nil {
			return err
		}
	}
	for _, f := range fs {
		k := findingKey(f)
		since, ok := first[string(k)]
		if !ok {
			since, ok = first[string(k[:sha256.Size])]
		}
		if !ok {
			since = now
		}
		if err := w.put(findings, k, Finding{Finding: f, First: since}); err != nil {
			return err
		}
	}
	return nil
}

// findingKey is a digest of what makes two findings the same, and one of the detail: it may count or quote, and so
// change from pass to pass, without being a new finding; and one subject may have several.
func findingKey(f identity.Finding) key {
	subject := sha256.Sum256(makeKey(f.Kind, f.Target, f.Source, f.Subject, string(f.Account)).withPerson(f.Person))
	detail := sha256.Sum256([]byte(f.Detail))
	return append(subject[:], detail[:8]...)
}

// SetUnlinked replaces the unlinked accounts of a target. One that was there already keeps its First.
func (w *Writer) SetUnlinked(target string, list []Unlinked) error {
	before := map[identity.AccountID]Unlinked{}
	for a, err := range w.AllUnlinked(target) {
		if err != nil {
			return err
		}
		before[a.Account] = a
	}
	for _, a := range list {
		was, known := before[a.Account]
		delete(before, a.Account)
		a.Target = target
		if err := w.putUnlinked(a, was, known); err != nil {
			return err
		}
	}
	for account := range before {
		if err := w.tx.Delete(unlinked, makeKey(target, string(account))); err != nil {
			return err
		}
	}
	return nil
}

// PutUnlinked writes one unlinked account. One that was there already keeps its First.
func (w *Writer) PutUnlinked(a Unlinked) error {
	was, known, err := w.Unlinked(a.Target, a.Account)
	if err != nil {
		return err
	}
	return w.putUnlinked(a, was, known)
}

func (w *Writer) putUnlinked(a, was Unlinked, known bool) error {
	if known {
		a.First = was.First
	}
	if known && a == was {
		return nil
	}
	return w.put(unlinked, makeKey(a.Target, string(a.Account)), a)
}

// PutClosure orders a person closed.
func (w *Writer) PutClosure(c Closure) error {
	return w.put(closures, key(nil).withPerson(c.Person), c)
}

// DeleteClosure releases a person.
func (w *Writer) DeleteClosure(person identity.PersonID) error {
	return w.tx.Delete(closures, key(nil).withPerson(person))
}

// AddRun remembers a run, and forgets the oldest beyond 500. A run that is remembered already is replaced.
func (w *Writer) AddRun(run Run) error {
	next := uint64(math.MaxUint64)
	var place key
	var spare []key
	n := 0
	for k := range w.tx.Range(runs, nil) {
		if len(k) < 8 {
			return fmt.Errorf("%w: run %x", ErrDamaged, k)
		}
		if n == 0 {
			next = binary.BigEndian.Uint64(k) - 1
		}
		if string(k[8:]) == run.ID {
			place = bytes.Clone(k)
		}
		if n++; n >= maxRuns {
			spare = append(spare, bytes.Clone(k))
		}
	}
	if place != nil {
		return w.put(runs, place, run)
	}
	for _, k := range spare {
		if err := w.tx.Delete(runs, k); err != nil {
			return err
		}
	}
	return w.put(runs, append(makeNumber(next), run.ID...), run)
}

// PutSource remembers a source as a whole.
func (w *Writer) PutSource(s SourceRecord) error { return w.put(sources, makeKey(s.Name), s) }

// PutTarget remembers a target as a whole.
func (w *Writer) PutTarget(t TargetRecord) error { return w.put(targets, makeKey(t.Name), t) }

// PutSpent remembers what went ahead and counts for a guard's window; an account counts once for each kind, when it
// last did.
func (w *Writer) PutSpent(s identity.Spent) error {
	return w.put(spent, spentKey(s), s)
}

func spentKey(s identity.Spent) key {
	return makeKey(string(s.Kind), s.Target, string(s.Account), s.Entitlement)
}

// PruneSpent forgets what went ahead before cutoff.
func (w *Writer) PruneSpent(cutoff time.Time) error {
	var old []key
	for s, err := range w.Spent() {
		if err != nil {
			return err
		}
		if s.At.Before(cutoff) {
			old = append(old, spentKey(s))
		}
	}
	for _, k := range old {
		if err := w.tx.Delete(spent, k); err != nil {
			return err
		}
	}
	return nil
}

// PutNames remembers what the bits and numbers in people's records mean.
func (w *Writer) PutNames(n Names) error { return w.put(single, makeKey("names"), n) }

// SetRestored remembers that the state was put back to an older one.
func (w *Writer) SetRestored(r Restored) error { return w.put(single, makeKey("restored"), r) }

// SetAuditHead remembers the last audit record.
func (w *Writer) SetAuditHead(head AuditHead) error { return w.put(single, makeKey("audit"), head) }

func (w *Writer) put(table Table, k key, record any) error {
	v, err := w.codec.encode(record)
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	if err := w.tx.Put(table, k, v); err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	return nil
}
