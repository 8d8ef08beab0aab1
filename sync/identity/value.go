package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Value is one attribute's value as canonical JSON: object keys sorted, strings in Unicode NFC, numbers in their
// shortest form (1 for 1.0 and 1e0), no insignificant space. The empty Value means "absent". Being text, values
// compare with ==, hash and store as they are. null, "", [] and {} are absent too: they cannot be told apart from
// absence in what applications return.
type Value string

// Text makes a string value; "" is absent.
func Text(s string) Value {
	switch {
	case s == "":
		return ""
	case plain(s):
		return Value(`"` + s + `"`)
	}
	return spell(normal(s))
}

// plain reports whether s is its own JSON, but for the quotes. Most texts are, and encoding them costs more than
// all else.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// Bool makes a boolean value.
func Bool(b bool) Value {
	if b {
		return "true"
	}
	return "false"
}

// Texts makes a list of strings, in the order given, empty ones and duplicates left out; no strings at all is absent.
func Texts(list ...string) Value {
	kept := make([]string, 0, len(list))
	asIs := true
	for _, s := range list {
		if s = normal(s); s != "" && !slices.Contains(kept, s) {
			kept = append(kept, s)
			asIs = asIs && plain(s)
		}
	}
	switch {
	case len(kept) == 0:
		return ""
	case asIs:
		return Value(`["` + strings.Join(kept, `","`) + `"]`)
	}
	items := make([]any, len(kept))
	for i, s := range kept {
		items[i] = s
	}
	return spell(items)
}

// NewValue makes a Value of what encoding/json decodes into an any (nil, bool, string, float64, json.Number,
// []any, map[string]any).
func NewValue(v any) (Value, error) {
	if text, ok := v.(string); ok {
		return Text(text), nil
	}
	v = prune(v)
	if v == nil {
		return "", nil
	}
	switch v.(type) {
	case bool, string, float64, json.Number, []any, map[string]any:
		if out := spell(v); out != "" {
			return out, nil
		}
		return "", fmt.Errorf("%v has no JSON", v) // NaN, an infinity, or something in it that is no attribute's value
	}
	return "", fmt.Errorf("%T cannot be an attribute's value", v)
}

// ParseValue makes a Value of JSON text.
func ParseValue(raw []byte) (Value, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("not a JSON value: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", errors.New("not a JSON value: more follows it")
	}
	return NewValue(v)
}

// Any returns the value as encoding/json decodes it, numbers as json.Number; nil where it is absent.
func (v Value) Any() any {
	if v == "" {
		return nil
	}
	if inner, ok := v.plainText(); ok {
		return inner
	}
	dec := json.NewDecoder(strings.NewReader(string(v)))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return string(v)
	}
	return out
}

// Text returns a string value's text, any other value's JSON, and "" where it is absent.
func (v Value) Text() string {
	if len(v) > 1 && v[0] == '"' {
		if s, ok := v.Any().(string); ok {
			return s
		}
	}
	return string(v)
}

// plainText is the text of a string value that needs no decoding; most values are.
func (v Value) plainText() (text string, ok bool) {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return "", false
	}
	text = string(v[1 : len(v)-1])
	return text, plain(text)
}

// Covers reports whether have, as a target returned it, already holds all that v asks for. Lists are compared as
// sets of equal size; a text is covered by an object whose "value" is that text, and an object by one that covers
// each of its keys, so that what a target adds of its own (type, display, $ref) is no difference. "True" and
// "true" cover true. Spelling counts, letter case included.
func (v Value) Covers(have Value) bool {
	if v == have || v == "" || have == "" {
		return v == have
	}
	return covers(v.Any(), have.Any())
}

func covers(want, have any) bool {
	if want == nil || have == nil {
		return want == nil && have == nil
	}
	switch w := want.(type) {
	case []any:
		h, ok := have.([]any)
		if !ok {
			h = []any{have}
		}
		return coversAll(w, h)
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for k, item := range w {
			if !covers(item, h[k]) {
				return false
			}
		}
		return true
	}
	switch h := have.(type) {
	case map[string]any:
		return covers(want, h["value"])
	case []any:
		return len(h) == 1 && covers(want, h[0])
	}
	if b, ok := want.(bool); ok {
		s, isText := have.(string)
		return want == have || isText && strings.EqualFold(s, fmt.Sprint(b))
	}
	return fmt.Sprint(want) == fmt.Sprint(have)
}

// coversAll looks for a partner in have for each of want. A partner that is taken moves on where it can: {a} may
// not keep {a, type} from the one that asks for the type.
func coversAll(want, have []any) bool {
	if len(want) != len(have) {
		return false
	}
	taken := make([]int, len(have)) // by which of want, counted from 1
	var place func(w int, tried []bool) bool
	place = func(w int, tried []bool) bool {
		for h := range have {
			if tried[h] || !covers(want[w], have[h]) {
				continue
			}
			tried[h] = true
			if taken[h] == 0 || place(taken[h]-1, tried) {
				taken[h] = w + 1
				return true
			}
		}
		return false
	}
	for w := range want {
		if !place(w, make([]bool, len(have))) {
			return false
		}
	}
	return true
}

// Unordered returns v with a list's elements in an order of their own, so that lists which differ in order alone
// are equal. Directories promise no order (RFC 4512 §2.2), and Covers looks at none.
func (v Value) Unordered() Value {
	if !v.several() {
		return v
	}
	var items []json.RawMessage
	if err := json.Unmarshal([]byte(v), &items); err != nil {
		return v
	}
	slices.SortFunc(items, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	return Value("[" + string(bytes.Join(raw(items), []byte(","))) + "]")
}

// several reports whether v is a list of more than one element, or may be one.
func (v Value) several() bool {
	if !strings.HasPrefix(string(v), "[") || !strings.Contains(string(v), ",") {
		return false
	}
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"': // to its end
			for i++; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				return true
			}
		}
	}
	return false
}

func raw(items []json.RawMessage) [][]byte {
	out := make([][]byte, len(items))
	for i, item := range items {
		out[i] = item
	}
	return out
}

// prune drops what counts as absent and normalises strings; encoding/json sorts the keys.
func prune(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
		return normal(v)
	case json.Number:
		return shortest(v)
	case float64:
		if v == 0 {
			return 0.0 // and not -0
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			if item = prune(item); item != nil {
				out = append(out, item)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		var odd []string
		for k, item := range v {
			if !plain(k) {
				odd = append(odd, k)
			} else if item = prune(item); item != nil {
				out[k] = item
			}
		}
		slices.Sort(odd)
		for _, k := range odd { // two keys may be one when normalised: the last wins, always the same one
			if item := prune(v[k]); item != nil {
				out[normal(k)] = item
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}

// normal is s in NFC. Bytes that are not UTF-8 become what JSON has for them.
func normal(s string) string {
	if plain(s) {
		return s
	}
	return norm.NFC.String(strings.ToValidUTF8(s, "\ufffd"))
}

// shortest gives equal numbers equal spelling. Integers keep every digit; a number beyond float64 stays as it is.
func shortest(n json.Number) any {
	if f, err := n.Float64(); err == nil && (f == 0 || strings.ContainsAny(n.String(), ".eE")) {
		return prune(f)
	}
	return n
}

// spell writes what prune left as JSON; "" where it has none.
func spell(v any) Value {
	out, err := appendJSON(nil, v)
	if err != nil {
		return ""
	}
	return Value(out)
}

// appendJSON writes texts that are their own JSON, and what holds them, itself: a listing has a million of them. No list
// or object that prune left is empty.
func appendJSON(to []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case string:
		if plain(v) {
			return append(append(append(to, '"'), v...), '"'), nil
		}
	case []any:
		for i, item := range v {
			to = append(to, "[,"[min(i, 1)])
			if to, err = appendJSON(to, item); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case map[string]any:
		for i, name := range slices.Sorted(maps.Keys(v)) {
			to = append(to, "{,"[min(i, 1)])
			if to, err = appendJSON(to, name); err != nil {
				return nil, err
			}
			if to, err = appendJSON(append(to, ':'), v[name]); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return append(to, bytes.TrimRight(b.Bytes(), "\n")...), nil
}
