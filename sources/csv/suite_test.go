package csv

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
)

const people = "people.csv"

// columns are those of most tests.
const columns = `
	files   = ["people.csv"]
	columns = { id = "Personnel No.", login = "Login", sn = "Last name", mail = "E-mail", status = "Status" }
	anchor  = "id"
	name    = "login"
	status {
		column = "status"
		active = ["active"]
		left   = ["left"]
	}
`

func decodeText(t testing.TB, dir, text string) (sources.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "hr.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return Kind().Decode(file.Body, sources.Env{Name: "hr", Dir: dir, Eval: &hcl.EvalContext{}})
}

// open makes the source of a block.
func open(t testing.TB, dir, text string, need sources.Need) *source {
	t.Helper()
	spec, diags := decodeText(t, dir, text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*source)
}

// A clock gives each file that is written a time of its own, the later the newer, and long past.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Now().Add(-time.Hour).Truncate(time.Second)} }

func (c *clock) write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Second)
	if err := os.Chtimes(path, c.at, c.at); err != nil {
		t.Fatal(err)
	}
}

// A harness is a file that is written anew at each change, as an export does.
type harness struct {
	*clock
	dir  string
	rows [][]string
	next int
}

func (h *harness) Open(t testing.TB, need sources.Need) sources.Source {
	return open(t, h.dir, columns, need)
}

func (h *harness) Names() (login, surname, mail string) { return "login", "sn", "mail" }

func (h *harness) save(t testing.TB) {
	t.Helper()
	lines := []string{"Personnel No.;Login;Last name;E-mail;Status"}
	for _, row := range h.rows {
		lines = append(lines, strings.Join(row, ";"))
	}
	h.write(t, filepath.Join(h.dir, people), strings.Join(lines, "\r\n")+"\r\n")
}

func (h *harness) Add(t testing.TB, login, surname, mail string) {
	h.next++
	h.rows = append(h.rows, []string{fmt.Sprintf("%05d", h.next), login, surname, mail, "active"})
	h.save(t)
}

func (h *harness) set(t testing.TB, login string, column int, value string) {
	t.Helper()
	for _, row := range h.rows {
		if row[1] == login {
			row[column] = value
		}
	}
	h.save(t)
}

func (h *harness) Rename(t testing.TB, login, now string)   { h.set(t, login, 1, now) }
func (h *harness) SetMail(t testing.TB, login, mail string) { h.set(t, login, 3, mail) }
func (h *harness) Disable(t testing.TB, login string)       { h.set(t, login, 4, "Left") }

func (h *harness) Delete(t testing.TB, login string) {
	h.rows = slices.DeleteFunc(h.rows, func(row []string) bool { return row[1] == login })
	h.save(t)
}

func (h *harness) Away(testing.TB, string) bool { return false }
func (h *harness) Back(testing.TB, string) bool { return false }

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t testing.TB) sourcetest.Harness {
		h := &harness{clock: newClock(), dir: t.TempDir()}
		h.save(t)
		return h
	})
}
