package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A site is a folder with a config in it, and the real binary to run there.
type site struct {
	*world
	dir string
	env []string
}

const siteConfig = `
state { path = "state.db" }
schedule { delta = "@every 1s" }
source "ldap" "corp" {
  url           = env("LDAP_URL")
  bind_dn       = env("LDAP_READER")
  bind_password = env("LDAP_PASSWORD")
  base_dn       = env("LDAP_PEOPLE")
}
target "scim" "wiki" {
  url          = env("WIKI_URL")
  bearer_token = file("wiki.token")
  account      = { userName = person.uid, displayName = person.cn }
}
`

func newSite(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{world: w, dir: t.TempDir(), env: append(os.Environ(), w.env()...)}
	s.write("config.hcl", siteConfig)
	s.write("wiki.token", w.app.Token()+"\n")
	return s
}

func (s *site) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// dirsweep runs one command and returns its exit code and everything that it printed.
func (s *site) dirsweep(args ...string) (code int, out string) {
	s.t.Helper()
	var text bytes.Buffer
	cmd := s.command(&text, args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

func (s *site) command(out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "dirsweep", args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	return cmd
}

// run starts the daemon; stop sends it SIGTERM and returns how long it took to end, its exit code and what it printed.
func (s *site) run(args ...string) (stop func() (time.Duration, int, string)) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := s.command(&out, append([]string{"run"}, args...)...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	end := sync.OnceValue(func() time.Duration {
		began := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return time.Since(began)
	})
	s.t.Cleanup(func() { end() })
	return func() (time.Duration, int, string) { return end(), cmd.ProcessState.ExitCode(), out.String() }
}

// await waits for something that is bound to come.
func await(t *testing.T, what string, come func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !come() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestR20StopsCleanly: SIGTERM amid a pass, with every call to the application hanging, ends within 10 s; nothing is
// lost or made twice.
func TestR20StopsCleanly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trouble scimtest.Trouble
	}{
		{"the application hangs before it acts", scimtest.Slow(time.Hour)},
		{"the application acts and hangs with the answer", actThenHang},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := newSite(t, w)
			w.app.Inject(scimtest.Fault{Method: "POST", Path: "/Users", Trouble: tt.trouble})
			stop := s.run()
			await(t, "a write", func() bool { return w.app.Writes() > 0 })
			took, code, out := stop()
			if took > 10*time.Second || code != 0 {
				t.Errorf("stopped after %s with exit code %d:\n%s", took, code, out)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "dirsweep.sock")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the control socket is still there: %v", err)
			}
			t.Logf("stopped after %s", took)

			w.app.Clear()
			if code, out := s.dirsweep("sync"); code != 0 {
				t.Errorf("the next pass ends with %d:\n%s", code, out)
			}
			if all, active := w.accounts.Len(); all != people || active != people {
				t.Errorf("%d accounts, %d active, want %d of each", all, active, people)
			}
			if code, out := s.dirsweep("audit", "verify"); code != 0 {
				t.Errorf("the audit trail: %s", out)
			}
		})
	}
}

func actThenHang(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	<-r.Context().Done()
}

// TestR15SecretsStaySecret: whatever is asked and whatever goes wrong, no secret is printed, logged or stored.
func TestR15SecretsStaySecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSite(t, w)
	secrets := []string{w.app.Token(), w.directory.Password(), "wrong-hunter2-canary"}
	var out strings.Builder
	ask := func(args ...string) {
		code, text := s.dirsweep(append([]string{"--log-level", "trace"}, args...)...)
		fmt.Fprintf(&out, "\n$ dirsweep %s (%d)\n%s", strings.Join(args, " "), code, text)
	}
	round := func() {
		for _, command := range []string{
			"check", "check --offline --json", "config show", "config show --json", "plan", "plan --json", "sync", "sync --json", "status --json",
			"explain user000001", "leavers --all", "findings", "orphans", "holds", "audit verify",
		} {
			ask(strings.Fields(command)...)
		}
	}
	round()
	w.directory.Delete(t, w.directory.PersonDN("user000001"))
	round()
	ask("evidence", "user000001")

	// An application that answers with what it was sent, and passwords that are wrong or in the file itself.
	w.app.Inject(scimtest.Fault{Trouble: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"detail":"not known: %s"}`, r.Header.Get("Authorization"))
	}})
	round()
	s.write("config.hcl", strings.Replace(siteConfig, `env("LDAP_PASSWORD")`, `"wrong-hunter2-canary"`, 1))
	round()
	s.write("config.hcl", strings.Replace(siteConfig, `= env("LDAP_PASSWORD")`, `= lowr("wrong-hunter2-canary")`, 1))
	round()
	s.write("config.hcl", siteConfig)
	stop := s.run("--log-level", "trace")
	await(t, "the daemon", func() bool { _, text := s.dirsweep("status", "--json"); return strings.Contains(text, `"pid"`) })
	ask("sync") // a full pass, which tries what is quarantined too
	s.write("config.hcl", strings.Replace(siteConfig, `= env("LDAP_PASSWORD")`, `= lowr("wrong-hunter2-canary")`, 1))
	await(t, "the refusal", s.refused)
	_, _, text := stop()
	out.WriteString(text)

	for _, secret := range secrets {
		if at := strings.Index(out.String(), secret); at >= 0 {
			t.Errorf("printed: %q", out.String()[max(0, at-300):min(out.Len(), at+100)])
		}
		s.holdsNot(secret, "config.hcl", "wiki.token")
	}
	for _, sign := range []string{"(secret)", "user000001", "proven"} {
		if !strings.Contains(out.String(), sign) {
			t.Errorf("the commands did not even print %q: this test shows nothing", sign)
		}
	}
}

// refused reports whether the trail tells of a refused config.
func (s *site) refused() bool {
	trail, err := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
	return err == nil && bytes.Contains(trail, []byte(`"kind":"config"`))
}

// holdsNot looks through every file of the site but those that may have it.
func (s *site) holdsNot(secret string, but ...string) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		for _, name := range but {
			if entry.Name() == name {
				return nil
			}
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			s.t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
