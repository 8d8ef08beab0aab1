package identity_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestParseValueIsCanonical(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"a decomposed letter is composed", `"Zoe\u0308"`, `"Zoë"`},
		{"a composed letter stays", `"Zoë"`, `"Zoë"`},
		{"keys too", `{"nai\u0308f":1}`, `{"naïf":1}`},
		{"of keys that become one, the last in order wins", `{"e\u0301":1,"é":2}`, `{"é":2}`},
		{"keys are sorted", `{"b":1,"a":{"d":2,"c":3}}`, `{"a":{"c":3,"d":2},"b":1}`},
		{"space is no difference", " [ 1 ,\n\"a\" ] ", `[1,"a"]`},
		{"escapes are no difference", `"\u003cb\u003e \/"`, `"<b> /"`},
		{"null is absent", `null`, ``},
		{"an empty text is absent", `""`, ``},
		{"an empty list is absent", `[]`, ``},
		{"an empty object is absent", `{}`, ``},
		{"a list of nothing is absent", `[null,"",[],{"a":null}]`, ``},
		{"absent members are left out", `{"a":"","b":[null,1],"c":{}}`, `{"b":[1]}`},
		{"false is a value", `false`, `false`},
		{"zero is a value", `0`, `0`},
		{"lists keep their order", `["b","a"]`, `["b","a"]`},
		{"a whole number", `1.0`, `1`},
		{"a number with an exponent", `12e-1`, `1.2`},
		{"trailing zeros", `1.50`, `1.5`},
		{"minus nothing", `-0`, `0`},
		{"minus nothing at all", `-0.0`, `0`},
		{"an integer keeps every digit", `90071992547409931`, `90071992547409931`},
		{"a number too great for most stays as it is", `1e999`, `1e999`},
		{"half a surrogate", `"\ud800"`, `"` + "\ufffd" + `"`},
		{"bytes that are no text", "\"a\xffb\"", `"a` + "\ufffd" + `b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := identity.ParseValue([]byte(c.raw))
			if err != nil || string(got) != c.want {
				t.Fatalf("ParseValue(%s) = %s, %v; want %s", c.raw, got, err, c.want)
			}
		})
	}
}

func TestParseValueRefuses(t *testing.T) {
	for _, raw := range []string{``, `{`, `nul`, `"a`, `1 2`, `{"a":1} trailing`, `[1],`, `01`, `NaN`} {
		if v, err := identity.ParseValue([]byte(raw)); err == nil {
			t.Errorf("ParseValue(%q) = %s, want an error", raw, v)
		}
	}
}

func TestNewValueRefusesWhatIsNoAttribute(t *testing.T) {
	for _, v := range []any{math.NaN(), math.Inf(1), make(chan int), []any{func() {}}, map[string]any{"a": math.NaN()}, json.Number("one"), 7, []string{"a"}} {
		if got, err := identity.NewValue(v); err == nil {
			t.Errorf("NewValue(%T) = %s, want an error", v, got)
		}
	}
	if got, err := identity.NewValue(math.Copysign(0, -1)); err != nil || got != "0" {
		t.Errorf("NewValue(-0) = %s, %v", got, err)
	}
}

func TestTextsLeavesOutDoubles(t *testing.T) {
	if got := identity.Texts("b", "", "a", "b", "e\u0301", "é"); got != `["b","a","é"]` {
		t.Errorf("Texts = %s", got)
	}
	if got := identity.Texts("", ""); got != "" {
		t.Errorf("Texts of nothing = %s", got)
	}
	if got, again := identity.Text("a\xffb"), identity.Value("\"a\ufffdb\""); got != again {
		t.Errorf("Text of no text = %s", got)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		name       string
		want, have identity.Value
		covers     bool
	}{
		{"the same", `"a"`, `"a"`, true},
		{"letter case counts", `"a"`, `"A"`, false},
		{"absent is covered by absent", ``, ``, true},
		{"absent is not covered by a value: it has to be cleared", ``, `"a"`, false},
		{"a value is not covered by nothing", `"a"`, ``, false},
		{"a text by an object's value", `"a@x"`, `{"type":"work","value":"a@x"}`, true},
		{"a text by no other object", `"a@x"`, `{"display":"a@x"}`, false},
		{"a text by a list of it alone", `"a"`, `["a"]`, true},
		{"a text not by a longer list", `"a"`, `["a","b"]`, false},
		{"a list of one by a text", `["a"]`, `"a"`, true},
		{"lists are sets", `["a","b"]`, `["b","a"]`, true},
		{"of equal size", `["a","b"]`, `["a","b","c"]`, false},
		{"nothing missing", `["a","b"]`, `["a","a"]`, false},
		{"texts by objects, in any order", `["a","b"]`, `[{"value":"b"},{"primary":true,"value":"a"}]`, true},
		{"an object by one with more", `{"a":1}`, `{"a":1,"b":2}`, true},
		{"an object not by one with less", `{"a":1,"b":2}`, `{"a":1}`, false},
		{"an object not by a text", `{"value":"a"}`, `"a"`, false},
		{"objects within objects", `{"manager":{"value":"7"}}`, `{"manager":{"$ref":"/Users/7","value":"7"}}`, true},
		{"true by True", `true`, `"True"`, true},
		{"true not by yes", `true`, `"yes"`, false},
		{"false by FALSE", `false`, `"FALSE"`, true},
		{"false not by absence", `false`, ``, false},
		{"a number by its text", `1`, `"1"`, true},
		{"a text by its number", `"1"`, `1`, true},
		{
			"a general one leaves the special one to who asks for it", `[{"value":"a"},{"type":"work","value":"a"}]`,
			`[{"type":"work","value":"a"},{"type":"home","value":"a"}]`, true,
		},
		{"no partner serves two", `[{"type":"work"},{"value":"a"}]`, `[{"type":"work","value":"a"},{"type":"home"}]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.want.Covers(c.have); got != c.covers {
				t.Fatalf("%s covers %s: %t, want %t", c.want, c.have, got, c.covers)
			}
		})
	}
}

// drawAny draws what encoding/json may decode.
func drawAny(t *rapid.T, depth int) any {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	text := rapid.OneOf(rapid.StringMatching(`[a-c]{0,2}`), rapid.String())
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return text.Draw(t, "text")
	case 3:
		return rapid.OneOf(rapid.Float64(), rapid.Map(rapid.IntRange(-3, 3), func(n int) float64 { return float64(n) })).Draw(t, "number")
	case 4:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "len"))
		for i := range list {
			list[i] = drawAny(t, depth-1)
		}
		return list
	default:
		object := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "keys") {
			object[rapid.OneOf(rapid.SampledFrom([]string{"value", "type", "primary"}), text).Draw(t, "key")] = drawAny(t, depth-1)
		}
		return object
	}
}

func drawValue(t *rapid.T) identity.Value {
	v, err := identity.NewValue(drawAny(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shuffled has every list of v in another order.
func shuffled(v any, r *rand.Rand) any {
	switch v := v.(type) {
	case []any:
		out := slices.Clone(v)
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		for i := range out {
			out[i] = shuffled(out[i], r)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			out[k] = shuffled(item, r)
		}
		return out
	}
	return v
}

func TestCoversItselfInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t)
		seed := rapid.Uint64().Draw(t, "seed")
		other, err := identity.NewValue(shuffled(v.Any(), rand.New(rand.NewPCG(seed, 1))))
		if err != nil {
			t.Fatal(err)
		}
		if !v.Covers(v) || !v.Covers(other) || !other.Covers(v) {
			t.Fatalf("%s and %s do not cover each other", v, other)
		}
	})
}

func TestCanonicalFormIsAFixedPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t)
		if v == "" {
			return
		}
		again, err := identity.ParseValue([]byte(v))
		if err != nil || again != v {
			t.Fatalf("%s becomes %s, %v", v, again, err)
		}
		if back, err := identity.NewValue(v.Any()); err != nil || back != v {
			t.Fatalf("%s, taken apart, becomes %s, %v", v, back, err)
		}
	})
}

// Keys as encoding/json sorts them, texts as it escapes them.
func TestCanonicalFormIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t)
		if v == "" {
			return
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v.Any()); err != nil || want.String() != string(v)+"\n" {
			t.Fatalf("%s, want %s, %v", v, want.String(), err)
		}
	})
}

func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{
		`null`, `"Zoe\u0308"`, `{"b":1,"a":[null,"",{"c":-0.0}]}`, `[1e400,12.50,-0,1E+2]`, "\"\xff\"", `"\ud83d"`, `{"e\u0301":1,"é":2}`, `1 2`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := identity.ParseValue(raw)
		if err != nil || v == "" {
			return
		}
		again, err := identity.ParseValue([]byte(v))
		if err != nil || again != v {
			t.Fatalf("%q becomes %q, %q, %v", raw, v, again, err)
		}
		if !v.Covers(v) || v.Text() == "" && v != "" && v != `""` {
			t.Fatalf("%q does not cover itself, or has no text", v)
		}
	})
}

func TestAReorderedListIsNoOther(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`["b","a"]`, `["a","b"]`, true},
		{`["a","b","a,c"]`, `["a,c","b","a"]`, true},
		{`[{"value":"x"},{"value":"y","primary":true}]`, `[{"primary":true,"value":"y"},{"value":"x"}]`, true},
		{`["a","b"]`, `["a"]`, false},
		{`["a","b"]`, `["a","c"]`, false},
		{`["a"]`, `"a"`, false},
	} {
		a, errA := identity.ParseValue([]byte(c.a))
		b, errB := identity.ParseValue([]byte(c.b))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		first, second := identity.Account{Attributes: map[string]identity.Value{"x": a}}, identity.Account{Attributes: map[string]identity.Value{"x": b}}
		if same := first.Fingerprint([]string{"x"}) == second.Fingerprint([]string{"x"}); same != c.want {
			t.Errorf("%s and %s are one: %t", c.a, c.b, same)
		}
		if again, err := identity.ParseValue([]byte(a.Unordered())); err != nil || again.Unordered() != a.Unordered() || !again.Covers(a) {
			t.Errorf("%s becomes %s: %v", c.a, a.Unordered(), err)
		}
	}
}
