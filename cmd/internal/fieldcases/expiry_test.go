//go:build unix

package fieldcases

// What the clock alone changes: nobody says a word when somebody's time is over, or begins.

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// expirySeconds is over how many seconds people's times end, or begin, in TestR13OnTheSecond…; 8 where it is not set.
// With it set, every single one of them has to come within a second; without, other tests share the machine, and one
// in twenty may take two.
const expirySeconds = "DIRSWEEP_EXPIRY_SECONDS"

// An appointment is when somebody's account is to be closed, or to be there.
type appointment struct {
	userName string
	at       time.Time
	comes    bool
}

// A stopwatch notes when an application was first told of each account.
type stopwatch struct {
	mu    sync.Mutex
	names map[string]string // by id
	seen  map[string]time.Time
}

// watch puts a stopwatch in front of an application: from then on it notes the first write of each account.
func watch(app *application) *stopwatch {
	w := &stopwatch{names: map[string]string{}, seen: map[string]time.Time{}}
	for name, doc := range app.accounts() {
		w.names[doc["id"].(string)] = name
	}
	app.Inject(scimtest.Fault{
		Match: func(r *http.Request) bool { return r.Method == http.MethodPatch || r.Method == http.MethodPost },
		Trouble: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(rw, r)
			w.note(r, string(body))
		},
	})
	return w
}

func (w *stopwatch) note(r *http.Request, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := w.names[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	if r.Method == http.MethodPost {
		_, rest, _ := strings.Cut(body, `"userName":"`)
		name, _, _ = strings.Cut(rest, `"`)
	}
	if _, before := w.seen[name]; !before {
		w.seen[name] = time.Now()
	}
}

// keep claims that each appointment was kept: not before its instant, and within a second after it, or after the daemon
// was back that was away then.
func (s *site) keep(list []appointment, w *stopwatch, away, back time.Time) {
	s.Helper()
	missing := func() (left []string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range list {
			if w.seen[a.userName].IsZero() {
				left = append(left, a.userName)
			}
		}
		return left
	}
	last := list[len(list)-1].at
	s.within(time.Until(last)+5*time.Second, func() bool { return len(missing()) == 0 })
	s.claim(len(missing()) == 0, "everybody was seen to; not so: %q", missing())
	var took []time.Duration
	early, whileAway := 0, 0
	for _, a := range list {
		from := a.at
		if a.at.After(away.Add(-time.Second)) && a.at.Before(back) {
			from, whileAway = back, whileAway+1
		}
		w.mu.Lock()
		seen := w.seen[a.userName]
		w.mu.Unlock()
		if seen.Before(a.at) {
			early++
		}
		took = append(took, seen.Sub(from))
	}
	slices.Sort(took)
	share := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
	s.Logf("%d appointments, %d of them while the daemon was away: P50 %s, P95 %s, worst %s",
		len(took), whileAway, share(50), share(95), share(100))
	s.claim(early == 0, "nobody is seen to before their time; %d were", early)
	limit := 2 * time.Second
	if os.Getenv(expirySeconds) != "" {
		limit = time.Second
	}
	s.claim(share(95) <= time.Second && share(100) <= limit,
		"each is kept within a second: P95 %s, worst %s", share(95), share(100))
}

// schedule spreads appointments over some seconds, from a little while ahead.
func schedule(count int, of func(i int) appointment) (list []appointment) {
	seconds, err := strconv.Atoi(os.Getenv(expirySeconds))
	if err != nil {
		seconds = 8
	}
	begin := time.Now().Add(5 * time.Second).Truncate(time.Second)
	for i := range count {
		a := of(i)
		later := time.Duration(i) * time.Duration(seconds) * time.Second / time.Duration(count)
		a.at = begin.Add(later).Truncate(time.Millisecond)
		list = append(list, a)
	}
	return list
}

// restart stops the daemon in the middle of the appointments and starts it again.
func (s *site) restart(d *daemon, list []appointment) (away, back time.Time) {
	s.Helper()
	time.Sleep(time.Until(list[len(list)/2].at))
	away = time.Now()
	d.stop()
	s.run()
	return away, time.Now()
}

// filetime is an instant as Active Directory writes it.
func filetime(at time.Time) string {
	return fmt.Sprint((at.Unix()+11_644_473_600)*10_000_000 + int64(at.Nanosecond()/100))
}

// TestR13OnTheSecondInOpenLDAP: 200 people leave by leave_date, or by accountExpires, and 20 come by enter_date, each at
// their own instant and within a second, without a word of the directory and through a restart.
func TestR13OnTheSecondInOpenLDAP(t *testing.T) {
	const leavers, joiners, others = 200, 20, 20
	never := func(i int) map[string][]string {
		attributes := map[string][]string{"objectClass": {"lockPerson"}}
		if i > leavers && i <= leavers+joiners {
			attributes["description"] = []string{"9999-12-31"}
		}
		return attributes
	}
	s := start(t, slapdtest.Options{People: leavers + joiners + others, Person: never})
	dates := []string{`attributes = ["leaveDate"]`, `leave_date = person.leaveDate`, `enter_date = person.description`}
	s.configure(wide, everyHour, s.source("corp", s.dir, dates...), s.target("app", s.app))
	s.settle()
	d := s.run()
	s.untilPushed()
	list := schedule(leavers+joiners, func(i int) appointment {
		// every eleventh comes: their times are among those of the leavers
		if i%11 == 10 {
			return appointment{userName: slapdtest.UID(leavers + 1 + i/11), comes: true}
		}
		return appointment{userName: slapdtest.UID(1 + i - i/11)}
	})
	s.dir.Edit(s, "make appointments", func(conn *ldap.Conn) error {
		for i, a := range list {
			change := ldap.NewModifyRequest(s.dir.PersonDN(a.userName), nil)
			switch {
			case a.comes:
				change.Replace("description", []string{a.at.Format(time.RFC3339Nano)})
			case i%2 == 0:
				change.Replace("leaveDate", []string{a.at.Format(time.RFC3339Nano)})
			default:
				change.Replace("accountExpires", []string{filetime(a.at)})
			}
			if err := conn.Modify(change); err != nil {
				return err
			}
		}
		return nil
	})
	s.claim(time.Now().Before(list[0].at), "the appointments were made in time")
	w := watch(s.app)
	s.claim(s.within(5*time.Second, func() bool { return s.says("status", "next by the clock", list[0].userName+" leaves") }),
		"status tells who is next")
	s.claim(s.says("explain "+list[20].userName, "by the clock"), "explain tells when it is their turn")
	away, back := s.restart(d, list)
	s.keep(list, w, away, back)
	for _, a := range list {
		s.claim(s.within(5*time.Second, func() bool { return s.app.active(a.userName) == a.comes }),
			"%s: active %t", a.userName, a.comes)
	}
	for i := range others {
		s.claim(s.app.active(slapdtest.UID(leavers+joiners+1+i)), "%s is as before", slapdtest.UID(leavers+joiners+1+i))
	}
}

// TestR13OnTheSecondInADomain: 200 accounts of a domain expire, each at its instant, without a word of the controller and
// through a restart; one that is extended at the last moment does not.
func TestR13OnTheSecondInADomain(t *testing.T) {
	const leavers, others = 200, 10
	s := start(t, slapdtest.Options{})
	domain := sambatest.Start(t, sambatest.Options{People: leavers + others})
	s.configure(wide, everyHour, domain.Block("corp"), fmt.Sprintf(`target "scim" "app" {
  url          = %q
  bearer_token = file("token")
  rate         = { per_second = 1000, parallel = 8 }
  account      = { userName = lower(person.sAMAccountName) }
}`, s.app.URL()))
	s.settle()
	d := s.run()
	s.untilPushed()
	list := schedule(leavers, func(i int) appointment { return appointment{userName: sambatest.UID(i + 1)} })
	domain.Edit(s, "make appointments", func(conn *ldap.Conn) error {
		for _, a := range list {
			change := ldap.NewModifyRequest(domain.PersonDN(a.userName), nil)
			change.Replace("accountExpires", []string{filetime(a.at)})
			if err := conn.Modify(change); err != nil {
				return err
			}
		}
		return nil
	})
	s.claim(time.Now().Before(list[0].at), "the appointments were made in time")
	w := watch(s.app)
	extended := list[len(list)-1]
	list = list[:len(list)-1]
	domain.Set(s, domain.PersonDN(extended.userName), "accountExpires", "0")
	away, back := s.restart(d, list)
	s.keep(list, w, away, back)
	s.claim(s.app.active(extended.userName), "who was extended is active")
	for i := range others {
		s.claim(s.app.active(sambatest.UID(leavers+1+i)), "%s is as before", sambatest.UID(leavers+1+i))
	}
}
