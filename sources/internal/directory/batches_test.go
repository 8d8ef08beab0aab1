//go:build unix

package directory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// A toldChange is one change as it was told at its time.
type toldChange struct {
	id uuid
	dn string // "" for who is gone
}

// An unruly feed tells what another one does, in other batches: some of it later than what happened later, and some of it
// once more.
type unruly struct {
	feed
	r          *rand.Rand
	tame       bool // whatever is late is told
	late, told []toldChange
	batch      int // so many, while something is late
	delayed    int // changes
	overtaken  int // changes that were told before a sooner one
	again      int // changes that were told again
}

func (f *unruly) position(current sources.Currency) (sources.Currency, error) {
	position, err := f.feed.position(current)
	if err == nil {
		position = maps.Clone(position)
		position["late"] = fmt.Sprintf("%020d", f.batch)
	}
	return position, err
}

func (f *unruly) since(ctx context.Context, s *session, position sources.Currency, into *changes) error {
	position = maps.Clone(position)
	delete(position, "late")
	fresh := &changes{now: map[uuid]string{}, ignored: into.ignored}
	if err := f.feed.since(ctx, s, position, fresh); err != nil {
		return err
	}
	var list []toldChange
	for _, id := range fresh.gone {
		if _, again := fresh.now[id]; !again {
			list = append(list, toldChange{id, ""})
		}
	}
	for id, dn := range fresh.now {
		list = append(list, toldChange{id, dn})
	}
	slices.SortFunc(list, func(a, b toldChange) int { return strings.Compare(string(a.id[:]), string(b.id[:])) })
	f.tell(list, into)
	return nil
}

// tell tells some of what has just changed, of what is late, and of what was told before.
func (f *unruly) tell(fresh []toldChange, into *changes) {
	var late, now []toldChange
	for _, one := range f.late {
		if f.tame || f.r.IntN(2) == 0 {
			now = append(now, one)
		} else {
			late = append(late, one)
		}
	}
	for _, one := range fresh {
		if f.tame || f.r.IntN(3) > 0 {
			f.overtaken += min(1, len(late))
			now = append(now, one)
		} else {
			f.delayed++
			late = append(late, one)
		}
	}
	if n := len(f.told); n > 0 && f.r.IntN(2) == 0 {
		f.again++
		now = slices.Insert(now, 0, f.told[f.r.IntN(n)])
	}
	for _, one := range now { // of one entry, what happened later is told later
		if one.dn == "" {
			into.delete(one.id)
		} else {
			into.now[one.id] = one.dn
		}
	}
	f.told = append(f.told, now...)
	f.late = late
	f.batch += min(1, len(late))
}

// spoil takes the anchor of somebody away, or, more often, gives them one: without it they cannot be read. What is said of
// them names no more than the first few, in any order.
func (w *wild) spoil() string {
	dn := w.pick(w.names(w.server.PeopleDN(), w.person))
	if w.n++; w.r.IntN(8) == 0 {
		w.server.Set(w.t, dn, "employeeNumber")
		return "spoil " + dn
	}
	w.server.Set(w.t, dn, "employeeNumber", fmt.Sprint("E", w.n))
	return "mend " + dn
}

// TestLatestOfAnyBatch: in whatever batches changes are told, some of people who cannot be read, once all of them were told
// following shows the same as reading everything.
func TestLatestOfAnyBatch(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 80, Groups: 8})
	follows, reads := following(t, s, `anchor = "employeeNumber"`)
	w := &wild{server: s, t: t, person: "inetOrgPerson", group: "groupOfNames", rdn: "uid="}
	w.begin()
	f := &unruly{}
	for step := range 150 {
		stateOf(t, follows, false)
		if follows.follower.mirror.feed != f { // it was read anew
			f.feed, f.r, f.late, f.told = follows.follower.mirror.feed, w.r, nil, nil
			follows.follower.mirror.feed = f
		}
		did := []string{w.spoil()}
		for range w.r.IntN(4) {
			did = append(did, w.do())
		}
		f.tame = step%5 == 4
		diff := "?"
		for start := time.Now(); f.tame && diff != "" && time.Since(start) < 5*time.Second; { // slapd mends references in its own time
			diff = gocmp.Diff(stateOf(t, reads, true), stateOf(t, follows, false), unordered)
		}
		if f.tame && diff != "" {
			t.Fatalf("step %d, %s:\n%s", step, strings.Join(did, "; "), diff)
		}
	}
	if f.delayed < 30 || f.overtaken < 30 || f.again < 30 {
		t.Errorf("%d changes were told later, %d before a sooner one, %d again", f.delayed, f.overtaken, f.again)
	}
}
