package mapping_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

// TestDocumentedExamples: docs/mapping.md shows every function, and what it says that an example gives is what it
// gives.
func TestDocumentedExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for _, row := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| `(.+?)` \\|").FindAllStringSubmatch(string(page), -1) {
		expression, want := row[1], row[2]
		shown.WriteString(expression + "\n")
		target, diags := compile(t, "account = {\n  userName = person.uid\n  nickName = jsonencode("+expression+")\n}\n")
		if diags.HasErrors() {
			t.Errorf("%s: %v", expression, diags)
			continue
		}
		got, err := target.Account(alice(), mapping.Logins{})
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if text := got.Attributes["nickName"].Text(); text != want {
			t.Errorf("%s is %s; the page says %s", expression, text, want)
		}
	}
	names := append(slices.Sorted(maps.Keys(mapping.Functions())), "values", "member_of", "now", "unique_login")
	for _, name := range names {
		if !regexp.MustCompile(`\b` + name + `\(`).MatchString(shown.String()) {
			t.Errorf("the page has no example of %s()", name)
		}
	}
}
