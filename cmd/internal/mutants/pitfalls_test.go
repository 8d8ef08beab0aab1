package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPitfallIsAMutant: docs/safety.md names a mutant for each thing that directories do, and every mutant of
// theirs.
func TestEveryPitfallIsAMutant(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "safety.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## What directories do\n")
	section, _, found := strings.Cut(rest, "## Mutants\n")
	if !found {
		t.Fatal("no section about directories before the one about mutants")
	}
	mutants, err := readMutants("testdata")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range mutants {
		known[m.name] = true
		if strings.HasPrefix(m.at, "6-pitfalls.") && !regexp.MustCompile(`\b`+m.name+`\b`).MatchString(section) {
			t.Errorf("%s is of no pitfall", m.name)
		}
	}
	word := regexp.MustCompile(`[a-z0-9]+(-[a-z0-9]+){2,}`)
	rows := 0
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.Contains(line, "---") || strings.Contains(line, "| mutants |") {
			continue
		}
		rows++
		names := word.FindAllString(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("no mutant: %s", line)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s is no mutant: %s", name, line)
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d pitfalls", rows)
	}
}
