package reconcile

import (
	"crypto/sha256"
	"iter"
	"strings"
	"sync"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A roster is everybody that the sources returned in this pass, at a few dozen bytes each: who they are as a 128-bit hash, their fingerprint,
// and where the rest of them lies in the spool.
type roster struct {
	mu    sync.Mutex
	spool *spool
	index map[key]int32
	rows  []row
}

type row struct {
	print  uint64
	at     int64
	source uint16
	active bool
	dirty  bool // what the state remembers of them has changed
}

// An entry is one person in the spool.
type entry struct {
	Person identity.Person
	Record state.Person
}

// A key stands for a text in 16 bytes, however long the text is.
type key [16]byte

func keyOf(id identity.PersonID) key { return hashed(id.Directory + "\x00" + id.Anchor) }

func hashed(text string) (k key) {
	sum := sha256.Sum256([]byte(text))
	copy(k[:], sum[:])
	return k
}

// logins is a set of userNames, whose letter case does not count.
type logins map[key]struct{}

func (s logins) add(userName string) { s[hashed(strings.ToLower(userName))] = struct{}{} }

func (s logins) has(userName string) bool {
	_, ok := s[hashed(strings.ToLower(userName))]
	return ok
}

func newRoster(s *spool) *roster {
	return &roster{spool: s, index: map[key]int32{}}
}

// add enters a person with their fingerprint, in place of an earlier entry of the same one, and returns their row.
func (r *roster) add(source int, e entry, print uint64, dirty bool) (int, error) {
	at, err := r.spool.add(e)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := keyOf(e.Person.ID)
	n, ok := r.index[k]
	if !ok {
		n = int32(len(r.rows))
		r.index[k] = n
		r.rows = append(r.rows, row{})
	}
	r.rows[n] = row{print: print, at: at, source: uint16(source), active: e.Record.Active, dirty: dirty}
	return int(n), nil
}

// find returns a person's row.
func (r *roster) find(id identity.PersonID) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.index[keyOf(id)]
	return int(n), ok
}

// entry reads a person back.
func (r *roster) entry(n int) (e entry, err error) {
	err = r.spool.get(r.rows[n].at, &e)
	e.Record.ID = e.Person.ID // the record leaves out what is its key in the state
	return e, err
}

// count is the number of people of one source.
func (r *roster) count(source int) (n int) {
	for i := range r.rows {
		if int(r.rows[i].source) == source {
			n++
		}
	}
	return n
}

// of goes through the rows of one source.
func (r *roster) of(source int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range r.rows {
			if int(r.rows[i].source) == source && !yield(i) {
				return
			}
		}
	}
}

// bits is one bit a row.
type bits []uint64

func (b *bits) set(n int) {
	for len(*b) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b *bits) clear(n int) {
	if n/64 < len(*b) {
		(*b)[n/64] &^= 1 << (n % 64)
	}
}

func (b bits) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }
