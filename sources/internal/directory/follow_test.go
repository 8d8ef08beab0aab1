//go:build unix

package directory

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// following opens a source that follows s, and one that reads everything each time.
func following(t *testing.T, s *slapdtest.Server, lines ...string) (follows, reads *source) {
	t.Helper()
	return openBoth(t, overridden(as(s, s.ReaderDN(), `groups { base_dn = "ou=groups,dc=example,dc=org" }`,
		`filter = "(objectClass=inetOrgPerson)"`), lines))
}

// overridden is a block with lines in place of its own that set the same.
func overridden(block, lines []string) []string {
	block = slices.DeleteFunc(block, func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		return slices.ContainsFunc(lines, func(own string) bool { return strings.HasPrefix(own, name+" ") })
	})
	return append(block, lines...)
}

// openBoth opens two sources of a block: one follows, the other reads everything each time.
func openBoth(t *testing.T, block []string) (follows, reads *source) {
	t.Helper()
	need := sources.Need{Attributes: []string{"cn", "mail", "sAMAccountName", "title", "uid"}, Groups: true}
	reads = open(t, need, block...)
	need.Follow, need.Scratch = true, t.TempDir()
	return open(t, need, block...), reads
}

// A state is all that a read says.
type readState struct {
	People   []identity.Person
	Personal []string
	Facts    sources.ReadFacts
}

// stateOf reads a source as a full pass does, or as a delta.
func stateOf(t testing.TB, s *source, full bool) readState {
	t.Helper()
	renewed := false
	if full {
		var err error
		if renewed, err = s.Renew(t.Context(), func(int) {}); err != nil {
			t.Fatal(err)
		}
	}
	seq, facts := sources.Read(t.Context(), s, full && !renewed)
	people, personal, err := gather(seq)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(people, func(a, b identity.Person) int { return strings.Compare(a.DN, b.DN) })
	found := readState{People: people, Facts: *facts}
	for _, p := range personal {
		found.Personal = append(found.Personal, p.Error())
	}
	slices.Sort(found.Personal)
	return found
}

var unordered = gocmp.Options{
	cmpopts.IgnoreUnexported(sources.ReadFacts{}), cmpopts.EquateEmpty(),
	gocmp.Transformer("sorted", func(s sources.Sample) []string { slices.Sort(s.First); return append(s.First, fmt.Sprint(s.Count)) }),
}

// TestLatestIsAWholeRead: whatever happens in the directory, following its changes shows the same as reading everything,
// and reads nothing anew.
func TestLatestIsAWholeRead(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 60, Groups: 6})
	follows, reads := following(t, s)
	(&wild{server: s, t: t, person: "inetOrgPerson", group: "groupOfNames", rdn: "uid="}).compare(follows, reads, 150)
}

// TestLatestOfADomainIsAWholeRead is the same on a domain controller.
func TestLatestOfADomainIsAWholeRead(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 40, Groups: 5})
	follows, reads := followingDomain(t, s)
	(&wild{server: s, t: t, person: "user", group: "group", rdn: "CN="}).compare(follows, reads, 60)
}

// TestLatestOf389IsAWholeRead is the same on 389 Directory Server, by a persistent search.
func TestLatestOf389IsAWholeRead(t *testing.T) {
	s := dirsrvtest.Start(t, dirsrvtest.Options{People: 40, Groups: 5, Imported: true})
	follows, reads := following389(t, s, s.URL())
	w := &wild{server: s, t: t, person: "inetOrgPerson", group: "groupOfNames", rdn: "uid=", flat: true}
	w.compare(follows, reads, 60)
}

// followingDomain is following for a domain.
func followingDomain(t *testing.T, s *sambatest.Server, lines ...string) (follows, reads *source) {
	t.Helper()
	return openBoth(t, overridden([]string{
		fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("ca_file = %q", s.CAFile()), fmt.Sprintf("bind_dn = %q", s.Reader()),
		fmt.Sprintf("bind_password = %q", s.Password()), fmt.Sprintf("base_dn = %q", s.PeopleDN()),
		`anchor = "objectGUID"`, fmt.Sprintf("groups { base_dn = %q }", s.GroupsDN()),
	}, lines))
}

// seed is DIRSWEEP_SEED, or 1.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("DIRSWEEP_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Wild is a directory in which anything may happen.
type wild struct {
	server        ldaptest.Directory
	t             *testing.T
	person, group string // classes
	// flat: no unit is put into another. 389 Directory Server does not find whoever is two below a unit that was moved
	// when it is asked for all who are below its new place.
	flat  bool
	rdn   string
	r     *rand.Rand
	units []string
	n     int
}

// begin makes units to move people and each other into.
func (w *wild) begin() {
	t, s := w.t, w.server
	w.r = rand.New(rand.NewPCG(seed(t), 2))
	w.units = []string{s.PeopleDN()}
	for _, name := range []string{"sales", "labs", "field"} {
		below := w.units[w.r.IntN(len(w.units))]
		if w.flat {
			below = s.PeopleDN()
		}
		w.units = append(w.units, s.AddUnit(t, name, below))
	}
}

// compare does much, and compares what following shows with what reading everything does.
func (w *wild) compare(follows, reads *source, steps int) {
	t := w.t
	w.begin()
	stateOf(t, follows, false)
	followed := follows.follower.mirror
	if followed == nil {
		t.Fatal("the server is not followed")
	}
	for i := range steps {
		var did []string
		for range 1 + w.r.IntN(4) {
			did = append(did, w.do())
		}
		if follows.follower.mirror != followed {
			t.Fatalf("step %d: read anew", i)
		}
		diff := "?"
		for start := time.Now(); diff != "" && time.Since(start) < 5*time.Second; { // slapd mends references in its own time
			diff = gocmp.Diff(stateOf(t, reads, true), stateOf(t, follows, false), unordered)
		}
		if diff != "" {
			t.Fatalf("step %d, %s:\n%s", i, strings.Join(did, "; "), diff)
		}
	}
	if follows.follower.mirror != followed {
		t.Fatal("read anew")
	}
	follows.now = func() time.Time { return time.Now().Add(2 * settleTime) }
	stateOf(t, follows, false)
	if missed := stateOf(t, follows, true).Facts.Missed; missed.Count > 0 || follows.follower.mirror == followed {
		t.Errorf("missed %s", missed)
	}
	delete(follows.follower.mirror.people.at, slices.Collect(maps.Keys(follows.follower.mirror.people.at))[0])
	if missed := stateOf(t, follows, true).Facts.Missed; missed.Count != 1 {
		t.Errorf("missed %s, want the one that was taken away", missed)
	}
}

func (w *wild) pick(list []string) string { return list[w.r.IntN(len(list))] }

func (w *wild) names(base, class string) (list []string) { return w.server.Names(w.t, base, class) }

func (w *wild) do() string {
	t, s := w.t, w.server
	person := func() string { return w.pick(w.names(s.PeopleDN(), w.person)) }
	group := func() string { return w.pick(w.names(s.GroupsDN(), w.group)) }
	w.n++
	switch w.r.IntN(14) {
	case 0:
		dn := s.AddPerson(t, fmt.Sprintf("new%d", w.n), nil)
		return "add " + s.Move(t, dn, w.pick(w.units))
	case 1:
		dn := person()
		s.Delete(t, dn)
		return "delete " + dn
	case 2:
		dn := person()
		s.Set(t, dn, "title", fmt.Sprint("title ", w.n))
		return "change " + dn
	case 3:
		dn := person()
		s.Set(t, dn, "title")
		return "clear " + dn
	case 4:
		dn := person()
		return "rename " + dn + " to " + s.Rename(t, dn, fmt.Sprintf("%sother%d", w.rdn, w.n))
	case 5:
		dn := person()
		return "move " + dn + " to " + s.Move(t, dn, w.pick(w.units))
	case 6:
		dn := person()
		return "move out " + dn + " to " + s.Move(t, dn, s.FormerDN())
	case 7:
		former := w.names(s.FormerDN(), w.person)
		if len(former) == 0 {
			return "nothing"
		}
		return "move back " + s.Move(t, w.pick(former), w.pick(w.units))
	case 8:
		dn, g := person(), group()
		if slices.Contains(s.Values(t, g, "member"), dn) {
			return "nothing"
		}
		s.Join(t, g, dn)
		return dn + " joins " + g
	case 9:
		g := group()
		if members := s.Values(t, g, "member"); len(members) > 1 {
			dn := w.pick(members)
			s.Leave(t, g, dn)
			return dn + " leaves " + g
		}
		return "nothing"
	case 10:
		dn := person()
		return "add " + s.AddGroup(t, fmt.Sprintf("team%d", w.n), dn)
	case 11:
		outer, inner := group(), group()
		if outer == inner || slices.Contains(s.Values(t, outer, "member"), inner) {
			return "nothing"
		}
		s.Join(t, outer, inner)
		return outer + " holds " + inner
	case 12:
		dn := person()
		s.Disable(t, dn)
		return "disable " + dn
	default:
		i := 1 + w.r.IntN(len(w.units)-1)
		to := w.pick([]string{s.PeopleDN(), s.FormerDN(), w.pick(w.units)})
		if w.flat && to != s.PeopleDN() {
			to = s.FormerDN()
		}
		old := w.units[i]
		if ldapclient.Within(to, old) || ldapclient.SameDN(identity.ParentDN(old), to) {
			return "nothing"
		}
		now := s.Move(t, old, to)
		for j, unit := range w.units {
			if ldapclient.Within(unit, old) {
				w.units[j] = strings.TrimSuffix(unit, old) + now
			}
		}
		return "move " + old + " to " + now
	}
}

// TestLatestReadsAnew: what cannot be followed for sure is read, and shows the same.
func TestLatestReadsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, s *slapdtest.Server)
		then   func(t *testing.T, s *slapdtest.Server, follows *source)
		never  bool // the server cannot be followed at all
		goes   bool // on without reading anew
	}{
		"nothing has happened": {goes: true},
		"the server has forgotten the changes": {then: func(t *testing.T, s *slapdtest.Server, _ *source) {
			s.Set(t, s.PersonDN(slapdtest.UID(6)), "title", "director")
			s.Stop(t)
			s.Start(t)
		}},
		"the server was away": {goes: true, then: func(t *testing.T, s *slapdtest.Server, _ *source) {
			s.Stop(t)
			s.Start(t)
		}},
		"the server has never known the cookie": {then: func(_ *testing.T, _ *slapdtest.Server, follows *source) {
			for sequence, csn := range follows.follower.mirror.until {
				follows.follower.mirror.until[sequence] = "1999" + csn[4:]
			}
		}},
		"the server knows less than it did": {then: func(_ *testing.T, _ *slapdtest.Server, follows *source) {
			for sequence, csn := range follows.follower.mirror.until {
				follows.follower.mirror.until[sequence] = "2999" + csn[4:]
			}
		}},
		"another server answers": {then: func(_ *testing.T, _ *slapdtest.Server, follows *source) {
			for sequence, csn := range follows.follower.mirror.until {
				delete(follows.follower.mirror.until, sequence)
				follows.follower.mirror.until[sequence+"9"] = csn
			}
		}},
		"most of the file is garbage": {goes: true, then: func(_ *testing.T, _ *slapdtest.Server, follows *source) {
			follows.follower.mirror.garbage, follows.follower.mirror.spare = 1<<40, 0
		}},
		"the file is broken": {then: func(t *testing.T, _ *slapdtest.Server, follows *source) {
			if err := follows.follower.mirror.file.Truncate(0); err != nil {
				t.Fatal(err)
			}
		}},
		"the connection has died": {goes: true, then: func(_ *testing.T, _ *slapdtest.Server, follows *source) {
			if session := follows.follower.session; session != nil {
				session.Close()
			}
		}},
		"no entry says which it is": {
			before: func(t *testing.T, s *slapdtest.Server) { s.HideAttribute(t, "entryUUID") },
			never:  true,
		},
		"the server does not say how current it is": {
			before: func(t *testing.T, s *slapdtest.Server) { s.HideAttribute(t, "contextCSN") },
			never:  true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
			anchor := `anchor = "employeeNumber"`
			if c.before != nil {
				c.before(t, s)
			}
			follows, reads := following(t, s, anchor)
			stateOf(t, follows, false)
			stateOf(t, follows, false)
			if followed := follows.follower.mirror != nil; followed == c.never {
				t.Fatalf("followed: %v", followed)
			}
			if c.then != nil {
				c.then(t, s, follows)
			}
			s.Delete(t, s.PersonDN(slapdtest.UID(3)))
			s.Set(t, s.PersonDN(slapdtest.UID(4)), "title", "director")
			before := follows.follower.mirror
			same(t, follows, reads, 11)
			if goes := follows.follower.mirror == before; goes != (c.goes || c.never) {
				t.Errorf("it goes on with what it had: %v", goes)
			}
			s.Set(t, s.PersonDN(slapdtest.UID(5)), "title", "director")
			same(t, follows, reads, 11)
		})
	}
}

// TestLatestAsksForChangesAlone: while nothing changes, and when one of many does, hardly anything is asked.
// DIRSWEEP_PEOPLE says how many.
func TestLatestAsksForChangesAlone(t *testing.T) {
	people := 2000
	if text := os.Getenv("DIRSWEEP_PEOPLE"); text != "" {
		var err error
		if people, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	slapd := slapdtest.Start(t, slapdtest.Options{People: people, Groups: 20})
	dirsrv := dirsrvtest.Start(t, dirsrvtest.Options{People: people, Groups: 20})
	for name, c := range map[string]struct {
		ldaptest.Directory
		url  string
		open func(url string) (follows, reads *source)
	}{
		"slapd": {slapd, slapd.URL(), func(url string) (follows, reads *source) {
			return following(t, slapd, fmt.Sprintf("url = %q", url))
		}},
		"389": {dirsrv, dirsrv.URL(), func(url string) (follows, reads *source) { return following389(t, dirsrv, url) }},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := newCounter(t, c.url)
			follows, _ := c.open(proxy.url())
			stateOf(t, follows, true)
			whole := proxy.bytes()
			stateOf(t, follows, false) // signs in
			for _, change := range []struct {
				what string
				do   func()
			}{
				{"nothing", func() {}},
				{"a title", func() { c.Set(t, c.PersonDN(slapdtest.UID(7)), "title", "director") }},
				{"somebody", func() { c.Delete(t, c.PersonDN(slapdtest.UID(8))) }},
				{"a newcomer", func() { c.AddPerson(t, "newcomer", nil) }},
				{"a container", func() { c.AddUnit(t, "labs", c.PeopleDN()) }},
			} {
				before, asked := proxy.bytes(), proxy.requests.Load()
				change.do()
				for range 3 { // 389 tells in its own time
					stateOf(t, follows, false)
				}
				came, questions := proxy.bytes()-before, proxy.requests.Load()-asked
				t.Logf("%s, of %d people: %d requests, %d bytes; everybody: %d bytes", change.what, people, questions, came, whole)
				if came*20 > whole || questions > 60 {
					t.Errorf("%s: %d bytes came by %d requests, and %d for everybody", change.what, came, questions, whole)
				}
			}
		})
	}
}

// following389 opens a source that follows s by a URL, and one that reads everything each time.
func following389(t *testing.T, s *dirsrvtest.Server, url string, lines ...string) (follows, reads *source) {
	t.Helper()
	return openBoth(t, overridden([]string{
		fmt.Sprintf("url = %q", url), fmt.Sprintf("bind_dn = %q", s.ReaderDN()),
		fmt.Sprintf("bind_password = %q", s.Password()), fmt.Sprintf("base_dn = %q", s.PeopleDN()),
		`anchor = "nsUniqueId"`, `filter = "(objectClass=inetOrgPerson)"`,
		fmt.Sprintf("groups { base_dn = %q }", s.GroupsDN()),
	}, lines))
}

// A counter stands before a server and counts what it is asked, and what it sends.
type counter struct {
	listener net.Listener
	sent     atomic.Int64
	requests atomic.Int64
}

func newCounter(t *testing.T, url string) *counter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{listener: listener}
	dial := func() (net.Conn, error) { return net.Dial("tcp", strings.TrimPrefix(url, "ldap://")) }
	ldaptest.Between(t, listener, dial, func(in, out net.Conn) {
		go func() {
			defer out.Close()
			for asked := io.TeeReader(in, out); ; c.requests.Add(1) {
				if _, err := ber.ReadPacket(asked); err != nil {
					return
				}
			}
		}()
		go func() { _, _ = io.Copy(io.MultiWriter(in, c), out); _ = in.Close() }()
	})
	return c
}

func (c *counter) url() string { return "ldap://" + c.listener.Addr().String() }

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	c.sent.Add(int64(len(p)))
	return len(p), nil
}

func (c *counter) bytes() int64 { return c.sent.Load() }

// TestLatestKeepsItsFileSmall: what changes again and again, such as a large group, does not fill the disk, and is no
// reason to read everybody anew.
func TestLatestKeepsItsFileSmall(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 30, Groups: 2})
	follows, reads := following(t, s)
	stateOf(t, follows, false)
	m := follows.follower.mirror
	m.spare = 1000
	first := m.size
	for n := range 60 {
		s.Set(t, s.PersonDN(slapdtest.UID(3)), "title", strings.Repeat("x", 300+n))
		stateOf(t, follows, false)
		if most := 2*first + 2000; m.size > most {
			t.Fatalf("%d bytes are %d after %d changes of one entry", first, m.size, n+1)
		}
	}
	if follows.follower.mirror != m {
		t.Error("everybody was read anew")
	}
	same(t, follows, reads, 30)
}

// TestLatestGoesOnWhileEverythingIsReadAnew: what has changed meanwhile is seen at once, and once everything has been read
// that is what is followed.
func TestLatestGoesOnWhileEverythingIsReadAnew(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	begun, goOn, renewed := make(chan struct{}), make(chan struct{}), make(chan error)
	var once sync.Once
	go func() {
		_, err := follows.Renew(t.Context(), func(int) { once.Do(func() { close(begun); <-goOn }) })
		renewed <- err
	}()
	<-begun
	s.Delete(t, s.PersonDN(slapdtest.UID(3)))
	same(t, follows, reads, 11)
	if follows.follower.mirror != before {
		t.Error("it was read anew by a delta")
	}
	close(goOn)
	if err := <-renewed; err != nil {
		t.Fatal(err)
	}
	same(t, follows, reads, 11)
	if follows.follower.mirror == before || follows.follower.missed.Count > 0 {
		t.Errorf("missed %s", follows.follower.missed)
	}
}

// TestLatestSeesWhatWasHeard: OpenLDAP may tell of a change and go on naming the one before as its last.
func TestLatestSeesWhatWasHeard(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	signs := make(chan sources.Sign, 1000)
	go follows.Watch(t.Context(), func(sign sources.Sign) { signs <- sign })
	<-signs
	same(t, follows, reads, 12)
	for n, change := range []func(){
		func() { s.Delete(t, s.PersonDN(slapdtest.UID(3))) },
		func() { s.Set(t, s.PersonDN(slapdtest.UID(4)), "title", "director") },
		func() { s.Move(t, s.PersonDN(slapdtest.UID(5)), s.FormerDN()) },
	} {
		heard := follows.hearing.position()
		change()
		for follows.hearing.position() == heard {
			select {
			case <-signs:
			case <-time.After(10 * time.Second):
				t.Fatalf("change %d was not heard", n)
			}
		}
		session, err := follows.reach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for sequence, csn := range currency(t.Context(), session, follows.bases) {
			before.until[sequence] = csn // as far as the server says, that is known
		}
		session.Close()
		same(t, follows, reads, []int{11, 11, 10}[n])
	}
	if follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// TestWatch: each change is a sign, also after the server was away.
func TestWatch(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	follows, _ := following(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	signs := make(chan sources.Sign, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follows.Watch(ctx, func(sign sources.Sign) { signs <- sign })
	}()
	next := func(pushing bool) {
		t.Helper()
		for {
			select {
			case sign := <-signs:
				if sign.Pushing == pushing {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no sign with pushing %v", pushing)
			}
		}
	}
	next(true)
	for range 3 {
		s.Set(t, s.PersonDN(slapdtest.UID(1)), "title", time.Now().String())
		next(true)
	}
	s.Stop(t)
	next(false)
	s.Start(t)
	next(true)
	s.Delete(t, s.PersonDN(slapdtest.UID(2)))
	next(true)
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}

// TestWatchNoticesASilentServer: a server that is frozen says nothing, and that is noticed.
func TestWatchNoticesASilentServer(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	follows, _ := following(t, s)
	follows.heartbeat, follows.silence = 50*time.Millisecond, 200*time.Millisecond
	signs := make(chan sources.Sign, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go follows.Watch(ctx, func(sign sources.Sign) { signs <- sign })
	if sign := <-signs; !sign.Pushing {
		t.Fatal(sign.Why)
	}
	s.Freeze(t)
	for sign := range signs {
		if !sign.Pushing {
			break
		}
	}
	s.Thaw(t)
	for sign := range signs {
		if sign.Pushing {
			break
		}
	}
}
