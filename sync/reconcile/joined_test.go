package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/orders"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A book is a source in memory: a list without a memory, as an HR file is, or one that keeps what was deleted.
type book struct {
	people  map[string]identity.Attributes // by anchor
	deleted map[string]bool                // a tombstone is kept of them
	fails   error
	none    bool // it fails before it has shown anybody
}

func (b *book) Close() error { return nil }

func (b *book) person(anchor string) identity.Person {
	a := b.people[anchor]
	p := identity.Person{ID: identity.PersonID{Anchor: anchor}, Name: anchor, DN: "id=" + anchor, Active: true, Attributes: a}
	if a["locked"] != nil {
		p.Active, p.Inactive = false, "locked"
	}
	return p
}

func (b *book) People(context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for _, anchor := range slices.Sorted(maps.Keys(b.people)) {
			if b.none {
				break
			}
			if !yield(b.person(anchor), nil) {
				return
			}
		}
		if b.fails != nil {
			yield(identity.Person{}, b.fails)
		}
	}
}

// A directory is a book that can be asked for one entry.
type memoryDirectory struct{ *book }

func (memoryDirectory) Directory(context.Context) (string, error) { return "S-1-5-21-1", nil }

func (d memoryDirectory) Find(_ context.Context, who sources.Lookup) (sources.Sighting, error) {
	s := sources.Sighting{At: time.Now(), Proof: "asked", Where: sources.Gone, Witness: "somebody", Place: sources.PlacePeopled}
	switch {
	case d.fails != nil:
		return s, d.fails
	case d.people[who.Anchor] != nil:
		s.Where, s.Person = sources.InScope, d.person(who.Anchor)
	case d.deleted[who.Anchor]:
		s.Where = sources.Tombstone
	}
	return s, nil
}

// A staff is HR and a directory, joined, and one application. hr's entries are contracts; number is whose they are. corp
// has the logins, by employeeNumber.
type staff struct {
	*lab
	hr, corp *book
	app      *scimtest.Server
	clock    time.Time
}

func entryOf(pairs ...string) identity.Attributes {
	a := identity.Attributes{}
	for i := 0; i < len(pairs); i += 2 {
		a[pairs[i]] = []string{pairs[i+1]}
	}
	return a
}

// newStaff has n people in both sources, who all have an account.
func newStaff(t *testing.T, n int, adjust func(hr, corp *join.Member)) *staff {
	t.Helper()
	s := &staff{
		lab: newLab(t), hr: &book{people: map[string]identity.Attributes{}}, clock: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
		corp: &book{people: map[string]identity.Attributes{}, deleted: map[string]bool{}},
	}
	s.now = func() time.Time { return s.clock }
	for i := 1; i <= n; i++ {
		s.hire(i)
	}
	s.join(adjust)
	s.app, _ = scimtest.StartFast(t, 0, scimtest.Quirks{})
	s.application("wiki", s.app, `account = {
		userName    = person.login
		displayName = person.fullName
	}`, nil)
	if n > 0 {
		s.full()
		if got := len(active(t, s.app)); got != n {
			t.Fatalf("%d of %d have an account", got, n)
		}
	}
	return s
}

func numbered(i int) string { return fmt.Sprintf("%05d", i) }

func loginOf(i int) string { return fmt.Sprintf("user%d", i) }

func (s *staff) hire(i int) {
	s.hr.people["c"+numbered(i)] = entryOf("number", numbered(i), "fullName", fmt.Sprintf("Person %d", i))
	s.corp.people["guid"+numbered(i)] = entryOf("employeeNumber", numbered(i), "login", loginOf(i))
}

// join opens the sources, as a config does.
func (s *staff) join(adjust func(hr, corp *join.Member)) {
	s.t.Helper()
	member := func(name, block string, attributes []string, source sources.Source) join.Member {
		schema := mapping.Schema{Attributes: attributes}
		body, files := s.hclBody(block, name+".hcl")
		exprs, _ := s.split(body, "key", "human", "leave_date", "enter_date")
		env := mapping.Env{Files: files, Clock: s.now}
		compiled, diags := mapping.CompileSource(mapping.SourceExpressions{Leave: exprs["leave_date"], Enter: exprs["enter_date"], Zone: time.UTC}, schema, env)
		key, more := mapping.CompileText("key", exprs["key"], schema, env)
		if diags = append(diags, more...); diags.HasErrors() {
			s.t.Fatal(diags)
		}
		own := map[string]string{}
		for _, name := range attributes {
			own[name] = name
		}
		m := join.Member{Member: judge.Member{Name: name, Leaves: true}, Source: source, Mapping: compiled, Key: key, Attributes: own}
		if exprs["human"] != nil {
			human, diags := mapping.CompileText("human", exprs["human"], schema, env)
			if diags.HasErrors() {
				s.t.Fatal(diags)
			}
			m.Human = &human
		}
		return m
	}
	hr := member("hr", "key = person.number\nhuman = person.born\nleave_date = person.lastDay\nenter_date = person.firstDay",
		[]string{"number", "fullName", "firstDay", "lastDay", "locked", "born", "mail"}, s.hr)
	corp := member("corp", "key = person.employeeNumber\nhuman = person.born",
		[]string{"employeeNumber", "login", "locked", "born", "mail"}, memoryDirectory{s.corp})
	if adjust != nil {
		adjust(&hr, &corp)
	}
	source := join.New(join.Options{Name: "staff", Members: []join.Member{hr, corp}, Scratch: s.dir, Clock: s.now})
	schema := mapping.Schema{Attributes: []string{"number", "fullName", "employeeNumber", "login", "mail", "firstDay", "lastDay", "locked", "born"}}
	compiled, diags := mapping.CompileSource(mapping.SourceExpressions{}, schema, mapping.Env{Clock: s.now, Files: map[string]*hcl.File{}})
	if diags.HasErrors() {
		s.t.Fatal(diags)
	}
	s.schemas["staff"] = schema
	s.sources = []reconcile.Source{{Name: "staff", Source: source, Mapping: compiled}}
}

// pass makes a full pass, and says who is not active after it.
func (s *staff) pass() reconcile.Report {
	s.t.Helper()
	s.clock = s.clock.Add(2 * time.Minute)
	return s.run(reconcile.Pass{})
}

// closed are those who have an account that is not active.
func (s *staff) closed() (names []string) {
	for name, doc := range s.app.Users(s.t) {
		if doc["active"] != true {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// expect fails unless exactly these accounts are closed, and all others, n of them, are active.
func (s *staff) expect(n int, closed ...string) {
	s.t.Helper()
	if got := s.closed(); !slices.Equal(got, closed) || len(active(s.t, s.app)) != n {
		s.t.Fatalf("closed: %v, want %v; active: %v, want %d", got, closed, active(s.t, s.app), n)
	}
}

// told fails unless there is a finding of a kind whose subject or detail says something.
func told(t *testing.T, r reconcile.Report, kind, text string) {
	t.Helper()
	for _, f := range findings(r, kind) {
		if strings.Contains(f.Subject+" "+f.Detail, text) {
			return
		}
	}
	t.Fatalf("no finding %q says %q: %+v", kind, text, r.Findings)
}

// TestR02EachJoinedSourceFails: what a source that cannot be read would say is unknown. Nobody joins, leaves or changes by
// it; who leaves by what the other says does.
func TestR02EachJoinedSourceFails(t *testing.T) {
	for _, half := range []bool{false, true} {
		for _, down := range []string{"hr", "corp"} {
			t.Run(fmt.Sprintf("%s, half read %v", down, half), func(t *testing.T) {
				s := newStaff(t, 6, nil)
				books := map[string]*book{"hr": s.hr, "corp": s.corp}
				books[down].fails, books[down].none = errors.New("no route"), !half
				s.hire(7)
				s.hr.people["c"+numbered(2)]["fullName"] = []string{"Another"}
				s.corp.people["guid"+numbered(3)] = entryOf("employeeNumber", numbered(3), "login", "renamed")
				report := s.pass()
				s.expect(6)
				if report.Outcome() == reconcile.Converged {
					t.Fatalf("the pass says that all is well")
				}
				if docs := s.app.Users(t); docs["renamed"] != nil || docs[loginOf(2)]["displayName"] == "Another" {
					t.Fatal("somebody was changed")
				}
				if down == "hr" {
					s.corp.people["guid"+numbered(4)]["locked"] = []string{"TRUE"}
				} else {
					s.hr.people["c"+numbered(4)]["lastDay"] = []string{"2026-05-01"}
				}
				s.pass()
				s.expect(5, loginOf(4))
			})
		}
	}
}

// TestR02AJoinedSourceThatShowsNobody: an empty list is no list.
func TestR02AJoinedSourceThatShowsNobody(t *testing.T) {
	s := newStaff(t, 6, func(hr, _ *join.Member) { hr.AbsenceLeaves = true })
	s.hr.people = map[string]identity.Attributes{}
	for range 3 {
		s.pass()
		s.expect(6)
	}
}

// TestH7Contracts: one contract that ends is no leaver, the last is; and one that begins as another ends leaves no gap.
func TestH7Contracts(t *testing.T) {
	s := newStaff(t, 3, func(hr, _ *join.Member) { hr.Several = true })
	s.hr.people["second"] = entryOf("number", numbered(1), "fullName", "Person 1", "firstDay", "2026-06-03")
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-06-02"}
	s.pass()
	s.expect(3)
	s.clock = time.Date(2026, 6, 3, 0, 0, 0, 0, time.UTC)
	s.pass()
	s.expect(3)
	delete(s.hr.people, "c"+numbered(1)) // the old one is not exported any more
	s.pass()
	s.expect(3)
	s.hr.people["second"]["lastDay"] = []string{"2026-06-10"}
	s.pass()
	s.expect(3)
	s.clock = time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC)
	s.pass()
	s.expect(2, loginOf(1))
}

// TestH7TwoEntriesAreDisputed: where one human has one entry, two are of two humans.
func TestH7TwoEntriesAreDisputed(t *testing.T) {
	s := newStaff(t, 3, nil)
	s.corp.people["another"] = entryOf("employeeNumber", numbered(1), "login", "another")
	s.corp.people["guid"+numbered(1)]["locked"] = []string{"TRUE"}
	report := s.pass()
	s.expect(3)
	told(t, report, "disputed", "2 entries of corp bear it")
	if report.Outcome() == reconcile.Converged {
		t.Fatal("the pass says that all is well")
	}
}

// TestH6Dates: a leave date that is corrected, one that is taken back, and one that is long past when it comes.
func TestH6Dates(t *testing.T) {
	s := newStaff(t, 4, nil)
	leave := func(i int, day string) {
		if delete(s.hr.people["c"+numbered(i)], "lastDay"); day != "" {
			s.hr.people["c"+numbered(i)]["lastDay"] = []string{day}
		}
	}
	leave(1, "2026-06-05")
	leave(2, "2026-06-05")
	s.pass()
	s.expect(4)
	leave(1, "2026-06-10")
	leave(2, "")
	leave(3, "2026-01-31") // told months late
	s.pass()
	s.expect(3, loginOf(3))
	s.clock = time.Date(2026, 6, 6, 0, 0, 0, 0, time.UTC)
	s.pass()
	s.expect(3, loginOf(3))
	s.clock = time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC)
	s.pass()
	s.expect(2, loginOf(1), loginOf(3))
	leave(3, "") // withdrawn
	s.pass()
	s.expect(3, loginOf(1))
}

// TestH6ASomebodyIsToCome: a hire whose day is yet to come has no account before it.
func TestH6SomebodyIsToCome(t *testing.T) {
	s := newStaff(t, 3, nil)
	s.hire(4)
	s.hr.people["c"+numbered(4)]["firstDay"] = []string{"2026-06-15"}
	s.pass()
	s.expect(3)
	s.clock = time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)
	s.pass()
	s.expect(4)
}

// TestR01AJoinedPersonIsMissingFromOneSource: the others show them, and that source's word ends: what it says of them,
// asked for their very entry, is what counts.
func TestR01AJoinedPersonIsMissingFromOneSource(t *testing.T) {
	t.Run("from a file", func(t *testing.T) {
		s := newStaff(t, 20, nil)
		delete(s.hr.people, "c"+numbered(1))
		told(t, s.pass(), "unproven", "absence")
		s.expect(20)
	})
	t.Run("from a file, and locked in the directory", func(t *testing.T) {
		s := newStaff(t, 20, nil)
		delete(s.hr.people, "c"+numbered(1))
		s.corp.people["guid"+numbered(1)]["locked"] = []string{"TRUE"}
		s.pass()
		s.expect(19, loginOf(1))
		delete(s.corp.people["guid"+numbered(1)], "locked")
		s.pass() // whether HR has them is as unknown as before
		s.expect(19, loginOf(1))
	})
	t.Run("from a file whose absence leaves", func(t *testing.T) {
		s := newStaff(t, 20, func(hr, _ *join.Member) { hr.AbsenceLeaves = true })
		delete(s.hr.people, "c"+numbered(1))
		told(t, s.pass(), "unproven", "a second read of it")
		s.expect(20) // one list may have lost it (H1)
		s.pass()
		s.expect(19, loginOf(1))
	})
	t.Run("from a file that lacks too many", func(t *testing.T) {
		s := newStaff(t, 20, func(hr, _ *join.Member) { hr.AbsenceLeaves = true })
		for i := 1; i <= 3; i++ {
			delete(s.hr.people, "c"+numbered(i))
		}
		for range 3 {
			s.pass()
		}
		s.expect(20)
	})
	t.Run("from a file that has no say", func(t *testing.T) {
		s := newStaff(t, 20, func(hr, _ *join.Member) { hr.AbsenceLeaves, hr.Leaves = true, false })
		delete(s.hr.people, "c"+numbered(1))
		s.pass()
		s.pass()
		s.expect(20)
	})
	t.Run("from a file that has to know everybody", func(t *testing.T) {
		s := newStaff(t, 20, func(hr, _ *join.Member) { hr.Leaves, hr.Needed = false, true })
		delete(s.hr.people, "c"+numbered(1))
		told(t, s.pass(), "unproven", "absence")
		s.expect(20)
	})
	t.Run("deleted in the directory", func(t *testing.T) {
		s := newStaff(t, 20, nil)
		was := s.corp.people["guid"+numbered(1)]
		delete(s.corp.people, "guid"+numbered(1))
		s.corp.deleted["guid"+numbered(1)] = true
		for range 3 {
			s.pass()
			s.expect(19, loginOf(1))
		}
		s.corp.people["guid"+numbered(1)] = was // undeleted
		s.pass()
		s.expect(20)
	})
	t.Run("the directory does not answer", func(t *testing.T) {
		s := newStaff(t, 20, nil)
		delete(s.corp.people, "guid"+numbered(1))
		s.sources[0].Source.(*join.Source).Members()[1].Source = mute{s.corp}
		told(t, s.pass(), "unproven", "no answer")
		s.expect(20)
	})
}

// A mute directory can be read and gives no answers.
type mute struct{ *book }

func (mute) Find(context.Context, sources.Lookup) (sources.Sighting, error) {
	return sources.Sighting{}, errors.New("no answer")
}

// TestR03AChangedKey: whose key is another now is who they were, and has what they had.
func TestR03AChangedKey(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.hr.people["c"+numbered(1)]["number"] = []string{"90001"}
	s.corp.people["guid"+numbered(1)]["employeeNumber"] = []string{"90001"}
	s.pass()
	s.expect(5)
	s.pass()
	s.expect(5)
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(4, loginOf(1))
}

// TestR03AKeyIsFilledIn: somebody whom the directory alone knew is found by HR, and keeps their account.
func TestR03AKeyIsFilledIn(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.corp.people["contractor"] = entryOf("login", "contractor")
	s.pass()
	s.expect(6)
	s.corp.people["contractor"]["employeeNumber"] = []string{"90001"}
	s.hr.people["new"] = entryOf("number", "90001", "fullName", "Con Tractor")
	s.pass()
	s.pass()
	s.expect(6)
	if got := s.app.Users(t)["contractor"]["displayName"]; got != "Con Tractor" {
		t.Fatalf("displayName is %v", got)
	}
	s.hr.people["new"]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(5, "contractor")
}

// TestR03AKeyThatOneSourceLost: nobody can tell whose the entry is now. Nobody is closed, and nothing is made.
func TestR03AKeyThatOneSourceLost(t *testing.T) {
	for _, now := range []string{"", "90001", numbered(2)} {
		t.Run("now "+now, func(t *testing.T) {
			s := newStaff(t, 5, nil)
			s.corp.people["guid"+numbered(1)]["employeeNumber"] = []string{now}
			s.corp.people["guid"+numbered(1)]["login"] = []string{"second"}
			if now == "" {
				delete(s.corp.people["guid"+numbered(1)], "employeeNumber")
			}
			for range 2 {
				told(t, s.pass(), "disputed", "")
				s.expect(5)
			}
		})
	}
}

// TestR03AReusedKey: a number that somebody had who left, and that somebody else is given, is disputed; nobody has the
// account of the other. An operator can say that they are one.
func TestR03AReusedKey(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(4, loginOf(1))
	delete(s.hr.people, "c"+numbered(1))
	delete(s.corp.people, "guid"+numbered(1))
	s.corp.deleted["guid"+numbered(1)] = true
	s.pass()
	s.hr.people["another"] = entryOf("number", numbered(1), "fullName", "Somebody Else")
	s.corp.people["another"] = entryOf("employeeNumber", numbered(1), "login", "else")
	for range 2 {
		report := s.pass()
		s.expect(4, loginOf(1))
		told(t, report, "disputed", "may be somebody else's now")
		if report.Outcome() == reconcile.Converged {
			t.Fatal("the pass says that all is well")
		}
	}
	_, err := s.engine().Link(t.Context(), orders.Order{Person: "staff/" + numbered(1), Target: "wiki", Account: loginOf(1), Reason: "rehired"})
	s.must(err)
	s.pass()
	s.pass()
	s.expect(5)
}

// TestR03OneKeyAndTwoHumans: a date of birth tells two humans apart who are given one number, one after the other or at
// once.
func TestR03OneKeyAndTwoHumans(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.hr.people["c"+numbered(1)]["born"] = []string{"1980-01-01"}
	s.corp.people["guid"+numbered(1)]["born"] = []string{"1980-01-01"}
	s.full()
	s.hr.people["c"+numbered(1)] = entryOf("number", numbered(1), "fullName", "Somebody Else", "born", "1999-09-09")
	told(t, s.pass(), "disputed", "says that they are not one")
	s.expect(5)
	if got := s.app.Users(t)[loginOf(1)]["displayName"]; got != "Person 1" {
		t.Fatalf("they are called %v", got)
	}
}

// TestR03WithoutAKey: an empty key equals nothing (H8).
func TestH8AnEmptyKeyEqualsNothing(t *testing.T) {
	s := newStaff(t, 3, nil)
	for i := range 3 {
		s.corp.people[fmt.Sprint("bare", i)] = entryOf("login", fmt.Sprint("bare", i), "employeeNumber", "")
	}
	s.pass()
	s.expect(6)
}

// TestR12PrecedenceOfAttributes: the first source that has an attribute has it, but for those about which another has the
// first word.
func TestR12PrecedenceOfAttributes(t *testing.T) {
	for _, c := range []struct {
		first []string
		want  string
	}{{nil, "hr@example.org"}, {[]string{"mail"}, "corp@example.org"}} {
		s := newStaff(t, 1, func(_, corp *join.Member) { corp.First = c.first })
		s.application("wiki", s.app, `account = {
			userName = person.login
			emails   = values("mail")
		}`, nil)
		s.hr.people["c"+numbered(1)]["mail"] = []string{"hr@example.org"}
		s.corp.people["guid"+numbered(1)]["mail"] = []string{"corp@example.org"}
		s.pass()
		if got := fmt.Sprint(s.app.Users(t)[loginOf(1)]["emails"]); !strings.Contains(got, c.want) {
			t.Fatalf("first %v: %s", c.first, got)
		}
	}
}

// TestR18WhoLacksAnEntryIsRemembered: who was deleted in one source, and whom another still lists, is not forgotten and
// taken for somebody new.
func TestR18WhoLacksAnEntryIsRemembered(t *testing.T) {
	s := newStaff(t, 3, nil)
	s.application("wiki", s.app, `account = { userName = person.number }`, nil)
	s.hire(4)
	s.corp.people["guid"+numbered(4)]["locked"] = []string{"TRUE"}
	s.full()
	delete(s.corp.people, "guid"+numbered(4))
	s.corp.deleted["guid"+numbered(4)] = true
	for range 4 {
		s.clock = s.clock.Add(25 * time.Hour)
		s.pass()
		if s.app.Users(t)[numbered(4)] != nil {
			t.Fatal("an account was made for somebody whom the directory has deleted")
		}
	}
}

// TestExplainNamesTheSources: who said what.
func TestExplainNamesTheSources(t *testing.T) {
	s := newStaff(t, 2, nil)
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	list, err := s.engine().Explain(t.Context(), "staff/"+numbered(1))
	s.must(err)
	got := fmt.Sprint(list[0].Entries)
	for _, want := range []string{"hr", "not active: their time ended 2026-05-02", "corp", "active", "employeeNumber", "fullName"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", got, want)
		}
	}
}

// TestR14AJoinTakesPeopleOver: who had an account before the sources were joined has it after, and nobody has two.
func TestR14AJoinTakesPeopleOver(t *testing.T) {
	s := newStaff(t, 0, nil)
	for i := 1; i <= 6; i++ {
		s.hire(i)
	}
	joined := s.sources
	s.sources = []reconcile.Source{{Name: "corp", Source: memoryDirectory{s.corp}, Mapping: joined[0].Mapping}}
	s.schemas["corp"] = s.schemas["staff"]
	s.application("wiki", s.app, `account = { userName = person.login }`, nil)
	s.full()
	s.corp.people["guid"+numbered(6)]["locked"] = []string{"TRUE"}
	s.full()
	s.expect(5, loginOf(6))
	s.sources = joined
	s.application("wiki", s.app, `account = { userName = person.login }`, func(t *reconcile.Target) { t.Guard.MaxChangePercent = 100 })
	before := s.app.Writes()
	preview, err := s.engine().Plan(t.Context(), reconcile.Pass{})
	s.must(err)
	if len(preview.Plan.Changes) > 0 || s.app.Writes() != before {
		t.Fatalf("the plan: %+v", preview.Plan.Changes)
	}
	for range 2 {
		s.pass()
		s.expect(5, loginOf(6))
	}
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	delete(s.corp.people["guid"+numbered(6)], "locked")
	s.pass()
	s.expect(5, loginOf(1))
}

// TestR03ARenamedJoin: what the config calls a join makes nobody another.
func TestR03ARenamedJoin(t *testing.T) {
	s := newStaff(t, 4, nil)
	s.sources[0].Name = "everybody"
	s.schemas["everybody"] = s.schemas["staff"]
	s.application("wiki", s.app, `account = {
		userName    = person.login
		displayName = person.fullName
	}`, nil)
	for range 2 {
		s.pass()
		s.expect(4)
	}
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(3, loginOf(1))
}

// TestR03AReusedKeyOfNobodysAccount: whoever is given the number of somebody who left without an account is a newcomer.
func TestR03AReusedKeyOfNobodysAccount(t *testing.T) {
	s := newStaff(t, 3, nil)
	s.hire(4)
	s.hr.people["c"+numbered(4)]["lastDay"] = []string{"2026-05-01"}
	s.full()
	delete(s.hr.people, "c"+numbered(4))
	delete(s.corp.people, "guid"+numbered(4))
	s.hr.people["another"] = entryOf("number", numbered(4), "fullName", "Somebody Else")
	s.corp.people["another"] = entryOf("employeeNumber", numbered(4), "login", "else")
	s.pass()
	s.expect(4)
}

// TestR03AChangedKeyOfSomebodyClosed: a delta that shows them under another key makes no second account.
func TestR03AChangedKeyOfSomebodyClosed(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.corp.people["guid"+numbered(1)]["locked"] = []string{"TRUE"}
	s.pass()
	s.expect(4, loginOf(1))
	s.hr.people["c"+numbered(1)]["number"] = []string{"90001"}
	s.corp.people["guid"+numbered(1)] = entryOf("employeeNumber", "90001", "login", "other")
	for range 2 {
		s.delta()
	}
	s.pass()
	s.expect(5)
}

// TestR03TwoJoinsOfOneDirectory: the numbers of two lists are not of the same people because both know their logins from
// one directory.
func TestR03TwoJoinsOfOneDirectory(t *testing.T) {
	s, other := newStaff(t, 3, nil), newStaff(t, 0, nil)
	for i := 1; i <= 3; i++ {
		other.hire(i)
		other.corp.people["guid"+numbered(i)]["login"] = []string{fmt.Sprint("external", i)}
	}
	s.sources = append(s.sources, other.sources[0])
	s.sources[1].Name = "externals"
	s.schemas["externals"] = s.schemas["staff"]
	s.application("wiki", s.app, `account = { userName = person.login }`, func(t *reconcile.Target) {
		t.Guard.MaxChangePercent = 100
	})
	s.pass()
	s.expect(6)
	other.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(5, "external1")
}

// TestR01AContractIsMissing: that an old one is still listed proves nothing of the one that is not.
func TestR01AContractIsMissing(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		s := newStaff(t, 20, func(hr, _ *join.Member) { hr.Several, hr.AbsenceLeaves = true, leaves })
		s.hr.people["old"] = entryOf("number", numbered(1), "fullName", "Person 1", "lastDay", "2020-06-03")
		s.pass()
		delete(s.hr.people, "c"+numbered(1))
		told(t, s.pass(), "unproven", "")
		s.expect(20)
		if s.pass(); leaves {
			s.pass()
			s.expect(19, loginOf(1))
			continue
		}
		s.expect(20)
	}
}

// TestR03SwappedKeys: nobody has the account of whoever had their number before, whichever sources say so.
func TestR03SwappedKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		hr     bool
		second string // whose number the second has now
	}{{"in one source", false, numbered(1)}, {"in every source", true, numbered(1)}, {"passed on", true, "90001"}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStaff(t, 5, nil)
			s.corp.people["guid"+numbered(1)]["employeeNumber"] = []string{numbered(2)}
			s.corp.people["guid"+numbered(2)]["employeeNumber"] = []string{c.second}
			if c.hr {
				s.hr.people["c"+numbered(1)]["number"] = []string{numbered(2)}
				s.hr.people["c"+numbered(2)]["number"] = []string{c.second}
			}
			s.corp.people["guid"+numbered(1)]["login"] = []string{"renamed"}
			if !c.hr {
				s.corp.people["guid"+numbered(2)]["locked"] = []string{"TRUE"}
			}
			before := s.app.Writes()
			for range 2 {
				told(t, s.pass(), "disputed", "")
				s.delta()
			}
			s.expect(5)
			if s.app.Writes() != before {
				t.Fatal("somebody was changed")
			}
			s.corp.people["guid"+numbered(1)]["employeeNumber"] = []string{numbered(1)}
			s.corp.people["guid"+numbered(2)]["employeeNumber"] = []string{numbered(2)}
			s.hr.people["c"+numbered(1)]["number"] = []string{numbered(1)}
			s.hr.people["c"+numbered(2)]["number"] = []string{numbered(2)}
			s.pass()
			if c.hr {
				s.expect(5)
			} else {
				s.expect(4, loginOf(2))
			}
		})
	}
}

// TestR03OneKeyAndTwoAccounts: whose entries find each other only now may have two accounts by then; none is forgotten.
func TestR03OneKeyAndTwoAccounts(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.application("wiki", s.app, `account = { userName = coalesce(person.login, person.number) }`, nil)
	s.corp.people["contractor"] = entryOf("login", "contractor")
	s.hr.people["new"] = entryOf("number", "90001")
	s.pass()
	s.expect(7)
	s.corp.people["contractor"]["employeeNumber"] = []string{"90001"}
	for range 3 {
		told(t, s.pass(), "disputed", "90001")
		s.expect(7)
	}
	_, err := s.engine().Unlink(t.Context(), orders.Order{Person: "staff/corp:contractor", Target: "wiki", Reason: "one of two"})
	s.must(err)
	s.hr.people["new"]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	if got := s.closed(); !slices.Contains(got, "90001") && !slices.Contains(got, "contractor") {
		t.Fatalf("closed: %v", got)
	}
}

// A brokenDirectory cannot read some of its entries.
type brokenDirectory struct {
	memoryDirectory
	broken map[string]bool
}

func (b brokenDirectory) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range b.memoryDirectory.People(ctx) {
			if b.broken[p.ID.Anchor] {
				err = &sources.PersonError{ID: p.ID, DN: p.DN, Err: errors.New("no text")}
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// TestR01AnEntryThatCannotBeRead: whose entry cannot be read in a source that says nothing of who leaves loses nothing by
// it, and leaves by another.
func TestR01AnEntryThatCannotBeRead(t *testing.T) {
	s := newStaff(t, 20, func(_, corp *join.Member) { corp.Leaves = false })
	s.application("wiki", s.app, `scope = person.employeeNumber == person.number
	account = {
		userName = coalesce(person.login, person.number)
	}`, nil)
	s.full()
	s.sources[0].Source.(*join.Source).Members()[1].Source = brokenDirectory{
		memoryDirectory{s.corp}, map[string]bool{"guid" + numbered(1): true},
	}
	before := s.app.Writes()
	told(t, s.pass(), "unreadable", "no text")
	s.expect(20)
	if s.app.Writes() != before {
		t.Fatal("somebody was changed")
	}
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(19, loginOf(1))
}

// TestH8SpacesAroundAKey: spaces make nobody another, and nothing but spaces is no key.
func TestH8SpacesAroundAKey(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.hire(6)
	s.corp.people["guid"+numbered(6)]["employeeNumber"] = []string{numbered(6) + " "}
	s.corp.people["bare1"] = entryOf("login", "bare1", "employeeNumber", " ")
	s.corp.people["bare2"] = entryOf("login", "bare2", "employeeNumber", " ")
	s.pass()
	s.expect(8)
	s.hr.people["c"+numbered(6)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(7, loginOf(6))
}

// TestR03AReusedNumberOfAList: a list that knows people by the number itself shows whoever has it now as the same entry;
// their date of birth is another.
func TestR03AReusedNumberOfAList(t *testing.T) {
	s := newStaff(t, 5, nil)
	s.hr.people["c"+numbered(1)]["born"] = []string{"1980-01-01"}
	s.hr.people["c"+numbered(1)]["lastDay"] = []string{"2026-05-01"}
	s.pass()
	s.expect(4, loginOf(1))
	delete(s.corp.people, "guid"+numbered(1))
	s.corp.deleted["guid"+numbered(1)] = true
	s.pass()
	s.hr.people["c"+numbered(1)] = entryOf("number", numbered(1), "fullName", "Somebody Else", "born", "1999-09-09")
	s.corp.people["another"] = entryOf("employeeNumber", numbered(1), "login", "else", "born", "1999-09-09")
	told(t, s.pass(), "disputed", "`human` says")
	s.expect(4, loginOf(1))
}
