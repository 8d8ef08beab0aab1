package mapping

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Functions returns the functions that need no person: cty's standard library and ours, by name. None does any I/O.
func Functions() map[string]function.Function {
	all := map[string]function.Function{
		"lower": stdlib.LowerFunc, "upper": stdlib.UpperFunc, "title": stdlib.TitleFunc, "strrev": stdlib.ReverseFunc,
		"trim": stdlib.TrimFunc, "trimspace": stdlib.TrimSpaceFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"chomp": stdlib.ChompFunc, "indent": stdlib.IndentFunc, "strlen": stdlib.StrlenFunc, "substr": stdlib.SubstrFunc,
		"replace": stdlib.ReplaceFunc, "split": stdlib.SplitFunc, "join": stdlib.JoinFunc,
		"format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
		"regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc, "regex_replace": stdlib.RegexReplaceFunc,
		"coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc, "try": tryfunc.TryFunc, "can": tryfunc.CanFunc,
		"length": stdlib.LengthFunc, "contains": containsFunc(), "element": stdlib.ElementFunc, "index": stdlib.IndexFunc,
		"concat": stdlib.ConcatFunc, "compact": stdlib.CompactFunc, "distinct": stdlib.DistinctFunc, "flatten": stdlib.FlattenFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "reverse": stdlib.ReverseListFunc, "range": stdlib.RangeFunc,
		"chunklist": stdlib.ChunklistFunc, "keys": stdlib.KeysFunc, "merge": stdlib.MergeFunc, "zipmap": stdlib.ZipmapFunc,
		"setproduct": stdlib.SetProductFunc, "setunion": stdlib.SetUnionFunc, "setintersection": stdlib.SetIntersectionFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setsymmetricdifference": stdlib.SetSymmetricDifferenceFunc, "sethaselement": stdlib.SetHasElementFunc,
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "int": stdlib.IntFunc, "max": stdlib.MaxFunc,
		"min": stdlib.MinFunc, "log": stdlib.LogFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc, "parseint": stdlib.ParseIntFunc,
		"jsonencode": stdlib.JSONEncodeFunc, "jsondecode": stdlib.JSONDecodeFunc, "csvdecode": stdlib.CSVDecodeFunc,
		"formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,
		"tostring": stdlib.MakeToFunc(cty.String), "tonumber": stdlib.MakeToFunc(cty.Number),
		"tobool": stdlib.MakeToFunc(cty.Bool),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"toset":  stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tomap":  stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	}
	maps.Copy(all, ownFunctions())
	return all
}

func ownFunctions() map[string]function.Function {
	textual := cty.String
	return map[string]function.Function{
		"startswith":  textTest("prefix", startsWith),
		"endswith":    textTest("suffix", endsWith),
		"strcontains": textTest("substr", holds),
		"normalize":   textToText("str", func(s string) (string, error) { return normalize(s), nil }),
		"guid":        textToText("value", guid),
		"sid":         textToText("value", sid),
		"date_parse":  textToText("date", dateParse),
		"date_format": function.New(&function.Spec{
			Params: []function.Parameter{nullable("date", textual), {Name: "layout", Type: textual}},
			Type:   function.StaticReturnType(textual),
			Impl:   dateFormat,
		}),
		"date_add": function.New(&function.Spec{
			Params: []function.Parameter{nullable("date", textual), {Name: "duration", Type: textual}},
			Type:   function.StaticReturnType(textual),
			Impl:   withTexts(func(a []string) (string, error) { return dateAdd(a[0], a[1]) }),
		}),
		"date_before": dateTest(func(order int) bool { return order < 0 }),
		"date_after":  dateTest(func(order int) bool { return order > 0 }),
		"phone": function.New(&function.Spec{
			Params: []function.Parameter{nullable("number", textual), {Name: "region", Type: textual}},
			Type: func(args []cty.Value) (cty.Type, error) {
				if r := args[1]; r.IsKnown() && !knownRegion(r.AsString()) {
					return textual, function.NewArgError(
						1,
						plain("the default region is not a country's two letters in use with phone()"),
					)
				}
				return textual, nil
			},
			Impl: withTexts(func(a []string) (string, error) { return phone(a[0], a[1]), nil }),
		}),
		"dn_part": function.New(&function.Spec{
			Params:   []function.Parameter{nullable("dn", textual), {Name: "type", Type: textual}},
			VarParam: &function.Parameter{Name: "index", Type: cty.Number},
			Type:     function.StaticReturnType(textual),
			Impl:     dnPartImpl,
		}),
		"is_true":   isTrueFunc(),
		"default":   defaultFunc(),
		"first":     firstFunc(),
		"concat_ws": concatFunc(),
		"lookup":    lookupFunc(),
	}
}

func nullable(name string, t cty.Type) function.Parameter {
	return function.Parameter{Name: name, Type: t, AllowNull: true}
}

// textToText makes a function of one text that gives null for null, and null where f gives "".
func textToText(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{nullable(param, cty.String)},
		Type:   function.StaticReturnType(cty.String),
		Impl:   withTexts(func(a []string) (string, error) { return f(a[0]) }),
	})
}

// withTexts runs f on text arguments, null where the first is null or f gives "".
func withTexts(f func([]string) (string, error)) function.ImplFunc {
	return func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].IsNull() {
			return cty.NullVal(cty.String), nil
		}
		list := make([]string, len(args))
		for i, a := range args {
			list[i] = a.AsString()
		}
		out, err := f(list)
		if err != nil || out == "" {
			return cty.NullVal(cty.String), err
		}
		return cty.StringVal(out), nil
	}
}

func textTest(param string, f func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "str", Type: cty.String}, {Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// dateTest compares two dates. It is false where either is null or means never: what never happens is neither
// before nor after.
func dateTest(f func(order int) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{nullable("a", cty.String), nullable("b", cty.String)},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].IsNull() || args[1].IsNull() {
				return cty.False, nil
			}
			a, err := parseDate(args[0].AsString())
			if err != nil {
				return cty.False, err
			}
			b, err := parseDate(args[1].AsString())
			if err != nil || a.IsZero() || b.IsZero() {
				return cty.False, err
			}
			return cty.BoolVal(f(a.Compare(b))), nil
		},
	})
}

// empty reports whether v is null, "" or a list of nothing.
func empty(v cty.Value) bool {
	if v.IsNull() {
		return true
	}
	t := v.Type()
	switch {
	case t == cty.String:
		return v.AsString() == ""
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return v.LengthInt() == 0
	}
	return false
}

func anyParam(name string) function.Parameter {
	return function.Parameter{Name: name, Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true}
}

// defaultFunc is default(value, fallback): fallback where value is null, "" or an empty list.
func defaultFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{anyParam("value"), anyParam("fallback")},
		Type: func(args []cty.Value) (cty.Type, error) {
			for _, a := range args {
				if a.Type() == cty.DynamicPseudoType && !a.IsKnown() {
					return cty.DynamicPseudoType, nil
				}
			}
			t, _ := convert.UnifyUnsafe([]cty.Type{args[0].Type(), args[1].Type()})
			if t == cty.NilType {
				return t, function.NewArgError(
					1,
					plain("the fallback is a %s, the value a %s", args[1].Type().FriendlyName(), args[0].Type().FriendlyName()),
				)
			}
			return t, nil
		},
		Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
			if empty(args[0]) {
				return convert.Convert(args[1], t)
			}
			return convert.Convert(args[0], t)
		},
	})
}

// firstFunc is first(list): its first element, null where it is empty or null.
func firstFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{nullable("list", cty.List(cty.String))},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if empty(args[0]) {
				return cty.NullVal(cty.String), nil
			}
			return args[0].Index(cty.Zero), nil
		},
	})
}

// concatFunc is concat_ws(separator, parts…): the parts that are neither null nor "", joined; null where none is
// left. A part may be a list of texts.
func concatFunc() function.Function {
	part := anyParam("parts")
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "separator", Type: cty.String}},
		VarParam: &part,
		Type: func(args []cty.Value) (cty.Type, error) {
			for i, a := range args[1:] {
				if t := a.Type(); !t.IsPrimitiveType() && t != cty.DynamicPseudoType && !isTexts(t) {
					return cty.String, function.NewArgError(i+1, plain("a text or a list of texts is required"))
				}
			}
			return cty.String, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			var parts []string
			for i, a := range args[1:] {
				list, err := textsOf(a)
				if err != nil {
					return cty.NullVal(cty.String), function.NewArgError(i+1, err)
				}
				parts = append(parts, list...)
			}
			if len(parts) == 0 {
				return cty.NullVal(cty.String), nil
			}
			return cty.StringVal(strings.Join(parts, args[0].AsString())), nil
		},
	})
}

// textsOf returns the texts of a text or list, without null and "".
func textsOf(v cty.Value) ([]string, error) {
	if v.IsNull() {
		return nil, nil
	}
	if v.Type().IsPrimitiveType() {
		v = cty.TupleVal([]cty.Value{v})
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil {
		return nil, plain("a text or a list of texts is required")
	}
	var out []string
	for _, item := range list.AsValueSlice() {
		if !empty(item) {
			out = append(out, item.AsString())
		}
	}
	return out, nil
}

// lookupFunc is lookup(table, key, fallback…): the table's entry, else the fallback, else null. A null key has no
// entry. An entry that is spelled as the key is goes before one that differs in letter case.
func lookupFunc() function.Function {
	fallback := anyParam("fallback")
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "table", Type: cty.DynamicPseudoType, AllowDynamicType: true},
			nullable("key", cty.String),
		},
		VarParam: &fallback,
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if len(args) > 3 {
				return t, function.NewArgError(3, plain("one fallback is enough"))
			}
			types := make([]cty.Type, 0, 4)
			switch {
			case t == cty.DynamicPseudoType:
				return t, nil
			case t.IsMapType():
				types = append(types, t.ElementType())
			case t.IsObjectType():
				for _, item := range t.AttributeTypes() {
					types = append(types, item)
				}
			default:
				return t, function.NewArgError(0, plain("a table is required: { key = value, … }"))
			}
			if len(args) == 3 {
				types = append(types, args[2].Type())
			}
			unified, _ := convert.UnifyUnsafe(types)
			if unified == cty.NilType {
				return t, function.NewArgError(0, plain("the table's values are not all of one type"))
			}
			return unified, nil
		},
		Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
			if !args[1].IsNull() {
				if item, ok := entryOf(args[0].AsValueMap(), args[1].AsString()); ok {
					return convert.Convert(item, t)
				}
			}
			if len(args) == 3 {
				return convert.Convert(args[2], t)
			}
			return cty.NullVal(t), nil
		},
	})
}

func entryOf(table map[string]cty.Value, key string) (cty.Value, bool) {
	if item, ok := table[key]; ok {
		return item, true
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if sameText(name, key) {
			return table[name], true
		}
	}
	return cty.NilVal, false
}
