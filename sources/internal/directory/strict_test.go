//go:build unix

package directory

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// The limits of a domain controller that nobody has changed (MS-ADTS 3.1.1.3.4.6): Samba keeps neither.
const (
	maxPageSize = 1000 // entries, of a page and of a search without pages
	maxValRange = 1500 // values of one attribute
)

// A strict controller keeps a domain controller's limits. It has people, and one group of all of them.
type strict struct {
	mu      sync.Mutex
	objects []*object
	update  atomic.Int64 // the number of the last one
	pages   int          // of the longest answer to a question for changes
}

// An object of a strict controller is a person, or the group where it has members.
type object struct {
	dn, id  string
	title   string
	members []string
	update  int64
	deleted bool
}

const strictGroup = "cn=g,ou=groups,dc=example,dc=org"

// strictDomain makes a controller of so many people.
func strictDomain(people int) *strict {
	s := &strict{}
	s.update.Store(900)
	group := &object{dn: strictGroup, id: fmt.Sprintf("%016d", 0), update: 1}
	for n := 1; n <= people; n++ {
		dn := fmt.Sprintf("cn=p%d,ou=people,dc=example,dc=org", n)
		s.objects = append(s.objects, &object{dn: dn, id: fmt.Sprintf("%016d", n), update: 1})
		group.members = append(group.members, dn)
	}
	s.objects = append(s.objects, group)
	return s
}

func (s *strict) start(t testing.TB) string {
	return controller(&fake{people: s.search, entry: s.read}, &s.update).start(t)
}

// change does something to the people of the numbers from to to, an update each, and to the group.
func (s *strict) change(from, to int, do func(o *object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := s.objects[len(s.objects)-1]
	gone := map[string]bool{}
	for _, o := range s.objects[from-1 : to] {
		do(o)
		o.update = s.update.Add(1)
		gone[o.dn] = o.deleted
	}
	before := len(group.members)
	group.members = slices.DeleteFunc(group.members, func(dn string) bool { return gone[dn] })
	if len(group.members) < before {
		group.update = s.update.Add(1)
	}
}

// search answers a search that may find many: no more of them than a page, and without pages an error where there are
// more (MS-ADTS 3.1.1.3.1.3.1).
func (s *strict) search(w *answer, q asked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*object
	for _, o := range s.objects {
		if o.fits(q) {
			found = append(found, o)
		}
	}
	size := maxPageSize
	if q.paged {
		size = min(size, q.size)
	}
	from, _ := strconv.Atoi(q.cookie)
	to := min(from+size, len(found))
	for _, o := range found[from:to] {
		o.send(w, 0)
	}
	switch {
	case !q.paged && to < len(found):
		w.done(ldap.LDAPResultSizeLimitExceeded)
	case to < len(found):
		w.page(strconv.Itoa(to))
	default:
		w.page("")
	}
	if strings.Contains(q.filter, "uSNChanged") {
		s.pages = max(s.pages, 1+from/size)
	}
}

// fits knows the filters that a source asks a domain controller with.
func (o *object) fits(q asked) bool {
	person := len(o.members) == 0
	if _, since, asks := strings.Cut(q.filter, "uSNChanged>="); asks {
		first, _ := strconv.ParseInt(strings.TrimRight(since, ")"), 10, 64)
		return o.update >= first
	}
	_, which, one := strings.Cut(q.filter, "(objectGUID=")
	return !o.deleted && ldapclient.Within(o.dn, q.base) &&
		person == strings.Contains(q.filter, "(objectCategory=person)") &&
		(!one || strings.HasPrefix(which, "*)") || strings.Contains(q.filter, "(objectGUID="+o.id+")")) &&
		(!strings.Contains(q.filter, "(member=") || slices.ContainsFunc(o.members, func(dn string) bool {
			return strings.Contains(q.filter, "(member="+dn+")")
		}))
}

// send writes an object, with a range of its members where those are many.
func (o *object) send(w *answer, from int) {
	pairs := []string{"objectGUID", o.id}
	switch {
	case o.deleted:
		w.entry(o.dn, append(pairs, "isDeleted", "TRUE")...)
		return
	case len(o.members) == 0:
		if o.title != "" {
			pairs = append(pairs, "title", o.title)
		}
		w.entry(o.dn, append(pairs, "sAMAccountName", o.id, "userAccountControl", "512")...)
		return
	}
	to, name := min(from+maxValRange, len(o.members)), "member"
	if last := strconv.Itoa(to - 1); to < len(o.members) {
		name += fmt.Sprintf(";range=%d-%s", from, last)
	} else if from > 0 {
		name += fmt.Sprintf(";range=%d-*", from)
	}
	w.values(o.dn, name, o.members[from:to], append(pairs, "cn", "g")...)
}

// read answers a search for one entry.
func (s *strict) read(w *answer, q asked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		if o.dn == q.base {
			var from int
			if _, option, ranged := strings.Cut(q.attributes[0], ";"); ranged {
				_, _ = fmt.Sscanf(option, "range=%d-*", &from)
			}
			o.send(w, from)
			w.done(0)
			return
		}
	}
	w.entry(q.base, "objectGUID", fmt.Sprintf("%-16.16s", q.base))
	w.done(0)
}

// openStrict opens a source that follows a strict controller, and one that reads everything each time.
func openStrict(t *testing.T, url string, lines ...string) (follows, reads *source) {
	t.Helper()
	return openBoth(t, domainBlock(url, append(lines, `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...))
}

// TestR02APageIsAsLongAsTheServerLikes: a domain controller gives 1,000 entries a page, however many were asked for,
// and without pages the first 1,000 and an error.
func TestR02APageIsAsLongAsTheServerLikes(t *testing.T) {
	for _, people := range []int{1000, 1001, 2500} {
		url := strictDomain(people).start(t)
		for _, size := range []int{500, 1000, 5000} {
			follows, reads := openStrict(t, url, fmt.Sprintf("page_size = %d", size))
			same(t, follows, reads, people)
			if follows.follower.mirror == nil {
				t.Errorf("%d people, %d a page: not followed, %s", people, size, follows.follower.why)
			}
		}
		src := open(t, sources.Need{}, domainBlock(url, "page_size = 0")...)
		all, _, err := everyone(t, src)
		if people <= maxPageSize && (err != nil || len(all) != people) ||
			people > maxPageSize && (!errors.Is(err, sources.ErrIncomplete) || len(all) > 0) {
			t.Errorf("%d people without pages: %d, %v", people, len(all), err)
		}
	}
}

// TestR02AGroupOfAnySize: a domain controller gives 1,500 members of a group at a time, and none of the others is
// missed, whether the group is read for the first time or because it has changed.
func TestR02AGroupOfAnySize(t *testing.T) {
	for _, members := range []int{1499, 1500, 1501, 13_000} {
		domain := strictDomain(members)
		follows, reads := openStrict(t, domain.start(t))
		want := func(members int) {
			t.Helper()
			for _, src := range []*source{follows, reads} {
				found := stateOf(t, src, false)
				in := 0
				for _, p := range found.People {
					in += len(p.Groups)
				}
				groups := found.Facts.Groups
				if in != members || len(groups) != 1 || groups[0].Values != members || groups[0].People != members {
					t.Errorf("%d of %d members: %+v", in, members, groups)
				}
			}
		}
		want(members)
		before := follows.follower.mirror
		domain.change(2, 2, func(o *object) { o.deleted = true })
		want(members - 1)
		if before == nil || follows.follower.mirror != before {
			t.Error("everybody was read anew")
		}
	}
}

// TestManyChangesComeInPages: more has changed than a domain controller tells at once.
func TestManyChangesComeInPages(t *testing.T) {
	domain := strictDomain(1700)
	follows, reads := openStrict(t, domain.start(t))
	same(t, follows, reads, 1700)
	before := follows.follower.mirror
	domain.change(1, 500, func(o *object) { o.deleted = true })
	domain.change(600, 1400, func(o *object) { o.title = "director" })
	same(t, follows, reads, 1200)
	if follows.follower.mirror != before || domain.pages != 2 {
		t.Errorf("everybody was read anew: %t; the changes came in %d pages", follows.follower.mirror != before, domain.pages)
	}
}
