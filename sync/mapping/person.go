package mapping

import (
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// lastNumber bounds how far unique_login counts.
const lastNumber = 9999

// personFunctions returns the functions that answer for one person. With a nil frame, as when a config is checked,
// they answer "unknown".
func personFunctions(f *frame) map[string]function.Function {
	pattern := nullable("pattern", cty.String)
	return map[string]function.Function{
		"values": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "attribute", Type: cty.String}},
			Type:   function.StaticReturnType(cty.List(cty.String)),
			Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
				if f == nil {
					return cty.UnknownVal(t), nil
				}
				return ctyTexts(f.attribute(f.unit.names[args[0].AsString()])), nil
			},
		}),
		"member_of": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "group", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
				if f == nil {
					return cty.UnknownVal(t), nil
				}
				return cty.BoolVal(memberOf(f.person, args[0].AsString())), nil
			},
		}),
		"now": function.New(&function.Spec{
			Type: function.StaticReturnType(cty.String),
			Impl: func(_ []cty.Value, t cty.Type) (cty.Value, error) {
				if f == nil {
					return cty.UnknownVal(t), nil
				}
				return cty.StringVal(f.clock()), nil
			},
		}),
		"unique_login": function.New(&function.Spec{
			Params:   []function.Parameter{pattern},
			VarParam: &pattern,
			Type:     function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
				if f == nil {
					return cty.UnknownVal(t), nil
				}
				login, err := uniqueLogin(f.login, args)
				return cty.StringVal(login), err
			},
		}),
	}
}

// uniqueLogin returns the first login that the patterns give and nobody has. {n} in a pattern counts 2, 3, ….
func uniqueLogin(login *Logins, patterns []cty.Value) (string, error) {
	if login == nil {
		login = &Logins{}
	}
	if login.Current != "" {
		return login.Current, nil
	}
	tried := false
	for _, p := range patterns {
		if empty(p) {
			continue
		}
		tried = true
		pattern, first, last := p.AsString(), 2, 2
		if strings.Contains(pattern, "{n}") {
			last = lastNumber
		}
		for n := first; n <= last; n++ {
			candidate := strings.ReplaceAll(pattern, "{n}", strconv.Itoa(n))
			if login.Taken == nil {
				return candidate, nil
			}
			taken, err := login.Taken(candidate)
			if err != nil {
				return "", &plainError{text: "cannot tell whether a login is taken", cause: err}
			}
			if !taken {
				return candidate, nil
			}
		}
	}
	if !tried {
		return "", plain("every pattern is null or empty: fill the attribute")
	}
	return "", plain(`every login it gives is taken: add a pattern that counts, as "${person.uid}{n}"`)
}

// memberOf reports whether the person belongs to the group, directly or through others. Names and DNs are compared
// as directories do: letter case and the spaces around a DN's separators do not count.
func memberOf(p *identity.Person, group string) bool {
	for i := range p.Groups {
		g := &p.Groups[i]
		if sameText(g.Name, group) || g.DN != "" && equalDN(g.DN, group) {
			return true
		}
	}
	return false
}

// equalDN compares two DNs without regard to letter case and to spaces beside "," ";" "+" and "=".
func equalDN(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	return strings.Contains(b, "=") && strings.EqualFold(tightDN(a), tightDN(b))
}

func tightDN(dn string) string {
	var b strings.Builder
	spaces := 0
	separated := true // spaces after a separator are dropped, those before one when it comes
	for i := 0; i < len(dn); i++ {
		ch := dn[i]
		switch {
		case ch == ' ':
			spaces++
			continue
		case strings.IndexByte(",;+=", ch) >= 0:
			separated = true
		default:
			if !separated {
				b.WriteString(strings.Repeat(" ", spaces))
			}
			separated = false
		}
		spaces = 0
		if ch == ';' {
			ch = ','
		}
		b.WriteByte(ch)
		if ch == '\\' && i+1 < len(dn) {
			i++
			b.WriteByte(dn[i])
		}
	}
	return b.String()
}
