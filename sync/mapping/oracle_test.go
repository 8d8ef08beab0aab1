package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// grammar draws well-typed expressions.
type grammar struct {
	t      *rapid.T
	locals []string
}

func (g *grammar) pick(name string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, name)
}

func (g *grammar) quoted() string {
	return hclQuote(
		rapid.SampledFrom([]string{"", "a", "wiki-users", "wiki-", "x.y", "Ä", "e\u0301", "\u0301", " b ", "a@example.org", "-", "ß", "SS", "WIKI-Users", "True"}).
			Draw(g.t, "text"),
	)
}

func hclQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (g *grammar) text(depth int) string {
	leaves := []string{
		"person.uid",
		"person.mail",
		"person.title",
		"person.givenname",
		`person["sn"]`,
		"person.dn",
		"person.anchor",
		"person.source",
		g.quoted(),
	}
	leaves = append(leaves, g.locals...)
	if depth == 0 {
		return g.pick("leaf", leaves...)
	}
	d := depth - 1
	switch rapid.IntRange(0, 24).Draw(g.t, "form") {
	case 0:
		return fmt.Sprintf("%s(%s)", g.pick("f", "lower", "upper", "trimspace", "normalize"), g.text(d))
	case 1:
		return fmt.Sprintf("%s(%s, %s)", g.pick("f", "trim", "trimprefix", "trimsuffix"), g.text(d), g.text(d))
	case 2:
		return fmt.Sprintf("replace(%s, %s, %s)", g.text(d), g.text(d), g.text(d))
	case 3:
		return fmt.Sprintf("join(%s, %s)", g.text(d), g.texts(d))
	case 4:
		return fmt.Sprintf("first(%s)", g.texts(d))
	case 5, 6:
		return fmt.Sprintf("default(%s, %s)", g.text(d), g.text(d))
	case 7, 8:
		return fmt.Sprintf("coalesce(%s, %s, %s)", g.text(d), g.text(d), g.quoted())
	case 9:
		return fmt.Sprintf("try(%s, %s)", g.text(d), g.text(d))
	case 10:
		return fmt.Sprintf("concat_ws(%s, %s, %s)", g.quoted(), g.text(d), g.texts(d))
	case 11:
		return fmt.Sprintf("(%s ? %s : %s)", g.flag(d), g.text(d), g.text(d))
	case 12:
		return fmt.Sprintf("(%s ? %s : null)", g.flag(d), g.text(d))
	case 13:
		return fmt.Sprintf("%s[%d]", g.texts(d), rapid.IntRange(0, 2).Draw(g.t, "index"))
	case 14, 15:
		return fmt.Sprintf(`"${%s}-${%s}"`, g.text(d), g.text(d))
	case 16:
		return fmt.Sprintf(`"${%s}"`, g.text(d))
	case 18:
		return fmt.Sprintf("%s(%s)", g.pick("f", "date_parse", "guid", "sid"), g.text(d))
	case 19:
		return fmt.Sprintf("phone(%s, %s)", g.text(d), g.pick("region", `"DE"`, `"us"`, g.text(d)))
	case 20:
		return fmt.Sprintf("dn_part(%s, %s)", g.text(d), g.pick("type", `"UID"`, `"dc"`, g.text(d)))
	case 17:
		return fmt.Sprintf("title(%s)", g.text(d)) // the interpreter's
	default:
		return g.pick("leaf", leaves...)
	}
}

func (g *grammar) flag(depth int) string {
	leaf := g.pick("flag", "person.active", "true", "false", `member_of("wiki-users")`, `member_of("CN=staff, DC=x")`)
	if depth == 0 {
		return leaf
	}
	d := depth - 1
	switch rapid.IntRange(0, 10).Draw(g.t, "flag form") {
	case 0:
		return "!" + g.flag(d)
	case 1:
		return fmt.Sprintf("(%s && %s)", g.flag(d), g.flag(d))
	case 2:
		return fmt.Sprintf("(%s || %s)", g.flag(d), g.flag(d))
	case 3:
		return fmt.Sprintf("(%s %s %s)", g.text(d), g.pick("op", "==", "!="), g.text(d))
	case 4:
		return fmt.Sprintf("(%s %s null)", g.text(d), g.pick("op", "==", "!="))
	case 5:
		return fmt.Sprintf("%s(%s, %s)", g.pick("f", "startswith", "endswith", "strcontains"), g.text(d), g.text(d))
	case 6:
		return fmt.Sprintf("contains(%s, %s)", g.texts(d), g.text(d))
	case 7:
		return fmt.Sprintf("member_of(%s)", g.text(d))
	case 9:
		return fmt.Sprintf(
			"%s(%s, %s)",
			g.pick("f", "date_before", "date_after"),
			g.pick("now", "now()", g.text(d)),
			g.text(d),
		)
	case 10:
		return fmt.Sprintf("is_true(%s)", g.text(d))
	case 8:
		return fmt.Sprintf("(%s %s %s)", g.flag(d), g.pick("op", "==", "!="), g.flag(d))
	default:
		return leaf
	}
}

func (g *grammar) texts(depth int) string {
	leaf := g.pick("list", "person.groups", `values("mail")`, `values("title")`, `values("UID")`)
	if depth == 0 {
		return leaf
	}
	d := depth - 1
	switch rapid.IntRange(0, 5).Draw(g.t, "list form") {
	case 0:
		return fmt.Sprintf("[%s, %s]", g.text(d), g.text(d))
	case 1:
		return fmt.Sprintf("split(%s, %s)", g.text(d), g.text(d))
	case 2, 3:
		name := g.pick("local", "g", "h")
		list := g.texts(d)
		g.locals = append(g.locals, name)
		item, condition := g.text(d), ""
		if rapid.Bool().Draw(g.t, "if") {
			condition = " if " + g.flag(d)
		}
		g.locals = g.locals[:len(g.locals)-1]
		return fmt.Sprintf("[for %s in %s : %s%s]", name, list, item, condition)
	default:
		return leaf
	}
}

func drawPerson(t *rapid.T) identity.Person {
	word := rapid.SampledFrom([]string{
		"", "alice", "Ä", "e\u0301", "\u0301x", "a@example.org", "a-b", "x.y", "\xff", " b ", "ﬁ", "İ", "20260301120000Z", "9223372036854775807",
		"2099-01-01", "030 901820", "S-1-5-18", "M0RVZneImaq7zN3u/wARIg==", `cn=a\, b,ou= x,dc=y`,
	})
	p := identity.Person{
		ID: identity.PersonID{
			Directory: "corp",
			Anchor:    "7",
		}, Name: "alice", DN: "uid=a,dc=x", Active: rapid.Bool().Draw(t, "active"),
		Attributes: identity.Attributes{},
	}
	for _, name := range []string{"uid", "mail", "title", "givenName", "sn"} {
		if list := rapid.SliceOfN(word, 0, 3).Draw(t, name); len(list) > 0 {
			p.Attributes[name] = list
		}
	}
	for _, name := range []string{"wiki-users", "staff", "E\u0301"} {
		if rapid.Bool().Draw(t, name) {
			p.Groups = append(p.Groups, identity.Group{Name: name, DN: "cn=" + name + ",dc=x"})
		}
	}
	return p
}

// TestCompiledAnswersAsTheInterpreter holds the closures against HCL's own interpreter over drawn expressions and
// people.
func TestCompiledAnswersAsTheInterpreter(t *testing.T) {
	asked, answered, hadClosure, expressions := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		g := &grammar{t: t}
		src := ""
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			src = g.text(3)
		case 1:
			src = g.flag(3)
		case 2:
			src = g.texts(3)
		}
		e, ok := compileOne(src)
		if !ok {
			return
		}
		expressions++
		if e.fast == nil {
			return
		}
		hadClosure++
		for range 4 {
			p := drawPerson(t)
			asked++
			if same(t, e, src, &p) {
				answered++
			}
		}
	})
	if hadClosure*2 < expressions || answered*3 < asked {
		t.Errorf("too little is compiled: %d of %d expressions, %d of %d answers", hadClosure, expressions, answered, asked)
	}
	t.Logf("%d of %d expressions compiled, %d of %d answers fast", hadClosure, expressions, answered, asked)
}

type fataler interface{ Fatalf(string, ...any) }

// same reports whether the closure had an answer; it must then be the interpreter's.
func same(t fataler, e *expression, src string, p *identity.Person) bool {
	fast, ok := e.run(e.unit.frame(p, nil))
	if !ok {
		return false
	}
	v, err := e.interpret(e.unit.frame(p, nil))
	if err != nil {
		t.Fatalf("%s: compiled %+v, interpreter: %v\nperson %+v", src, fast, err, p)
	}
	want, err := fromCty(v)
	if err != nil || fast.value() != want {
		t.Fatalf("%s: compiled %s, interpreter %s %v\nperson %+v", src, fast.value(), want, err, p)
	}
	return true
}

func compileOne(src string) (*expression, bool) {
	expr, diags := hclsyntax.ParseExpression([]byte(src), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, false
	}
	u := newUnit([]Schema{{Attributes: []string{"uid", "mail", "title", "givenName", "sn"}, Exact: []string{"sn"}}}, Env{})
	var found hcl.Diagnostics
	e := u.compile("x", expr, wantValue, &found)
	return e, !found.HasErrors()
}

// FuzzCompiled does the same for any text that parses, from the corpus of shapes that closures cover.
func FuzzCompiled(f *testing.F) {
	for _, src := range []string{
		`lower(person.uid)`, `"${person.uid}-x"`, `[for g in person.groups : upper(g) if startswith(g, "w")]`, `member_of("a") ? "x" : null`,
		`values("mail")[0]`, `coalesce(person.title, "x") == "x" && !person.active`, `join(",", split("a", person.mail))`,
		`default(first(values("mail")), concat_ws("-", person.sn, values("uid")))`, `try(person.uid, "x") != null`,
	} {
		f.Add(src, "alice", "a@example.org")
	}
	f.Fuzz(func(t *testing.T, src, uid, mail string) {
		if len(src) > 300 || strings.Contains(src, "range(") || strings.Contains(src, "%") {
			return // numbers that an expression spells out make lists and texts as large as they say
		}
		e, ok := compileOne(src)
		if !ok || e.fast == nil {
			return
		}
		p := identity.Person{
			ID: identity.PersonID{
				Directory: "s",
				Anchor:    "1",
			}, Attributes: identity.Attributes{"uid": {uid}, "mail": {mail, uid}},
			Groups: []identity.Group{{Name: uid, DN: "cn=x"}},
		}
		same(t, e, src, &p)
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"20260301120000Z", "20260301120000.5+0130", "2026030112Z", "133801632000000000", "2026-03-01T12:00:00+01:00", "2026-03-01", "20260301", "0", "never"} {
		f.Add(s, "30d")
	}
	f.Fuzz(func(t *testing.T, s, length string) {
		out, err := dateParse(s)
		if err == nil && out != "" {
			again, err := dateParse(out)
			if err != nil || again != out {
				t.Fatalf("%q -> %q -> %q %v", s, out, again, err)
			}
		}
		if d, err := ParseDuration(length); err == nil && d < 0 && !strings.HasPrefix(length, "-") {
			t.Fatalf("%q is %d", length, d)
		}
		if sum, err := dateAdd(s, length); err == nil && sum != "" {
			if _, err := dateParse(sum); err != nil {
				t.Fatalf("%q + %q = %q: %v", s, length, sum, err)
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{"M0RVZneImaq7zN3u/wARIg==", "{66554433-8877-AA99-BBCC-DDEEFF001122}", "AQUAAAAAAAUVAAAAFcdbB6QH2rIGvrRfUAQAAA==", "S-1-5-32-544", "AQ=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, read := range map[string]func(string) (string, error){"guid": guid, "sid": sid} {
			out, err := read(s)
			if err != nil || out == "" {
				continue
			}
			if again, err := read(out); err != nil || again != out {
				t.Fatalf("%s: %q -> %q -> %q %v", name, s, out, again, err)
			}
		}
		for _, country := range []string{"DE", "US", "RU", "IT", ""} {
			out := phone(s, country)
			if out != "" && (phone(out, "") != out || len(out) > 16) {
				t.Fatalf("%q in %s is %q, and then %q", s, country, out, phone(out, ""))
			}
		}
		once := normalize(s)
		if again := normalize(once); again != once {
			t.Fatalf("%q -> %q -> %q", s, once, again)
		}
	})
}

func FuzzDN(f *testing.F) {
	for _, s := range []string{`cn=a\, b,ou=x`, `CN = A , OU=\20x\20`, `a=1+b=2;c=\C3\A4`, `x`, `=`, `a=\`} {
		f.Add(s, `ou=x`)
	}
	f.Fuzz(func(t *testing.T, dn, other string) {
		parts, err := parseDN(dn)
		if err == nil {
			var rebuilt []string
			for _, p := range parts {
				var b strings.Builder
				for i := range len(p.value) {
					fmt.Fprintf(&b, `\%02X`, p.value[i])
				}
				rebuilt = append(rebuilt, p.name+"="+b.String())
			}
			again, err := parseDN(strings.Join(rebuilt, ","))
			if err != nil || !slices.Equal(parts, again) {
				t.Fatalf("%q -> %q -> %q %v", dn, parts, again, err)
			}
		}
		if !equalDN(dn, dn) ||
			equalDN(dn, other) != equalDN(other, dn) && strings.Contains(dn, "=") && strings.Contains(other, "=") {
			t.Fatalf("%q and %q", dn, other)
		}
	})
}
