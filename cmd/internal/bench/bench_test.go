//go:build unix

// Package bench measures dirsweep where it has to be fast and small: reading a directory, and whole passes of the real
// program, beside the plainest client that does nothing but read the same. `make bench` prints the table.
package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/programtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// The sizes and the number of interleaved rounds may be set by the environment.
const (
	sizesVariable  = "BENCH_PEOPLE" // "10000,100000"
	roundsVariable = "BENCH_ROUNDS" // 3
	// otherVariable names another build of the program, whose passes are made in turns with this one's.
	otherVariable = "BENCH_OTHER"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(play(os.Getenv(roleVariable)))
	}
	os.Exit(m.Run())
}

// BenchmarkTable prints one table. Everything in it is a process of its own, so that its time and memory are nobody
// else's; the servers' are not counted. What is compared ran in turns, and of several rounds each figure is the median,
// of memory the largest.
func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		program := build(b)
		var rows table
		for _, people := range sizes(b) {
			dir := slapdtest.Start(b, slapdtest.Options{People: people})
			rows = append(rows, reading(b, dir, people)...)
			rows = append(rows, passes(b, program, dir, people)...)
		}
		fmt.Printf("\n%s\n", rows)
	}
}

func sizes(b *testing.B) (list []int) {
	text := os.Getenv(sizesVariable)
	if text == "" {
		text = "10000,100000"
	}
	for field := range strings.SplitSeq(text, ",") {
		list = append(list, number(b, sizesVariable, field))
	}
	return list
}

func rounds(b *testing.B) int {
	if text := os.Getenv(roundsVariable); text != "" {
		return number(b, roundsVariable, text)
	}
	return 3
}

func number(b *testing.B, name, text string) int {
	b.Helper()
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s: %q is no number of at least 1", name, text)
	}
	return n
}

// build makes the program that users run.
func build(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "dirsweep")
	b.Setenv("CGO_ENABLED", "0")
	if err := programtest.Build(path, "-trimpath", "-ldflags", "-s -w"); err != nil {
		b.Fatal(err)
	}
	return path
}

// attributes are what every reader asks for: eight of each person, and the anchor.
func attributes() []string {
	return []string{"cn", "displayName", "givenName", "mail", "sn", "telephoneNumber", "title", "uid"}
}

// reading is our source beside OpenLDAP's own client.
func reading(b *testing.B, dir *slapdtest.Server, people int) table {
	var plain, ours samples
	for range rounds(b) {
		plain = append(plain, measure(b, ldapsearch(dir)))
		ours = append(ours, measure(b, role(b, "people", dir.Block("corp"), people)))
	}
	base := plain.typical()
	return table{
		{what: "`ldapsearch >/dev/null`", people: people, usage: base},
		{what: "read people", people: people, usage: ours.typical(), base: &base},
	}
}

func ldapsearch(dir *slapdtest.Server) *exec.Cmd {
	return exec.Command("ldapsearch", append([]string{
		"-LLL", "-x", "-H", dir.URL(), "-D", dir.ReaderDN(), "-w", dir.Password(), "-b", dir.PeopleDN(), "-E", fmt.Sprintf("pr=%d/noprompt", pageSize),
		"(objectClass=inetOrgPerson)", "entryUUID",
	}, attributes()...)...)
}

// passes are a first pass, which creates everybody, and passes in which nothing changed, beside the plainest reading of
// both ends.
func passes(b *testing.B, program string, dir *slapdtest.Server, people int) table {
	ours := newInstallation(b, program, dir, people)
	installed := []*installation{ours}
	if other := os.Getenv(otherVariable); other != "" {
		installed = append(installed, newInstallation(b, other, dir, people))
	}
	var plain samples
	for round := range rounds(b) {
		listing := role(b, "accounts", ours.app.URL(), people, ours.app.Token())
		plain = append(plain, measure(b, ldapsearch(dir)).then(measure(b, listing)))
		for turn := range installed { // who goes first finds colder caches
			i := installed[(round+turn)%len(installed)]
			i.unchanged = append(i.unchanged, i.pass(b))
		}
	}
	base := plain.typical()
	rows := table{{what: "`ldapsearch`, then a bare listing", people: people, usage: base}}
	for n, i := range installed {
		if got := i.app.Writes() - i.written; got != 0 {
			b.Fatalf("%d writes in passes without a change", got)
		}
		name := []string{"`sync`", "`sync` of " + otherVariable}[n]
		rows = append(rows,
			row{what: name + ", everybody is created", people: people, usage: i.first},
			row{what: name + ", nothing changed, 0 writes", people: people, usage: i.unchanged.typical(), base: &base},
		)
	}
	return rows
}

// An installation is a program with a state and an application of its own.
type installation struct {
	program, config string
	app             *scimtest.Server
	written         int
	first           usage
	unchanged       samples
}

// newInstallation makes one and its first pass.
func newInstallation(b *testing.B, program string, dir *slapdtest.Server, people int) *installation {
	b.Helper()
	app, fast := scimtest.StartFast(b, 0, scimtest.Quirks{})
	i := &installation{program: program, config: filepath.Join(b.TempDir(), "config.hcl"), app: app}
	config := install(dir, app, filepath.Join(b.TempDir(), "state.db"))
	if err := os.WriteFile(i.config, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	i.first = i.pass(b)
	if all, active := fast.Len(); all != people || active != people {
		b.Fatalf("%d accounts, %d active, after the first pass over %d people", all, active, people)
	}
	i.written = app.Writes()
	return i
}

func (i *installation) pass(b *testing.B) usage {
	b.Helper()
	return measure(b, exec.Command(i.program, "--config", i.config, "sync"))
}

func install(dir *slapdtest.Server, app *scimtest.Server, state string) string {
	return fmt.Sprintf(`
state { path = %q }
%s
target "scim" "wiki" {
  %s
  rate = { per_second = 10000, parallel = 16 }
  account = {
    userName          = lower(person.uid)
    displayName       = person.displayName
    title             = person.title
    "name.formatted"  = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail")
    phoneNumbers      = values("telephoneNumber")
  }
}
`, state, source(dir), app.Block())
}

func source(dir *slapdtest.Server) string {
	return fmt.Sprintf(`source "ldap" "corp" {
  url           = %q
  bind_dn       = %q
  bind_password = %q
  base_dn       = %q
  filter        = "(objectClass=inetOrgPerson)"
}`, dir.URL(), dir.ReaderDN(), dir.Password(), dir.PeopleDN())
}
