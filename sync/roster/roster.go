// Package roster keeps the people of one read: who they are in a few dozen bytes of memory each, and the rest of them
// in a temporary file.
package roster

import (
	"crypto/sha256"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Roster is everybody that the sources returned in one pass: each person as a 128-bit hash, their fingerprint, and
// where the rest of them lies in the spool. Add and Find may be called from several goroutines; everything else waits
// until the last Add has returned.
type Roster struct {
	mu    sync.Mutex
	spool *Spool
	index map[Key]int32
	rows  []Row
	also  map[int32][]uint16 // by row: the other sources that returned the person, where there are any
	found struct {           // last: somebody is asked for several times in a row
		id   identity.PersonID
		row  int32
		some bool
	}
}

// A Row is what memory holds of one person.
type Row struct {
	Fingerprint uint64 // identity.Person.Fingerprint as the source described them
	at          int64
	source      uint16
	Key         uint64 // a hash of the rehire key, 0 for none
	Active      bool
	Dirty       bool // what the state remembers of them has changed
}

// An Entry is one person in the spool.
type Entry struct {
	Person identity.Person
	Record state.Person
}

// A Key stands for a text in 16 bytes, however long the text is.
type Key [16]byte

// KeyOf is the key of a person.
func KeyOf(id identity.PersonID) Key { return hashed(id.Directory + "\x00" + id.Anchor) }

func hashed(text string) (k Key) {
	sum := sha256.Sum256([]byte(text))
	copy(k[:], sum[:])
	return k
}

// HashOf is what Row.Key holds of a rehire key.
func HashOf(key string) uint64 {
	if key == "" {
		return 0
	}
	return xxhash.Sum64String(key) | 1
}

// Logins is a set of userNames, whose letter case does not count.
type Logins map[Key]struct{}

// Add puts userName into the set.
func (s Logins) Add(userName string) { s[hashed(strings.ToLower(userName))] = struct{}{} }

// Has reports whether userName is in the set.
func (s Logins) Has(userName string) bool {
	_, ok := s[hashed(strings.ToLower(userName))]
	return ok
}

// New returns an empty roster whose people lie in s.
func New(s *Spool) *Roster {
	return &Roster{spool: s, index: map[Key]int32{}, also: map[int32][]uint16{}}
}

// Add enters a person whom a source returned, and returns their row. A second entry of the same source replaces the
// first. Where two sources read the same person of one directory, the entry that is active counts, and of two such the
// one of the first source: which of them answered sooner makes no difference (R17).
func (r *Roster) Add(source int, e Entry, fingerprint uint64, dirty bool) (int, error) {
	at, err := r.spool.Add(e)
	if err != nil {
		return 0, err
	}
	row := Row{Fingerprint: fingerprint, Key: HashOf(e.Record.Rehire), at: at, source: uint16(source), Active: e.Record.Active, Dirty: dirty}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := KeyOf(e.Person.ID)
	n, ok := r.index[k]
	if !ok {
		n = int32(len(r.rows))
		r.index[k] = n
		r.rows = append(r.rows, row)
		return int(n), nil
	}
	old := r.rows[n]
	if old.source == row.source {
		r.rows[n] = row
		return int(n), nil
	}
	other := old.source
	if row.Active == old.Active && row.source < old.source || row.Active && !old.Active {
		r.rows[n] = row
	} else {
		other = row.source
	}
	r.also[n] = slices.DeleteFunc(r.also[n], func(s uint16) bool { return s == r.rows[n].source })
	if !slices.Contains(r.also[n], other) {
		r.also[n] = append(r.also[n], other)
	}
	return int(n), nil
}

// Replace puts another entry of the same person in the place of row n's, for the source that the row is of.
func (r *Roster) Replace(n int, e Entry, fingerprint uint64, dirty bool) error {
	at, err := r.spool.Add(e)
	if err != nil {
		return err
	}
	r.rows[n] = Row{
		Fingerprint: fingerprint, Key: HashOf(e.Record.Rehire), at: at, source: r.rows[n].source, Active: e.Record.Active, Dirty: dirty,
	}
	return nil
}

// Keep says that the state is to remember row n's person as it does.
func (r *Roster) Keep(n int) { r.rows[n].Dirty = false }

// Find returns a person's row.
func (r *Roster) Find(id identity.PersonID) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.found.some && id == r.found.id {
		return int(r.found.row), true
	}
	n, ok := r.index[KeyOf(id)]
	if ok {
		r.found.id, r.found.row, r.found.some = id, n, true
	}
	return int(n), ok
}

// Len is the number of people.
func (r *Roster) Len() int { return len(r.rows) }

// Row returns what memory holds of one person.
func (r *Roster) Row(n int) Row { return r.rows[n] }

// Source is the source whose entry of the person counts.
func (r *Roster) Source(n int) int { return int(r.rows[n].source) }

// Entry reads a person back.
func (r *Roster) Entry(n int) (e Entry, err error) {
	err = r.spool.Get(r.rows[n].at, &e)
	e.Record.ID = e.Person.ID // the record leaves out what is its key in the state
	return e, err
}

// Count is the number of people that one source returned.
func (r *Roster) Count(source int) (n int) {
	for i := range r.rows {
		if r.In(i, source) {
			n++
		}
	}
	return n
}

// Of goes through the rows of one source: of the people that it returned, those whose entry is its own.
func (r *Roster) Of(source int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range r.rows {
			if int(r.rows[i].source) == source && !yield(i) {
				return
			}
		}
	}
}

// Keys goes through the keys of the people that one source returned, in no order.
func (r *Roster) Keys(source int) iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for k, i := range r.index {
			if r.In(int(i), source) && !yield(k) {
				return
			}
		}
	}
}

// In reports whether a source returned the person of row n.
func (r *Roster) In(n, source int) bool {
	return int(r.rows[n].source) == source || slices.Contains(r.also[int32(n)], uint16(source))
}

// Bits is one bit a row. Its zero value has none set.
type Bits []uint64

// Set sets bit n.
func (b *Bits) Set(n int) {
	for len(*b) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

// Clear clears bit n.
func (b *Bits) Clear(n int) {
	if n/64 < len(*b) {
		(*b)[n/64] &^= 1 << (n % 64)
	}
}

// Has reports whether bit n is set.
func (b Bits) Has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }
