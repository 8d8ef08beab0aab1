//go:build unix

package ldap

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// following opens a source that follows s, and one that reads everything each time.
func following(t *testing.T, s *slapdtest.Server) (follows, reads *source) {
	t.Helper()
	need := sources.Need{Attributes: []string{"cn", "mail", "title", "uid"}, Groups: true}
	block := as(s, s.ReaderDN(), `groups { base_dn = "ou=groups,dc=example,dc=org" }`, `filter = "(objectClass=inetOrgPerson)"`)
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

func stateOf(t *testing.T, s *source, whole bool) readState {
	t.Helper()
	seq, facts := sources.Read(t.Context(), s, whole)
	people, personal, err := gather(seq)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(people, func(a, b identity.Person) int { return strings.Compare(a.DN, b.DN) })
	found := readState{People: people, Facts: *facts}
	for _, p := range personal {
		found.Personal = append(found.Personal, p.Error())
	}
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
	w := &wild{t: t, s: s, r: rand.New(rand.NewPCG(seed(t), 2))}
	w.units = []string{s.PeopleDN()}
	for _, name := range []string{"sales", "labs", "field"} {
		w.units = append(w.units, s.AddUnit(t, name, w.units[w.r.IntN(len(w.units))]))
	}
	follows, reads := following(t, s)
	stateOf(t, follows, false)
	followed := follows.follower.mirror
	if followed == nil {
		t.Fatal("the server is not followed")
	}
	for i := range 150 {
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
	t     *testing.T
	s     *slapdtest.Server
	r     *rand.Rand
	units []string
	n     int
}

func (w *wild) pick(list []string) string { return list[w.r.IntN(len(list))] }

func (w *wild) names(base, class string) (list []string) { return w.s.Names(w.t, base, class) }

func (w *wild) do() string {
	t, s := w.t, w.s
	person := func() string { return w.pick(w.names(s.PeopleDN(), "inetOrgPerson")) }
	group := func() string { return w.pick(w.names(s.GroupsDN(), "groupOfNames")) }
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
		return "rename " + dn + " to " + s.Rename(t, dn, fmt.Sprintf("uid=other%d", w.n))
	case 5:
		dn := person()
		return "move " + dn + " to " + s.Move(t, dn, w.pick(w.units))
	case 6:
		dn := person()
		return "move out " + dn + " to " + s.Move(t, dn, s.FormerDN())
	case 7:
		former := w.names(s.FormerDN(), "inetOrgPerson")
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
		old := w.units[i]
		if within(to, old) || sameDN(identity.ParentDN(old), to) {
			return "nothing"
		}
		now := s.Move(t, old, to)
		for j, unit := range w.units {
			if within(unit, old) {
				w.units[j] = strings.TrimSuffix(unit, old) + now
			}
		}
		return "move " + old + " to " + now
	}
}
