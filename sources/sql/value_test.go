package sql

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	at := time.Date(2026, 5, 14, 22, 30, 0, 123_456_000, time.FixedZone("", 10*3600))
	for _, tt := range []struct {
		name string
		kind string
		in   any
		want []string
	}{
		{"NULL is absent", "TEXT", nil, nil},
		{"an empty text is absent", "TEXT", "", nil},
		{"a text stays as it is", "TEXT", " 00123 ", []string{" 00123 "}},
		{"char(n) without its padding", "BPCHAR", "ann   ", []string{"ann"}},
		{"a whole number", "INT8", int64(math.MaxInt64), []string{"9223372036854775807"}},
		{"no exponent", "FLOAT8", 1e21, []string{"1000000000000000000000"}},
		{"no exponent of a text", "DOUBLE", "1e21", []string{"1000000000000000000000"}},
		{"a small float", "FLOAT4", float64(float32(0.1)), []string{"0.1"}},
		{"a decimal as the server has it", "NUMERIC", "12.50", []string{"12.50"}},
		{"true", "BOOL", true, []string{"true"}},
		{"false", "BOOL", false, []string{"false"}},
		{"a date has no zone", "DATE", time.Date(2026, 5, 14, 0, 0, 0, 0, time.UTC), []string{"2026-05-14"}},
		{"an instant in UTC", "TIMESTAMPTZ", at, []string{"2026-05-14T12:30:00.123456Z"}},
		{"a clock's time has no zone", "DATETIME", time.Date(2026, 5, 14, 17, 30, 0, 0, time.UTC), []string{"2026-05-14 17:30:00"}},
		{"a date that never comes", "DATE", "infinity", nil},
		{"no date at all", "DATETIME", time.Time{}, nil},
		{"bytes that are text", "BLOB", []byte("Zoë"), []string{"Zoë"}},
		{"an array", "_TEXT", `{staff,"a, b","say \"no\"",NULL,"NULL",""}`, []string{"staff", "a, b", `say "no"`, "NULL"}},
		{"an empty array", "_TEXT", "{}", nil},
		{"an array of arrays is text", "_TEXT", "{{a},{b}}", []string{"{{a},{b}}"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(cell{values: tt.want}, render(tt.kind, tt.in), cmp.AllowUnexported(cell{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, v := range []any{[]byte{0xff, 0xfe}, "a\x00b", "\xc3", struct{}{}} {
		if c := render("TEXT", v); !c.unreadable || c.values != nil {
			t.Errorf("%v is taken for text: %+v", v, c)
		}
	}
}

func FuzzArray(f *testing.F) {
	for _, seed := range []string{"{}", "{a,b}", `{"a\"b",NULL}`, "{{a}}", "{,}", `{"`, "{a", "a}", `{\}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseArray(text)
		if err != nil {
			return
		}
		for _, item := range list {
			if item == "" || utf8.ValidString(text) && !strings.Contains(strings.ReplaceAll(text, `\`, ""), strings.ReplaceAll(item, `\`, "")) {
				t.Errorf("%q holds %q", text, item)
			}
		}
	})
}
