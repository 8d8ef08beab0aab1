//go:build unix

package directory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
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

func (f *unruly) since(ctx context.Context, s *ldapclient.Session, position sources.Currency, into *changes) error {
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
		for start := time.Now(); f.tame && diff != "" && time.Since(start) < 5*time.Second; { // slapd mends references itself
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

// A scripted feed tells what the test says, in place of what has changed.
type scripted struct {
	feed
	told  []toldChange
	batch int
}

func (f *scripted) tell(told ...toldChange) { f.told, f.batch = told, f.batch+1 }

func (f *scripted) position(sources.Currency) (sources.Currency, error) {
	return sources.Currency{"batch": fmt.Sprintf("%020d", f.batch)}, nil
}

func (f *scripted) since(_ context.Context, _ *ldapclient.Session, _ sources.Currency, into *changes) error {
	for _, one := range f.told {
		if one.dn == "" {
			into.delete(one.id)
		} else {
			into.now[one.id] = one.dn
		}
	}
	return nil
}

// TestLatestOfABatchOfBefore: what is told may be late, or of before. Nobody is lost by it, and nobody stays where they were.
func TestLatestOfABatchOfBefore(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3, Groups: 1})
	sales, labs := s.AddUnit(t, "sales", s.PeopleDN()), s.AddUnit(t, "labs", s.PeopleDN())
	ann := s.Move(t, s.AddPerson(t, "ann", nil), labs)
	s.Move(t, s.AddPerson(t, "bob", nil), labs)
	follows, reads := following(t, s)
	stateOf(t, follows, false)
	feed := &scripted{feed: follows.follower.mirror.feed}
	follows.follower.mirror.feed, follows.follower.mirror.until = feed, sources.Currency{"batch": fmt.Sprintf("%020d", 0)}
	id := func(dn string) uuid {
		found, ok := parseUUID(s.Anchor(t, dn))
		if !ok {
			t.Fatal(dn)
		}
		return found
	}
	unit, person := id(labs), id(ann)
	now := func(what string, told ...toldChange) {
		t.Helper()
		feed.tell(told...)
		if same(t, follows, reads, 5); t.Failed() {
			t.Fatal(what)
		}
	}
	was := labs
	labs = s.Move(t, labs, sales)
	now("a unit has moved", toldChange{unit, labs})
	now("that it was where it was is told again", toldChange{unit, was})
	now("its deletion is told, and it is there", toldChange{unit, ""})
	now("so is somebody whose deletion is told", toldChange{id(s.PersonDN(slapdtest.UID(1))), ""})
	now("both are told", toldChange{unit, ""}, toldChange{unit, was}, toldChange{unit, ""}, toldChange{unit, labs})

	labs = s.Move(t, labs, s.FormerDN())
	feed.tell(toldChange{unit, labs})
	same(t, follows, reads, 3)
	labs = s.Move(t, labs, s.PeopleDN())
	feed.tell(toldChange{person, "uid=ann," + labs}) // who is in it is told of first
	stateOf(t, follows, false)
	now("a unit has come, and is told of late", toldChange{unit, labs})

	labs = s.Move(t, labs, sales)
	now("a unit has moved, and somebody in it alone is told of", toldChange{person, "uid=ann," + labs})
}

// TestLatestSeesWhatChangesMeanwhile: who is renamed while a group is read again, of which they are a member, is in it.
func TestLatestSeesWhatChangesMeanwhile(t *testing.T) {
	var number atomic.Int64
	number.Store(900)
	const group = "cn=g,ou=groups,dc=example,dc=org"
	id := func(n int) string { return fmt.Sprintf("%016d", 100+n) }
	name := func() string { // of who is renamed by change 902
		if number.Load() > 901 {
			return "cn=bride,ou=people,dc=example,dc=org"
		}
		return "cn=maiden,ou=people,dc=example,dc=org"
	}
	dc := controller(&fake{people: func(w *answer, q asked) {
		inGroups := strings.HasPrefix(q.base, "ou=groups")
		switch {
		case strings.Contains(q.filter, "uSNChanged>=901") && number.Load() == 901:
			w.entry(group, "objectGUID", id(9))
		case strings.Contains(q.filter, "uSNChanged>="):
			w.entry(name(), "objectGUID", id(1))
		case inGroups:
			number.CompareAndSwap(901, 902) // just before it is read again
			w.values(group, "member", []string{name()}, "objectGUID", id(9), "cn", "g")
		case !strings.Contains(q.filter, "objectGUID=") || strings.Contains(q.filter, id(1)):
			w.entry(name(), "objectGUID", id(1), "sAMAccountName", "p", "userAccountControl", "512")
		}
		w.page("")
	}}, &number)
	src := open(t, sources.Need{Groups: true, Follow: true, Scratch: t.TempDir()},
		domainBlock(dc.start(t), `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	for _, change := range []int64{0, 1} {
		number.Add(change)
		if people := stateOf(t, src, false).People; len(people) != 1 || len(people[0].Groups) != 1 || people[0].DN != name() {
			t.Errorf("after %d: %+v", number.Load(), people)
		}
	}
	if number.Load() != 902 || src.follower.mirror == nil {
		t.Errorf("it came to %d; %s", number.Load(), src.follower.why)
	}
}
