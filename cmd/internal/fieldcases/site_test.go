// Package fieldcases plays what happened elsewhere: the real program between a real directory and an application that
// is odd in the way that somebody reported. A case is judged by what the application holds and by the requests that it
// got. Where more than one outcome is right, such as closing an account or saying loudly that it is open, any of them
// passes.
package fieldcases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// A site is one company: a directory, an application, and dirsweep installed between them.
type site struct {
	testing.TB
	dir    *slapdtest.Server
	app    *application
	folder string
	ahead  time.Duration // of dirsweep's clock
	wrong  []string      // what the case claims and does not hold
	hired  int
}

// wide are limits that hold nobody, for cases which are not about the guard.
const wide = `guard {
  max_sweep_percent  = 100
  max_sweep_count    = 1000
  max_shrink_percent = 100
}`

// company starts a case with these people, none of whom has an account yet, and dirsweep's usual config.
func company(t *testing.T, people ...string) *site {
	t.Helper()
	s := open(t, slapdtest.Options{})
	for _, uid := range people {
		s.hire(uid)
	}
	return s
}

// open starts a case with a directory of a certain kind.
func open(t *testing.T, o slapdtest.Options) *site {
	t.Helper()
	t.Parallel()
	return start(t, o)
}

// start is open for a case beside which no other runs.
func start(t *testing.T, o slapdtest.Options) *site {
	t.Helper()
	o.Schema = slapdtest.LockSchema
	folder, err := os.MkdirTemp("", "site") // t.TempDir bears the case's name, and what is printed must not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := &site{TB: t, dir: slapdtest.Start(t, o), app: newApplication(t), folder: folder}
	s.write("token", s.app.Token()+"\n")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app))
	t.Cleanup(s.judge)
	return s
}

// claim notes what has to be so. What is not is reported at the end of the case.
func (s *site) claim(holds bool, format string, args ...any) {
	s.Helper()
	if !holds {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
		s.Logf("WRONG: "+format, args...)
	}
}

// judge compares the claims with the list of expected failures. What breaks the case itself is never expected.
func (s *site) judge() {
	reason, expected := expectedFailures[s.Name()]
	switch {
	case s.Failed():
	case expected && len(s.wrong) == 0:
		s.Errorf("%s holds now: take it off the list in expected_test.go", s.Name())
	case expected:
		s.Logf("fails as expected, %s: %s", reason, strings.Join(s.wrong, "; "))
	case len(s.wrong) > 0:
		s.Errorf("%s: not so: %s", s.Name(), strings.Join(s.wrong, "\n\t"))
	}
}

// hire adds somebody to the directory and returns the DN. name, value, name, value, … are attributes beside the usual
// ones.
func (s *site) hire(uid string, attributes ...string) string {
	s.Helper()
	return s.hireAt(s.dir.PersonDN(uid), attributes...)
}

// hireAt is hire with a DN of the caller's choice.
func (s *site) hireAt(dn string, attributes ...string) string {
	s.Helper()
	s.hired++
	uid := strings.TrimPrefix(strings.SplitN(dn, ",", 2)[0], "uid=")
	given := strings.ToUpper(uid[:1]) + uid[1:]
	entry := map[string][]string{
		"objectClass": {"inetOrgPerson", "lockPerson"}, "uid": {uid}, "employeeNumber": {fmt.Sprint(s.hired)},
		"givenName": {given}, "sn": {"Case"}, "cn": {given + " Case"}, "mail": {uid + "@example.org"},
	}
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i] == "objectClass" {
			entry["objectClass"] = append(entry["objectClass"], attributes[i+1])
			continue
		}
		entry[attributes[i]] = []string{attributes[i+1]}
	}
	s.dir.Add(s, dn, entry)
	return dn
}

// fire deletes people from the directory.
func (s *site) fire(uids ...string) {
	s.Helper()
	for _, uid := range uids {
		s.dir.Delete(s, s.dir.PersonDN(uid))
	}
}

// set replaces an attribute of somebody; none takes it away.
func (s *site) set(uid, attribute string, values ...string) {
	s.Helper()
	s.dir.Set(s, s.dir.PersonDN(uid), attribute, values...)
}

// age waits until the directory's clock, which counts whole seconds, is past all that was changed so far: who changes
// something by hand is not that fast either.
func (s *site) age() {
	s.Helper()
	stamp := func() time.Time {
		s.dir.Set(s, s.dir.FormerDN(), "description", "touched")
		read, err := time.Parse("20060102150405Z", s.dir.Values(s, s.dir.FormerDN(), "modifyTimestamp")[0])
		if err != nil {
			s.Fatal(err)
		}
		return read
	}
	begun := stamp()
	if !s.within(time.Minute, func() bool { return stamp().Sub(begun) > 3*time.Second }) {
		s.Fatal("the directory's clock stands still")
	}
}

// group adds a groupOfNames with these logins.
func (s *site) group(name string, uids ...string) string {
	s.Helper()
	var members []string
	for _, uid := range uids {
		members = append(members, s.dir.PersonDN(uid))
	}
	return s.dir.AddGroup(s, name, members...)
}

// posixGroup adds a posixGroup with these logins.
func (s *site) posixGroup(name, gid string, uids ...string) string {
	s.Helper()
	dn := s.dir.GroupDN(name)
	s.dir.Add(s, dn,
		map[string][]string{"objectClass": {"posixGroup"}, "cn": {name}, "gidNumber": {gid}, "memberUid": uids})
	return dn
}

// posix are the attributes that make a posixAccount.
func posix(uid, gid string) []string {
	home := "/home/" + uid
	return []string{"objectClass", "posixAccount", "uidNumber", "1000", "gidNumber", gid, "homeDirectory", home}
}

// write puts a file beside the config.
func (s *site) write(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// read is the content of a file beside the config; nothing where there is none.
func (s *site) read(name string) string {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Fatal(err)
	}
	return string(content)
}

// configure writes the config, whose state is always in the same place.
func (s *site) configure(blocks ...string) {
	s.Helper()
	s.write("config.hcl", "state { path = \"state.db\" }\n"+strings.Join(blocks, "\n"))
}

// source is the block that reads a directory, groups included; lines are added to it.
func (s *site) source(name string, dir *slapdtest.Server, lines ...string) string {
	return fmt.Sprintf(`source "ldap" %q {
  url           = %q
  bind_dn       = %q
  bind_password = env("LDAP_PASSWORD")
  base_dn       = %q
  filter        = "(objectClass=inetOrgPerson)"
  groups { base_dn = %q }
  %s
}`, name, dir.URL(), dir.ReaderDN(), dir.PeopleDN(), dir.GroupsDN(), strings.Join(lines, "\n  "))
}

// target is the block of an application; lines are added to it.
func (s *site) target(name string, app *application, lines ...string) string {
	return fmt.Sprintf(`target "scim" %q {
  url          = %q
  bearer_token = file("token")
  rate         = { per_second = 1000, parallel = 8 }
  account = {
    userName          = lower(person.uid)
    displayName       = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail")
  }
  %s
}`, name, app.URL(), strings.Join(lines, "\n  "))
}

// turns are how many programs run at a time, daemons aside.
var turns = make(chan struct{}, runtime.NumCPU())

// dirsweep runs one command and returns its exit code and all that it printed.
func (s *site) dirsweep(args ...string) (code int, out string) {
	s.Helper()
	turns <- struct{}{}
	defer func() { <-turns }()
	var text bytes.Buffer
	cmd := s.command(&text, args...)
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.Fatal(err)
	}
	s.Logf("$ dirsweep %s: exit %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), excerpt(text.String()))
	return cmd.ProcessState.ExitCode(), text.String()
}

func excerpt(text string) string {
	if len(text) > 4000 {
		return text[:4000] + "…"
	}
	return text
}

func (s *site) command(out io.Writer, args ...string) *exec.Cmd {
	s.Helper()
	binary := program
	if s.ahead > 0 {
		binary = skewed
	}
	path, err := binary()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--config", filepath.Join(s.folder, "config.hcl")}, args...)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "LDAP_PASSWORD="+s.dir.Password(),
		fmt.Sprintf("CLOCK_AHEAD=%d", s.ahead/time.Second))
	cmd.Stdout, cmd.Stderr = out, out
	return cmd
}

// sync runs one full pass and returns its exit code.
func (s *site) sync(args ...string) int {
	s.Helper()
	code, _ := s.dirsweep(append([]string{"sync"}, args...)...)
	return code
}

// settle runs a full pass that has to end well, before what the case is about.
func (s *site) settle() {
	s.Helper()
	if code, out := s.dirsweep("sync"); code != 0 {
		s.Fatalf("sync: exit %d\n%s", code, out)
	}
}

// says reports whether a command, such as findings or leavers, names all these words, in whatever case.
func (s *site) says(command string, words ...string) bool {
	s.Helper()
	_, out := s.dirsweep(strings.Fields(command)...)
	return !slices.ContainsFunc(words,
		func(word string) bool { return !strings.Contains(strings.ToLower(out), strings.ToLower(word)) })
}

// told reports whether it is said that somebody is not as they should be: an open case, a hold or a finding.
func (s *site) told(who string) bool {
	s.Helper()
	return s.says("leavers", who) || s.says("findings", who) || s.says("holds", who)
}

// holds are the digests that wait for an operator.
func (s *site) holds() (digests []string) {
	s.Helper()
	_, out := s.dirsweep("--json", "holds")
	for _, piece := range strings.Split(out, `"digest":`)[1:] {
		digests = append(digests, strings.Split(piece, `"`)[1])
	}
	return digests
}

// A daemon is a running `dirsweep run`.
type daemon struct {
	s    *site
	cmd  *exec.Cmd
	out  *bytes.Buffer
	died chan struct{}
}

// run starts the daemon, which ends with the case, and waits until it has made its first pass.
func (s *site) run() *daemon {
	s.Helper()
	d := &daemon{s: s, out: &bytes.Buffer{}, died: make(chan struct{})}
	d.cmd = s.command(d.out, "run")
	if err := d.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.died)
	}()
	s.Cleanup(d.stop)
	listens := func() bool {
		_, err := os.Stat(filepath.Join(s.folder, "dirsweep.sock"))
		return err == nil
	}
	if !s.within(30*time.Second, listens) {
		s.Fatal("the daemon does not answer")
	}
	return d
}

// stop ends the daemon as a service manager does.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.died:
	case <-time.After(15 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.died
	}
	d.s.Logf("the daemon:\n%s", excerpt(d.out.String()))
}

// within waits until something is so, and reports whether it came to that in time.
func (s *site) within(limit time.Duration, so func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return so()
		}
	}
	return true
}
