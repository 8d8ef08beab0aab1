package fieldcases

// People come from a file that a personnel system exports, and files go wrong in their own ways.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// A payroll is a site whose people are in hr/people.csv.
type payroll struct {
	*site
	at time.Time // when the file was last written
}

const payrollBlock = `source "csv" "hr" {
  files   = ["hr/people.csv"]
  columns = {
    id = "Personnel No.", uid = "Login", cn = "Name", givenName = "First name", sn = "Last name", mail = "E-mail", state = "Status"
  }
  anchor  = "id"
  name    = "uid"
  settle  = "300ms"
  absence = "leaves"
  status {
    column = "state"
    active = ["active"]
    left   = ["left"]
  }
}`

// newPayroll settles a company of eight.
func newPayroll(t *testing.T, blocks ...string) *payroll {
	t.Helper()
	p := &payroll{open(t, slapdtest.Options{}), time.Now().Add(-time.Hour).Truncate(time.Second)}
	if err := os.Mkdir(filepath.Join(p.folder, "hr"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.configure(append(blocks, payrollBlock, p.target("app", p.app))...)
	p.save(people())
	p.settle()
	return p
}

func people() string {
	text := "Personnel No.;Login;Name;First name;Last name;E-mail;Status\r\n"
	for n := 1; n <= 8; n++ {
		text += fmt.Sprintf("%05d;p%d;\"Lee; P%d\";P%d;Lee;p%d@example.org;active\r\n", n, n, n, n, n)
	}
	return text
}

// save writes the file, a minute newer than before.
func (p *payroll) save(text string) {
	p.Helper()
	p.at = p.at.Add(time.Minute)
	path := filepath.Join(p.folder, "hr", "people.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	if err := os.Chtimes(path, p.at, p.at); err != nil {
		p.Fatal(err)
	}
}

func (p *payroll) everybody() bool {
	return p.app.active("p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8")
}

// TestH2CutFile: half a file is no file. It is said which, where and what to do, and the next one ends it.
func TestH2CutFile(t *testing.T) {
	p := newPayroll(t, wide)
	half, _, _ := strings.Cut(people(), ";Lee;p6@")
	p.save(half)
	code, out := p.dirsweep("sync")
	p.claim(code == 1 && strings.Contains(out, "hr/people.csv: line 7: 4 fields, and the header has 7"), "exit %d names file and line", code)
	p.claim(p.everybody(), "nobody is closed")
	code, out = p.dirsweep("check")
	p.claim(code == 1 && strings.Contains(out, "have the file written anew"), "check says what to do, exit %d", code)
	p.save(people())
	p.claim(p.sync() == 0, "the next file is read")
}

// TestH1LostRow: one file that lacks somebody is not enough, a second one is.
func TestH1LostRow(t *testing.T) {
	p := newPayroll(t, wide)
	lost := strings.Replace(people(), "00003;p3;\"Lee; P3\";P3;Lee;p3@example.org;active\r\n", "", 1)
	p.save(lost)
	code := p.sync()
	p.claim(code == 3 && p.everybody(), "somebody is unproven, and nobody closed: exit %d", code)
	p.claim(p.says("findings", "p3", "missing from hr/people.csv of "+p.at.UTC().Format("2006-01-02 15:04"), "a second, newer one"), "it is said of which file")
	code = p.sync()
	p.claim(code == 3 && p.everybody(), "reading it again changes nothing: exit %d", code)
	p.later(time.Minute)
	code = p.sync()
	p.claim(code == 3 && p.everybody(), "and so it does later: exit %d", code)
	p.save(lost)
	code = p.sync()
	p.claim(code == 0 && p.app.closed("p3"), "a newer one lacks them as well: exit %d", code)
	p.claim(p.app.active("p1", "p2", "p4"), "and nobody else is closed")
}

// TestH3SpreadsheetAteTheZeros: nobody leaves, nobody joins, and it is said why.
func TestH3SpreadsheetAteTheZeros(t *testing.T) {
	p := newPayroll(t, wide)
	for range 2 {
		p.save(strings.ReplaceAll(people(), "\r\n0000", "\r\n"))
		code := p.sync()
		p.claim(code == 3 && p.everybody() && len(p.app.accounts()) == 8, "exit %d, nobody is closed or made", code)
		p.claim(p.says("findings", "p3", "differs only in leading zeros"), "it is said why")
	}
	p.save(people())
	p.claim(p.sync() == 0, "all is well again")
}

// TestRestoredFileWaits: a file that is older than the last one is believed when somebody says so.
func TestRestoredFileWaits(t *testing.T) {
	p := newPayroll(t, wide)
	p.at = p.at.Add(-10 * time.Minute)
	p.save(strings.Replace(people(), "p3@example.org;active", "p3@example.org;left", 1))
	p.sync()
	holds := p.holds()
	p.claim(p.everybody() && len(holds) == 1 && p.says("holds", "hr/people.csv", "older than when it was last read"), "it is held: %q", holds)
	if len(holds) == 1 {
		p.dirsweep("approve", holds[0])
		p.sync()
		p.claim(p.app.closed("p3"), "who left by it is closed")
	}
}

// TestNewFileWaitsForNoClock: the daemon sees the file that takes the place of another one.
func TestNewFileWaitsForNoClock(t *testing.T) {
	p := newPayroll(t, wide, everyHour)
	p.run()
	p.untilPushed()
	path := filepath.Join(p.folder, "hr", "people.csv")
	if err := os.WriteFile(path+".new", []byte(strings.Replace(people(), "p3@example.org;active", "p3@example.org;left", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	p.claim(p.within(20*time.Second, func() bool { return p.app.closed("p3") }), "who left by it is closed")
	p.claim(p.app.active("p1", "p2", "p4"), "and nobody else")
}
