package reconcile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// known is what the state has of somebody of the company, by login: their record, their link, their case, and the
// tombstone of their account.
type known struct{ Person, Link, Case, Tombstone bool }

func (l *lab) known(login string) (k known) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for p, err := range r.People("corp") {
			if err != nil {
				return err
			}
			k.Person = k.Person || p.Name == login
		}
		for link, err := range r.Links("wiki") {
			if err != nil {
				return err
			}
			k.Link = k.Link || link.UserName == login
		}
		for c, err := range r.Cases() {
			if err != nil {
				return err
			}
			k.Case = k.Case || c.Name == login
		}
		for tomb, err := range r.Tombstones() {
			if err != nil {
				return err
			}
			k.Tombstone = k.Tombstone || tomb.UserName == login
		}
		return nil
	}))
	return k
}

// TestR18WhoLeftIsForgotten: what the state has of people who left goes when nothing needs it, and not before.
func TestR18WhoLeftIsForgotten(t *testing.T) {
	without, closed, tidied := slapdtest.UID(1), slapdtest.UID(2), slapdtest.UID(3)
	l, dir, app := company(t, 40, `scope = person.uid != "`+without+`"`, nil)
	check := func(when, who string, want known) {
		t.Helper()
		if got := l.known(who); got != want {
			t.Errorf("%s the state has of %s: %+v, want %+v", when, who, got, want)
		}
	}
	forget := func(before time.Time) {
		t.Helper()
		books := sweep.Books{Ledger: l.ledger, Trail: l.trail}
		l.must(books.Forget(t.Context(), before))
		l.full()
	}
	ahead := time.Duration(0)
	l.now = func() time.Time { return time.Now().Add(ahead) }
	aDayLater := func() {
		t.Helper()
		ahead += 25 * time.Hour
		l.full()
	}
	remove := func(who string) {
		t.Helper()
		path := "/Users/" + app.Users(t)[who]["id"].(string)
		if status, _ := app.Raw(t, http.MethodDelete, path, nil); status != http.StatusNoContent {
			t.Fatalf("delete: %d", status)
		}
	}
	enabled := func(who string) { // by hand, and closed again
		t.Helper()
		app.Patch(t, "/Users/"+app.Users(t)[who]["id"].(string), "replace", "active", true)
		if report := l.full(); app.Users(t)[who]["active"] != false || len(findings(report, "drift")) != 1 {
			t.Errorf("enabled again by hand: %v, findings %+v", app.Users(t)[who], report.Findings)
		}
	}
	check("while they are there,", without, known{Person: true})

	for _, who := range []string{without, closed, tidied} {
		dir.Delete(t, dir.PersonDN(who))
	}
	l.full()
	check("as long as one read lacks them,", without, known{Person: true})
	aDayLater()
	check("once they had no account,", without, known{})
	check("once closed,", closed, known{Person: true, Link: true, Case: true})

	// The application deletes a disabled account: the next listing lacks it, and it is known again should it come back.
	doc := app.Users(t)[tidied]
	remove(tidied)
	l.full()
	check("once the account was deleted by hand,", tidied, known{Person: true, Case: true, Tombstone: true})
	app.AddUser(t, tidied, map[string]any{"externalId": doc["externalId"], "active": true})
	if report := l.full(); app.Users(t)[tidied]["active"] != false || len(findings(report, "drift")) != 1 {
		t.Errorf("back from the dead: %v, findings %+v", app.Users(t)[tidied], report.Findings)
	}

	// Kept long enough, the case is forgotten; the link stays as long as the account is there, and does its work.
	l.must(l.ledger.Update(t.Context(), func(w *state.Writer) error { return unwatched(w) }))
	forget(l.now().Add(-48 * time.Hour))
	check("before it was kept long enough,", closed, known{Person: true, Link: true, Case: true})
	forget(l.now())
	check("after it was kept long enough,", closed, known{Person: true, Link: true})
	enabled(closed)
	check("once enabled by hand,", closed, known{Person: true, Link: true, Case: true})

	l.must(l.ledger.Update(t.Context(), func(w *state.Writer) error { return unwatched(w) }))
	remove(closed)
	l.full()
	forget(l.now())
	aDayLater()
	check("after all,", closed, known{})
	if findings := l.findings(); len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}
}

// TestR08AClosedAccountIsBuriedOnlyOnceItIsGone: a listing that lacks a closed account is no proof.
func TestR08AClosedAccountIsBuriedOnlyOnceItIsGone(t *testing.T) {
	who := slapdtest.UID(1)
	l, dir, app := company(t, 40, "", nil)
	dir.Delete(t, dir.PersonDN(who))
	l.full()
	app.Inject(scimtest.Fault{
		Method: http.MethodGet,
		Match: func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/Users") && r.URL.Query().Get("filter") == ""
		},
		Trouble: unlisted(who),
	})
	l.full()
	if got, want := l.known(who), (known{Person: true, Link: true, Case: true}); got != want {
		t.Errorf("unlisted and there, the state has of it %+v, want %+v", got, want)
	}
}

// unlisted leaves an account out of a listing.
func unlisted(userName string) scimtest.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var doc map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			panic(err) // it is what the application answers
		}
		list, _ := doc["Resources"].([]any)
		left := slices.DeleteFunc(slices.Clone(list), func(a any) bool { return a.(map[string]any)["userName"] == userName })
		total, _ := doc["totalResults"].(float64)
		doc["Resources"], doc["itemsPerPage"], doc["totalResults"] = left, len(left), int(total)-1
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		_ = json.NewEncoder(w).Encode(doc)
	}
}

// unwatched ends the looks at closed accounts, as a month does.
func unwatched(w *state.Writer) error {
	list, err := state.Collect(w.Cases())
	if err != nil {
		return err
	}
	for _, c := range list {
		for i := range c.Steps {
			c.Steps[i].Next = time.Time{}
		}
		if err := w.PutCase(c); err != nil {
			return err
		}
	}
	return nil
}
