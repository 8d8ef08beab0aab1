package mapping_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// complaint is what the diagnostics of one attribute's expression must say.
type complaint struct {
	expr     string
	severity hcl.DiagnosticSeverity
	text     string // "" for no complaint
}

func (c complaint) check(t *testing.T) {
	t.Helper()
	_, diags := compile(t, "\naccount = { x = "+c.expr+" }")
	var all []string
	for _, d := range diags {
		if d.EvalContext != nil || d.Expression != nil {
			t.Errorf("%s: the diagnostic carries values", c.expr)
		}
		all = append(all, fmt.Sprintf("%d:%s: %s", d.Subject.Start.Line, d.Summary, d.Detail))
		if d.Severity == c.severity && c.text != "" && strings.Contains(d.Summary+": "+d.Detail, c.text) &&
			d.Subject.Start.Line == 2 {
			return
		}
	}
	if c.text != "" || len(all) > 0 {
		t.Errorf("%s: want %q, have %q", c.expr, c.text, all)
	}
}

// The traps are those found by running HCL; the numbers are the list's.

func TestTrap1FunctionsAreSuggestedInChildContexts(t *testing.T) {
	complaint{`lowr(person.mail)`, hcl.DiagError, `no function named "lowr". Did you mean "lower"?`}.check(t)
	complaint{`try(lowr(person.mail), "x")`, hcl.DiagError, `Did you mean "lower"?`}.check(t)
	complaint{`membr_of("x")`, hcl.DiagError, `Did you mean "member_of"?`}.check(t)
}

func TestTrap2AttributesAreSuggested(t *testing.T) {
	complaint{`person.tilte`, hcl.DiagError, `no attribute named "tilte". Did you mean person.title?`}.check(t)
	complaint{`values("mial")`, hcl.DiagError, `Did you mean "mail"?`}.check(t)
	complaint{`person.gruops`, hcl.DiagError, `Did you mean person.groups?`}.check(t)
	complaint{`try(person.tilte, "x")`, hcl.DiagError, `Did you mean person.title?`}.check(t)
	complaint{`[for v in values("mail") : person.tilte]`, hcl.DiagError, `Did you mean person.title?`}.check(t)
	complaint{`persn.title`, hcl.DiagError, `no variable named "persn". Did you mean person?`}.check(t)
	complaint{`user.title`, hcl.DiagError, `person.mail`}.check(t)
	complaint{`keys(person)`, hcl.DiagError, `must be named`}.check(t)
	complaint{`person[person.uid]`, hcl.DiagError, `must be named`}.check(t)
	complaint{`values(person.uid)`, hcl.DiagError, `in quotes`}.check(t)
	complaint{`person.GIVENNAME`, 0, ``}.check(t)
}

func TestTrap2MistakesOfOneExpressionAreToldTogether(t *testing.T) {
	_, diags := compile(
		t,
		"account = {\n a = lowr(person.tilte)\n b = upper(values(\"mail\"))\n c = person.uid + person.uid ? 1 : 2\n}\nscope = person.uid",
	)
	if len(diags.Errs()) < 4 {
		t.Errorf("only %v", diags.Errs())
	}
}

func TestTrap3ErrorsShowNoValues(t *testing.T) {
	p := alice()
	const private = "ann-private@example.org"
	p.Attributes["mail"] = []string{private}
	for _, expr := range []string{
		`tonumber(person.mail)`, `jsondecode(person.mail)`, `parseint(person.mail, 10)`, `formatdate("YYYY", person.mail)`, `regex("^x$", person.mail)`,
		`format("%d", person.mail)`, `index(values("mail"), 9)`, `csvdecode("${person.mail},${person.mail}\n1,2")`, `{ for m in concat(values("mail"), values("mail")) : m => m }`,
		`try(tonumber(person.mail), parseint(person.mail, 10))`, `guid(person.mail)`, `sid(person.mail)`, `date_parse(person.mail)`, `dn_part(person.mail, "ou")`,
		`timeadd(person.mail, "1h")`, `person.mail + 1`, `person.mail ? 1 : 2`, `chunklist(values("mail"), person.mail)`, `tobool(person.mail)`,
		`element(values("mail"), tonumber(person.mail))`, `"${person.title}${person.mail}"`,
	} {
		_, err := value(t, expr, p, mapping.Logins{})
		if err == nil {
			t.Errorf("%s: no error", expr)
			continue
		}
		if strings.Contains(err.Error(), "private") || strings.Contains(err.Error(), "ann-") {
			t.Errorf("%s: a value is shown: %v", expr, err)
		}
		if !strings.HasPrefix(err.Error(), "config.hcl:1: x of alice: ") {
			t.Errorf("%s: place, path or person are missing: %v", expr, err)
		}
	}
}

func TestTrap4NoEnvironmentNoFiles(t *testing.T) {
	t.Setenv("PATH_OF_TRAP", "secret")
	complaint{`env("PATH_OF_TRAP")`, hcl.DiagError, `neither the environment nor files`}.check(t)
	complaint{`file("/etc/passwd")`, hcl.DiagError, `neither the environment nor files`}.check(t)
	complaint{`credential("x")`, hcl.DiagError, `neither the environment nor files`}.check(t)
}

func TestTrap5NullHoldsBackOnePersonAndSaysWhatToDo(t *testing.T) {
	target := mustCompile(t, "account = { userName = lower(person.uid) }")
	nobody := alice()
	nobody.Attributes = nil
	_, err := target.Account(nobody, mapping.Logins{})
	want := "config.hcl:1: userName of alice: lower(): a value is null, which the text or function around it cannot take: wrap it in default() or coalesce()"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if _, err := target.Account(alice(), mapping.Logins{}); err != nil {
		t.Errorf("the next person fails too: %v", err)
	}
	for _, expr := range []string{`"a${person.title}"`, `coalesce(person.title, null)`, `person.title ? 1 : 2`, `upper(person.title)`, `!tobool(person.title)`} {
		if _, err := value(t, expr, alice(), mapping.Logins{}); err == nil || !strings.Contains(err.Error(), "default()") {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for expr, want := range map[string]string{
		`default(person.title, "x")`: `"x"`, `concat_ws(" ", person.title, "x")`: `"x"`, `first(values("title"))`: ``, `normalize(person.title)`: ``,
		`date_parse(person.title)`: ``, `guid(person.title)`: ``, `person.title == null`: `true`, `member_of(default(person.title, ""))`: `false`,
	} {
		if got, err := value(t, expr, alice(), mapping.Logins{}); err != nil || string(got) != want {
			t.Errorf("%s = %s %v, want %s", expr, got, err, want)
		}
	}
	scope := mustCompile(t, "scope = person.title == null ? null : true\naccount = { userName = person.uid }")
	if _, err := scope.InScope(alice(), noon()); err == nil ||
		!strings.HasPrefix(err.Error(), "config.hcl:1: scope of alice: the result is null") {
		t.Errorf("null scope: %v", err)
	}
}

func TestTrap6TryHidesWhatCanNeverWork(t *testing.T) {
	complaint{`try(person.givenName[0], "x")`, hcl.DiagWarning, `This can never work`}.check(t)
	complaint{`can(upper(values("mail")))`, hcl.DiagWarning, `This can never work`}.check(t)
	complaint{`try(values("mail")[0], "x")`, 0, ``}.check(t)
	complaint{`[for m in values("mail") : try(upper(m), "x")]`, 0, ``}.check(t)
}

func TestTrap7TypesAreNotMixed(t *testing.T) {
	complaint{`person.employeeNumber == 7`, hcl.DiagError, `quote the number ("7")`}.check(t)
	complaint{`person.nsAccountLock != true`, hcl.DiagError, `never equals`}.check(t)
	complaint{`person.active == "true"`, hcl.DiagError, `never equals`}.check(t)
	complaint{`person.title == null`, 0, ``}.check(t)
	complaint{`person.employeeNumber + 0`, hcl.DiagWarning, `Arithmetic on a text`}.check(t)
	if got, _ := value(t, `person.employeeNumber`, alice(), mapping.Logins{}); got != identity.Text("007") {
		t.Errorf("the zeros are gone: %s", got)
	}
}

func TestTrap8TextIsNormalisedAndAnyNameCanBeWritten(t *testing.T) {
	p := alice()
	p.Attributes["cn"] = []string{"Zoe\u0301"}
	p.Attributes["userCertificate;binary"] = []string{"MIIB"}
	p.Attributes["msDS-x1"] = []string{"y"}
	for expr, want := range map[string]string{
		`person.cn`: "Zoé", `"${person.cn}"`: "Zoé", `values("cn")[0]`: "Zoé", `person["usercertificate;BINARY"]`: "MIIB", `person.msDS-x1`: "y",
		`person.cn == "Zoé" ? "same" : "different"`: "same",
	} {
		if got, err := value(t, expr, p, mapping.Logins{}); err != nil || got != identity.Text(want) {
			t.Errorf("%s = %s %v", expr, got, err)
		}
	}
	if p.Attributes["cn"][0] != "Zoe\u0301" {
		t.Error("the person was changed")
	}
}

// Trap 9 (gohcl repeats itself) is cmd/internal/config's.

func TestTrap10EvaluationIsParallel(t *testing.T) {
	target := mustCompile(t, wiki)
	hard := mustCompile(
		t,
		`account = { userName = unique_login(lower(person.uid)), x = values("mail")[*], y = format("%s-%s", person.uid, now()) }`,
	)
	want, err := target.Account(alice(), mapping.Logins{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				got, err := target.Account(alice(), mapping.Logins{})
				if err != nil || got.Attributes["emails"] != want.Attributes["emails"] || len(got.Entitlements) != 2 {
					t.Errorf("%+v %v", got, err)
					return
				}
				if _, err := hard.Account(alice(), mapping.Logins{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestResultTypesAreChecked(t *testing.T) {
	for src, want := range map[string]string{
		"scope = person.uid\naccount = { a = 1 }":              "scope must be true or false",
		"scope = null\naccount = { a = 1 }":                    "scope is null for every person",
		"account = { a = 1 }\nentitlements = person.uid":       "list of texts",
		"account = { a = 1 }\nentitlements = [1, 2]":           "list of texts",
		"account = person.uid":                                 "not an object",
		"account = {}":                                         "Empty account",
		"account = { active = true }":                          "follows from scope",
		"account = { ID = 1 }":                                 "gives every account its id",
		"account = { username = person.uid }":                  `Did you mean "userName"?`,
		"account = { title = person.uid, Title = person.uid }": "mapped at config.hcl:1 already",
		"account = { name.givenName = person.uid }":            "Quote paths",
		"account = { entitlements = [] }":                      "beside the account",
		`account = { a = phone(person.uid, "XX") }`:            "default region",
		`account = { a = date_add(now()) }`:                    "Not enough function arguments",
		`account = { a = upper(person.groups) }`:               "string required",
		`account = { a = lookup(person.uid, "x") }`:            "a table is required",
		`account = { a = concat_ws(",", { a = 1 }) }`:          "a text or a list of texts",
	} {
		_, diags := compile(t, src)
		if !diags.HasErrors() || !strings.Contains(diags.Errs()[0].Error(), want) {
			t.Errorf("%s: %v, want %s", src, diags, want)
		}
	}
}

func TestSourceExpressions(t *testing.T) {
	exprs, files := parse(
		t,
		"active = person.nsAccountLock != \"TRUE\" && !date_after(now(), person.accountExpires)\nrehire = person.employeeNumber",
	)
	s, diags := mapping.CompileSource(
		mapping.SourceExpressions{Active: exprs["active"], Rehire: exprs["rehire"]},
		ldapSchema(),
		mapping.Env{Files: files, Clock: noon},
	)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p := alice()
	for _, c := range []struct {
		lock, expires string
		want          bool
	}{{"", "", true}, {"TRUE", "", false}, {"FALSE", "9223372036854775807", true}, {"", "133801632000000000", false}, {"", "20270101000000Z", true}} {
		p.Attributes["nsAccountLock"], p.Attributes["accountExpires"] = []string{c.lock}, []string{c.expires}
		if got, err := s.Active(p); err != nil || got != c.want {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
	p.Attributes["accountExpires"] = []string{"soon"}
	if _, err := s.Active(p); err == nil {
		t.Error("a date that cannot be read leaves the person active")
	}
	if key, err := s.Rehire(p); err != nil || key != "007" || !s.Timed() {
		t.Error(key, err, s.Timed())
	}
	none, _ := mapping.CompileSource(mapping.SourceExpressions{}, ldapSchema(), mapping.Env{})
	if got, err := none.Active(p); err != nil || !got || none.Print() != 0 {
		t.Error("without an expression the kind's judgement does not stand")
	}
}

func TestPrintsIgnoreLayout(t *testing.T) {
	base := mustCompile(t, wiki)
	laidOut := mustCompile(
		t,
		strings.NewReplacer("lower(person.uid)", "lower( # login\n   person.uid )", "= person.cn", "=   person.cn # their name").
			Replace(wiki),
	)
	if base.Print() != laidOut.Print() || base.ScopePrint() != laidOut.ScopePrint() {
		t.Error("white space and comments count")
	}
	for _, edit := range [][2]string{{"person.cn", "person.sn"}, {`"none"`, `"no  ne"`}, {"title  ", "nickName"}, {`"wiki-users"`, `"wiki-user"`}} {
		if mustCompile(t, strings.Replace(wiki, edit[0], edit[1], 1)).Print() == base.Print() {
			t.Errorf("%q for %q does not count", edit[1], edit[0])
		}
	}
	if mustCompile(t, strings.Replace(wiki, "person.cn", "person.sn", 1)).ScopePrint() != base.ScopePrint() {
		t.Error("the scope's print is not its own")
	}
}

func TestSourcesOfDifferentSpelling(t *testing.T) {
	exprs, files := parse(t, `account = { userName = person.UID, x = person.costCentre }`)
	hr := mapping.Schema{Attributes: []string{"UID", "costCentre"}, CaseSensitive: true}
	target, diags := mapping.CompileTarget(
		mapping.TargetExpressions{Account: exprs["account"]},
		[]mapping.Schema{ldapSchema(), hr},
		mapping.Env{Files: files},
	)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, p := range []identity.Person{
		{ID: identity.PersonID{Directory: "corp", Anchor: "1"}, Attributes: identity.Attributes{"uid": {"a"}}},
		{ID: identity.PersonID{Directory: "hr", Anchor: "1"}, Attributes: identity.Attributes{"UID": {"a"}, "costCentre": {"7"}}},
	} {
		if a, err := target.Account(p, mapping.Logins{}); err != nil || a.UserName != "a" {
			t.Errorf("%s: %+v %v", p.ID, a, err)
		}
	}
	if got := fmt.Sprint(target.Needs(ldapSchema()), target.Needs(hr)); got != "[uid] [UID costCentre]" {
		t.Error(got)
	}
}
