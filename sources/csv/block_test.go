package csv

import (
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
)

func TestDecode(t *testing.T) {
	decoded, diags := decodeText(t, "", small(`files = "p.csv"`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := decoded.(spec)
	if s.anchor != "id" || s.name != "login" || s.maxAge != 8*24*time.Hour || s.settle != 5*time.Second || s.delimiter != 0 || s.encoding != "" {
		t.Errorf("the defaults: %+v", s.block)
	}
	if got := strings.Join(s.Attributes(), " "); got != "id login" || s.CaseSensitive() || strings.Join(s.Exact(), " ") != "id" {
		t.Errorf("%q", got)
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct{ block, summary, detail string }{
		"no file":              {small(`files = []`), "No file", `Write files = ["hr/people.csv"]`},
		"no pattern":           {small(`files = "[x"`), "Not a file name", `"[x" is no pattern`},
		"a file twice":         {small(`files = ["a.csv", "a.csv"]`), "Named twice", `"a.csv" is in the list already`},
		"no columns":           {"files = \"p.csv\"\nanchor = \"id\"", "Missing argument", "columns is required"},
		"an unknown argument":  {small("files = \"p.csv\"\nheader = true"), "Unsupported argument", "header"},
		"anchor":               {strings.Replace(small(`files = "p.csv"`), `anchor = "id"`, `anchor = "No"`, 1), "Not among columns", `anchor = "No" has to be one of id, login`},
		"name":                 {strings.Replace(small(`files = "p.csv"`), `name = "login"`, `name = "Login"`, 1), "Not among columns", `name = "Login"`},
		"not a name":           {"files = \"p.csv\"\ncolumns = { \"Personnel No.\" = \"x\" }\nanchor = \"Personnel No.\"", "Not a name for expressions", "person.NAME"},
		"two in letter case":   {"files = \"p.csv\"\ncolumns = { id = \"x\", ID = \"y\" }\nanchor = \"id\"", "Two attributes of one name", "letter case alone"},
		"one column twice":     {"files = \"p.csv\"\ncolumns = { id = \"No\", no = \"NO \" }\nanchor = \"id\"", "One column twice", `"NO "`},
		"a column of nothing":  {"files = \"p.csv\"\ncolumns = { id = \" \" }\nanchor = \"id\"", "A column without a name", "id has to name"},
		"encoding":             {small("files = \"p.csv\"\nencoding = \"ansi\""), "Unknown encoding", "windows-1252"},
		"delimiter":            {small("files = \"p.csv\"\ndelimiter = \"\\\"\""), "Not a delimiter", `such as ","`},
		"a long delimiter":     {small("files = \"p.csv\"\ndelimiter = \", \""), "Not a delimiter", `such as ","`},
		"age":                  {small("files = \"p.csv\"\nmax_age = \"soon\""), "Not a duration", `"36h"`},
		"settle":               {small("files = \"p.csv\"\nsettle = \"2m\""), "Too long to wait", "a minute at most"},
		"status of nothing":    {small("files = \"p.csv\"\nstatus {\ncolumn = \"state\"\nactive = [\"a\"]\nleft = [\"b\"]\n}"), "Not among columns", "column"},
		"status without words": {small("files = \"p.csv\"\nstatus {\ncolumn = \"login\"\nactive = []\nleft = [\"b\"]\n}"), "Nothing listed", "active lists"},
		"both":                 {small("files = \"p.csv\"\nstatus {\ncolumn = \"login\"\nactive = [\"A\"]\nleft = [\"a \"]\n}"), "Both active and left", `"a"`},
		"an empty mark":        {small("files = \"p.csv\"\ncomplete {\n}"), "An empty complete block", "trailer, done or sha256"},
		"a list of lists":      {small(`files = [["p.csv"]]`), "Wrong kind of value", "list of string"},
	} {
		_, diags := decodeText(t, "", c.block)
		found := false
		for _, d := range diags {
			found = found || d.Summary == c.summary && strings.Contains(d.Detail, c.detail) && d.Subject != nil
		}
		if !found {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "36h": 36 * time.Hour, "8d": 8 * 24 * time.Hour} {
		decoded, diags := decodeText(t, "", small("files = \"p.csv\"\nmax_age = \""+text+"\""))
		if diags.HasErrors() || decoded.(spec).maxAge != want {
			t.Errorf("%s: %v", text, diags)
		}
	}
	for d, want := range map[time.Duration]string{36 * time.Hour: "36h", 90 * time.Minute: "1h30m", 5 * time.Second: "5s", 20 * time.Minute: "20m"} {
		if got := span(d); got != want {
			t.Errorf("%s for %s", got, want)
		}
	}
}

// TestHeader: columns are found by their names, in whatever way those are written, and the delimiter by them.
func TestHeader(t *testing.T) {
	s := open(t, "", "files = \"p.csv\"\ncolumns = { id = \"Personnel No.\", name = \"Größe\" }\nanchor = \"id\"", sources.Need{})
	for name, c := range map[string]struct {
		text      string
		delimiter byte
		err       string
	}{
		"commas":                   {"Personnel No.,Größe\n", ',', ""},
		"semicolons":               {"Größe;Personnel No.\n", ';', ""},
		"tabs":                     {"x\tGröße\tPersonnel No.\n", '\t', ""},
		"bars":                     {"Größe|Personnel No.\n", '|', ""},
		"commas within names":      {"\"a,b,c,d\";Größe;Personnel No.\n", ';', ""},
		"quotes":                   {"\"Personnel No.\",\"Größe\"\n", ',', ""},
		"spaces and letters":       {" PERSONNEL\u00a0 no. ,grÖsse,größe\n", ',', ""},
		"letters in two parts":     {"Personnel No.,Gro\u0308ße\n", ',', ""},
		"a mark within":            {"\ufeffPersonnel No.,Größe\n", ',', ""},
		"blank lines before":       {"\n \nPersonnel No.,Größe\n", ',', ""},
		"what a spreadsheet says":  {"sep=;\nPersonnel No.;Größe\n", ';', ""},
		"a column renamed":         {"Personal No.,Größe\n", 0, `line 1: no column is called "Personnel No.", which is to be id: did you mean "Personal No."? the header has "Personal No.", "Größe"`},
		"a column of another name": {"x,Größe\n", 0, `line 1: no column is called "Personnel No.", which is to be id: the header has "x", "Größe"`},
		"a column twice":           {"Größe,Personnel No.,größe\n", 0, `line 1: two columns are called "Größe" (columns 1 and 3), and name can be of one alone: have one of them renamed or left out`},
		"others twice":             {"Größe,x,x,Personnel No.,,\n", ',', ""},
		"nothing":                  {"\n", 0, "the file is empty"},
	} {
		f := newFolder(t)
		f.put("p.csv", c.text)
		s.dir = f.dir
		l, _, err := s.whole(t.Context())
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if l[0].scan.delimiter != c.delimiter {
			t.Errorf("%s: %q", name, l[0].scan.delimiter)
		}
		l.close()
	}
}
