package sweep_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// file is alice's evidence, made of what a real trail has about her.
func file(t testing.TB) []byte {
	t.Helper()
	trail, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	about := audit.Record{At: at(1), Target: "wiki", Person: alice.String(), Name: "Zoë <alice>", Account: "1", UserName: "alice"}
	disable, closed := about, about
	disable.Kind, disable.Op, disable.Outcome, disable.Seen = audit.Change, "disable", audit.Done, "inactive"
	disable.Before, disable.After = audit.Values{"active": "true", "title": `"R&D"`}, audit.Values{"active": "false", "title": ""}
	closed.Kind, closed.Outcome, closed.Seen = audit.Closed, "proven", "inactive"
	other := about
	other.Person, other.Kind = "corp/b", audit.Change
	if _, err := trail.Append(t.Context(), disable, other, closed); err != nil {
		t.Fatal(err)
	}
	var records []audit.Record
	for rec, err := range trail.Person(alice) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	e, err := sweep.NewEvidence(state.Case{
		Person: alice, Name: "Zoë <alice>", DN: "uid=alice,ou=people,dc=x", Cause: identity.Deleted, Proof: "tombstone & all", Left: at(0), Closed: at(1),
		Steps: []state.Step{
			{Target: "git", Account: "7", UserName: "alice", Status: state.StepReported, At: at(0), Left: at(0)},
			{Target: "wiki", Account: "1", UserName: "alice", Status: state.StepProven, Seen: "inactive", At: at(1), Left: at(0), Attempts: 1},
		},
	}, records, at(2))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return ""
	}
	return b.String()
}

func TestEvidenceHoldsHoweverItIsLaidOut(t *testing.T) {
	raw := file(t)
	var unescaped bytes.Buffer
	enc := json.NewEncoder(&unescaped)
	enc.SetEscapeHTML(false)
	var e sweep.Evidence
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string][]byte{"indented": raw, "on one line": []byte(compact(raw)), "without escapes": unescaped.Bytes(), "with a last newline": append(slices.Clone(raw), '\n')} {
		got, err := sweep.VerifyEvidence(bytes.NewReader(form))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Accounts) != 2 || got.Accounts[1].Took != "1m0s" || got.Accounts[0].Took != "" || len(got.Records) != 2 || got.Closed == nil || !got.Left.Equal(at(0)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAnyEditOfEvidenceIsFound changes, adds and removes bytes anywhere; only the space between tokens may differ.
func TestAnyEditOfEvidenceIsFound(t *testing.T) {
	genuine := file(t)
	want := compact(genuine)
	// Fewer unlikely bytes than likely ones: a digit for a digit is what a forger would try.
	bytesOf := rapid.OneOf(rapid.SampledFrom([]byte(`0123456789abcdefTZ"{}[],: \e-ADU`)), rapid.Byte())
	rapid.Check(t, func(t *rapid.T) {
		edited := slices.Clone(genuine)
		i := rapid.IntRange(0, len(edited)-1).Draw(t, "where")
		switch rapid.IntRange(0, 3).Draw(t, "edit") {
		case 0:
			edited[i] = bytesOf.Draw(t, "byte")
		case 1:
			edited = slices.Insert(edited, i, bytesOf.Draw(t, "byte"))
		case 2:
			edited = slices.Delete(edited, i, min(len(edited), i+rapid.IntRange(1, 40).Draw(t, "length")))
		default:
			edited = append(edited, bytesOf.Draw(t, "byte"))
		}
		_, err := sweep.VerifyEvidence(bytes.NewReader(edited))
		if same := compact(edited) == want; (err == nil) != same {
			t.Fatalf("the same but for space: %t; verified: %v\n%s", same, err, edited)
		}
		if err != nil && !errors.Is(err, sweep.ErrEvidence) {
			t.Fatalf("%v is no ErrEvidence", err)
		}
	})
}

// TestEvidenceReadsToAProgramAsToAReader: edits that JSON decoders do not see, or that show a reader something else.
func TestEvidenceReadsToAProgramAsToAReader(t *testing.T) {
	genuine := string(file(t))
	for name, edit := range map[string][2]string{
		"a key in other letters":        {`"person":`, `"Person":`},
		"a key that is there twice":     {`"name":`, `"name": "bob", "name":`},
		"a key that nobody knows":       {`"format":`, `"note": "all is well", "format":`},
		"a letter as an escape":         {`alice`, `\u0061lice`},
		"a time with zeros":             {`:00Z"`, `:00.000Z"`},
		"a null that says nothing":      {`"closed":`, `"reason": null, "closed":`},
		"something behind it":           {"\n}", "\n} {}"},
		"a number in another form":      {`"format": 1`, `"format": 1.0`},
		"a key that is missing":         {`"format": 1,`, ``},
		"a byte order mark in front":    {`{`, "\ufeff{"},
		"a second file in front":        {`{`, `{}{`},
		"the same digest in capitals":   {`"digest": "`, `"digest": "A`},
		"a record that has another key": {`"seq":`, `"SEQ":`},
	} {
		edited := strings.Replace(genuine, edit[0], edit[1], 1)
		if edited == genuine {
			t.Fatalf("%s: nothing was edited", name)
		}
		if _, err := sweep.VerifyEvidence(strings.NewReader(edited)); !errors.Is(err, sweep.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForgedEvidenceIsFoundThoughItsDigestIsRight(t *testing.T) {
	for name, forge := range map[string]func(*state.Case, []audit.Record) []audit.Record{
		"proven without a record": func(c *state.Case, rs []audit.Record) []audit.Record {
			return slices.DeleteFunc(rs, func(r audit.Record) bool { return r.Kind == audit.Closed })
		},
		"an account that was never closed": func(c *state.Case, rs []audit.Record) []audit.Record {
			c.Steps[0].Account = "2"
			return rs
		},
		"records in another order": func(_ *state.Case, rs []audit.Record) []audit.Record { slices.Reverse(rs); return rs },
		"a record twice":           func(_ *state.Case, rs []audit.Record) []audit.Record { return append(rs, rs[len(rs)-1]) },
		"a record edited":          func(_ *state.Case, rs []audit.Record) []audit.Record { rs[0].UserName = "bob"; return rs },
		"of another person":        func(c *state.Case, rs []audit.Record) []audit.Record { c.Person.Anchor = "b"; return rs },
	} {
		t.Run(name, func(t *testing.T) {
			genuine, err := sweep.VerifyEvidence(bytes.NewReader(file(t)))
			if err != nil {
				t.Fatal(err)
			}
			c := state.Case{Person: alice, Left: at(0), Steps: []state.Step{{Target: "wiki", Account: "1", Status: state.StepProven, At: at(1), Left: at(0)}}}
			records := forge(&c, genuine.Records)
			e, err := sweep.NewEvidence(c, records, at(2))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sweep.VerifyEvidence(bytes.NewReader(raw)); !errors.Is(err, sweep.ErrEvidence) {
				t.Errorf("verified: %v", err)
			}
		})
	}
}

func TestEvidenceOfAnOpenCase(t *testing.T) {
	e, err := sweep.NewEvidence(state.Case{
		Person: alice, Left: at(0).In(time.FixedZone("east", 3600)), Steps: []state.Step{{Target: "wiki", Account: "1", Status: state.StepOpen, Error: "503", At: at(0)}},
	}, nil, at(2))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sweep.VerifyEvidence(bytes.NewReader(raw))
	if err != nil || got.Closed != nil || got.Accounts[0].Error != "503" || got.Accounts[0].Took != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzVerifyEvidence(f *testing.F) {
	genuine := file(f)
	f.Add(genuine)
	f.Add([]byte(compact(genuine)))
	f.Add(bytes.Replace(genuine, []byte(`"proven"`), []byte(`"open"`), 1))
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := sweep.VerifyEvidence(bytes.NewReader(raw))
		if err != nil {
			if !errors.Is(err, sweep.ErrEvidence) {
				t.Fatalf("%v is no ErrEvidence", err)
			}
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sweep.VerifyEvidence(bytes.NewReader(again)); err != nil {
			t.Fatalf("what was verified does not verify when it is written again: %v", err)
		}
	})
}
