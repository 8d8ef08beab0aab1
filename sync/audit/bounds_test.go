package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// appended returns the one record that r became, and its line.
func appended(t testing.TB, r audit.Record) (audit.Record, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	if _, err := trail.Append(t.Context(), r); err != nil {
		t.Fatalf("refused: %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.ParseLine(bytes.TrimSuffix(raw, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trail.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got, raw
}

func TestR18LongValuesBecomeLengthAndHash(t *testing.T) {
	control := strings.Repeat("\x01", 1_500_000)
	many := audit.Values{}
	for i := range 200 {
		many[fmt.Sprint("attribute", i)] = identity.Text(strings.Repeat("y", 1000))
	}
	for name, c := range map[string]struct {
		record audit.Record
		want   func(audit.Record) bool
	}{
		"9 MB before and after": {
			audit.Record{Before: audit.Values{"photo": identity.Text(strings.Repeat("a", 9<<20))}, After: audit.Values{"photo": identity.Text(strings.Repeat("b", 9<<20))}},
			func(r audit.Record) bool {
				return strings.HasPrefix(string(r.Before["photo"]), `{"bytes":9437186,"sha256":"`) && r.Before["photo"] != r.After["photo"] && r.Shortened == ""
			},
		},
		"just too long": {
			audit.Record{After: audit.Values{"a": identity.Text(strings.Repeat("v", audit.MaxValue-1))}},
			func(r audit.Record) bool { return strings.HasPrefix(string(r.After["a"]), `{"bytes":4097,`) },
		},
		"control characters": {
			audit.Record{After: audit.Values{"description": identity.Text(control), "title": `"t"`}, Error: control},
			func(r audit.Record) bool {
				return strings.Contains(string(r.After["description"]), `"bytes":9000002`) && r.After["title"] == `"t"` &&
					strings.HasPrefix(r.Error, "\x01\x01") && strings.Contains(r.Error, "… (1500000 bytes, SHA-256 ")
			},
		},
		"many attributes": {
			audit.Record{Name: "alice", Before: many, After: many},
			func(r audit.Record) bool {
				return r.Name == "alice" && r.Before == nil && r.After == nil && strings.HasPrefix(r.Shortened, "before and after: 200 and 200 attributes, ")
			},
		},
		"many closing steps that fail at length": {
			audit.Record{Name: "alice", Error: control, Steps: slices.Repeat([]audit.Step{{Name: "move", Why: control}}, 40)},
			func(r audit.Record) bool {
				return r.Name == "alice" && r.Steps == nil && strings.HasSuffix(r.Shortened, "; 40 closing steps")
			},
		},
		"a closing step that fails at length": {
			audit.Record{Steps: []audit.Step{{Name: "move", Outcome: "failed", Why: control}}},
			func(r audit.Record) bool {
				return r.Steps[0].Name == "move" && strings.Contains(r.Steps[0].Why, "… (1500000 bytes, SHA-256 ")
			},
		},
		"a long path": {
			audit.Record{After: audit.Values{strings.Repeat("p", 5000): "true"}},
			func(r audit.Record) bool {
				for path := range r.After {
					return len(path) < audit.MaxText
				}
				return false
			},
		},
		"what JSON cannot hold": {
			audit.Record{At: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), After: audit.Values{"a": "not JSON", "b": "1"}},
			func(r audit.Record) bool { return r.After["a"] == `"not JSON"` && r.After["b"] == "1" },
		},
		"just short enough": {
			audit.Record{Note: strings.Repeat("n", audit.MaxText-2), After: audit.Values{"a": identity.Text(strings.Repeat("v", audit.MaxValue-2))}},
			func(r audit.Record) bool {
				return len(r.Note) == audit.MaxText-2 && len(r.After["a"]) == audit.MaxValue
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, raw := appended(t, c.record)
			if len(raw) > audit.MaxRecord || !c.want(got) {
				t.Errorf("%d bytes: %.300s …", len(raw), raw)
			}
		})
	}
}

// TestR18NoRecordIsTooLarge fills every text of a record with anything, control characters first: nothing is refused,
// nothing exceeds MaxRecord, and what is short is kept as it is.
func TestR18NoRecordIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	text := rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"\x00", "\x1f", "\"", "\\", "a", "é", "\u2028", "😀", "\xff", "<", "\x7f"}).Draw(t, "unit")
		return strings.Repeat(unit, rapid.SampledFrom([]int{0, 1, 300, 340, 2046, 2047, 4094, 100_000}).Draw(t, "times"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var r audit.Record
		fields := reflect.ValueOf(&r).Elem()
		for i := range fields.NumField() {
			if f := fields.Field(i); f.Kind() == reflect.String {
				f.SetString(text.Draw(t, fields.Type().Field(i).Name))
			}
		}
		values := rapid.MapOfN(text, rapid.Custom(func(t *rapid.T) identity.Value {
			if rapid.Bool().Draw(t, "valid") {
				return identity.Text(text.Draw(t, "value"))
			}
			return identity.Value(text.Draw(t, "raw"))
		}), 0, 40)
		r.Before, r.After = values.Draw(t, "before"), values.Draw(t, "after")
		steps := rapid.Custom(func(t *rapid.T) audit.Step {
			return audit.Step{Name: text.Draw(t, "step"), Outcome: text.Draw(t, "outcome"), Why: text.Draw(t, "why")}
		})
		r.Steps = rapid.SliceOfN(steps, 0, 40).Draw(t, "steps")
		r.Left = time.Date(rapid.IntRange(-1, 20000).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC)
		head, err := trail.Append(t.Context(), r)
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw := b[bytes.LastIndexByte(b[:len(b)-1], '\n')+1:]
		got, err := audit.ParseLine(bytes.TrimSuffix(raw, []byte("\n")))
		if err != nil || got.Hash != head.Hash || len(raw) > audit.MaxRecord {
			t.Fatalf("%d bytes: %v", len(raw), err)
		}
		plain, err := json.Marshal(r.Note)
		if err == nil && len(plain) <= audit.MaxText && strings.ToValidUTF8(r.Note, "\ufffd") == r.Note && got.Note != r.Note {
			t.Fatalf("%d bytes were changed: %q", len(plain), got.Note)
		}
	})
	if _, err := trail.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzAppend(f *testing.F) {
	trail := open(f, filepath.Join(f.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	f.Add("note", "path", []byte(`"value"`))
	f.Add(strings.Repeat("\x00", 400), strings.Repeat("\"", 3000), bytes.Repeat([]byte("["), 3000))
	f.Fuzz(func(t *testing.T, note, path string, value []byte) {
		if _, err := trail.Append(t.Context(), audit.Record{Note: note, After: audit.Values{path: identity.Value(value)}}); err != nil {
			t.Error(err)
		}
		if _, err := trail.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
