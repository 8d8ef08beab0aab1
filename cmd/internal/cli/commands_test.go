package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestWhatIsMistypedIsToldInOneLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"chek", "there is no command `dirsweep chek`; did you mean `dirsweep check`?"},
		{"frobnicate", "there is no command `dirsweep frobnicate`; `dirsweep --help` lists them"},
		{"state veryfi", "there is no command `dirsweep state veryfi`; did you mean `dirsweep state verify`?"},
		{"plan now", "`dirsweep plan` takes no argument, but was given \"now\""},
		{"plan --targt wiki", "unknown flag: --targt; see `dirsweep plan --help`"},
		{"approve", "write `dirsweep approve DIGEST`: it was given 0 arguments"},
		{"sweep ann bob", "write `dirsweep sweep PERSON --reason TEXT`: it was given 2 arguments"},
		{"sample nothing", `no kind is called "nothing"; there are: ldap, scim`},
		{"version --log-level loud --config /nowhere", ""},
	} {
		var out, err bytes.Buffer
		code := Main(t.Context(), strings.Fields(c.args), &out, &err, "test")
		want, wantCode := "", ExitOK
		if c.want != "" {
			want, wantCode = "dirsweep: "+c.want+"\n", ExitFailed
		}
		if err.String() != want || code != wantCode {
			t.Errorf("dirsweep %s: exit code %d and %q, want %d and %q", c.args, code, err.String(), wantCode, want)
		}
	}
}

// TestDocumentedCommands: every command line in the documentation is one that the program takes.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..", "..")
	pages, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "config.example.hcl", "sync/README.md"} {
		pages = append(pages, filepath.Join(top, name))
	}
	// Between backquotes, or a line of a block of code; the rest of such a line may be a redirection, another command or a comment.
	line := regexp.MustCompile("(?m)(?:`|^[ $]*)(?:bin/|go run \\./cmd/)?dirsweep ([a-z-][^`\n#;>|&]*)")
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range line.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(match[0], "d") {
				continue // prose that begins a line
			}
			seen++
			root := (&app{out: &bytes.Buffer{}, err: &bytes.Buffer{}, style: newStyle(false)}).rootCommand()
			c, rest, err := root.Find(strings.Fields(match[1]))
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %q: %v", filepath.Base(page), strings.TrimSpace(match[0]), err)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d command lines were found", seen)
	}
}
