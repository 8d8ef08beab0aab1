package fieldcases

// What must not wait, and what must not go on, under the running daemon.

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// drip answers with one byte in half a second, for ever.
func drip(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/scim+json")
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = w.Write([]byte{' '})
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// hang answers nothing.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// lists are requests for all accounts, not for one or for those that a filter selects.
func lists(r *http.Request) bool {
	return r.Method == "GET" && r.URL.Path == "/scim/v2/Users" && r.URL.Query().Get("filter") == ""
}

// twoApplications is a company with a second application, of which some requests are trouble, and a daemon amid its
// first full pass.
func twoApplications(t *testing.T, match func(*http.Request) bool, trouble scimtest.Trouble) (*site, *application) {
	t.Helper()
	s := company(t, "alice", "bob", "carol")
	slow := newApplication(t)
	s.group("wiki-users", "alice", "bob")
	s.app.AddGroup(t, "wiki-users")
	slow.AddGroup(t, "wiki-users")
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app, wikiGroups),
		s.target("slow", slow, wikiGroups))
	s.settle()
	arrived := make(chan struct{}, 1)
	slow.Inject(scimtest.Fault{Match: match, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case arrived <- struct{}{}:
		default:
		}
		trouble(w, r, next)
	}})
	s.run()
	s.dirsweepSoon("sync") // a full pass, which lists every application
	select {
	case <-arrived:
	case <-time.After(30 * time.Second):
		s.Fatal("the slow application was not asked")
	}
	return s, slow
}

// dirsweepSoon starts a command that may never end; the case does not wait for it.
func (s *site) dirsweepSoon(args ...string) {
	s.Helper()
	cmd := s.command(nil, args...)
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// The list of one application drips while somebody leaves.
func TestSlowListDelaysNobody(t *testing.T) {
	s, slow := twoApplications(t, lists, drip)
	s.fire("bob")
	s.claim(s.within(10*time.Second, func() bool { return s.app.closed("bob") }),
		"bob is closed at the other application in seconds")
	s.claim(s.within(5*time.Second, func() bool { return slow.closed("bob") }),
		"and at the slow one, whose single calls answer")
}

// Nothing of one application answers while somebody leaves.
func TestHangingApplicationDelaysNobody(t *testing.T) {
	s, _ := twoApplications(t, nil, hang)
	s.fire("bob")
	s.claim(s.within(10*time.Second, func() bool { return s.app.closed("bob") }),
		"bob is closed at the other application in seconds")
}

// The list of groups hangs: signing in is refused before anything needs it, here and elsewhere.
func TestHangingGroupListDelaysNobody(t *testing.T) {
	s, slow := twoApplications(t, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Groups") }, hang)
	s.fire("bob")
	s.claim(s.within(10*time.Second, func() bool { return s.app.closed("bob") }),
		"bob is closed at the other application in seconds")
	s.claim(s.within(5*time.Second, func() bool { return slow.closed("bob") }),
		"and at the slow one, whose single calls answer")
}

// Some seconds of a default backend that knows nothing, just when somebody leaves.
func TestNotFoundForSecondsIsNoProof(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	s.run()
	s.app.odd("", "", scimtest.Answer(404, "default backend - 404", "Content-Type", "text/plain"))
	bob := "/Users/" + s.app.id("bob")
	s.fire("bob")
	if !s.within(20*time.Second, func() bool { return s.app.requests("GET", bob)+s.app.requests("PATCH", bob) > 1 }) {
		s.Fatal("the daemon does not ask about bob")
	}
	s.app.Clear()
	s.claim(s.within(75*time.Second, func() bool { return s.app.closed("bob") }),
		"bob is closed a minute after the front is well")
}

// One application's rate is used up for ten minutes while somebody leaves.
func TestPausedApplicationDelaysNobody(t *testing.T) {
	s, _ := twoApplications(t, lists, scimtest.Answer(429, "slow down", "Retry-After", "600"))
	s.fire("bob")
	s.claim(s.within(10*time.Second, func() bool { return s.app.closed("bob") }),
		"bob is closed at the other application in seconds")
}

// A closed account is enabled by hand: it is closed again within minutes.
func TestEnabledByHandIsClosedAgain(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	s.fire("bob")
	s.settle()
	s.run()
	s.hire("dora")
	if !s.within(20*time.Second, func() bool { return s.app.account("dora") != nil }) {
		s.Fatal("the daemon makes no account for dora")
	}
	s.app.Patch(t, "/Users/"+s.app.id("bob"), "replace", "active", true)
	s.claim(s.within(90*time.Second, func() bool { return s.app.closed("bob") }), "bob's account is closed again")
	s.claim(s.app.active("alice", "carol"), "the others are active")
}

// trail is a case about the trail of a running daemon: after what happens to it nothing is written, and nothing says
// that it is whole.
func trail(t *testing.T, happens func(path string) error) {
	t.Helper()
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	s.run()
	s.fire("carol")
	if !s.within(20*time.Second, func() bool { return s.app.closed("carol") }) {
		s.Fatal("the daemon does not close carol")
	}
	if err := happens(filepath.Join(s.folder, "audit.jsonl")); err != nil {
		s.Fatal(err)
	}
	before := s.app.Writes()
	s.fire("bob")
	s.claim(!s.within(6*time.Second, func() bool { return s.app.Writes() > before }),
		"nothing is written that no trail tells of")
	code, _ := s.dirsweep("audit", "verify")
	s.claim(code != 0, "the trail is not called whole")
}

func TestRemovedTrailStopsWrites(t *testing.T) {
	trail(t, os.Remove)
}

func TestReplacedTrailStopsWrites(t *testing.T) {
	trail(t, func(path string) error {
		copied, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.Rename(path, path+".old"); err != nil {
			return err
		}
		return os.WriteFile(path, copied, 0o600)
	})
}

func TestCutTrailStopsWrites(t *testing.T) {
	trail(t, func(path string) error { return os.Truncate(path, 100) })
}
