package fieldcases

// What is no proof that an account is closed, and whose account it is.

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A front without a backend says 404 to everything, in HTML.
func TestProxyNotFoundIsNoProof(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.odd("", "", scimtest.Answer(404, "<h1>404 Not Found</h1>nginx", "Content-Type", "text/html"))
	s.fire("bob")
	s.sync()
	s.claim(s.says("leavers", "bob"), "bob's case is open")
	s.app.Clear()
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed once the front is well")
	s.claim(s.app.active("alice", "carol"), "the others are active")
}

// One record answers the application's own 404, and the list shows the account.
func TestNotFoundThatTheListContradicts(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.odd("", "/Users/"+s.app.id("bob"), scimError(404, "", "not found"))
	s.fire("bob")
	code := s.sync()
	s.claim(code != 0 && s.says("leavers", "bob"), "bob's case is open, not exit %d", code)
	s.app.Clear()
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed once the record can be read")
}

// An honest 404: the account is gone, others are there. That closes the case.
func TestHonestNotFoundClosesTheCase(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.store.Remove(s.app.id("bob"))
	s.fire("bob")
	s.claim(s.sync() == 0, "the pass ends well")
	s.claim(!s.says("leavers", "bob"), "bob's case is closed")
}

// The application gave the leaver's id to a stranger.
func TestIDOfAStrangerIsNotClosed(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.stranger("bob", true)
	s.fire("bob")
	s.sync()
	s.claim(s.app.active("stranger"), "the stranger is active")
}

// stranger gives somebody's account, id included, to a person whom the directory does not know.
func (s *site) stranger(userName string, active bool) {
	s.Helper()
	s.app.edit(userName, func(doc map[string]any) {
		doc["userName"], doc["externalId"] = "stranger", "hand"
		doc["displayName"], doc["active"] = "Some Stranger", active
		doc["emails"] = []any{map[string]any{"value": "stranger@example.com", "primary": true}}
	})
}

// The leaver is long closed when the stranger gets the id: that is no drift.
func TestIDOfAStrangerIsNoDrift(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.fire("bob")
	s.settle()
	s.stranger("bob", true)
	s.sync()
	s.sync()
	s.claim(s.app.active("stranger"), "the stranger is active")
}

// The leaver's grace ends after a stranger got the id.
func TestIDOfAStrangerIsNotDeleted(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `leaver { delete_after = "30d" }`))
	s.settle()
	s.fire("bob")
	s.settle()
	s.stranger("bob", false)
	s.later(31 * 24 * time.Hour)
	s.sync()
	s.claim(s.app.account("stranger") != nil, "the stranger's account is there")
}

// later moves everybody's clock: dirsweep's, and the Date of the application's answers.
func (s *site) later(d time.Duration) {
	s.ahead += d
	s.app.odd("", "", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Date", time.Now().Add(s.ahead).UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// An account in grace that is still the leaver's is deleted when its time has come.
func TestGraceEndsInADelete(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `leaver { delete_after = "30d" }`))
	s.settle()
	s.fire("bob")
	s.settle()
	s.later(29 * 24 * time.Hour)
	s.sync()
	s.claim(s.app.closed("bob"), "bob's account is there after 29 days")
	s.later(2 * 24 * time.Hour)
	s.sync()
	s.sync()
	s.claim(s.app.account("bob") == nil, "bob's account is deleted after 31 days")
}

// Only dirsweep's own clock jumps: nothing is deleted on its word.
func TestClockThatJumpsDeletesNobody(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `leaver { delete_after = "30d" }`))
	s.settle()
	s.fire("bob", "carol")
	s.settle()
	s.ahead = 40 * 24 * time.Hour
	s.sync()
	s.claim(s.app.closed("bob", "carol"), "both accounts are still there")
}

// The person only changes, and the account of that id is a stranger's.
func TestAccountOfAStrangerIsNotRewritten(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.stranger("bob", true)
	s.set("bob", "cn", "Bob Changed")
	s.sync()
	s.claim(s.app.account("stranger")["displayName"] == "Some Stranger", "the stranger's account is as it was")
}

// Two accounts trade ids, as after a migration.
func TestAccountsThatTradeIDs(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	alice, bob := s.app.id("alice"), s.app.id("bob")
	s.app.edit("alice", func(doc map[string]any) { doc["id"] = "aside" })
	s.app.edit("bob", func(doc map[string]any) { doc["id"] = alice })
	s.app.edit("alice", func(doc map[string]any) { doc["id"] = bob })
	s.fire("bob")
	s.sync()
	s.claim(s.app.active("alice"), "alice is active")
	s.claim(s.app.closed("bob") || s.says("leavers", "bob"), "bob is closed, or his case is open")
	s.sync()
	s.claim(s.app.active("alice"), "alice is active after another pass")
}

// The account is deleted and made again with the same externalId, and the person leaves before any pass.
func TestAccountUnderANewID(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.edit("bob", func(doc map[string]any) { doc["id"] = "again-1" })
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob") || s.says("leavers", "bob"), "bob is closed, or his case is open")
}

// The same address is answered by an empty tenant for a while.
func TestEmptyTenantIsNotBelieved(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora", "emil", "finn")
	s.settle()
	kept := s.app.accounts()
	s.app.store.Empty()
	s.fire("bob")
	code := s.sync()
	s.claim(code != 0, "the pass does not end as if all were well")
	s.claim(len(s.app.accounts()) == 0, "nobody is made again in the wrong tenant")
	s.claim(s.says("leavers", "bob"), "bob's case is open")
	s.app.store.Empty()
	for _, doc := range kept {
		s.app.store.Put(doc["id"].(string), doc)
	}
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed when the right tenant is back")
	s.claim(s.app.active("alice", "carol", "dora", "emil", "finn") && !s.says("findings", "disputed"),
		"the others are linked as before")
}

// Groups never show their members: what was granted is taken away all the same.
func TestHiddenMembersAreTakenOut(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	group := s.group("wiki-users", "alice", "bob", "carol")
	there := s.app.AddGroup(t, "wiki-users")
	s.app.odd("GET", "/Groups", rewrite(func(body string) string {
		return regexp.MustCompile(`"members":\[[^\]]*\]`).ReplaceAllString(body, `"members":[]`)
	}))
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, wikiGroups))
	s.sync()
	before := s.app.Writes()
	s.sync()
	s.claim(s.app.Writes() == before, "what was granted is not granted again")
	s.dir.Leave(t, group, s.dir.PersonDN("alice"))
	s.fire("bob")
	s.sync()
	members := s.app.members(there)
	s.claim(!slices.Contains(members, "alice"), "alice, a mover, is out of the group")
	s.claim(!slices.Contains(members, "bob") && s.app.closed("bob"), "bob, a leaver, is closed and out of the group")
	s.claim(slices.Contains(members, "carol"), "carol is in the group")
}

// Somebody enables the account while its entitlements are taken away.
func TestStripIsNoProofOfClosing(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.group("wiki-users", "alice", "bob")
	s.app.AddGroup(t, "wiki-users")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, wikiGroups))
	s.settle()
	bob := s.app.id("bob")
	enable := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		s.app.Patch(t, "/Users/"+bob, "replace", "active", true)
	}
	s.app.Inject(scimtest.Fault{Method: "PATCH", Path: "/Groups", Times: 1, Trouble: enable})
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob") || s.says("leavers", "bob"), "bob is closed, or his case is open")
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed after another pass")
}

// An emergency: the account is there, but the application was down when it would have been linked.
func TestSweepFindsUnlinkedAccounts(t *testing.T) {
	s := company(t, "alice", "bob")
	s.app.AddUser(t, "bob", nil)
	s.app.odd("", "", scimtest.Answer(503, "later"))
	s.sync()
	s.app.Clear()
	code, _ := s.dirsweep("sweep", "bob", "--reason", "field case")
	s.claim(s.app.closed("bob") || code == 4, "bob is closed, or the sweep says that he is not; exit %d", code)
}

// An emergency without history: nothing was ever read or linked.
func TestSweepWithoutHistory(t *testing.T) {
	s := company(t, "alice", "bob")
	s.app.AddUser(t, "bob", nil)
	code, _ := s.dirsweep("sweep", "bob", "--reason", "field case")
	s.claim(s.app.closed("bob") || code == 4, "bob is closed, or the sweep says that he is not; exit %d", code)
}

// An emergency: the only account of that login bears somebody else's externalId.
func TestSweepNamesDisputedAccounts(t *testing.T) {
	s := company(t, "alice", "bob")
	s.app.AddUser(t, "bob", map[string]any{"externalId": "hand"})
	s.sync()
	code, _ := s.dirsweep("sweep", "bob", "--reason", "field case")
	s.claim(s.app.closed("bob") || code == 4, "bob is closed, or the sweep says that he is not; exit %d", code)
}

// The application is restored after a leaver's account was deleted for good.
func TestBackFromTheDead(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `leaver { action = "delete" }`))
	s.settle()
	kept := s.app.account("bob")
	s.fire("bob")
	s.settle()
	s.claim(s.app.account("bob") == nil, "bob's account is deleted")
	kept["id"] = "restored-1"
	s.app.store.Put("restored-1", kept)
	s.sync()
	s.sync()
	s.claim(!s.app.active("bob"), "bob's account is closed again")
}

// The same, where the leaver's account was only disabled and somebody deletes it before the restore.
func TestDisabledAndBackUnderANewID(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.fire("bob")
	s.settle()
	s.app.edit("bob", func(doc map[string]any) { doc["id"], doc["active"] = "restored-1", true })
	s.sync()
	s.sync()
	s.claim(s.app.closed("bob"), "bob's account is closed again")
}

// Who leaves is closed, and the evidence verifies: the ordinary day.
func TestOrdinaryLeaver(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.fire("bob")
	s.claim(s.sync() == 0 && s.app.closed("bob"), "bob is closed")
	_, evidence := s.dirsweep("evidence", "bob")
	s.claim(strings.Contains(evidence, "bob"), "there is evidence")
	code, _ := s.dirsweep("audit", "verify")
	s.claim(code == 0, "the trail verifies")
}
