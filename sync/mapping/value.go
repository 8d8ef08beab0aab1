package mapping

import (
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// kind is the static type of a closure's result. Any kind but number may be null at run time.
type kind uint8

const (
	null kind = iota
	text
	flag
	texts
	number // whole numbers written in the config, as indexes: never null
)

// val is a closure's result; only the field of its kind counts.
type val struct {
	kind kind
	b    bool
	n    int
	s    string // in NFC, as cty keeps its strings
	l    []string
}

func mkText(s string) val { return val{kind: text, s: nfc(s)} }

func mkFlag(b bool) val { return val{kind: flag, b: b} }

func mkTexts(l []string) val { return val{kind: texts, l: l} }

func (v val) value() identity.Value {
	switch v.kind {
	case text:
		return identity.Text(v.s)
	case flag:
		return identity.Bool(v.b)
	case texts:
		return identity.Texts(v.l...)
	default:
		return ""
	}
}

// nfc normalises s; most attributes are ASCII, and those cost nothing.
func nfc(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return norm.NFC.String(s)
		}
	}
	return s
}

// toAny renders v as encoding/json would decode it.
func toAny(v cty.Value) (any, error) {
	t := v.Type()
	switch {
	case !v.IsKnown():
		return nil, plain("the result is not known")
	case v.IsNull():
		return nil, nil
	case t == cty.String:
		return v.AsString(), nil
	case t == cty.Bool:
		return v.True(), nil
	case t == cty.Number:
		n := v.AsBigFloat()
		if n.IsInf() {
			return nil, plain("the result is an infinite number")
		}
		return json.Number(n.Text('f', -1)), nil
	case t.IsObjectType() || t.IsMapType():
		out := make(map[string]any, v.LengthInt())
		for k, item := range v.AsValueMap() {
			x, err := toAny(item)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		out := make([]any, 0, v.LengthInt())
		for _, item := range v.AsValueSlice() {
			x, err := toAny(item)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
		return out, nil
	}
	return nil, plain("an attribute cannot be a %s", t.FriendlyName())
}
