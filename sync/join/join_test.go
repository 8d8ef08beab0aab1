package join_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"go.uber.org/goleak"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// list is a source in memory.
type list struct {
	people []identity.Person
	fails  error
	closed bool
}

func (l *list) Close() error {
	l.closed = true
	return nil
}

func (l *list) People(context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for _, p := range l.people {
			if !yield(p, nil) {
				return
			}
		}
		if l.fails != nil {
			yield(identity.Person{}, l.fails)
		}
	}
}

// asked is a list that can be asked for one entry.
type asked struct{ *list }

func (a asked) Find(_ context.Context, who sources.Lookup) (sources.Sighting, error) {
	for _, p := range a.people {
		if p.ID.Anchor == who.Anchor {
			return sources.Sighting{Where: sources.InScope, Person: p}, a.fails
		}
	}
	return sources.Sighting{Where: sources.Gone}, a.fails
}

// watched is a list that says when it changes.
type watched struct {
	*list
	signs chan sources.Sign
}

func (w watched) Watch(ctx context.Context, tell func(sources.Sign)) {
	for {
		select {
		case s := <-w.signs:
			tell(s)
		case <-ctx.Done():
			return
		}
	}
}

// followed is a list that can tell what has changed.
type followed struct {
	*list
	answer bool
	err    error
	latest int
}

func (f *followed) Renew(context.Context, func(int)) (bool, error) { return f.answer, f.err }

func (f *followed) Latest(ctx context.Context, _ *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	f.latest++
	return f.People(ctx)
}

func entry(anchor string, pairs ...string) identity.Person {
	p := identity.Person{ID: identity.PersonID{Anchor: anchor}, DN: "id=" + anchor, Active: true, Attributes: identity.Attributes{}}
	for i := 0; i < len(pairs); i += 2 {
		p.Attributes[pairs[i]] = []string{pairs[i+1]}
	}
	return p
}

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// member makes a member whose entries have dates.
func member(t *testing.T, name string, source sources.Source, attributes ...string) join.Member {
	t.Helper()
	schema := mapping.Schema{Attributes: append(attributes, "number", "first", "last")}
	parser := hclparse.NewParser()
	file, diags := parser.ParseHCL([]byte("key = person.number\nenter = person.first\nleave = person.last\n"), name+".hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	exprs, diags := file.Body.JustAttributes()
	env := mapping.Env{Files: parser.Files(), Clock: func() time.Time { return now }}
	key, more := mapping.CompileText("key", exprs["key"].Expr, schema, env)
	compiled, rest := mapping.CompileSource(mapping.SourceExpressions{Enter: exprs["enter"].Expr, Leave: exprs["leave"].Expr, Zone: time.UTC}, schema, env)
	if diags = slices.Concat(diags, more, rest); diags.HasErrors() {
		t.Fatal(diags)
	}
	own := map[string]string{}
	for _, name := range schema.Attributes {
		own[name] = name
	}
	return join.Member{
		Member: judge.Member{Name: name, Leaves: true, Several: true}, Source: source, Mapping: compiled, Key: key, Attributes: own,
	}
}

func joined(t *testing.T, members ...join.Member) *join.Source {
	t.Helper()
	s := join.New(join.Options{Name: "staff", Members: members, Scratch: t.TempDir(), Clock: func() time.Time { return now }})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// read is everybody by their key, and what the read ended in.
func read(t *testing.T, s *join.Source) (map[string]identity.Person, []error) {
	t.Helper()
	people, errs := map[string]identity.Person{}, []error(nil)
	for p, err := range s.People(t.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		people[p.ID.Anchor] = p
	}
	return people, errs
}

func day(d int) time.Time { return time.Date(2026, 6, d, 0, 0, 0, 0, time.UTC) }

// TestR13DatesOfAJoin: when somebody comes and leaves, by whichever entry has it so.
func TestR13DatesOfAJoin(t *testing.T) {
	hr, corp := &list{}, &list{}
	s := joined(t, member(t, "hr", hr), member(t, "corp", corp))
	for _, c := range []struct {
		name         string
		hr, corp     []identity.Person
		active       bool
		begins, ends time.Time
		by           string
	}{
		{"for ever", []identity.Person{entry("a", "number", "1")}, nil, true, time.Time{}, time.Time{}, ""},
		{"leaves", []identity.Person{entry("a", "number", "1", "last", "2026-06-09")}, nil, true, time.Time{}, day(10), "hr: leave_date"},
		{
			"leaves by the sooner of two",
			[]identity.Person{entry("a", "number", "1", "last", "2026-06-09")},
			[]identity.Person{entry("b", "number", "1", "last", "2026-06-04")},
			true,
			time.Time{},
			day(5), "corp: leave_date",
		},
		{"comes", []identity.Person{entry("a", "number", "1", "first", "2026-06-15")}, nil, false, day(15), time.Time{}, "hr: enter_date"},
		{
			"comes when the later of two has them",
			[]identity.Person{entry("a", "number", "1", "first", "2026-06-15")},
			[]identity.Person{entry("b", "number", "1", "first", "2026-06-20")},
			false, day(20),
			time.Time{},
			"corp: enter_date",
		},
		{"left", []identity.Person{entry("a", "number", "1", "last", "2026-05-09")}, nil, false, time.Time{}, time.Date(2026, 5, 10, 0, 0, 0, 0, time.UTC), "hr: leave_date"},
		{
			"the last of two contracts ends",
			[]identity.Person{entry("a", "number", "1", "last", "2026-06-09"), entry("b", "number", "1", "last", "2026-06-19")},
			nil, true,
			time.Time{},
			day(20), "hr: leave_date",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			hr.people, corp.people = append(c.hr, entry("x", "number", "2")), append(c.corp, entry("y", "number", "3"))
			people, errs := read(t, s)
			p := people["1"]
			if len(errs) > 0 || p.Active != c.active || !p.Begins.Equal(c.begins) || !p.Ends.Equal(c.ends) {
				t.Fatalf("%v: active %v, begins %v, ends %v", errs, p.Active, p.Begins, p.Ends)
			}
			if by := p.BeginsBy + p.EndsBy; !strings.HasPrefix(by, c.by) {
				t.Errorf("by %q", by)
			}
		})
	}
}

// TestH7NoGapBetweenContracts: one that begins as another ends is neither a leaving nor a coming.
func TestH7NoGapBetweenContracts(t *testing.T) {
	hr := &list{people: []identity.Person{
		entry("a", "number", "1", "last", "2026-06-09"), entry("b", "number", "1", "first", "2026-06-10", "last", "2026-06-20"),
		entry("a", "number", "2", "last", "2026-06-09"), entry("b", "number", "2", "first", "2026-06-12"),
	}}
	people, _ := read(t, joined(t, member(t, "hr", hr), member(t, "corp", &list{people: []identity.Person{entry("x")}})))
	if got := people["1"].Ends; !got.Equal(day(21)) {
		t.Errorf("without a gap they leave at %v", got)
	}
	if got := people["2"].Ends; !got.Equal(day(10)) {
		t.Errorf("with a gap of two days they leave at %v", got)
	}
}

// TestR12UnreadIsNotAbsent: what a source that was not read would say is not known, unless one before it has said it.
func TestR12UnreadIsNotAbsent(t *testing.T) {
	hr := &list{people: []identity.Person{entry("a", "number", "1", "mail", "hr@example.org", "last", "2026-05-01")}}
	corp := &list{people: []identity.Person{entry("x", "number", "1", "login", "alice")}, fails: errors.New("no route")}
	people, errs := read(t, joined(t, member(t, "hr", hr, "mail"), member(t, "corp", corp, "mail", "login")))
	p := people["1"]
	if !slices.Equal(p.Unread, []string{"login"}) && !slices.Equal(p.Unread, []string{"first", "login"}) {
		t.Errorf("unread: %v", p.Unread)
	}
	if p.Active || p.Attributes["mail"][0] != "hr@example.org" || len(sources.Findings(p)) > 0 {
		t.Errorf("%+v, findings %v", p, sources.Findings(p))
	}
	partial := (*sources.PartialError)(nil)
	if len(errs) != 1 || !errors.As(errs[0], &partial) || !errors.Is(errs[0], sources.ErrIncomplete) || partial.Unread["corp"] == nil {
		t.Errorf("it ended in %v", errs)
	}
	hr.fails = errors.New("no route either")
	if people, errs := read(t, joined(t, member(t, "hr", hr), member(t, "corp", corp))); len(people) > 0 || len(errs) != 1 {
		t.Errorf("without any source there are %v, %v", people, errs)
	}
}

// TestR02AnEmptyListIsNone: a source that shows nobody was not read.
func TestR02AnEmptyListIsNone(t *testing.T) {
	hr := &list{people: []identity.Person{entry("a", "number", "1")}}
	_, errs := read(t, joined(t, member(t, "hr", hr), member(t, "corp", &list{})))
	if len(errs) != 2 || !strings.Contains(errs[1].Error(), "corp was not read: the list of people is incomplete: it shows nobody") {
		t.Errorf("%v", errs)
	}
}

// TestR01TroubleWithAnEntry: one that cannot be read, or whose key cannot, may be anybody's.
func TestR01TroubleWithAnEntry(t *testing.T) {
	hr := &troubled{&list{people: []identity.Person{entry("a", "number", "1")}}}
	_, errs := read(t, joined(t, member(t, "hr", hr), member(t, "corp", &list{people: []identity.Person{entry("x")}})))
	trouble := (*sources.PersonError)(nil)
	if len(errs) != 1 || !errors.As(errs[0], &trouble) || trouble.ID.Anchor != "" || trouble.DN != "hr: id=b" {
		t.Errorf("%v", errs)
	}
}

type troubled struct{ *list }

func (l *troubled) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range l.list.People(ctx) {
			if !yield(p, err) {
				return
			}
		}
		yield(identity.Person{}, &sources.PersonError{ID: identity.PersonID{Anchor: "b"}, DN: "id=b", Err: errors.New("bytes")})
	}
}

// TestFind: one person, as those members show them now that can be asked.
func TestFind(t *testing.T) {
	hr := &list{people: []identity.Person{entry("a", "number", "1", "title", "clerk")}}
	corp := &list{people: []identity.Person{entry("x", "number", "1", "login", "alice")}}
	s := joined(t, member(t, "hr", hr, "title"), member(t, "corp", asked{corp}, "login"))
	find := func(key string) sources.Sighting {
		t.Helper()
		seen, err := s.Find(t.Context(), sources.Lookup{Anchor: key})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if seen := find("1"); seen.Where != sources.InScope || len(seen.Person.Parts) != 2 || seen.Person.From["login"] != "corp" {
		t.Errorf("%+v", seen)
	}
	if seen := find("2"); seen.Where != sources.Gone || seen.Witness != "" {
		t.Errorf("%+v", seen)
	}
	hr.people[0].Attributes["title"], corp.people[0].Attributes["login"] = []string{"manager"}, []string{"alice.b"}
	if seen := find("1"); seen.Person.Attributes["title"][0] != "manager" || seen.Person.Attributes["login"][0] != "alice.b" {
		// The list shares its maps with what was read: a file would show the clerk here.
		t.Logf("%+v", seen.Person.Attributes)
		if seen.Person.Attributes["login"][0] != "alice.b" {
			t.Error("corp was not asked anew")
		}
	}
	corp.people = nil
	if seen := find("1"); seen.Where != sources.InScope || len(seen.Person.Parts) != 1 {
		t.Errorf("%+v", seen)
	}
	corp.fails = errors.New("no answer")
	if _, err := s.Find(t.Context(), sources.Lookup{Anchor: "1"}); err == nil {
		t.Error("it answers for a source that does not")
	}
}

// TestWatch: a sign of one is a sign of the join, which is told of everything only where each source is.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		both bool
		want bool
	}{{true, true}, {false, false}} {
		hr := watched{&list{}, make(chan sources.Sign)}
		corp := watched{&list{}, make(chan sources.Sign)}
		second := member(t, "corp", corp)
		if !c.both {
			second = member(t, "corp", corp.list)
		}
		s := joined(t, member(t, "hr", hr), second)
		ctx, stop := context.WithCancel(t.Context())
		told := make(chan sources.Sign, 2)
		done := make(chan struct{})
		go func() {
			s.Watch(ctx, func(sign sources.Sign) { told <- sign })
			close(done)
		}()
		hr.signs <- sources.Sign{Pushing: true}
		if got := <-told; got.Pushing || got.Why == "" {
			t.Errorf("told of everything while corp has said nothing: %+v", got)
		}
		if c.both {
			corp.signs <- sources.Sign{Pushing: true}
			if got := <-told; !got.Pushing {
				t.Errorf("%+v", got)
			}
		}
		stop()
		<-done
	}
}

// TestFollowed: a join is followed where each source is that can be.
func TestFollowed(t *testing.T) {
	for _, c := range []struct {
		answer bool
		err    error
		want   bool
	}{{true, nil, true}, {false, nil, false}, {true, errors.New("no route"), false}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			corp := &followed{list: &list{people: []identity.Person{entry("x")}}, answer: c.answer, err: c.err}
			s := joined(t, member(t, "hr", &list{people: []identity.Person{entry("a")}}), member(t, "corp", corp))
			if got, err := s.Renew(t.Context(), func(int) {}); got != c.want || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			for range s.Latest(t.Context(), new(sources.ReadFacts)) {
			}
			if corp.latest != 1 {
				t.Errorf("asked %d times for what is new", corp.latest)
			}
		})
	}
}

// TestSelection: an edit of any source's selection, or of a key, is one of the join's.
func TestSelection(t *testing.T) {
	s := joined(t, member(t, "hr", &list{}), member(t, "corp", &list{}))
	anchor, settings := s.Selection()
	for _, name := range []string{"hr.key", "corp.key", "hr.leave_date", "corp.enter_date"} {
		if settings[name] == 0 {
			t.Errorf("no %s among %v", name, settings)
		}
	}
	if anchor != "key" {
		t.Error(anchor)
	}
}

// TestCheck: how many find each other.
func TestCheck(t *testing.T) {
	hr := &list{people: []identity.Person{entry("a", "number", "1"), entry("b", "number", "2")}}
	corp := &list{people: []identity.Person{entry("x", "number", "1"), entry("y"), entry("z", "number", "7")}}
	seen, err := joined(t, member(t, "hr", hr), member(t, "corp", corp)).Check(t.Context())
	text := strings.Join(seen, "\n")
	for _, want := range []string{
		"joined: 1 people have entries in more than one of the sources", "hr: 1 people are in no other source, and 0 entries have no key",
		"corp: 1 people are in no other source, and 1 entries have no key",
	} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v\n%s\nlacks %q", err, text, want)
		}
	}
}
