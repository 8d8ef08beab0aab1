package mapping

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// call compiles the functions that configs use most; every other call is the interpreter's.
func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (compiled, bool) {
	if e.ExpandFinal {
		return compiled{}, false
	}
	switch e.Name {
	case "values":
		return c.values(e)
	case "member_of":
		return c.memberOf(e)
	}
	args := make([]compiled, len(e.Args))
	for i, a := range e.Args {
		arg, ok := c.compile(a)
		if !ok {
			return compiled{}, false
		}
		args[i] = arg
	}
	switch e.Name {
	case "coalesce", "try":
		return choose(args, e.Name == "coalesce")
	case "default":
		return fallback(args)
	case "concat_ws":
		return concatenation(args)
	}
	if f, ok := oneText(e.Name); ok {
		return textCall(args, f)
	}
	if f, ok := twoTexts(e.Name); ok {
		return testCall(args, f)
	}
	return otherCall(e.Name, args)
}

func (c *compiler) values(e *hclsyntax.FunctionCallExpr) (compiled, bool) {
	name, ok := literalText(e.Args[0])
	names := c.unit.names[name]
	return compiled{func(f *frame) (val, bool) {
		list := f.attribute(names)
		for i, s := range list {
			if normal := nfc(s); normal != s {
				list = slices.Clone(list) // the person's own stay as they are
				for j := i; j < len(list); j++ {
					list[j] = nfc(list[j])
				}
				break
			}
		}
		return mkTexts(list), true
	}, texts}, ok
}

func (c *compiler) memberOf(e *hclsyntax.FunctionCallExpr) (compiled, bool) {
	if len(e.Args) != 1 {
		return compiled{}, false
	}
	group, ok := c.compile(e.Args[0])
	if !ok || group.kind != text {
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		v, ok := group.run(f)
		if !ok || v.kind != text {
			return val{}, false
		}
		return mkFlag(memberOf(f.person, v.s)), true
	}, flag}, true
}

// choose compiles coalesce and try over arguments of one kind: the first that is not null, or the first at all.
// coalesce, as every function but try and can, fails where any of its arguments does.
func choose(args []compiled, skipNull bool) (compiled, bool) {
	if len(args) == 0 || !sameKind(args, args[0].kind) || args[0].kind != text && args[0].kind != flag {
		return compiled{}, false
	}
	if !skipNull {
		return args[0], true // where it fails the interpreter goes on to the next
	}
	return compiled{func(f *frame) (val, bool) {
		var chosen val
		for _, a := range args {
			v, ok := a.run(f)
			if !ok {
				return val{}, false
			}
			if chosen.kind == null {
				chosen = v
			}
		}
		return chosen, chosen.kind != null
	}, args[0].kind}, true
}

func sameKind(args []compiled, k kind) bool {
	return !slices.ContainsFunc(args, func(a compiled) bool { return a.kind != k })
}

func fallback(args []compiled) (compiled, bool) {
	if len(args) != 2 || !sameKind(args, text) {
		return compiled{}, false
	}
	value, other := args[0].run, args[1].run
	return compiled{func(f *frame) (val, bool) {
		v, ok := value(f)
		second, secondOK := other(f)
		if v.s == "" {
			v = second
		}
		return v, ok && secondOK
	}, text}, true
}

func concatenation(args []compiled) (compiled, bool) {
	if len(args) == 0 || args[0].kind != text ||
		slices.ContainsFunc(args, func(a compiled) bool { return a.kind != text && a.kind != texts && a.kind != null }) {
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		separator, ok := args[0].run(f)
		if !ok || separator.kind != text {
			return val{}, false
		}
		var b strings.Builder
		any := false
		add := func(s string) {
			if s == "" {
				return
			}
			if any {
				b.WriteString(separator.s)
			}
			b.WriteString(s)
			any = true
		}
		for _, a := range args[1:] {
			v, ok := a.run(f)
			if !ok {
				return val{}, false
			}
			add(v.s)
			for _, s := range v.l {
				add(s)
			}
		}
		if !any {
			return val{}, true
		}
		return mkText(b.String()), true
	}, text}, true
}

// oneText returns functions of one text that is not null.
func oneText(name string) (func(string) string, bool) {
	switch name {
	case "lower":
		return strings.ToLower, true
	case "upper":
		return strings.ToUpper, true
	case "trimspace":
		return strings.TrimSpace, true
	}
	return nil, false
}

func textCall(args []compiled, f func(string) string) (compiled, bool) {
	if len(args) != 1 || args[0].kind != text {
		return compiled{}, false
	}
	arg := args[0].run
	return compiled{func(fr *frame) (val, bool) {
		v, ok := arg(fr)
		if !ok || v.kind != text {
			return val{}, false
		}
		return mkText(f(v.s)), true
	}, text}, true
}

// twoTexts returns tests of two texts that are not null.
func twoTexts(name string) (func(a, b string) bool, bool) {
	switch name {
	case "startswith":
		return startsWith, true
	case "endswith":
		return endsWith, true
	case "strcontains":
		return holds, true
	}
	return nil, false
}

func testCall(args []compiled, f func(a, b string) bool) (compiled, bool) {
	if len(args) != 2 || !sameKind(args, text) {
		return compiled{}, false
	}
	first, second := args[0].run, args[1].run
	return compiled{func(fr *frame) (val, bool) {
		a, aOK := first(fr)
		b, bOK := second(fr)
		if !aOK || !bOK || a.kind != text || b.kind != text {
			return val{}, false
		}
		return mkFlag(f(a.s, b.s)), true
	}, flag}, true
}

// otherCall compiles the calls whose arguments and results are of several kinds.
func otherCall(name string, args []compiled) (compiled, bool) {
	kinds := make([]kind, len(args))
	for i, a := range args {
		kinds[i] = a.kind
	}
	takes := func(want ...kind) bool { return slices.Equal(kinds, want) }
	switch {
	case name == "normalize" && takes(text):
		return apply(args, text, true, func(a []val) val { return orNull(normalize(a[0].s)) })
	case name == "replace" && takes(text, text, text):
		return apply(args, text, false, func(a []val) val { return mkText(strings.ReplaceAll(a[0].s, a[1].s, a[2].s)) })
	case name == "trim" && takes(text, text):
		return apply(args, text, false, func(a []val) val { return mkText(strings.Trim(a[0].s, a[1].s)) })
	case name == "trimprefix" && takes(text, text):
		return apply(args, text, false, func(a []val) val { return mkText(strings.TrimPrefix(a[0].s, a[1].s)) })
	case name == "trimsuffix" && takes(text, text):
		return apply(args, text, false, func(a []val) val { return mkText(strings.TrimSuffix(a[0].s, a[1].s)) })
	case name == "join" && takes(text, texts):
		return apply(args, text, false, func(a []val) val { return mkText(strings.Join(a[1].l, a[0].s)) })
	case name == "split" && takes(text, text):
		return apply(args, texts, false, func(a []val) val { return mkTexts(strings.Split(a[1].s, a[0].s)) })
	case name == "contains" && takes(texts, text):
		return apply(args, flag, false, func(a []val) val {
			return mkFlag(slices.ContainsFunc(a[0].l, func(s string) bool { return sameText(s, a[1].s) }))
		})
	case name == "first" && takes(texts):
		return apply(args, text, false, func(a []val) val {
			if len(a[0].l) == 0 {
				return val{}
			}
			return mkText(a[0].l[0])
		})
	}
	return ownCall(name, args, takes)
}

// ownCall compiles those of our own functions that fail on texts they cannot read.
func ownCall(name string, args []compiled, takes func(...kind) bool) (compiled, bool) {
	switch {
	case name == "now" && takes():
		return compiled{func(f *frame) (val, bool) { return mkText(f.clock()), true }, text}, true
	case name == "is_true" && takes(text):
		return compiled{func(f *frame) (val, bool) {
			v, ok := args[0].run(f)
			yes, known := truth(v.s)
			return mkFlag(yes), ok && known
		}, flag}, true
	case name == "date_before" && takes(text, text):
		return dateCall(args, func(order int) bool { return order < 0 }), true
	case name == "date_after" && takes(text, text):
		return dateCall(args, func(order int) bool { return order > 0 }), true
	case name == "phone" && takes(text, text):
		return phoneCall(args), true
	case name == "dn_part" && takes(text, text):
		return reading(args, func(a []val) (string, error) {
			parts, err := parseDN(a[0].s)
			for _, p := range parts {
				if strings.EqualFold(p.name, a[1].s) {
					return p.value, err
				}
			}
			return "", err
		}), true
	}
	if read, ok := map[string]func(string) (string, error){"date_parse": dateParse, "guid": guid, "sid": sid}[name]; ok &&
		takes(text) {
		return reading(args, func(a []val) (string, error) { return read(a[0].s) }), true
	}
	return compiled{}, false
}

// dateCall compiles dateTest.
func dateCall(args []compiled, f func(order int) bool) compiled {
	return compiled{func(fr *frame) (val, bool) {
		a, aOK := args[0].run(fr)
		b, bOK := args[1].run(fr)
		if !aOK || !bOK || a.kind == null || b.kind == null {
			return mkFlag(false), aOK && bOK
		}
		x, err := parseDate(a.s)
		y, err2 := parseDate(b.s)
		return mkFlag(err == nil && err2 == nil && !x.IsZero() && !y.IsZero() && f(x.Compare(y))), err == nil && err2 == nil
	}, flag}
}

// phoneCall compiles phone; an unknown region is an error even where there is no number.
func phoneCall(args []compiled) compiled {
	call := reading(args, func(a []val) (string, error) { return phone(a[0].s, a[1].s), nil })
	return compiled{func(fr *frame) (val, bool) {
		if country, ok := args[1].run(fr); !ok || !knownRegion(country.s) {
			return val{}, false
		}
		return call.run(fr)
	}, text}
}

// reading compiles a function whose result is null where its first argument is null or f gives "". Every other
// null is an error.
func reading(args []compiled, f func([]val) (string, error)) compiled {
	return compiled{func(fr *frame) (val, bool) {
		list := make([]val, len(args))
		for i, a := range args {
			v, ok := a.run(fr)
			if !ok || i > 0 && v.kind == null {
				return val{}, false
			}
			list[i] = v
		}
		if list[0].kind == null {
			return val{}, true
		}
		out, err := f(list)
		return orNull(out), err == nil
	}, text}
}

func orNull(s string) val {
	if s == "" {
		return val{}
	}
	return mkText(s)
}

// apply runs f on arguments of which none is null; with nullable, a null one makes the result null.
func apply(args []compiled, k kind, nullable bool, f func([]val) val) (compiled, bool) {
	return compiled{func(fr *frame) (val, bool) {
		list := make([]val, len(args))
		for i, a := range args {
			v, ok := a.run(fr)
			if !ok {
				return val{}, false
			}
			if v.kind == null && a.kind != null {
				return val{}, nullable
			}
			list[i] = v
		}
		return f(list), true
	}, k}, true
}
