package fieldcases

// Trouble stays where it is: with one account, one attribute, one request, one target.

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// One account may be neither read nor written. The other leavers are closed all the same, though it is first in the
// queue.
func TestForbiddenAccountHoldsNobodyElseUp(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora", "emil", "finn")
	s.configure(wide, s.source("corp", s.dir),
		strings.Replace(s.target("app", s.app), "parallel = 8", "parallel = 1", 1))
	s.settle()
	s.app.odd("", "/Users/"+s.app.id("alice"), scimError(403, "", "this record is not yours"))
	s.fire("alice")
	s.sync()
	s.fire("bob", "carol", "dora", "emil")
	code := s.sync()
	s.claim(s.app.closed("bob", "carol", "dora", "emil"),
		"the four others are closed, inactive are %v", s.app.inactive())
	s.claim(code == 4 && s.says("leavers", "alice"), "alice's case is open; exit %d", code)
}

// dirsweep dies amid a change, and the account of it cannot be looked at afterwards: only that account waits.
func TestUnsettledChangeHoldsNobodyElseUp(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	bob := "/Users/" + s.app.id("bob")
	s.app.odd("PATCH", bob, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
	s.set("bob", "cn", "Bob Changed")
	cmd := s.command(new(strings.Builder), "sync")
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	sent := s.within(30*time.Second, func() bool { return s.app.requests("PATCH", bob) > 0 })
	if err := cmd.Process.Kill(); err != nil || !sent {
		s.Fatalf("killed amid the change: %v, sent %v", err, sent)
	}
	_ = cmd.Wait()
	s.app.Clear()
	s.app.odd("", bob, scimError(403, "", "this record is not yours"))
	s.hire("dora")
	s.fire("alice")
	s.sync()
	s.sync()
	s.claim(s.app.account("dora") != nil, "dora, who joined, has an account")
	s.claim(s.app.closed("alice"), "alice, who left, is closed")
}

// A single read is answered 503 once.
func TestOneFailedReadIsRepeated(t *testing.T) {
	s := company(t, "alice", "bob")
	s.settle()
	s.hire("dora")
	s.fire("bob")
	s.app.Inject(scimtest.Fault{Method: "GET", Path: "/Users", Times: 1, Trouble: scimtest.Answer(503, "a moment")})
	s.claim(s.sync() == 0 && s.app.active("dora") && s.app.closed("bob"),
		"dora has an account and bob is closed in one pass")
}

// One look at an account is answered 503 once.
func TestOneFailedLookIsRepeated(t *testing.T) {
	s := company(t, "alice", "bob")
	s.settle()
	s.fire("bob")
	s.app.Inject(scimtest.Fault{
		Method: "GET", Path: "/Users/" + s.app.id("bob"), Times: 1,
		Trouble: scimtest.Answer(503, "a moment"),
	})
	s.claim(s.sync() == 0 && s.app.closed("bob"), "bob is closed in one pass")
}

// "Retry-After: 600" is kept by the next process, too.
func TestPauseOutlivesTheProcess(t *testing.T) {
	s := company(t, "alice", "bob")
	s.settle()
	s.hire("dora")
	s.app.Inject(scimtest.Fault{Method: "POST", Trouble: scimtest.Answer(429, "slow down", "Retry-After", "600")})
	s.sync()
	before := s.app.requests("POST")
	s.sync()
	s.sync()
	s.claim(before > 0 && s.app.requests("POST") == before,
		"nothing more is asked for, %d and then %d", before, s.app.requests("POST"))
}

// Whoever may edit their own description fills it with what takes much room to write down, twice.
func TestOversizedValueStopsNobody(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	target := strings.Replace(s.target("app", s.app), "= person.cn", "= default(person.description, person.cn)", 1)
	s.configure(wide, s.source("corp", s.dir), target)
	s.settle()
	for _, filling := range []string{"\x01", "\x02"} {
		s.set("alice", "description", strings.Repeat(filling, 1_500_000))
		s.sync()
	}
	s.fire("bob")
	s.hire("dora")
	s.sync()
	s.claim(s.app.closed("bob"), "bob, who left, is closed")
	s.claim(s.app.account("dora") != nil, "dora, who joined, has an account")
	s.set("alice", "description", "Short")
	s.sync()
	s.claim(s.sync() == 0 && s.app.account("alice")["displayName"] == "Short",
		"all is well once the value is short again")
	code, _ := s.dirsweep("audit", "verify")
	s.claim(code == 0, "the trail verifies")
}

// Each record is bounded: no line of the trail is longer than what a tool reads.
func TestOversizedValueIsNotInTheTrail(t *testing.T) {
	s := company(t, "alice", "bob")
	target := strings.Replace(s.target("app", s.app), "= person.cn", "= default(person.description, person.cn)", 1)
	s.configure(wide, s.source("corp", s.dir), target)
	s.settle()
	s.set("alice", "description", strings.Repeat("long ", 100_000))
	s.sync()
	for _, line := range strings.Split(s.read("audit.jsonl"), "\n") {
		s.claim(len(line) < 64<<10, "a record has %d bytes", len(line))
	}
}

// An application is only observed: a delta in which nothing changed does not list it whole.
func TestObservedApplicationIsNotListedInEachDelta(t *testing.T) {
	s := crowd(t, 300, everySecond+"\n"+wide)
	s.forget()
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app, `mode = "observe"`))
	lists := func() int { return s.app.requests("GET", "/Users?") - s.app.requests("GET", "/Users?", "filter=") }
	before := lists() // the first pass met an application that was empty, and looked twice
	listed := func() int { return lists() - before }
	s.run()
	if !s.within(20*time.Second, func() bool { return listed() > 0 }) {
		s.Fatal("the application was never listed")
	}
	const pages = 3 // of one listing
	again := func() bool { return listed() > 2*pages }
	s.claim(!s.within(6*time.Second, again), "it is not listed again and again while nothing changes")
}

// Nobody is written to, closed or settled in an observed application, and no case of it is called open or closed work.
func TestObservedApplicationIsNotWritten(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `mode = "observe"`))
	before := s.app.Writes()
	s.fire("bob")
	s.hire("dora")
	s.sync()
	s.claim(s.app.Writes() == before, "nothing is written")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app))
	s.sync()
	s.claim(s.app.closed("bob") && s.app.active("dora"), "bob is closed and dora made once the target is enforced")
}
