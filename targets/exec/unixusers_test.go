//go:build unix

package exec_test

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
	"github.com/dirsweep/dirsweep/targets/exec/conformance"
)

// tools stand in for those of a Unix system, over the files passwd, shadow and running of a folder; what they are
// called with is appended to calls, one argument a line.
const tools = `#!/bin/sh
cd "$UNIX" || exit 1
tool=${0##*/}
printf '%s\n' "$tool" "$@" >>calls
edit() { awk "$@" >"$file.new" && mv "$file.new" "$file"; }
key() { for key; do :; done; } # the last argument
case $tool in
getent)
  [ $# -gt 1 ] || exec cat "$1"
  awk -F: -v key="$2" '$1 == key || $3 == key && key ~ /^[0-9]+$/ { print; found = 1 } END { exit !found * 2 }' "$1" ;;
useradd)
  key "$@"; comment=$3
  grep -q "^$key:" passwd && { echo "useradd: user '$key' already exists" >&2; exit 9; }
  uid=$(($(cat next) + 1)); echo $uid >next
  echo "$key:x:$uid:$uid:$comment:/home/$key:/bin/sh" >>passwd
  echo "$key:!:20000:0:99999:7:::" >>shadow ;;
usermod)
  key "$@"
  grep -q "^$key:" passwd || { echo "usermod: user '$key' does not exist" >&2; exit 6; }
  case $1 in
  --comment) file=passwd; edit -F: -v OFS=: -v key="$key" -v text="$2" '$1 == key { $5 = text } { print }' passwd ;;
  --lock) file=shadow; edit -F: -v OFS=: -v key="$key" '$1 == key { sub(/^!*/, "!", $2); $8 = 1 } { print }' shadow ;;
  --unlock) file=shadow; edit -F: -v OFS=: -v key="$key" '$1 == key { sub(/^!*/, "", $2); $8 = "" } { print }' shadow ;;
  esac ;;
userdel)
  key "$@"
  uid=$(awk -F: -v key="$key" '$1 == key { print $3 }' passwd)
  [ "$uid" ] || { echo "userdel: user '$key' does not exist" >&2; exit 6; }
  grep -q "^$uid$" running && { echo "userdel: user $key is currently used by process 4711" >&2; exit 8; }
  for file in passwd shadow; do edit -F: -v key="$key" '$1 != key' $file; done ;;
pkill)
  grep -q stubborn running && exit 0
  file=running; edit -v key="$3" '$1 != key' running ;;
pgrep) grep -c "^$3$" running ;;
esac
`

type unixUsers struct{ folder string }

func newUnixUsers(t *testing.T) unixUsers {
	t.Helper()
	u := unixUsers{t.TempDir()}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nbob:x:1001:1001:Bob Lee:/home/bob:/bin/sh\nann:x:1002:1002:Ann Lee:/home/ann:/bin/sh\n",
		"shadow": "root:*:20000:0:99999:7:::\nbob:$6$x$y:20000:0:99999:7:::\nann:$6$x$y:20000:0:99999:7:::\n",
		"next":   "1002\n", "running": "1001\n1002\n", "calls": "",
	} {
		u.write(t, name, text)
	}
	if err := os.Mkdir(filepath.Join(u.folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tool := range strings.Fields("getent useradd usermod userdel pkill pgrep") {
		if err := os.WriteFile(filepath.Join(u.folder, "bin", tool), []byte(tools), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func (u unixUsers) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (u unixUsers) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(u.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (u unixUsers) program(t *testing.T) exec.Program {
	if _, err := osexec.LookPath("jq"); err != nil {
		t.Fatal("jq is needed: packaging/scripts/test-needs installs it")
	}
	return exec.Program{
		Command: []string{"./unix-users.sh"}, Folder: absolute(t, samples), Directory: u.folder,
		Environment: map[string]string{"UNIX": u.folder, "PATH": filepath.Join(u.folder, "bin") + ":" + os.Getenv("PATH")},
	}
}

func (u unixUsers) open(t *testing.T) targets.Pass {
	return begin(t, open(t, u.program(t), targets.Need{Paths: []string{"displayName", "userName"}}))
}

func bob() identity.Account {
	return identity.Account{ID: "1001", UserName: "bob", Active: true}
}

// TestX3LockThenEndThenLook: the sample refuses sign-in first, ends what runs, and tells what does not end.
func TestX3LockThenEndThenLook(t *testing.T) {
	t.Parallel()
	u := newUnixUsers(t)
	p := u.open(t)
	step := p.Closing()[0]
	if _, err := p.Disable(t.Context(), bob()); err != nil {
		t.Fatal(err)
	}
	if a, err := p.Account(t.Context(), "1001"); err != nil || a.Active || a.Get("displayName").Text() != "Bob Lee" {
		t.Errorf("locked, and read %+v, %v", a, err)
	}
	if left, err := step.Left(t.Context(), bob()); err != nil || left != "1 processes of bob" {
		t.Errorf("left is %q, %v", left, err)
	}
	u.write(t, "running", "1001\nstubborn\n")
	if _, _, err := step.Do(t.Context(), bob()); err != nil {
		t.Error(err)
	}
	if left, err := step.Left(t.Context(), bob()); err != nil || left != "1 processes of bob" {
		t.Errorf("still there: left is %q, %v", left, err)
	}
	u.write(t, "running", "1001\n1002\n")
	if _, _, err := step.Do(t.Context(), bob()); err != nil {
		t.Error(err)
	}
	if left, err := step.Left(t.Context(), bob()); err != nil || left != "" || u.read(t, "running") != "1002\n" {
		t.Errorf("left is %q, %v; running %q", left, err, u.read(t, "running"))
	}
	if left, err := step.Left(t.Context(), identity.Account{ID: "0", UserName: "root"}); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("root: %q, %v", left, err)
	}
}

// TestX6BusyIsTriedAfterEndingProcesses: userdel ends with 8, 6 and 0.
func TestX6BusyIsTriedAfterEndingProcesses(t *testing.T) {
	t.Parallel()
	u := newUnixUsers(t)
	p := u.open(t)
	u.write(t, "running", "1001\nstubborn\n")
	_, err := p.Delete(t.Context(), bob())
	if !errors.Is(err, targets.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "used by process 4711") {
		t.Errorf("busy, and nothing helps: %v", err)
	}
	u.write(t, "running", "1001\n1002\n")
	if _, err := p.Delete(t.Context(), bob()); err != nil || strings.Contains(u.read(t, "passwd"), "bob") || u.read(t, "running") != "1002\n" {
		t.Errorf("busy until its processes are ended: %v, %s", err, u.read(t, "passwd"))
	}
	if _, err := p.Delete(t.Context(), bob()); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("there is none: %v", err)
	}
}

// TestX4ValuesNeverBecomeOptionsOrCommands: what is given to the tools is one argument, after the end of options.
func TestX4ValuesNeverBecomeOptionsOrCommands(t *testing.T) {
	t.Parallel()
	u := newUnixUsers(t)
	p := u.open(t)
	name := func(text string) identity.Delta {
		return identity.Delta{Attributes: []identity.AttributeChange{{Path: "displayName", Before: identity.Text("Bob Lee"), After: identity.Text(text)}}}
	}
	for _, text := range []string{"$(touch x)", "-rf", `"; touch x; '`, "`touch x`", `back\slash`} {
		after, _, err := p.Update(t.Context(), bob(), name(text))
		if err != nil || !strings.Contains(u.read(t, "calls"), "usermod\n--comment\n"+text+"\n--\nbob\n") {
			t.Errorf("%q: %+v, %v", text, after, err)
		}
	}
	if _, err := os.Stat(filepath.Join(u.folder, "x")); err == nil {
		t.Error("a value was run")
	}
	for _, text := range []string{"a\nb", "a\x00b", "a:0:0"} {
		_, receipt, err := p.Update(t.Context(), bob(), name(text))
		if err != nil || len(receipt.Refused) != 1 || receipt.Refused[0].Path != "displayName" {
			t.Errorf("%q: %+v, %v", text, receipt, err)
		}
	}
	before := u.read(t, "passwd")
	for _, login := range []string{"-rf", "a\x00b", "a\nroot"} {
		_, _, err := p.Create(t.Context(), identity.Account{UserName: login, Active: true})
		if !errors.Is(err, targets.ErrRejected) || u.read(t, "passwd") != before {
			t.Errorf("login %q: %v", login, err)
		}
	}
}

func TestUnixUsersKeepWhatTheyPromise(t *testing.T) {
	t.Parallel()
	u := newUnixUsers(t)
	p := u.program(t)
	p.Timeout, p.StartTimeout, p.Parallel = time.Minute, time.Minute, 1
	good, err := conformance.Run(t.Context(), p, hclog.NewNullLogger(), func(r conformance.Result) { t.Logf("%+v", r) })
	if err != nil || !good {
		t.Errorf("passed %t, %v", good, err)
	}
}
