//go:build unix

package directory

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// controller makes a domain controller of a fake: number is its last update number.
func controller(f *fake, number *atomic.Int64) *fake {
	f.dse = []string{
		"supportedCapabilities", ldapclient.ActiveDirectoryCapability, "dsServiceName", "cn=NTDS Settings,cn=dc1,dc=example,dc=org",
		"namingContexts", "dc=example,dc=org",
	}
	f.usn = func() string { return strconv.FormatInt(number.Load(), 10) }
	entry := f.entry
	f.entry = func(w *answer, q asked) {
		switch {
		case strings.HasPrefix(q.base, "cn=NTDS"):
			w.entry(q.base, "invocationId", "\x01\x02\x03\x04")
		case entry != nil && !strings.HasPrefix(q.base, "<WKGUID="):
			entry(w, q)
			return
		default:
			w.entry(q.base, "isDeleted", "TRUE", "objectGUID", fmt.Sprintf("%-16.16s", q.base))
		}
		w.done(0)
	}
	return f
}

// domainBlock is the block of a source that reads it.
func domainBlock(url string, lines ...string) []string {
	return append([]string{
		`url = "` + url + `"`, `bind_dn = "cn=svc,dc=example,dc=org"`, `bind_password = "x"`,
		`base_dn = "ou=people,dc=example,dc=org"`, `anchor = "objectGUID"`,
	}, lines...)
}

// TestLatestOfAGroupInRanges: a domain controller hands the members of a large group out a range at a time, and the
// domain is followed all the same, also when the group changes.
func TestLatestOfAGroupInRanges(t *testing.T) {
	const members = 5
	var number atomic.Int64
	number.Store(900)
	const group, person = "cn=g,ou=groups,dc=example,dc=org", "cn=p%d,ou=people,dc=example,dc=org"
	id := func(n int) string { return fmt.Sprintf("%016d", 100+n) }
	still := func() int { // members of the group
		if number.Load() > 900 {
			return members - 1
		}
		return members
	}
	ranged := func(w *answer, from int) {
		to, last := min(from+2, still()), "*"
		if to < still() {
			last = strconv.Itoa(to - 1)
		}
		var values []string
		for n := from; n < to; n++ {
			values = append(values, fmt.Sprintf(person, n))
		}
		w.values(group, fmt.Sprintf("member;range=%d-%s", from, last), values, "objectGUID", id(99), "cn", "g")
	}
	dc := controller(&fake{
		people: func(w *answer, q asked) {
			switch {
			case strings.Contains(q.filter, "uSNChanged>=901"):
				w.entry(group, "objectGUID", id(99))
			case strings.HasPrefix(q.base, "ou=groups"):
				ranged(w, 0)
			case !strings.Contains(q.filter, "objectGUID="):
				for n := range members {
					w.entry(fmt.Sprintf(person, n), "objectGUID", id(n), "sAMAccountName", fmt.Sprint("p", n),
						"userAccountControl", "512")
				}
			}
			w.page("")
		},
		entry: func(w *answer, q asked) {
			var from int
			if _, option, _ := strings.Cut(q.attributes[0], ";"); option != "" {
				_, _ = fmt.Sscanf(option, "range=%d-*", &from)
				ranged(w, from)
			} else {
				w.entry(q.base, "objectGUID", fmt.Sprintf("%-16.16s", q.base))
			}
			w.done(0)
		},
	}, &number)
	src := open(t, sources.Need{Groups: true, Follow: true, Scratch: t.TempDir()},
		domainBlock(dc.start(t), `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	inGroup := func() (n int) {
		for _, p := range stateOf(t, src, false).People {
			n += len(p.Groups)
		}
		return n
	}
	if n := inGroup(); n != members || src.follower.mirror == nil {
		t.Fatalf("%d of %d are in the group; %s", n, members, src.follower.why)
	}
	before := src.follower.mirror
	number.Add(1)
	if n := inGroup(); n != members-1 || src.follower.mirror != before {
		t.Errorf("%d of %d are in the group, read anew %v", n, members-1, src.follower.mirror != before)
	}
}

// TestLatestGivesUpFollowing: where nobody can tell what has changed, however often everything is copied, everybody is read.
func TestLatestGivesUpFollowing(t *testing.T) {
	var number, copies atomic.Int64
	dc := controller(&fake{people: func(w *answer, q asked) {
		if strings.Contains(q.filter, "uSNChanged") {
			w.entry("cn=somebody,dc=example,dc=org") // nobody knows who
		} else {
			copies.Add(1)
			w.entry("cn=p,ou=people,dc=example,dc=org", "objectGUID", "0123456789abcdef", "sAMAccountName", "p", "userAccountControl", "512")
		}
		number.Add(1)
		w.page("")
	}}, &number)
	src := open(t, sources.Need{Follow: true, Scratch: t.TempDir()}, domainBlock(dc.start(t))...)
	for read := range 2 {
		if people := stateOf(t, src, false).People; len(people) != 1 {
			t.Errorf("read %d: %d people", read, len(people))
		}
	}
	if n := copies.Load(); n > 4 {
		t.Errorf("read %d times", n)
	}
}

// TestWatchSeesTheFirstUpdate: what a domain controller changes first after it is watched is a sign, also where that is
// one update only; and where nothing changes there is no sign.
func TestWatchSeesTheFirstUpdate(t *testing.T) {
	var number, questions atomic.Int64
	number.Store(900)
	dc := controller(&fake{}, &number)
	usn := dc.usn
	dc.usn = func() string {
		questions.Add(1)
		return usn()
	}
	src := open(t, sources.Need{}, domainBlock(dc.start(t))...)
	signs := make(chan sources.Sign, 100)
	go src.Watch(t.Context(), func(s sources.Sign) { signs <- s })
	next := func(within time.Duration) bool {
		select {
		case s := <-signs:
			if !s.Pushing {
				t.Fatal(s.Why)
			}
			return true
		case <-time.After(within):
			return false
		}
	}
	if !next(10 * time.Second) {
		t.Fatal("it does not begin")
	}
	for change := range 2 {
		number.Add(1)
		if !next(10 * time.Second) {
			t.Fatalf("change %d is no sign", change)
		}
		before := questions.Load()
		for questions.Load() < before+2 {
			if next(10 * time.Millisecond) {
				t.Fatal("a sign of nothing")
			}
		}
	}
}

// TestAControllerNotifies: what a domain controller tells by itself is a sign, without waiting until it is asked.
func TestAControllerNotifies(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 3})
	src, _ := followingDomain(t, s)
	src.poll = time.Hour
	signs := make(chan sources.Sign, 100)
	watching, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		src.Watch(watching, func(s sources.Sign) { signs <- s })
	}()
	if sign := <-signs; !sign.Pushing {
		t.Fatal(sign.Why)
	}
	for what, change := range map[string]func(){
		"an edit":    func() { s.Set(t, s.PersonDN(sambatest.UID(1)), "title", "director") },
		"a deletion": func() { s.Delete(t, s.PersonDN(sambatest.UID(2))) },
	} {
		change()
		began := time.Now()
		select {
		case sign := <-signs: // Samba takes some five seconds
			if !sign.Pushing {
				t.Fatal(sign.Why)
			}
			t.Logf("%s: a sign after %s", what, time.Since(began))
		case <-time.After(30 * time.Second):
			t.Errorf("%s is no sign", what)
		}
	}
	stop()
	<-ended
}
