package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// tinyModule writes the module of testdata out.
func tinyModule(t *testing.T) *runner {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "module.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range archive.Files {
		name := filepath.Join(root, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &runner{root: root, dir: t.TempDir(), timeout: 3 * time.Second, parallel: 2}
}

func TestWhatBecomesOfAMutant(t *testing.T) {
	r := tinyModule(t)
	tests := []struct {
		name  string
		says  string // of the table
		fails string // part of the error; "" for none
	}{
		{"killed", "ages TestAdult", ""},
		{"two-lines", "ages TestAdult", ""},
		{"panics", "ages TestAdult", ""},
		{"hangs", "ages TestWait", ""},
		{"survives", "SURVIVES", "survives TestGreet"},
		{"does-not-compile", "ERROR", "does not compile"},
		{"does-not-apply", "ERROR", "no longer applies: what it replaces is 0 times in Adult of ages/ages.go"},
		{"applies-twice", "ERROR", "no longer applies: what it replaces is 5 times in ages/ages.go"},
		{"hangs-unsaid", "HANGS", "does not end"},
		{"no-test", "", "ages has no test TestNobody"},
		{"nobody", "", "no mutant has the rule or the name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := runNamed(t.Context(), r, tt.name, &out)
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("the table says\n%s\nand should say %s", out.String(), tt.says)
			}
			if (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(r.root, "ages", "ages.go"))
	if err != nil || !strings.Contains(string(text), "age >= 18") {
		t.Errorf("the tree was changed: %v", err)
	}
}

func TestARuleChoosesItsMutants(t *testing.T) {
	var out bytes.Buffer
	if err := runNamed(t.Context(), tinyModule(t), "R1", &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\nR1 "); n != 2 {
		t.Errorf("%d mutants of R1, want 2:\n%s", n, out.String())
	}
}

func TestABrokenTreeIsSaid(t *testing.T) {
	r := tinyModule(t)
	file := filepath.Join(r.root, "ages", "ages.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte("18"), []byte("21"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runNamed(t.Context(), r, "survives|panics", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "without any mutant") {
		t.Errorf("error %v, want that the tests fail without any mutant", err)
	}
}

func TestGeneratedMutants(t *testing.T) {
	r := tinyModule(t)
	list, err := generate(r.root, "ages")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, g := range list {
		ids = append(ids, g.id)
	}
	for _, want := range []string{
		"ages/ages.go Adult: negate `if age < 0 {`",
		"ages/ages.go Adult: < to <= `if age < 0 {`",
		"ages/ages.go Adult: stay `return false`",
		"ages/ages.go Adult: >= to > `return age >= 18`",
		"ages/ages.go Adult: one more `return age >= 18`",
		"ages/ages.go Adult: true `return false`",
		"ages/ages.go Wait: drop `n++`",
	} {
		if !slices.Contains(ids, want) {
			t.Errorf("no mutant %s among\n%s", want, strings.Join(ids, "\n"))
		}
	}
	survivor := "ages/ages.go Greet: == to != `if name == \"\" {`"
	if err := os.WriteFile(filepath.Join(r.root, survivorsFile), []byte("# known\n\n"+survivor+" | nobody cares\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = runGenerated(t.Context(), r, []string{"ages"}, len(list), 1, &out)
	if err == nil || !strings.Contains(err.Error(), "have to be") {
		t.Errorf("error %v, want that too few are killed", err)
	}
	if !strings.Contains(out.String(), survivor) || !strings.Contains(out.String(), "nobody cares") || !strings.Contains(out.String(), "NOT ARGUED") {
		t.Errorf("survivors are not told:\n%s", out.String())
	}
}

func TestOneSampleForOneSeed(t *testing.T) {
	r := tinyModule(t)
	sample := func(seed uint64) (ids []string) {
		list, err := generate(r.root, "ages")
		if err != nil {
			t.Fatal(err)
		}
		shuffle(list, seed)
		for _, g := range list {
			ids = append(ids, g.id)
		}
		return ids
	}
	if !slices.Equal(sample(1), sample(1)) {
		t.Error("one seed gives two samples")
	}
	if slices.Equal(sample(1), sample(2)) {
		t.Error("two seeds give one sample")
	}
}

func TestMistakesInMutants(t *testing.T) {
	for text, want := range map[string]string{
		"R1 nothing\n":                                 "x:1: a mutant begins with its rules",
		"R1: a\nsentence\nfile f.go\ntest p\n":         "needs a sentence",
		"R1: a\nsentence\nfile f.go\n- x\nwhatever\n":  "x:5: not understood: whatever",
		"# only a comment\n\nR1: a\nsentence\n- x\n\n": "needs a sentence, a file",
	} {
		if _, err := parseMutants("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// Every mutant of the project applies, and every rule, ENGINE line and break has one, or says why not.
func TestTheProjectsMutants(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	mutants, err := readMutants("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if _, err := m.apply(root); err != nil {
			t.Error(err)
		}
	}
	for _, lack := range uncovered(mutants, readNotBuilt(t)) {
		t.Errorf("%s has no mutant, and %s does not say why", lack, notBuiltFile)
	}
}

func readNotBuilt(t *testing.T) map[string]string {
	t.Helper()
	reasons, err := readReasons(filepath.Join("testdata", filepath.Base(notBuiltFile)))
	if err != nil {
		t.Fatal(err)
	}
	return reasons
}

func TestAStoppedRunSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runNamed(ctx, tinyModule(t), "killed", &bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
}
