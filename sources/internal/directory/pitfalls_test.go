//go:build unix

package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// TestACookieThatIsNotKnown: a server that cannot go on from where it is asked to refuses, or names everybody. Of a
// cookie that it does not understand it takes no notice: everybody is added, nobody deleted, and that was all, it says.
// Neither is a list of changes.
func TestACookieThatIsNotKnown(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12})
	follows, _ := following(t, s)
	session, err := follows.reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	f := &syncFeed{suffixes: []string{s.BaseDN()}}
	now := currency(t.Context(), session, follows.bases)
	for name, c := range map[string]struct {
		csn  string
		want string // of the reason, "" where the cookie is known
	}{
		"known":         {csn: now[s.BaseDN()+" 001"]},
		"of the future": {"29990101000000.000000Z#000000#001#000000", "unwilling to perform (53)"},
		"of the past":   {"19990101000000.000000Z#000000#001#000000", "names everybody"},
		"garbage":       {"#0#001#0", "names everybody"},
		"empty":         {"", "names everybody"},
	} {
		found := &changes{now: map[uuid]string{}}
		err := f.since(t.Context(), session, sources.Currency{s.BaseDN() + " 001": c.csn}, found)
		reread := (*rereadError)(nil)
		if (c.want != "") != errors.As(err, &reread) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d changes, %v; want %q", name, len(found.now), err, c.want)
		}
	}
}

// TestACookieThatIsRefused: e-syncRefreshRequired (RFC 4533, 3.5), of whoever asks with another one's cookie.
func TestACookieThatIsRefused(t *testing.T) {
	src := reading(t, sources.Need{}, []string{(&fake{people: func(w *answer, _ asked) { w.done(4096) }}).start(t)})
	session, err := src.reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	const suffix = "dc=example,dc=org"
	f := &syncFeed{suffixes: []string{suffix}}
	err = f.since(t.Context(), session, sources.Currency{suffix + " 001": "x"}, &changes{now: map[uuid]string{}})
	if reread := (*rereadError)(nil); !errors.As(err, &reread) || !strings.Contains(err.Error(), "(4096)") {
		t.Error(err)
	}
}

// TestABadPasswordCostsOneEntry: whoever mistypes their password changes their entry, and is locked in the end. That is
// read, of them alone, and makes no leaver.
func TestABadPasswordCostsOneEntry(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 300})
	policy := "cn=policy," + s.BaseDN()
	s.Add(t, policy, map[string][]string{
		"objectClass": {"device", "pwdPolicy"}, "pwdAttribute": {"userPassword"}, "pwdLockout": {"TRUE"},
		"pwdMaxFailure": {"3"},
	})
	dn := s.PersonDN(slapdtest.UID(7))
	s.Set(t, dn, "userPassword", "right")
	s.Set(t, dn, "pwdPolicySubentry", policy)
	proxy := newCounter(t, s.URL())
	follows, reads := following(t, s, fmt.Sprintf("url = %q", proxy.url()))
	same(t, follows, reads, 300)
	before, whole := follows.follower.mirror, proxy.bytes()
	for range 4 {
		sent := proxy.bytes()
		conn, err := ldap.DialURL(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Bind(dn, "wrong")
		_ = conn.Close()
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			t.Fatal(err)
		}
		found := stateOf(t, follows, false)
		if came := proxy.bytes() - sent; came*20 > whole || len(found.People) != 300 {
			t.Errorf("%d people; %d bytes came, and %d for everybody", len(found.People), came, whole)
		}
		for _, p := range found.People {
			if !p.Active {
				t.Errorf("%s: %s", p.DN, p.Inactive)
			}
		}
	}
	if locked := s.Values(t, dn, "pwdAccountLockedTime"); len(locked) != 1 {
		t.Errorf("locked: %q", locked)
	}
	if same(t, follows, reads, 300); follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// TestWatchOutlastsTheTimeout: the time that an answer may take is no time after which nobody listens any more.
func TestWatchOutlastsTheTimeout(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	outlasts(t, s, slapdtest.UID(1), func(timeout string) *source {
		follows, _ := following(t, s, timeout)
		return follows
	})
}

// outlasts follows a server with a short timeout for longer than that, and sees that a change of somebody is told.
func outlasts(t *testing.T, s ldaptest.Directory, uid string, open func(timeout string) *source) {
	t.Helper()
	const timeout = time.Second
	src := open(fmt.Sprintf("timeout = %q", timeout))
	if _, err := src.Renew(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	followed := src.follower.mirror
	signs := make(chan sources.Sign, 100)
	go src.Watch(t.Context(), func(sign sources.Sign) { signs <- sign })
	next := func(within time.Duration) bool {
		select {
		case sign := <-signs:
			if !sign.Pushing {
				t.Fatal(sign.Why)
			}
			return true
		case <-time.After(within):
			return false
		}
	}
	for next(2 * timeout) { // the first sign is that it begins
	}
	s.Set(t, s.PersonDN(uid), "title", "director")
	if !next(10 * time.Second) {
		t.Error("a change is no sign")
	}
	if stateOf(t, src, false); followed == nil || src.follower.mirror != followed {
		t.Error("everybody was read anew")
	}
}

// TestAControllerIsAskedForFiveNotifications: it refuses another one on the same connection, and any that is not for
// all objects.
func TestAControllerIsAskedForFiveNotifications(t *testing.T) {
	var asks, refused atomic.Int32
	dc := &fake{notify: func(w *answer, q asked) {
		if n := asks.Add(1); n > 5 || q.filter != "(objectClass=*)" {
			refused.Add(1)
			w.done(ldap.LDAPResultAdminLimitExceeded)
		}
	}}
	src := reading(t, sources.Need{}, []string{dc.start(t)})
	session, err := src.reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var domains []string
	for n := range 7 {
		domains = append(domains, fmt.Sprintf("dc=d%d,dc=example,dc=org", n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	updateFeed{domains: domains, every: time.Hour}.notified(ctx, session)
	for start := time.Now(); asks.Load() < 5 && time.Since(start) < 10*time.Second; {
		if _, err := session.Read(t.Context(), "", "1.1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := session.Read(t.Context(), "", "1.1"); err != nil || asks.Load() != 5 || refused.Load() > 0 {
		t.Errorf("asked %d times, %d were refused; %v", asks.Load(), refused.Load(), err)
	}
}

// TestNoConnectionIsLeftBehind: whoever gives up an answer half way closes the connection, since the server goes on
// sending.
func TestNoConnectionIsLeftBehind(t *testing.T) {
	var number atomic.Int64
	dc := controller(&fake{people: func(w *answer, q asked) {
		if strings.Contains(q.filter, "uSNChanged") {
			w.entry("cn=somebody,dc=example,dc=org") // nobody knows who
		} else {
			w.entry("cn=p,ou=people,dc=example,dc=org", "objectGUID", "0123456789abcdef", "sAMAccountName", "p",
				"userAccountControl", "512")
		}
		number.Add(1)
		w.page("")
	}}, &number)
	src := open(t, sources.Need{Follow: true, Scratch: t.TempDir()}, domainBlock(dc.start(t))...)
	for range 5 {
		stateOf(t, src, true)
	}
	for start := time.Now(); dc.open.Load() > 1 && time.Since(start) < 5*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if n := dc.open.Load(); n > 1 {
		t.Errorf("%d connections are open", n)
	}
}

// TestOwnAccountOfADomain: Samba does not say who is signed in, so that the name tells whose account is ours.
func TestOwnAccountOfADomain(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 3})
	_, src := followingDomain(t, s, fmt.Sprintf("base_dn = %q", s.BaseDN()))
	found := stateOf(t, src, true)
	if found.Facts.Own == "" {
		t.Error("our own account is not told")
	}
	for _, p := range found.People {
		if p.Own != (p.Name == "dirsweep") {
			t.Errorf("%s is our own account: %t", p.Name, p.Own)
		}
	}
}

// TestRecycleBin: what is deleted keeps everything but its place, and is not recycled. It is gone.
func TestRecycleBin(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 3, Groups: 1})
	s.UseRecycleBin(t)
	follows, reads := followingDomain(t, s)
	same(t, follows, reads, 3)
	someone := stateOf(t, reads, true).People[0]
	s.Delete(t, someone.DN)
	same(t, follows, reads, 2)
	for _, src := range []*source{follows, reads} {
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: someone.ID.Anchor, DN: someone.DN})
		if err != nil || seen.Where != sources.Tombstone || seen.Changed.IsZero() {
			t.Errorf("%+v, %v", seen, err)
		}
	}
}

// TestAnIdleConnectionThatWasCut: that is no answer of the server, which is asked again.
func TestAnIdleConnectionThatWasCut(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	someone := sources.Lookup{Anchor: s.Anchor(t, s.PersonDN(slapdtest.UID(1)))}
	for range 2 {
		if seen, err := src.Find(t.Context(), someone); err != nil || seen.Where != sources.InScope {
			t.Errorf("%+v, %v", seen, err)
		}
		s.Stop(t)
		s.Start(t)
	}
}

// Valves stand before a server. What it sends over one connection can be held back, without a word to either side.
type valves struct {
	listener net.Listener
	mu       sync.Mutex
	shut     []*sync.Mutex // by connection: held while nothing passes
}

func newValves(t *testing.T, url string) *valves {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &valves{listener: listener}
	dial := func() (net.Conn, error) { return net.Dial("tcp", strings.TrimPrefix(url, "ldap://")) }
	ldaptest.Between(t, listener, dial, func(in, out net.Conn) {
		valve := new(sync.Mutex)
		v.mu.Lock()
		v.shut = append(v.shut, valve)
		v.mu.Unlock()
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(gated{in, valve}, out); _ = in.Close() }()
	})
	return v
}

func (v *valves) url() string { return "ldap://" + v.listener.Addr().String() }

// of is the valve of the connection of that number, from 0.
func (v *valves) of(number int) *sync.Mutex {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shut[number]
}

// Gated passes on what is written while its valve is open.
type gated struct {
	io.Writer
	valve *sync.Mutex
}

// Write waits.
func (g gated) Write(p []byte) (int, error) {
	g.valve.Lock()
	defer g.valve.Unlock()
	return g.Writer.Write(p)
}

// watching389 follows a server through valves, and watches it. The valve is that of the connection over which what has
// changed comes to who follows.
func watching389(
	t *testing.T, s *dirsrvtest.Server, quick bool,
) (follows, reads *source, valve *sync.Mutex, signs chan sources.Sign) {
	t.Helper()
	v := newValves(t, s.URL())
	follows, _ = following389(t, s, v.url())
	_, reads = following389(t, s, s.URL())
	if quick {
		follows.heartbeat, follows.silence = 50*time.Millisecond, 500*time.Millisecond
	}
	if _, err := follows.Renew(t.Context(), func(int) {}); err != nil || follows.follower.mirror == nil {
		t.Fatal(err, follows.follower.why)
	}
	valve = v.of(1) // the first one is read over
	signs = make(chan sources.Sign, 1000)
	go follows.Watch(t.Context(), func(sign sources.Sign) { signs <- sign })
	if sign := <-signs; !sign.Pushing {
		t.Fatal(sign.Why)
	}
	return follows, reads, valve, signs
}

// signed waits for a sign.
func signed(t *testing.T, signs chan sources.Sign) {
	t.Helper()
	select {
	case <-signs:
	case <-time.After(10 * time.Second):
		t.Fatal("no sign")
	}
}

// quiet fails where there is a sign.
func quiet(t *testing.T, signs chan sources.Sign, when string) {
	t.Helper()
	select {
	case sign := <-signs:
		t.Errorf("a sign %s: %+v", when, sign)
	case <-time.After(time.Second):
	}
}

// TestLatestOf389OverTwoConnections: one connection says that something has changed, and another one what.
func TestLatestOf389OverTwoConnections(t *testing.T) {
	s := dirsrvtest.Start(t, dirsrvtest.Options{People: 12, Groups: 2})
	s.Set(t, s.ReaderDN(), "nsSizeLimit", "5")
	// Unlike content synchronisation, what comes while somebody listens is not counted against their size limit.
	t.Run("past the size limit", func(t *testing.T) {
		follows, reads := following389(t, s, s.URL())
		soon(t, follows, reads, 12)
		before := follows.follower.mirror
		for n := 1; n <= 4; n++ {
			s.Set(t, s.PersonDN(dirsrvtest.UID(n)), "title", "director")
			s.Delete(t, s.PersonDN(dirsrvtest.UID(n)))
		}
		if soon(t, follows, reads, 8); follows.follower.mirror != before {
			t.Error("everybody was read anew")
		}
	})
	// What has changed comes later than that something has: only then is there a sign of it.
	t.Run("slow", func(t *testing.T) {
		follows, reads, valve, signs := watching389(t, s, false)
		same(t, follows, reads, 8)
		before := follows.follower.mirror
		valve.Lock()
		s.Delete(t, s.PersonDN(dirsrvtest.UID(5)))
		quiet(t, signs, "before it is known what has changed")
		valve.Unlock()
		signed(t, signs)
		if soon(t, follows, reads, 7); follows.follower.mirror != before {
			t.Error("everybody was read anew")
		}
		for told := true; told; { // of groups, too, which the server mends
			select {
			case <-signs:
			case <-time.After(time.Second):
				told = false
			}
		}
		if _, err := follows.Renew(t.Context(), func(int) {}); err != nil {
			t.Fatal(err)
		}
		quiet(t, signs, "of a whole read")
	})
	// It brings nothing any more, and does not end: that is noticed.
	t.Run("dropped", func(t *testing.T) {
		follows, reads, valve, signs := watching389(t, s, true)
		same(t, follows, reads, 7)
		valve.Lock()
		defer valve.Unlock()
		s.Delete(t, s.PersonDN(dirsrvtest.UID(6)))
		for n := 7; n != 6; n = len(stateOf(t, follows, false).People) {
			signed(t, signs)
		}
		same(t, follows, reads, 6)
	})
	t.Run("as quick as they may be", func(t *testing.T) {
		outlasts(t, s, dirsrvtest.UID(7), func(timeout string) *source {
			follows, _ := following389(t, s, s.URL(), timeout)
			return follows
		})
	})
}
