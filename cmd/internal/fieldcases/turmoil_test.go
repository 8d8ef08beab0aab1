package fieldcases

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// TestPushedTurmoil: people are hired, leave, come back and change places faster than passes go, so that passes overlap
// with each other and with the closing of accounts. Once it is quiet, exactly those have an account who should: nothing is
// lost between two passes, and nothing waits for the clock. DIRSWEEP_SEED plays others.
func TestPushedTurmoil(t *testing.T) {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("DIRSWEEP_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	const people, others = 6, 60 // so many that no limit holds anybody
	s := open(t, slapdtest.Options{})
	s.app.odd("", "", func(answer http.ResponseWriter, request *http.Request, next http.Handler) {
		time.Sleep(rand.N(40 * time.Millisecond))
		next.ServeHTTP(answer, request)
	})
	w := &turmoil{site: s, r: rand.New(rand.NewPCG(seed, 0)), people: make([]worker, people)}
	var members []string
	for n := range people {
		members = append(members, w.hire(n))
	}
	for n := range others {
		members = append(members, s.hire(fmt.Sprint("other", n), "employeeNumber", fmt.Sprint(100+n)))
	}
	w.staff = s.dir.AddGroup(t, "staff", members...)
	s.configure(wide, everyHour, s.source("corp", s.dir, "rehire = person.employeeNumber"),
		s.target("app", s.app, `scope = member_of("staff")`))
	s.settle()
	s.run()
	s.untilPushed()
	var did []string
	for range 60 {
		did = append(did, w.happen(w.r.IntN(people)))
		time.Sleep(time.Duration(w.r.ExpFloat64() * float64(40*time.Millisecond)))
	}
	s.Log(did)
	right := func() bool { return slices.Equal(w.active(), w.wanted()) }
	stays := func() bool { return right() && !s.within(2*time.Second, func() bool { return !right() }) }
	s.claim(s.within(30*time.Second, stays), "active are %v, and should be %v", w.active(), w.wanted())
	s.claim(s.says("findings", "No findings"), "nobody is disputed")
}

// Turmoil is a company in which much happens at once.
type turmoil struct {
	*site
	r      *rand.Rand
	people []worker
	staff  string
}

// A worker is one of its people.
type worker struct {
	dn             string // "" while they have no entry
	member, locked bool
}

func login(n int) string { return fmt.Sprint("p", n) }

// hire adds the entry of a person, under an anchor of its own.
func (w *turmoil) hire(n int) string {
	w.people[n] = worker{dn: w.site.hire(login(n), "employeeNumber", fmt.Sprint(n)), member: true}
	return w.people[n].dn
}

// happen has something happen to a person.
func (w *turmoil) happen(n int) string {
	p := &w.people[n]
	switch what := w.r.IntN(4); {
	case p.dn == "":
		w.dir.Join(w, w.staff, w.hire(n))
		return login(n) + " hired"
	case what == 0:
		w.dir.Delete(w, p.dn)
		p.dn = ""
		return login(n) + " deleted"
	case what == 1 && p.locked:
		w.dir.Enable(w, p.dn)
		p.locked = false
		return login(n) + " unlocked"
	case what == 1:
		w.dir.Disable(w, p.dn)
		p.locked = true
		return login(n) + " locked"
	case p.member:
		w.dir.Leave(w, w.staff, p.dn)
		p.member = false
		return login(n) + " out"
	default:
		w.dir.Join(w, w.staff, p.dn)
		p.member = true
		return login(n) + " in"
	}
}

// wanted are the logins of those who should have an account, sorted.
func (w *turmoil) wanted() (list []string) {
	for n, p := range w.people {
		if p.dn != "" && p.member && !p.locked {
			list = append(list, login(n))
		}
	}
	return list
}

// active are those who have one, of the same people.
func (w *turmoil) active() (list []string) {
	accounts := w.app.accounts()
	for n := range w.people {
		if accounts[login(n)]["active"] == true {
			list = append(list, login(n))
		}
	}
	return list
}
