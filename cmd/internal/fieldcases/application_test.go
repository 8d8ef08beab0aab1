package fieldcases

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// An application is a SCIM service that does as RFC 7644 says until a case injects an oddity.
type application struct {
	testing.TB
	*scimtest.Server
	store *scimtest.Fast
}

func newApplication(t testing.TB) *application {
	t.Helper()
	server, store := scimtest.StartFast(t, 0, scimtest.Quirks{})
	return &application{TB: t, Server: server, store: store}
}

// odd makes all requests of a method ("" for any) whose path holds a part behave in another way, until Clear.
func (a *application) odd(method, path string, trouble scimtest.Trouble) {
	a.Inject(scimtest.Fault{Method: method, Path: path, Trouble: trouble})
}

// accounts are all accounts by userName.
func (a *application) accounts() map[string]map[string]any { a.Helper(); return a.Users(a.TB) }

// account is the account of that userName, nil where there is none.
func (a *application) account(userName string) map[string]any {
	a.Helper()
	return a.accounts()[userName]
}

// id is the id of an account that has to exist.
func (a *application) id(userName string) string {
	a.Helper()
	id, ok := a.account(userName)["id"].(string)
	if !ok {
		a.Fatalf("%s has no account", userName)
	}
	return id
}

// active reports whether each of these has an account that is active.
func (a *application) active(userNames ...string) bool {
	a.Helper()
	accounts := a.accounts()
	return !slices.ContainsFunc(userNames, func(name string) bool { return accounts[name]["active"] != true })
}

// closed reports whether each of these has an account that is not active.
func (a *application) closed(userNames ...string) bool {
	a.Helper()
	accounts := a.accounts()
	return !slices.ContainsFunc(userNames,
		func(name string) bool { return accounts[name] == nil || accounts[name]["active"] != false })
}

// inactive are the userNames of all accounts that are not active.
func (a *application) inactive() []string {
	a.Helper()
	accounts := a.accounts()
	maps.DeleteFunc(accounts, func(_ string, doc map[string]any) bool { return doc["active"] != false })
	return slices.Sorted(maps.Keys(accounts))
}

// edit changes an account as the application's own administrator does; a new "id" in it replaces the old one.
func (a *application) edit(userName string, change func(doc map[string]any)) {
	a.Helper()
	doc := a.account(userName)
	if doc == nil {
		a.Fatalf("%s has no account", userName)
	}
	old := doc["id"].(string)
	change(doc)
	if doc["id"] != old {
		a.store.Remove(old)
	}
	a.store.Put(doc["id"].(string), doc)
}

// renumber gives every account a new id, as a restore or a migration does.
func (a *application) renumber() {
	a.Helper()
	for name := range a.accounts() {
		a.edit(name, func(doc map[string]any) { doc["id"] = "restored-" + doc["id"].(string) })
	}
}

// members are the userNames in a group.
func (a *application) members(group string) (names []string) {
	a.Helper()
	ids := a.Members(a.TB, group)
	for name, doc := range a.accounts() {
		if slices.Contains(ids, doc["id"].(string)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// requests are how many requests with that method and with all these parts in path, query or body arrived.
func (a *application) requests(method string, parts ...string) (n int) {
	for _, call := range a.Calls() {
		text := call.Path + "?" + call.Query + " " + call.Body
		missing := func(part string) bool { return !strings.Contains(text, part) }
		if call.Method == method && !slices.ContainsFunc(parts, missing) {
			n++
		}
	}
	return n
}

// scimError answers with RFC 7644's own error.
func scimError(status int, scimType, detail string) scimtest.Trouble {
	kind := ""
	if scimType != "" {
		kind = fmt.Sprintf(`,"scimType":%q`, scimType)
	}
	body := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"%d"%s,"detail":%q}`,
		status, kind, detail)
	return scimtest.Answer(status, body, "Content-Type", "application/scim+json")
}

// rewrite lets the application answer, and changes the body of what it answers.
func rewrite(change func(body string) string) scimtest.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write([]byte(change(rec.Body.String())))
	}
}
