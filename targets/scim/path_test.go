package scim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/scim2/filter-parser/v2"
)

func TestPaths(t *testing.T) {
	const corp = "urn:corp:scim:2.0:User"
	for text, want := range map[string]path{
		"userName":                            {attr: "userName"},
		"name.givenName":                      {attr: "name", sub: "givenName"},
		"emails":                              {attr: "emails"},
		"emails.value":                        {attr: "emails", sub: "value"},
		`emails[type eq "work"].value`:        {attr: "emails", key: "type", value: "work", sub: "value"},
		`emails[type EQ "a]b.c:d \"e"].value`: {attr: "emails", key: "type", value: `a]b.c:d "e`, sub: "value"},
		"emails[primary eq true].value":       {attr: "emails", key: "primary", value: true, sub: "value"},
		`addresses[type eq "work"]`:           {attr: "addresses", key: "type", value: "work"},
		userSchema + ":userName":              {attr: "userName"},
		enterpriseSchema + ":department":      {schema: enterpriseSchema, attr: "department"},
		enterpriseSchema + ":manager.value":   {schema: enterpriseSchema, attr: "manager", sub: "value"},
		"department":                          {schema: enterpriseSchema, attr: "department"},
		"manager":                             {schema: enterpriseSchema, attr: "manager"},
		corp + ":badge_id":                    {schema: corp, attr: "badge_id"},
		corp + `:keys[kind eq "x:y"].value`:   {schema: corp, attr: "keys", key: "kind", value: "x:y", sub: "value"},
	} {
		got, err := parsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got, cmp.AllowUnexported(path{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{
		"", ".", "name.", ".givenName", "a.b.c", "a b", "emails[", "emails[]", "emails[type]", `emails[type ne "work"]`, `emails[type eq work]`,
		`emails[type eq "work" and primary eq true]`, "emails[type eq 5]", `emails[type eq "x"`, "urn:", "urn:x:", "ümlaut", "a/b", `emails[type eq "x"]y`,
	} {
		if got, err := parsePath(text); err == nil {
			t.Errorf("%q was taken: %+v", text, got)
		}
	}
}

// What we accept, an independent parser reads as the same attribute, and we read what we write.
func FuzzPath(f *testing.F) {
	for _, text := range []string{"userName", "name.givenName", `emails[type eq "wo\"rk"].value`, enterpriseSchema + ":department", "urn:a:b[c eq true]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePath(text)
		if err != nil {
			return
		}
		again, err := parsePath(p.String())
		if err != nil || again != p {
			t.Fatalf("%q is %+v, written %s, and read as %+v, %v", text, p, p, again, err)
		}
		if strings.ContainsAny(p.String(), `$_\`) || strings.ContainsFunc(text, func(r rune) bool { return r > 126 }) || p.schema != "" {
			return // RFC 7644's grammar, as that parser has it, is narrower here.
		}
		oracle, err := filter.ParsePath([]byte(p.String()))
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if oracle.AttributePath.AttributeName != p.attr {
			t.Errorf("%s: %s", p, oracle.AttributePath.AttributeName)
		}
	})
}

// Whatever the value, the filter stays one comparison with that very value.
func FuzzFilter(f *testing.F) {
	for _, value := range []string{"alice", `O'Br"ien`, `back\slash`, `x" or userName pr or userName eq "y`, "zoë", "a\nb", "<&>", "\u2028", "😀"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "?")
		text := equalFilter("userName", value)
		e, err := filter.ParseFilter([]byte(text))
		if err != nil {
			if strings.Contains(text, `\`) || strings.ContainsFunc(value, func(r rune) bool { return r > 126 }) {
				return // That parser does not know every escape and every character of JSON.
			}
			t.Fatalf("%s: %v", text, err)
		}
		by, ok := e.(*filter.AttributeExpression)
		if !ok || by.Operator != filter.EQ || by.AttributePath.AttributeName != "userName" {
			t.Fatalf("%s reads as %v", text, e)
		}
		if got, _ := by.CompareValue.(string); !strings.Contains(text, `\`) && got != value {
			t.Errorf("%q came back as %q", value, got)
		}
	})
}
