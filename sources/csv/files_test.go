package csv

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A folder holds files of people, each written at a time of its own.
type folder struct {
	testing.TB
	*clock
	dir string
}

func newFolder(t testing.TB) *folder { return &folder{t, newClock(), t.TempDir()} }

func (f *folder) put(name, content string) {
	f.Helper()
	f.write(f, filepath.Join(f.dir, name), content)
}

// remove takes a file away.
func (f *folder) remove(name string) {
	f.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.Fatal(err)
	}
}

// small is a block of two columns; text is more of it.
func small(text string) string {
	return "columns = { id = \"No\", login = \"Login\" }\nanchor = \"id\"\nname = \"login\"\n" + text
}

// read is whoever is read, by anchor, with what is wrong of some, and why the read is no whole.
func read(t testing.TB, s *source) (who map[string]identity.Person, wrong []string, facts *sources.ReadFacts, err error) {
	who = map[string]identity.Person{}
	people, facts := sources.Read(t.Context(), s, true)
	for p, fault := range people {
		if one := (*sources.PersonError)(nil); errors.As(fault, &one) {
			wrong = append(wrong, fault.Error())
			continue
		}
		if fault != nil {
			return who, wrong, facts, fault
		}
		who[p.ID.Anchor] = p
	}
	return who, wrong, facts, nil
}

func anchorsOf(who map[string]identity.Person) string {
	return strings.Join(slices.Sorted(maps.Keys(who)), " ")
}

// incomplete fails the test where a read is not refused with all of these words.
func (f *folder) incomplete(s *source, words ...string) {
	f.Helper()
	who, _, facts, err := read(f, s)
	if !errors.Is(err, sources.ErrIncomplete) || len(who) > 0 || facts.People > 0 {
		f.Errorf("%d people, %v", len(who), err)
	}
	for _, word := range words {
		if !strings.Contains(fmt.Sprint(err), word) {
			f.Errorf("%q is not said: %v", word, err)
		}
	}
}

func TestSeveralFilesAreOneList(t *testing.T) {
	f := newFolder(t)
	f.put("hr/people-north.csv", "No,Login\n001,ann\n")
	f.put("hr/people-south.csv", "Login;No\nbob;002\n")
	f.put("staff.csv", "No,Login\n003,eve\n")
	s := open(t, f.dir, small(`files = ["hr/people-*.csv", "staff.csv", "hr/people-n*.csv"]`), sources.Need{})
	who, wrong, facts, err := read(t, s)
	if err != nil || len(wrong) > 0 || anchorsOf(who) != "001 002 003" || facts.Server != "hr/people-*.csv, staff.csv, hr/people-n*.csv" {
		t.Fatalf("%v, %q, %v, %+v", who, wrong, err, facts)
	}
	if p := who["002"]; p.DN != "bob,hr/people-*.csv" || p.Container() != "hr/people-*.csv" || p.Name != "bob" {
		t.Errorf("%+v", p)
	}
	before := facts.Until
	f.put("hr/people-south.csv", "Login;No\nbob;002\n")
	if _, _, facts, err = read(t, s); err != nil || !facts.From.Covers(before) || before.Covers(facts.Until) {
		t.Errorf("a newer file: %v after %v, %v", facts.Until, before, err)
	}
	before = facts.Until
	f.remove("hr/people-north.csv")
	f.incomplete(s, "no file is called hr/people-n*.csv", "take it out of files")
	s = open(t, f.dir, small(`files = ["hr/people-*.csv", "staff.csv"]`), sources.Need{})
	if _, _, facts, err = read(t, s); err != nil || facts.From.Covers(before) {
		t.Errorf("a file less is no list as current as before: %v after %v, %v", facts.Until, before, err)
	}
}

// TestNewestOfDatedFiles: each export has a name of its own, and the old ones stay.
func TestNewestOfDatedFiles(t *testing.T) {
	f := newFolder(t)
	f.put("people-26.csv", "No,Login\n1,ann\n2,bob\n")
	f.put("people-27.csv", "No,Login\n1,ann\n3,eve\n")
	s := open(t, f.dir, small("files = \"people-*.csv\"\nnewest = true"), sources.Need{})
	who, wrong, before, err := read(t, s)
	if err != nil || len(wrong) > 0 || anchorsOf(who) != "1 3" {
		t.Errorf("%v, %q, %v", anchorsOf(who), wrong, err)
	}
	f.remove("people-26.csv") // the archive is nobody's business
	if _, _, after, err := read(t, s); err != nil || !after.From.Covers(before.Until) {
		t.Errorf("%v after %v, %v", after.From, before.Until, err)
	}
	f.put("people-28.csv", "No,Login\n1,ann\n4,kim\n")
	if who, _, _, err = read(t, s); err != nil || anchorsOf(who) != "1 4" {
		t.Errorf("%v, %v", anchorsOf(who), err)
	}
	_, _, before, _ = read(t, s)
	f.remove("people-28.csv")
	if _, _, after, err := read(t, s); err != nil || after.From.Covers(before.Until) {
		t.Errorf("the one before is older: %v after %v, %v", after.From, before.Until, err)
	}
}

// TestFolderOfAnyName: what stands for something in a pattern may be part of the folder's own name.
func TestFolderOfAnyName(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("such names are refused")
	}
	f := newFolder(t)
	f.dir = filepath.Join(f.dir, `a[b]*\c`)
	f.put("hr/p.csv", "No,Login\n1,ann\n")
	if who, _, _, err := read(t, open(t, f.dir, small(`files = "hr/*.csv"`), sources.Need{})); err != nil || len(who) != 1 {
		t.Errorf("%v, %v", who, err)
	}
}

// TestOlderFileIsLessCurrent: as after a restore, also where another file of the pattern is newer.
func TestOlderFileIsLessCurrent(t *testing.T) {
	f := newFolder(t)
	f.put("a.csv", "No,Login\n1,ann\n")
	f.put("b.csv", "No,Login\n2,bob\n")
	s := open(t, f.dir, small(`files = ["*.csv"]`), sources.Need{})
	_, _, before, err := read(t, s)
	if err != nil {
		t.Fatal(err)
	}
	past := f.at.Add(-time.Minute)
	if err := os.Chtimes(filepath.Join(f.dir, "a.csv"), past, past); err != nil {
		t.Fatal(err)
	}
	if _, _, after, err := read(t, s); err != nil || after.From.Covers(before.Until) {
		t.Errorf("%v after %v, %v", after.From, before.Until, err)
	}
}

func TestAnchorsAreText(t *testing.T) {
	f := newFolder(t)
	f.put("p.csv", "No,Login\n 00123 ,ann\n123,bob\n\u00a0x-1,eve\n1E5,kim\n12345678901234567890,lee\n")
	who, wrong, _, err := read(t, open(t, f.dir, small(`files = "p.csv"`), sources.Need{}))
	if err != nil || anchorsOf(who) != "00123 123 12345678901234567890 1E5 x-1" || len(wrong) > 0 {
		t.Errorf("%v, %q, %v", anchorsOf(who), wrong, err)
	}
}

// TestH7OneNumberTwice: of two rows with one number none is taken for theirs, in whatever order and file, and both are named.
func TestH7OneNumberTwice(t *testing.T) {
	f := newFolder(t)
	f.put("a.csv", "No,Login\n1,ann\n2,bob\n3,eve\n")
	f.put("b.csv", "No,Login\n4,kim\n2,bobby\n")
	who, wrong, facts, err := read(t, open(t, f.dir, small(`files = ["a.csv", "b.csv"]`), sources.Need{}))
	if err != nil || anchorsOf(who) != "1 3 4" || len(wrong) != 1 || facts.People != 4 || facts.Nameless.Count != 0 ||
		wrong[0] != "bob,a.csv: 2 rows have the No 2 (a.csv line 3, b.csv line 3), and none of them is taken for theirs: have all but one taken out of the export" {
		t.Errorf("%v, %q, %+v, %v", anchorsOf(who), wrong, facts, err)
	}
}

// TestH8RowsWithoutNumber: each is told with its line, and none is the same as another.
func TestH8RowsWithoutNumber(t *testing.T) {
	f := newFolder(t)
	f.put("p.csv", "No,Login\n,ann\n 	,bob\n3,eve\n\"a\nb\",kim\n4.5E+11,lee\n")
	who, wrong, facts, err := read(t, open(t, f.dir, small(`files = "p.csv"`), sources.Need{}))
	if err != nil || anchorsOf(who) != "3" || len(wrong) != 4 || facts.People != 5 ||
		facts.Nameless.String() != "p.csv line 2, p.csv line 3, p.csv line 5, p.csv line 7" {
		t.Errorf("%v, %q, %+v, %v", anchorsOf(who), wrong, facts, err)
	}
}

// TestSomeAreAFindingManyAreAFile: a few bad rows are told one by one; many mean that the file is another one.
func TestSomeAreAFindingManyAreAFile(t *testing.T) {
	rows := func(n, of int, bad func(i int) string) string {
		text := "No,Login\n"
		for i := range of {
			no := fmt.Sprint(1000 + i)
			if i < n {
				no = bad(i)
			}
			text += no + ",x\n"
		}
		return text
	}
	for name, c := range map[string]struct {
		n, of int
		bad   func(int) string
		words string
	}{
		"20 of 100 without":      {20, 100, func(int) string { return "" }, ""},
		"21 of 210 without":      {21, 210, func(int) string { return "" }, ""},
		"21 of 209 without":      {21, 209, func(int) string { return "" }, "21 of 209 rows have no anchor that can be used; the first is p.csv line 2"},
		"20 of 100 like another": {20, 100, func(i int) string { return fmt.Sprint(1050 + i) }, ""},
		"30 of 100 like another": {30, 100, func(i int) string { return fmt.Sprint(1050 + i) }, "30 of 100 rows have the anchor of another one, such as p.csv line 2, p.csv line 52"},
	} {
		f := newFolder(t)
		f.put("p.csv", rows(c.n, c.of, c.bad))
		s := open(t, f.dir, small(`files = "p.csv"`), sources.Need{})
		if c.words != "" {
			f.incomplete(s, c.words)
		} else if _, wrong, _, err := read(t, s); err != nil || len(wrong) != 20 && len(wrong) != 21 {
			t.Errorf("%s: %d, %v", name, len(wrong), err)
		}
	}
}

func TestCompleteness(t *testing.T) {
	const good = "No,Login\n1,ann\n2,bob\n"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(good)))
	for name, c := range map[string]struct {
		complete string
		text     string
		beside   fstest.MapFS
		words    []string // nil: it is whole
	}{
		"a number of rows":              {`trailer = "T;{rows};"`, good + "T; 0002 ;\n", nil, nil},
		"without a line break":          {`trailer = "T;{rows}"`, good + "T;2", nil, nil},
		"words":                         {`trailer = "end of file"`, good + "end of file\n\n", nil, nil},
		"another number":                {`trailer = "T;{rows}"`, good + "T;3\n", nil, []string{"p.csv: line 4: the last line says 3 rows, and there are 2"}},
		"no trailer":                    {`trailer = "T;{rows}"`, good, nil, []string{`p.csv: line 3: the file ends without its last line "T;{rows}"`}},
		"a row after it":                {`trailer = "T;{rows}"`, good + "T;2\n3,eve\n", nil, []string{"p.csv: line 5: a row after the last line, which is line 4"}},
		"done":                          {`done = "{stem}.done"`, good, fstest.MapFS{"p.done": {}}, nil},
		"done, and no line break":       {`done = "{file}.ok"`, strings.TrimSuffix(good, "\n"), fstest.MapFS{"p.csv.ok": {}}, nil},
		"one for all":                   {`done = "all.done"`, good, fstest.MapFS{"all.done": {}}, nil},
		"not done":                      {`done = "{stem}.done"`, good, nil, []string{"p.csv: p.done is not there", "may be under way, or have failed"}},
		"done before":                   {`done = "{stem}.done"`, good, fstest.MapFS{"p.done": {ModTime: time.Unix(1, 0)}}, []string{"p.csv: p.done is older than the file", "under way"}},
		"checksum":                      {`sha256 = "{file}.sha256"`, good, fstest.MapFS{"p.csv.sha256": {Data: []byte(sum)}}, nil},
		"as sha256sum writes it":        {`sha256 = "{file}.sha256"`, good, fstest.MapFS{"p.csv.sha256": {Data: []byte(sum + " *out/p.csv\r\n")}}, nil},
		"among others":                  {`sha256 = "SHA256SUMS"`, good, fstest.MapFS{"SHA256SUMS": {Data: []byte(strings.Repeat("0", 64) + "  q.csv\n" + strings.ToUpper(sum) + "  p.csv\n")}}, nil},
		"of other files":                {`sha256 = "SHA256SUMS"`, good, fstest.MapFS{"SHA256SUMS": {Data: []byte(sum + "  q.csv\n")}}, []string{"p.csv: SHA256SUMS has no checksum of it", "64 hexadecimal digits"}},
		"no checksum":                   {`sha256 = "{file}.sha256"`, good, nil, []string{"p.csv: p.csv.sha256 is not there"}},
		"another checksum":              {`sha256 = "{file}.sha256"`, good + "3,eve\n", fstest.MapFS{"p.csv.sha256": {Data: []byte(sum)}}, []string{"p.csv: its checksum is not that in p.csv.sha256", "have both written anew"}},
		"all of them, and one is wrong": {"trailer = \"T;{rows}\"\ndone = \"{stem}.done\"", good + "T;2\n", nil, []string{"p.done is not there"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put("p.csv", c.text)
			for path, file := range c.beside {
				f.put(path, string(file.Data))
				if !file.ModTime.IsZero() {
					if err := os.Chtimes(filepath.Join(f.dir, path), file.ModTime, file.ModTime); err != nil {
						t.Fatal(err)
					}
				}
			}
			s := open(t, f.dir, small("files = \"p.csv\"\ncomplete {\n"+c.complete+"\n}"), sources.Need{})
			if c.words != nil {
				f.incomplete(s, c.words...)
				return
			}
			if who, _, _, err := read(t, s); err != nil || anchorsOf(who) != "1 2" {
				t.Errorf("%v, %v", anchorsOf(who), err)
			}
		})
	}
}

// TestYoungFileIsLeftAlone: what has just been written may be half of a file, and is read when it has settled.
func TestYoungFileIsLeftAlone(t *testing.T) {
	f := newFolder(t)
	f.put("p.csv", "No,Login\n1,ann\n")
	path := filepath.Join(f.dir, "p.csv")
	for name, c := range map[string]struct {
		written time.Duration // from now on
		block   string
		waits   bool
	}{
		"old":                {-time.Hour, "", false},
		"just written":       {0, "", true},
		"by another clock":   {time.Hour, "", true},
		"and known as whole": {0, "complete {\ndone = \"p.csv\"\n}", false},
	} {
		begun := time.Now()
		written := begun.Add(c.written)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		who, _, _, err := read(t, open(t, f.dir, small("files = \"p.csv\"\nsettle = \"300ms\"\n"+c.block), sources.Need{}))
		if took := time.Since(begun); err != nil || len(who) != 1 || (took > 150*time.Millisecond) != c.waits {
			t.Errorf("%s: %d people after %s, %v", name, len(who), took, err)
		}
	}
}

// TestChangedWhileItIsRead: in place, between two looks at it: nothing of it is believed, or it is read again.
func TestChangedWhileItIsRead(t *testing.T) {
	f := newFolder(t)
	f.put("p.csv", "No,Login\n1,ann\n2,bob\n3,eve\n")
	s := open(t, f.dir, small(`files = "p.csv"`), sources.Need{})
	var last error
	for _, err := range s.People(t.Context()) {
		if last = err; err == nil {
			f.put("p.csv", "No,Login\n1,ann\n2,bob\n9,zoe\n")
		}
	}
	if !errors.Is(last, sources.ErrIncomplete) || !strings.Contains(last.Error(), "p.csv: it is being written") {
		t.Errorf("%v", last)
	}
	if who, _, _, err := read(t, s); err != nil || anchorsOf(who) != "1 2 9" {
		t.Errorf("%v, %v", who, err)
	}
}

// TestReplacedWhileItIsRead: by another file of that name. What was opened is read, whole.
func TestReplacedWhileItIsRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open cannot be replaced")
	}
	f := newFolder(t)
	f.put("p.csv", "No,Login\n1,ann\n2,bob\n3,eve\n")
	s := open(t, f.dir, small(`files = "p.csv"`), sources.Need{})
	var seen []string
	for p, err := range s.People(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, p.ID.Anchor); len(seen) == 1 {
			f.put("new.csv", "No,Login\n7,zoe\n")
			if err := os.Rename(filepath.Join(f.dir, "new.csv"), filepath.Join(f.dir, "p.csv")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if strings.Join(seen, " ") != "1 2 3" {
		t.Errorf("%q", seen)
	}
	if who, _, _, err := read(t, s); err != nil || anchorsOf(who) != "7" {
		t.Errorf("%v, %v", who, err)
	}
}

func TestFileThatMayNotBeRead(t *testing.T) {
	if os.Getuid() <= 0 {
		t.Skip("root may read everything, and Windows has other rights")
	}
	f := newFolder(t)
	f.put("p.csv", "No,Login\n1,ann\n")
	if err := os.Chmod(filepath.Join(f.dir, "p.csv"), 0); err != nil {
		t.Fatal(err)
	}
	f.incomplete(open(t, f.dir, small(`files = "p.csv"`), sources.Need{}), "p.csv: "+fs.ErrPermission.Error())
}

func TestCheckTells(t *testing.T) {
	f := newFolder(t)
	f.put("p.csv", "No;Login;Mail\n1;ann;a@example.org\n2;bob;\n2;bobby;\n;eve;\n")
	path := filepath.Join(f.dir, "p.csv")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	s := open(t, f.dir, "files = \"p.csv\"\nmax_age = \"30m\"\ncolumns = { id = \"No\", login = \"Login\", mail = \"Mail\" }\nanchor = \"id\"",
		sources.Need{Attributes: []string{"mail"}, Groups: true})
	lines, err := s.Check(t.Context())
	text := strings.Join(lines, "\n")
	if err != nil {
		t.Fatal(err)
	}
	words := []string{
		`p.csv: 4 rows, utf-8, columns apart by ";", written `, "and max_age is 30m", "2 rows have the No 2 (p.csv line 3, p.csv line 4)",
		"p.csv line 5: it has no No", "3 people, 2 of them are not read", "mail (Mail): 1 of 3 have it", "nothing tells that a file is whole",
		"absence cannot be proven", "a file of people has no groups",
	}
	if runtime.GOOS != "windows" {
		words = append(words, "can be written by everybody")
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not said:\n%s", word, text)
		}
	}
	f.put("p.csv", "No;Login;Mail\n1;ann\n")
	if _, err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "hr: p.csv: line 2: 2 fields, and the header has 3") {
		t.Errorf("%v", err)
	}
}

func TestWatchTellsOfNewFiles(t *testing.T) {
	f := newFolder(t)
	f.put("hr/p.csv", "No,Login\n1,ann\n")
	for name, look := range map[string]time.Duration{"told by the system": time.Hour, "looked at by the clock": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s := open(t, f.dir, small("files = \"hr/*.csv\"\nsettle = \"50ms\""), sources.Need{})
			s.look = look
			ctx, cancel := context.WithCancel(t.Context())
			signs, over := make(chan sources.Sign, 10), make(chan struct{})
			go func() {
				defer close(over)
				s.Watch(ctx, func(sign sources.Sign) { signs <- sign })
			}()
			next := func(what string) {
				t.Helper()
				select {
				case sign := <-signs:
					if !sign.Pushing {
						t.Errorf("%s: %+v", what, sign)
					}
				case <-time.After(10 * time.Second):
					t.Fatal(what + ": nothing is told")
				}
			}
			next("the beginning")
			f.put("hr/p.csv", "No,Login\n1,ann\n2,bob\n")
			next("a file that was written")
			f.put("hr/q.csv", "No,Login\n3,eve\n")
			next("a file more")
			f.remove("hr/q.csv")
			next("a file less")
			cancel()
			<-over
		})
	}
}

func TestSelection(t *testing.T) {
	of := func(text string) (string, map[string]uint64) { return open(t, "", text, sources.Need{}).Selection() }
	anchor, before := of(columns)
	for part, c := range map[string]struct{ by, anchor, changed string }{
		`"people.csv"`:              {`"staff.csv"`, anchor, "files"},
		`active = ["active"]`:       {`active = ["active", "on leave"]`, anchor, "status.active"},
		`left   = ["left"]`:         {`left = ["gone"]`, anchor, "status.left"},
		`anchor  = "id"`:            {`anchor = "login"`, "login", ""},
		`id = "Personnel No."`:      {`id = "PERSONNEL  No."`, anchor, ""},
		`login = "Login", sn = "La`: {`login = "Account", sn = "La`, anchor, ""},
		`status {`:                  {"delimiter = \";\"\nstatus {", anchor, ""},
	} {
		if !strings.Contains(columns, part) {
			t.Fatal(part)
		}
		now, after := of(strings.Replace(columns, part, c.by, 1))
		var changed []string
		for name, print := range after {
			if before[name] != print {
				changed = append(changed, name)
			}
		}
		if now != c.anchor || strings.Join(changed, " ") != c.changed {
			t.Errorf("%s: anchor %q, changed %q", c.by, now, changed)
		}
	}
}

// TestManyPeople: a list is never in memory.
func TestManyPeople(t *testing.T) {
	const people = 100_000
	f := newFolder(t)
	var text strings.Builder
	text.WriteString("No,Login,Note\n")
	for i := range people {
		fmt.Fprintf(&text, "%07d,p%d,%s\n", i, i, strings.Repeat("x", 100))
	}
	f.put("p.csv", text.String())
	text.Reset()
	s := open(t, f.dir, small(`files = "p.csv"`), sources.Need{})
	count := 0
	var most runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&most)
	before := most.HeapAlloc
	for _, err := range s.People(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == people/2 {
			runtime.GC()
			runtime.ReadMemStats(&most)
		}
	}
	if grown := int64(most.HeapAlloc) - int64(before); count != people || grown > 64*people {
		t.Errorf("%d people, %d bytes each", count, grown/people)
	}
}
