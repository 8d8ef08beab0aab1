package reconcile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"github.com/dirsweep/dirsweep/sources/csv"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A payroll is a company whose people are exported as a file, and an application that has an account for each.
type payroll struct {
	*lab
	app  *scimtest.Server
	file string
	rows [][]string // number, login, last name, note, status, last day
	at   time.Time  // when the file was last written

	later  time.Duration // of dirsweep's clock: an export is no matter of seconds
	stands bool          // a test sets the clock itself
}

const payrollHeader = "Personnel No.;Login;Last name;Note;Status;Last day"

// newPayroll settles such a company. extra is HCL for the source's block.
func newPayroll(t *testing.T, people int, extra string) *payroll {
	t.Helper()
	p := &payroll{lab: newLab(t), at: time.Now().Add(-10 * time.Hour).Truncate(time.Second)}
	p.file = filepath.Join(p.dir, "people.csv")
	p.app, _ = scimtest.StartFast(t, 0, scimtest.Quirks{})
	for n := 1; n <= people; n++ {
		p.hire(n)
	}
	p.read(extra)
	p.application("wiki", p.app, "account = {\n userName = person.login\n displayName = person.sn\n}\n", nil)
	text := p.text()
	if strings.Contains(extra, "trailer") {
		text += fmt.Sprintf("END;%d\r\n", people)
	}
	p.save(text)
	p.full()
	if got := len(active(t, p.app)); got != people {
		t.Fatalf("%d of %d people have an account", got, people)
	}
	return p
}

// read opens the source, by its block.
func (p *payroll) read(extra string) {
	p.t.Helper()
	p.sourceOf(csv.Kind(), []string{"leaveDate", "login", "sn", "status"}, "hr", `
		files   = ["people.csv"]
		columns = { id = "Personnel No.", login = "Login", sn = "Last name", status = "Status", leaveDate = "Last day" }
		anchor  = "id"
		name    = "login"
		status {
			column = "status"
			active = ["active"]
			left   = ["left"]
		}
	`+extra)
	p.sources[0].AbsenceLeaves = true
}

func (p *payroll) hire(n int) {
	p.rows = append(p.rows, []string{personnel(n), login(n), "Müller", fmt.Sprintf("\"likes \"\"tea\"\";\r\nroom %d\"", n), "active", ""})
}

func personnel(n int) string { return fmt.Sprintf("%05d", n) }

func login(n int) string { return fmt.Sprintf("p%03d", n) }

func (p *payroll) text() string {
	lines := []string{payrollHeader}
	for _, row := range p.rows {
		lines = append(lines, strings.Join(row, ";"))
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// save writes the file, newer than before.
func (p *payroll) save(text string) {
	p.t.Helper()
	p.at = p.at.Add(time.Minute)
	p.must(os.WriteFile(p.file, []byte(text), 0o600))
	p.must(os.Chtimes(p.file, p.at, p.at))
	if p.later += time.Minute; p.now == nil || !p.stands {
		p.now = func() time.Time { return time.Now().Add(p.later) }
	}
}

// said is all that a pass says of what is wrong.
func said(report reconcile.Report) string {
	var text strings.Builder
	for _, part := range report.Sources {
		text.WriteString(part.Err + "\n")
	}
	for _, h := range report.Held {
		text.WriteString(h.Reason + "\n")
	}
	for _, f := range report.Findings {
		text.WriteString(f.Kind + " " + f.Subject + ": " + f.Detail + "\n")
	}
	return text.String()
}

// says fails the test where a pass does not say all of these.
func (p *payroll) says(report reconcile.Report, words ...string) {
	p.t.Helper()
	text := said(report)
	for _, word := range words {
		if !strings.Contains(text, word) {
			p.t.Errorf("%q is not said:\n%.3000s", word, text)
		}
	}
}

// nobodyCloses fails the test where an account that was active is not any more.
func (p *payroll) nobodyCloses(before []string) {
	p.t.Helper()
	now := active(p.t, p.app)
	for _, name := range before {
		if !slices.Contains(now, name) {
			p.t.Errorf("%s was closed", name)
		}
	}
}

// TestH1TwoVersionsLackThem: a file that lost lines makes nobody leave; a newer one that lacks them as well does.
func TestH1TwoVersionsLackThem(t *testing.T) {
	p := newPayroll(t, 40, "")
	whole := p.rows
	lost := slices.Concat(p.rows[:10], p.rows[12:])
	p.rows = lost
	p.save(p.text())
	for range 3 { // as often as it is read
		report := p.run(reconcile.Pass{})
		if len(active(t, p.app)) != 40 || len(findings(report, "unproven")) != 2 {
			t.Fatalf("%d are active: %s", len(active(t, p.app)), said(report))
		}
		p.says(report, "missing from people.csv of "+p.at.UTC().Format("2006-01-02 15:04 UTC"), "a second, newer one, 30s", "has to lack them as well")
	}
	p.rows = whole
	p.save(p.text())
	p.full() // the next file has them: they were never gone
	p.rows = lost
	p.save(p.text())
	if p.run(reconcile.Pass{}); len(active(t, p.app)) != 40 {
		t.Fatal("the file before last counted, though they have been seen since")
	}
	p.save(p.text())
	report := p.run(reconcile.Pass{})
	if got := active(t, p.app); len(got) != 38 || slices.Contains(got, login(11)) || slices.Contains(got, login(12)) {
		t.Fatalf("two files lack them, and of %d that are active: %v\n%s", len(got), got, said(report))
	}
}

// TestH1StatusGoesAtOnce: who is in the file as somebody who left needs no second one.
func TestH1StatusGoesAtOnce(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows[4][4] = "left"
	p.save(p.text())
	p.full()
	if got := active(t, p.app); len(got) != 39 || slices.Contains(got, login(5)) {
		t.Fatalf("%v", got)
	}
}

// TestH1TooManyAreHeld: of a file that shrank too much nobody leaves, in however many versions.
func TestH1TooManyAreHeld(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows = p.rows[:30]
	for range 3 {
		p.save(p.text())
		report := p.run(reconcile.Pass{})
		if len(active(t, p.app)) != 40 || len(report.Held) != 1 || report.Held[0].Kind != identity.HoldShrink {
			t.Fatalf("%d are active: %s", len(active(t, p.app)), said(report))
		}
	}
}

// TestH1HeldListIsNoFirstOne: a list that was not believed counts for nothing when a later one lacks somebody of it.
func TestH1HeldListIsNoFirstOne(t *testing.T) {
	p := newPayroll(t, 40, "")
	whole := p.rows
	p.rows = p.rows[:30]
	p.save(p.text())
	if report := p.run(reconcile.Pass{}); len(report.Held) != 1 {
		t.Fatal(said(report))
	}
	p.rows = whole[:38]
	for _, want := range []int{40, 38} {
		p.save(p.text())
		report := p.run(reconcile.Pass{})
		if got := len(active(t, p.app)); got != want {
			t.Fatalf("%d are active, want %d: %s", got, want, said(report))
		}
	}
}

// TestH3EatenZerosMakeNobody: who is in the list without the zeros before their number is no joiner either, also where
// they are called otherwise by now.
func TestH3EatenZerosMakeNobody(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows[6][0], p.rows[6][1] = "7", "renamed"
	for range 2 {
		p.save(p.text())
		if report := p.run(reconcile.Pass{}); len(p.app.Users(t)) != 40 || len(active(t, p.app)) != 40 {
			t.Fatalf("%d accounts: %s", len(p.app.Users(t)), said(report))
		}
	}
}

// TestH3EatenZeros: opened and saved in a spreadsheet, every number has lost its zeros. Nobody leaves, nobody joins, and it
// is said why.
func TestH3EatenZeros(t *testing.T) {
	p := newPayroll(t, 40, "")
	for _, row := range p.rows {
		row[0] = strings.TrimLeft(row[0], "0")
	}
	for range 3 {
		p.save(p.text())
		report := p.run(reconcile.Pass{})
		if len(active(t, p.app)) != 40 || len(p.app.Users(t)) != 40 || len(findings(report, "unproven")) != 40 {
			t.Fatalf("%d are active of %d: %s", len(active(t, p.app)), len(p.app.Users(t)), said(report))
		}
		p.says(report, "has 7, which differs only in leading zeros", "exported as text")
	}
	for n, row := range p.rows {
		row[0] = personnel(n + 1)
	}
	p.save(p.text())
	p.full()
}

// TestH4NumberWins: the login of somebody has gone to somebody else. The number says who is who.
func TestH4NumberWins(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows[6][1], p.rows[8][1] = "q007", login(7) // 7 is called otherwise by now, and 9 has the login of 7
	p.save(p.text())
	before := ids(p)
	p.run(reconcile.Pass{})
	p.run(reconcile.Pass{})
	after := ids(p)
	if before[login(7)] != after["q007"] || before[login(9)] != after[login(7)] || len(after) != 40 {
		t.Errorf("7 was %s and is %s, 9 was %s and is %s", before[login(7)], after["q007"], before[login(9)], after[login(7)])
	}
}

// ids are the ids of accounts, by userName.
func ids(p *payroll) map[string]any {
	p.t.Helper()
	out := map[string]any{}
	for name, doc := range p.app.Users(p.t) {
		out[name] = doc["id"]
	}
	return out
}

// TestH5LastDayInTheirZone: a last day ends by the calendar of the declared zone.
func TestH5LastDayInTheirZone(t *testing.T) {
	p := newPayroll(t, 40, "leave_date = person.leaveDate\ntime_zone = \"Australia/Melbourne\"")
	p.rows[2][5] = "2027-05-14"
	p.save(p.text())
	zone, err := time.LoadLocation("Australia/Melbourne")
	p.must(err)
	end := time.Date(2027, 5, 15, 0, 0, 0, 0, zone)
	p.stands = true
	for _, c := range []struct {
		at   time.Time
		open int
	}{{end.Add(-time.Second), 40}, {end, 39}} {
		p.now = func() time.Time { return c.at }
		p.run(reconcile.Pass{})
		if got := len(active(t, p.app)); got != c.open {
			t.Errorf("at %s %d are active, want %d", c.at, got, c.open)
		}
	}
}

// TestH6WithdrawnLeave: the newest file says when somebody leaves, and whether they do at all.
func TestH6WithdrawnLeave(t *testing.T) {
	p := newPayroll(t, 40, "leave_date = person.leaveDate")
	p.stands = true
	at := func(when string) {
		t.Helper()
		instant, err := time.Parse(time.DateTime, when)
		p.must(err)
		p.now = func() time.Time { return instant }
		p.run(reconcile.Pass{})
		if got := len(active(t, p.app)); got != 40 {
			t.Errorf("%s: %d are active", when, got)
		}
	}
	p.rows[2][5] = "2027-05-05"
	p.save(p.text())
	at("2027-05-01 12:00:00")
	p.rows[2][5] = "2027-05-10"
	p.save(p.text())
	at("2027-05-04 12:00:00")
	at("2027-05-06 12:00:00")
	p.rows[2][5] = ""
	p.save(p.text())
	at("2027-05-08 12:00:00")
	at("2027-05-11 12:00:00")
}

// TestH8EmptyKeyEqualsNothing: three rows without a number are nobody, and while there are any nobody is missing.
func TestH8EmptyKeyEqualsNothing(t *testing.T) {
	p := newPayroll(t, 40, "")
	whole := p.text()
	for _, n := range []int{3, 4, 5} {
		p.rows[n-1][0] = ""
	}
	p.rows[0][1] = "renamed"
	for range 3 {
		p.save(p.text())
		report := p.run(reconcile.Pass{})
		if got := active(t, p.app); len(got) != 40 || len(findings(report, "unproven")) != 3 || !slices.Contains(got, "renamed") {
			t.Fatalf("%v: %s", got, said(report))
		}
		p.says(report, "people.csv line 6: it has no Personnel No.", "each of them may be this person")
	}
	p.save(whole)
	p.full()
}

// TestH9LeaverWithoutAccount: somebody who left gets no account, also where there is none.
func TestH9LeaverWithoutAccount(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows = append(p.rows, []string{personnel(41), login(41), "Lee", "", "left", ""})
	p.save(p.text())
	p.full()
	if p.app.Users(t)[login(41)] != nil {
		t.Error("an account was made for somebody who has left")
	}
}

// TestRestoredFileIsNotBelieved: a file that is older than the one that was read before.
func TestRestoredFileIsNotBelieved(t *testing.T) {
	p := newPayroll(t, 40, "")
	p.rows[1][4] = "left"
	p.at = p.at.Add(-5 * time.Hour)
	p.save(p.text())
	report := p.run(reconcile.Pass{})
	if len(active(t, p.app)) != 40 || len(report.Held) != 1 {
		t.Fatalf("%d are active: %s", len(active(t, p.app)), said(report))
	}
	p.says(report, "people.csv is older than when it was last read", "approve")
}

// TestAnotherColumnOfAnchors: people are known by another column, whose numbers others had in the first. It waits for an
// operator, and everybody is found again by what they are called.
func TestAnotherColumnOfAnchors(t *testing.T) {
	p := newPayroll(t, 40, "")
	for n, row := range p.rows {
		row[3] = personnel(40 - n)
	}
	p.sourceOf(csv.Kind(), []string{"login", "sn"}, "hr", `
		files   = ["people.csv"]
		columns = { id = "Note", login = "Login", sn = "Last name" }
		anchor  = "id"
		name    = "login"
	`)
	p.save(p.text())
	before := ids(p)
	report := p.held()
	if len(report.Held) != 1 || report.Held[0].Kind != identity.HoldRelink {
		t.Fatal(said(report))
	}
	p.says(report, "40 people with accounts are known by their new anchor from then on")
	_, err := p.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	p.must(err)
	p.full()
	if after := ids(p); len(after) != 40 || after[login(7)] != before[login(7)] || len(active(t, p.app)) != 40 {
		t.Errorf("%v", after)
	}
}

// TestStaleFileIsToldAndRead: a file that stopped coming is a finding in each pass, and nobody leaves by it.
func TestStaleFileIsToldAndRead(t *testing.T) {
	p := newPayroll(t, 40, `max_age = "1h"`)
	for range 2 {
		report := p.full()
		if len(findings(report, "stale")) != 1 || len(active(t, p.app)) != 40 {
			t.Fatal(said(report))
		}
		p.says(report, "stale hr: people.csv", "ago, and max_age is 1h", "whether the export has stopped")
	}
}

// A damage is what has become of the file of a payroll, and what has to be said of it.
type damage struct {
	name  string
	extra string // HCL for the source's block
	harm  func(p *payroll, text string) string
	says  []string // nil: the file is as good as it was
}

// without are some lines less.
func without(text string, from, count int) string {
	lines := strings.SplitAfter(text, "\r\n")
	return strings.Join(slices.Delete(lines, from-1, from-1+count), "")
}

// insteadOf replaces a part once, and fails the test where it is not there.
func (p *payroll) insteadOf(text, part, by string) string {
	p.t.Helper()
	if !strings.Contains(text, part) {
		p.t.Fatalf("%q is not in the file", part)
	}
	return strings.Replace(text, part, by, 1)
}

// upTo cuts the text behind the first of a part.
func upTo(text, part string) string {
	before, _, _ := strings.Cut(text, part)
	return before + part
}

// inUTF16 writes text as UTF-16, little end first, without a byte order mark.
func inUTF16(text string) string {
	var out strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		out.WriteByte(byte(unit))
		out.WriteByte(byte(unit >> 8))
	}
	return out.String()
}

func inWindows1252(text string) string {
	out, err := charmap.Windows1252.NewEncoder().String(text)
	if err != nil {
		panic(err)
	}
	return out
}

const withTrailer = "complete { trailer = \"END;{rows}\" }"

func damages() []damage {
	anew := "have it written anew"
	return []damage{
		// Cut.
		{
			"cut in a quote", "",
			func(_ *payroll, s string) string { return upTo(s, `room 50`) },
			[]string{"people.csv: line 100: a quote is opened, and the file ends without closing it", anew},
		},
		{
			"cut within a row", "",
			func(_ *payroll, s string) string { return upTo(s, personnel(50)+";"+login(50)) },
			[]string{"people.csv: line 100: 2 fields, and the header has 6", "anew"},
		},
		{
			"cut in the last field", "",
			func(_ *payroll, s string) string { return strings.TrimSuffix(s, "\r\n") },
			[]string{"people.csv: line 201: the last line has no line break", anew},
		},
		{
			"cut between CR and LF", "",
			func(_ *payroll, s string) string { return strings.TrimSuffix(s, "\n") },
			[]string{"people.csv: line 201: the last line has no line break", anew},
		},
		{
			"cut within a letter", "",
			func(_ *payroll, s string) string { return upTo(s, personnel(50)+";"+login(50)+";M\xc3") },
			[]string{"people.csv: line 100: bytes that are no UTF-8", `encoding = "windows-1252"`},
		},
		{
			"cut in the header", "",
			func(_ *payroll, s string) string { return upTo(s, "Note;Sta") },
			[]string{`people.csv: line 1: no column is called "Last day"`, "did you mean"},
		},
		{
			"cut after the header", "",
			func(_ *payroll, s string) string { return upTo(s, "\r\n") },
			[]string{"hr returned nobody, 100 last time", "before you approve"},
		},
		{
			"cut to nothing", "",
			func(*payroll, string) string { return "" },
			[]string{"people.csv: the file is empty", anew},
		},
		{
			"cut after a row, by 11 %", "",
			func(_ *payroll, s string) string { return without(s, 180, 22) },
			[]string{"hr", "11", "approve"},
		},
		{
			"cut after a row, by 9 %", "",
			func(_ *payroll, s string) string { return without(s, 184, 18) },
			[]string{"unproven hr: p100", "missing from people.csv of", "a second, newer one, 30s"},
		},
		{
			"cut before the trailer", withTrailer,
			func(_ *payroll, s string) string { return upTo(s, "\nroom 100\"") + ";active;\r\n" },
			[]string{`people.csv: line 201: the file ends without its last line "END;{rows}"`, anew},
		},
		{
			"cut within the trailer", withTrailer,
			func(_ *payroll, s string) string { return upTo(s, "END;1") },
			[]string{"people.csv: line 202: the last line says 1 rows, and there are 100", anew},
		},

		// Lines lost or doubled.
		{
			"a row lost, and a trailer", withTrailer,
			func(_ *payroll, s string) string { return without(s, 100, 2) },
			[]string{"people.csv: line 200: the last line says 100 rows, and there are 99", anew},
		},
		{
			"rows lost in the middle, 11 %", "",
			func(_ *payroll, s string) string { return without(s, 50, 22) },
			[]string{"hr", "11", "approve"},
		},
		{
			"rows lost in the middle, 9 %", "",
			func(_ *payroll, s string) string { return without(s, 50, 18) },
			[]string{"unproven hr: p025", "a second, newer one, 30s"},
		},
		{
			"half a row lost", "",
			func(_ *payroll, s string) string { return without(s, 101, 1) },
			[]string{"people.csv: line 101: text after a closing quote", "line 100", "RFC 4180"},
		},
		{
			"a row twice", "",
			func(p *payroll, s string) string { return s + strings.Join(p.rows[6], ";") + "\r\n" },
			[]string{
				"2 rows have the Personnel No. 00007 (people.csv line 14, people.csv line 202)",
				"have all but one taken out",
			},
		},
		{
			"a number given twice", "",
			func(p *payroll, s string) string { return p.insteadOf(s, personnel(8)+";", personnel(7)+";") },
			[]string{"2 rows have the Personnel No. 00007 (people.csv line 14, people.csv line 16)", "unproven hr: p008"},
		},
		{
			"two exports in one file", "",
			func(_ *payroll, s string) string { return s + s },
			[]string{
				"of 201 rows have the anchor of another one",
				"people.csv line 2, people.csv line 203",
				"move the old one away",
			},
		},
		{
			"two exports with trailers", withTrailer,
			func(_ *payroll, s string) string { return s + s },
			[]string{"people.csv: line 203: a row after the last line, which is line 202", anew},
		},

		// Written in another way.
		{
			"another encoding", "",
			func(_ *payroll, s string) string { return inWindows1252(s) },
			[]string{"people.csv: line 2: bytes that are no UTF-8", `encoding = "windows-1252"`},
		},
		{
			"UTF-16 without a mark", "",
			func(_ *payroll, s string) string { return inUTF16(s) },
			[]string{"people.csv: line 1: a NUL byte", `encoding = "utf-16le"`},
		},
		{"UTF-16 with a mark", "", func(_ *payroll, s string) string { return "\xff\xfe" + inUTF16(s) }, nil},
		{"UTF-16, cut within a letter", "", func(_ *payroll, s string) string {
			text := "\xff\xfe" + inUTF16(s)
			return text[:len(text)-1]
		}, []string{"people.csv: line 201: bytes that are no text in this encoding", "cut"}},
		{"UTF-8 with a mark", "", func(_ *payroll, s string) string { return "\xef\xbb\xbf" + s }, nil},
		{
			"UTF-32", "",
			func(_ *payroll, s string) string { return "\xff\xfe\x00\x00" + s },
			[]string{"people.csv: line 1: the file is UTF-32", "write UTF-8"},
		},
		{
			"UTF-8, and declared otherwise", `encoding = "windows-1252"`,
			func(_ *payroll, s string) string { return s },
			[]string{`people.csv: encoding says "windows-1252", and the file is UTF-8`, `write encoding = "utf-8"`},
		},
		{
			"a mark, and declared otherwise", `encoding = "windows-1252"`,
			func(_ *payroll, s string) string { return "\xef\xbb\xbf" + s },
			[]string{"people.csv: line 1: the file begins with the byte order mark of utf-8", "take encoding away"},
		},
		{"another delimiter", "", func(_ *payroll, s string) string { return strings.ReplaceAll(s, ";", "\t") }, nil},
		{"another delimiter from the middle on", "", func(p *payroll, s string) string {
			before, after, _ := strings.Cut(s, personnel(50))
			return before + strings.ReplaceAll(personnel(50)+after, ";", ",")
		}, []string{"people.csv: line 100: a quote within the field", "RFC 4180"}},
		{"lines that end in LF", "", func(_ *payroll, s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }, nil},
		{
			"lines that end in LF or CRLF", "",
			func(_ *payroll, s string) string { return s[:4000] + strings.ReplaceAll(s[4000:], "\r\n", "\n") },
			nil,
		},
		{
			"lines that end in CR", "",
			func(_ *payroll, s string) string { return strings.ReplaceAll(s, "\r\n", "\r") },
			[]string{"people.csv: line 1: a carriage return without a line feed", "LF or CRLF"},
		},
		{
			"lines that end in CRCRLF", "",
			func(_ *payroll, s string) string { return strings.ReplaceAll(s, "\r\n", "\r\r\n") },
			[]string{"people.csv: line 1: a carriage return without a line feed", "LF or CRLF"},
		},
		{
			"line breaks lost", "",
			func(_ *payroll, s string) string { return strings.ReplaceAll(s, "\r\n", "") },
			[]string{`people.csv: line 1: no column is called "Last day"`, "the header has"},
		},
		{"blank lines, and rows of delimiters", "", func(_ *payroll, s string) string { return s + "\r\n;;;;;\r\n" }, nil},

		// Columns.
		{"columns moved", "", func(p *payroll, _ string) string {
			lines := []string{"Last day;Status;Login;Personnel No.;Last name"}
			for _, row := range p.rows {
				lines = append(lines, strings.Join([]string{row[5], row[4], row[1], row[0], row[2]}, ";"))
			}
			return strings.Join(lines, "\r\n") + "\r\n"
		}, nil},
		{"a header in other letters", "", func(p *payroll, s string) string {
			return p.insteadOf(s, "Personnel No.;Login;Last name", "PERSONNEL NO. ; login;Last\u00a0Name")
		}, nil},
		{
			"a column renamed", "",
			func(p *payroll, s string) string { return p.insteadOf(s, "Personnel No.", "Personnel Number") },
			[]string{
				`people.csv: line 1: no column is called "Personnel No.", which is to be id`,
				`did you mean "Personnel Number"?`,
			},
		},
		{
			"a column left out", "",
			func(p *payroll, s string) string { return p.insteadOf(s, "Status", "") },
			[]string{`people.csv: line 1: no column is called "Status"`, "the header has"},
		},
		{
			"a column twice", "",
			func(p *payroll, s string) string { return p.insteadOf(s, "Note", "Login") },
			[]string{`people.csv: line 1: two columns are called "Login" (columns 2 and 4)`, "renamed or left out"},
		},
		{
			"no header", "",
			func(_ *payroll, s string) string { return strings.TrimPrefix(s, payrollHeader+"\r\n") },
			[]string{"people.csv: line 1: no column is called", "the header has"},
		},
		{
			"another list", "",
			func(*payroll, string) string { return "Item;Price\r\nTea;1\r\n" },
			[]string{"people.csv: line 1: no column is called", `the header has "Item", "Price"`},
		},

		// Fields.
		{"no numbers", "", func(p *payroll, s string) string {
			for n := range p.rows {
				s = p.insteadOf(s, personnel(n+1)+";", ";")
			}
			return s
		}, []string{"100 of 100 rows have no anchor", "people.csv line 2", "Personnel No."}},
		{"three numbers lost", "", func(p *payroll, s string) string {
			for k := 3; k <= 5; k++ {
				s = p.insteadOf(s, personnel(k)+";", ";")
			}
			return s
		}, []string{"people.csv line 6: it has no Personnel No.", "unproven hr: p003", "may be this person"}},
		{"zeros eaten", "", func(p *payroll, s string) string {
			for n := range p.rows {
				s = p.insteadOf(s, personnel(n+1)+";", strings.TrimLeft(personnel(n+1), "0")+";")
			}
			return s
		}, []string{
			"unproven hr: p007",
			"people.csv of",
			"has 7, which differs only in leading zeros",
			"exported as text",
		}},
		{
			"numbers as a spreadsheet has them", "",
			func(p *payroll, s string) string { return p.insteadOf(s, personnel(7)+";", "1.23457E+11;") },
			[]string{"people.csv line 14: its Personnel No. is 1.23457E+11", "exported as text"},
		},
		{
			"a quote within a field", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), `p"007`) },
			[]string{"people.csv: line 14: a quote within the field", "RFC 4180"},
		},
		{
			"text after a quote", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), `"p0"07`) },
			[]string{"people.csv: line 14: text after a closing quote", "RFC 4180"},
		},
		{
			"a quote that swallows rows", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), `"`+login(7)) },
			[]string{"people.csv: line 14: text after a closing quote", "RFC 4180"},
		},
		{
			"a field more", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), login(7)+";x") },
			[]string{"people.csv: line 14: 7 fields, and the header has 6", "in quotes"},
		},
		{
			"a NUL", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), "p\x00007") },
			[]string{"people.csv: line 14: a NUL byte", "anew"},
		},
		{
			"NULs at the end", "",
			func(_ *payroll, s string) string { return s[:len(s)-500] + strings.Repeat("\x00", 500) },
			[]string{"people.csv: line", "a NUL byte", "never written"},
		},
		{
			"a very long line", "",
			func(p *payroll, s string) string { return p.insteadOf(s, login(7), strings.Repeat("x", 2<<20)) },
			[]string{"people.csv: line 14: it is longer than", "line of their own"},
		},
		{
			"words of status that nobody declared", "",
			func(_ *payroll, s string) string { return strings.ReplaceAll(s, ";active;", ";A;") },
			[]string{
				`line 14 of people.csv: Status is "A", which is in neither list of status`,
				"add it to active or to left",
			},
		},
		{
			"no status", "",
			func(_ *payroll, s string) string { return strings.ReplaceAll(s, ";active;", ";;") },
			[]string{`line 14 of people.csv: Status is ""`, "add it to active or to left"},
		},

		// The file itself.
		{"half written", `settle = "200ms"`, func(p *payroll, s string) string {
			half := len(s) / 2
			ends := make(chan struct{})
			p.t.Cleanup(func() { <-ends })
			p.must(os.WriteFile(p.file, []byte(s[:half]), 0o600))
			go func() {
				defer close(ends)
				file, err := os.OpenFile(p.file, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return
				}
				defer file.Close()
				for at := half; at < half+200 && err == nil; at++ {
					time.Sleep(5 * time.Millisecond)
					_, err = file.WriteString(s[at : at+1])
				}
			}()
			return ""
		}, []string{"people.csv: it is being written", "rename the file when it is whole"}},
		{"not there", "", func(p *payroll, _ string) string {
			p.must(os.Remove(p.file))
			return ""
		}, []string{"no file is called people.csv", "see that it is there"}},
		{"a folder in its place", "", func(p *payroll, _ string) string {
			p.must(os.Remove(p.file))
			p.must(os.Mkdir(p.file, 0o700))
			return ""
		}, []string{"no file is called people.csv", "see that it is there"}},
		{"an older file", "", func(p *payroll, s string) string {
			p.at = p.at.Add(-3 * time.Hour)
			return s
		}, []string{"people.csv is older than when it was last read", "approve it"}},
		{
			"nothing says that it is whole", `complete { done = "{stem}.done" }`,
			func(_ *payroll, s string) string { return s },
			[]string{"people.csv: people.done is not there", "the export writes it when the file is whole"},
		},
		{"a checksum of another file", `complete { sha256 = "{file}.sha256" }`, func(p *payroll, s string) string {
			p.must(os.WriteFile(p.file+".sha256", []byte(strings.Repeat("0", 64)+"  people.csv\n"), 0o600))
			return s
		}, []string{"people.csv: its checksum is not that in people.csv.sha256", "anew"}},
	}
}

// TestDamagedFilesCloseNobody: whatever happens to the file, nobody is closed who is in the undamaged one, each damage is
// named with file, line and cure, and the next good file ends it.
func TestDamagedFilesCloseNobody(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			trailer := ""
			if d.extra == withTrailer {
				trailer = withTrailer
			}
			p := newPayroll(t, 100, trailer)
			good, err := os.ReadFile(p.file)
			p.must(err)
			before, accounts := active(t, p.app), len(p.app.Users(t))
			p.read(d.extra)
			if text := d.harm(p, string(good)); text != "" || d.name == "cut to nothing" {
				p.save(text)
			}
			for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
				report := p.run(reconcile.Pass{Mode: mode})
				p.nobodyCloses(before)
				if got := len(p.app.Users(t)); got != accounts {
					t.Errorf("%d accounts were made", got-accounts)
				}
				p.says(report, d.says...)
				if d.says == nil && report.Outcome() != reconcile.Converged {
					t.Errorf("%s: %s", report.Outcome(), said(report))
				}
				if mode == reconcile.Full && d.name == "half written" {
					break // it ends one day
				}
			}
			p.read(trailer)
			_ = os.RemoveAll(p.file)
			p.at = p.at.Add(5 * time.Hour)
			p.save(string(good))
			p.full()
		})
	}
}
