package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestWhatIsMistypedIsToldInOneLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"chek", "there is no command `dirsweep chek`; did you mean `dirsweep check`?"},
		{"frobnicate", "there is no command `dirsweep frobnicate`; `dirsweep --help` lists them"},
		{"state veryfi", "there is no command `dirsweep state veryfi`; did you mean `dirsweep state verify`?"},
		{"plan now", "`dirsweep plan` takes no argument, but was given \"now\""},
		{"plan --targt wiki", "unknown flag: --targt; see `dirsweep plan --help`"},
		{"approve", "missing DIGEST; write `dirsweep approve DIGEST`"},
		{"sweep ann bob", "`dirsweep sweep` was given 2 arguments; write `dirsweep sweep PERSON --reason TEXT`"},
		{"sample", "missing KIND; write `dirsweep sample KIND`"},
		{"--config nix.hcl status", "config: there is no file or folder nix.hcl; `dirsweep sample ldap` prints what a config begins with"},
		{"sample nothing", `no kind is called "nothing"; there are: active_directory, csv, exec, ldap, scim, sql`},
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

// TestHelpSaysWhatACommandDoes, and shows how it is written.
func TestHelpSaysWhatACommandDoes(t *testing.T) {
	t.Parallel()
	root := (&app{out: &bytes.Buffer{}, err: &bytes.Buffer{}, style: newStyle(false)}).rootCommand()
	var look func(c *cobra.Command)
	seen := 0
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if c.HasSubCommands() && c.Name() != "evidence" || !c.HasParent() {
			return
		}
		seen++
		if c.Long != "" && !strings.HasPrefix(c.Long, c.Short) {
			t.Errorf("%s: the help drops %q", c.CommandPath(), c.Short)
		}
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimPrefix(strings.TrimSpace(line), "sudo "); !strings.HasPrefix(line, "dirsweep ") {
				t.Errorf("%s: %q is no example", c.CommandPath(), line)
			}
		}
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
	look(root)
	if seen < 25 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

func TestVersionByFlag(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"--version"}, &out, &errs, "v1.2.3"); code != ExitOK || out.String() != "dirsweep v1.2.3\n" {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errs.String())
	}
}

func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bad.hcl")
	if err := os.WriteFile(path, []byte("surce \"ldap\" \"corp\" {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"--json", "--config", path, "check", "--offline"}, &out, &errs, "test"); code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	var told struct {
		Error    string
		Mistakes []mistake
	}
	if err := json.Unmarshal(errs.Bytes(), &told); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if len(told.Mistakes) == 0 || told.Mistakes[0].File != "bad.hcl" || told.Mistakes[0].Line != 1 || told.Error == "" {
		t.Errorf("told as %+v", told)
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
	// Between backquotes, or a line of a block of code; the rest of such a line may be a redirection, another command
	// or a comment.
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
