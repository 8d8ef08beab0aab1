package main

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dirsweep": main})
}

// world is what a script acts on: a real directory of 20 people and an application that is empty at first.
type world struct {
	t         *testing.T
	directory *slapdtest.Server
	app       *scimtest.Server
	accounts  *scimtest.Fast
}

const people = 20

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, directory: slapdtest.Start(t, slapdtest.Options{People: people, Groups: 2})}
	w.app, w.accounts = scimtest.StartFast(t, 0, scimtest.Quirks{})
	return w
}

// env is what configs in scripts read with env().
func (w *world) env() []string {
	return []string{
		"LDAP_URL=" + w.directory.URL(), "LDAP_READER=" + w.directory.ReaderDN(), "LDAP_PASSWORD=" + w.directory.Password(),
		"LDAP_PEOPLE=" + w.directory.PeopleDN(), "LDAP_GROUPS=" + w.directory.GroupsDN(),
		"WIKI_URL=" + w.app.URL(), "WIKI_TOKEN=" + w.app.Token(), "NO_COLOR=1",
	}
}

// TestScripts runs the command line as an operator does, against a real directory.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	t.Helper()
	w := newWorld(t)
	testscript.Run(t, testscript.Params{
		Files: []string{file},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, w.env()...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "stop": stop, "directory": w.edit, "application": w.expect,
		},
	})
}

// TestR14ConfigIsAChangeToo: a new config is taken over whole or not at all, and what it alone would sweep is held.
func TestR14ConfigIsAChangeToo(t *testing.T) {
	t.Parallel()
	runScript(t, "testdata/rules/reload.txtar")
}

// TestR21ObserveModeIsSaid: what is only observed is never told as done.
func TestR21ObserveModeIsSaid(t *testing.T) {
	t.Parallel()
	runScript(t, "testdata/rules/observe.txtar")
}

// TestR17ExactlyThePlanShown: plan and sync agree on a digest, and sync --plan does that plan or nothing.
func TestR17ExactlyThePlanShown(t *testing.T) {
	t.Parallel()
	runScript(t, "testdata/rules/digest.txtar")
}

// TestR21CheckIsNotCalmOverWhatCannotWork: what a first pass would run into is told before.
func TestR21CheckIsNotCalmOverWhatCannotWork(t *testing.T) {
	t.Parallel()
	runScript(t, "testdata/rules/check.txtar")
}

// exits runs a command and wants that exit code: exits 3 dirsweep sync.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// stop sends SIGTERM to what runs in the background, as a service manager does.
func stop(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// until repeats a command until its standard output matches: until 'open leaver' dirsweep status. With ! until it fails
// or does not match.
func until(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	deadline, tick := time.After(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		var out strings.Builder
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run()
		if want.MatchString(out.String()) != neg {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%q did not come; the last answer was:\n%s", args[0], out.String())
		}
	}
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "LDAP_URL", "LDAP_READER", "LDAP_PASSWORD", "LDAP_PEOPLE", "LDAP_GROUPS", "WIKI_URL", "WIKI_TOKEN", "NO_COLOR",
	} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// edit changes the directory: directory join|leave|disable UID, directory set UID ATTRIBUTE VALUE.
func (w *world) edit(ts *testscript.TestScript, _ bool, args []string) {
	switch args[0] {
	case "join":
		w.directory.AddPerson(w.t, args[1], nil)
	case "leave":
		for _, uid := range args[1:] {
			w.directory.Delete(w.t, w.directory.PersonDN(uid))
		}
	case "set":
		w.directory.Set(w.t, w.directory.PersonDN(args[1]), args[2], args[3:]...)
	case "disable":
		w.directory.Disable(w.t, w.directory.PersonDN(args[1]))
	default:
		ts.Fatalf("directory %s is not known", args[0])
	}
}

// expect looks at the application: application holds N M (accounts, of them active), application writes N; application
// down|up; application token T; application account USERNAME MAIL; application renumber; application readonly.
func (w *world) expect(ts *testscript.TestScript, _ bool, args []string) {
	switch args[0] {
	case "holds":
		all, active := w.accounts.Len()
		if got := fmt.Sprint(all, " ", active); got != strings.Join(args[1:], " ") {
			ts.Fatalf("the application holds %s accounts (all, active), want %s", got, strings.Join(args[1:], " "))
		}
	case "writes":
		if got := strconv.Itoa(w.app.Writes()); got != args[1] {
			ts.Fatalf("the application saw %s writes, want %s", got, args[1])
		}
		w.app.Reset()
	case "account":
		w.accounts.Fill(1, func(int) map[string]any {
			return map[string]any{
				"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": args[1], "active": true,
				"emails": []any{map[string]any{"value": args[2], "primary": true}},
			}
		})
	case "renumber":
		w.accounts.Renumber()
	case "readonly":
		w.app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(http.StatusForbidden, "this token may only read")})
	case "down":
		w.app.Inject(scimtest.Fault{Trouble: scimtest.Answer(503, "down for the night")})
	case "token":
		w.app.Inject(scimtest.Fault{Trouble: renewed(w.app.Token(), args[1])})
	case "up":
		w.app.Clear()
	default:
		ts.Fatalf("application %s is not known", args[0])
	}
}

// renewed takes another token than the application's own.
func renewed(old, token string) scimtest.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.Header.Set("Authorization", "Bearer "+old)
		next.ServeHTTP(w, r)
	}
}
