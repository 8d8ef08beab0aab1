// Package acceptance runs the real program, as its users do, against a real directory and real applications.
package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/programtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// program builds dirsweep once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dirsweep")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "dirsweep")
	return path, programtest.Build(path)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// An install is one config on disk, with its state.
type install struct {
	t   *testing.T
	dir string
}

func newInstall(t *testing.T, blocks ...string) *install {
	t.Helper()
	i := &install{t: t, dir: t.TempDir()}
	i.configure(blocks...)
	return i
}

func (i *install) configure(blocks ...string) {
	i.t.Helper()
	state := fmt.Sprintf("state { path = %q }\n", filepath.Join(i.dir, "state", "state.db"))
	if err := os.WriteFile(filepath.Join(i.dir, "config.hcl"), []byte(state+strings.Join(blocks, "\n")), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *install) command(args ...string) *exec.Cmd {
	i.t.Helper()
	path, err := program()
	if err != nil {
		i.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--config", filepath.Join(i.dir, "config.hcl")}, args...)...)
	cmd.Env = append(os.Environ(), "LDAP_PASSWORD=correct horse")
	return cmd
}

// run runs one command and returns its exit code and what it printed.
func (i *install) run(args ...string) (code int, stdout, stderr string) {
	i.t.Helper()
	cmd := i.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		i.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs one command that has to succeed.
func (i *install) must(args ...string) string {
	i.t.Helper()
	code, stdout, stderr := i.run(args...)
	if code != 0 {
		i.t.Fatalf("dirsweep %s: exit %d\n%s\n%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

func source(name string, dir *slapdtest.Server, extra string) string {
	return fmt.Sprintf(`
source "ldap" %q {
  url           = %q
  bind_dn       = %q
  bind_password = env("LDAP_PASSWORD")
  base_dn       = %q
  filter        = "(objectClass=inetOrgPerson)"
  %s
}`, name, dir.URL(), dir.ReaderDN(), dir.PeopleDN(), extra)
}

func target(name string, app *scimtest.Server, extra string) string {
	return fmt.Sprintf(`
target "scim" %q {
  %s
  rate = { per_second = 5000, parallel = 16 }
  account = {
    userName          = person.uid
    displayName       = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail")
  }
  %s
}`, name, app.Block(), extra)
}

func inactive(t *testing.T, app *scimtest.Server) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for name, doc := range app.Users(t) {
		if doc["active"] != true {
			out[name] = true
		}
	}
	return out
}

func TestFiveThousandPeople(t *testing.T) { live(t, scimtest.StartElimity(t), 5000, 20) }

func TestPeopleOnSCIMMY(t *testing.T) { live(t, scimtest.StartSCIMMY(t), 300, 5) }

func TestPeopleOnBetterAuth(t *testing.T) { live(t, scimtest.StartBetterAuth(t, 0), 300, 5) }

// live takes an application through what happens to one: everybody joins, nothing happens, some leave, some are
// renamed, moved and changed.
func live(t *testing.T, app *scimtest.Server, people, each int) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: people})
	i := newInstall(t, source("corp", dir, ""), target("wiki", app, ""))
	i.must("check")
	i.must("sync")
	if got := len(app.Users(t)); got != people || len(inactive(t, app)) != 0 {
		t.Fatalf("%d accounts, %d of them inactive; want %d active", got, len(inactive(t, app)), people)
	}
	nothing := func(what string) {
		t.Helper()
		before := app.Writes()
		i.must("sync")
		if got := app.Writes() - before; got != 0 {
			t.Errorf("%s: %d writes arrived at the application, want none", what, got)
		}
	}
	nothing("a pass without changes")

	want := map[string]bool{}
	for n := 1; n <= each; n++ {
		uid := slapdtest.UID(people/2 + n)
		dir.Delete(t, dir.PersonDN(uid))
		want[uid] = true
	}
	i.must("sync")
	got := inactive(t, app)
	for uid := range want {
		if !got[uid] {
			t.Errorf("%s left and is not inactive", uid)
		}
	}
	if len(got) != each {
		t.Errorf("%d accounts are inactive, want exactly the %d leavers", len(got), each)
	}
	nothing("after the leavers")

	for uid := range want {
		file := filepath.Join(i.dir, uid+".json")
		if err := os.WriteFile(file, []byte(i.must("--json", "evidence", uid)), 0o600); err != nil {
			t.Fatal(err)
		}
		i.must("evidence", "verify", file)
	}
	i.must("audit", "verify")

	// Renames, moves, disables, group-less changes: each is one write to the account that it was.
	unit := dir.AddUnit(t, "moved", dir.PeopleDN())
	before := app.Writes()
	for n := 1; n <= each; n++ {
		dn := dir.Rename(t, dir.PersonDN(slapdtest.UID(n)), fmt.Sprintf("uid=renamed%d", n))
		dir.Move(t, dn, unit)
		dir.Disable(t, dir.PersonDN(slapdtest.UID(50+n)))
		dir.Set(t, dir.PersonDN(slapdtest.UID(100+n)), "cn", fmt.Sprintf("New Name %d", n))
	}
	i.must("sync")
	if got := app.Writes() - before; got != 3*each {
		t.Errorf("%d writes for %d renames with moves, as many disables and as many new names", got, each)
	}
	after := app.Users(t)
	if len(after) != people || after["renamed1"] == nil || after[slapdtest.UID(51)]["active"] != false || after[slapdtest.UID(101)]["displayName"] != "New Name 1" {
		t.Errorf("after renames: %d accounts", len(after))
	}
	nothing("after renames")
}

func TestTwoSourcesThreeTargets(t *testing.T) {
	corp := slapdtest.Start(t, slapdtest.Options{People: 100})
	labs := slapdtest.Start(t, slapdtest.Options{People: 100, Person: func(n int) map[string][]string {
		return map[string][]string{"uid": {slapdtest.UID(n)}, "title": {"labs"}}
	}})
	apps := []*scimtest.Server{scimtest.StartElimity(t), scimtest.StartElimity(t), scimtest.StartElimity(t)}
	var blocks []string
	blocks = append(blocks, source("corp", corp, ""), source("labs", labs, ""))
	for n, app := range apps {
		blocks = append(blocks, strings.Replace(target(fmt.Sprintf("app%d", n), app, ""), "= person.uid", `= "${person.source}-${person.uid}"`, 1))
	}
	i := newInstall(t, blocks...)
	i.must("sync")
	labs.Kill(t)
	corp.Delete(t, corp.PersonDN(slapdtest.UID(1)))
	code, stdout, stderr := i.run("sync")
	if code == 0 || !strings.Contains(stdout+stderr, "labs") {
		t.Errorf("a source is down: exit %d\n%s%s", code, stdout, stderr)
	}
	for n, app := range apps {
		if got := inactive(t, app); len(got) != 1 || !got["corp-"+slapdtest.UID(1)] {
			t.Errorf("app%d: inactive are %v, want the one leaver", n, got)
		}
	}
	var report map[string]any
	_, stdout, _ = i.run("--json", "status")
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Errorf("status --json: %v\n%s", err, stdout)
	}
}
