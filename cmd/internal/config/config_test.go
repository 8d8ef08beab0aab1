package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// book is a small kind of source.
type book struct {
	Path     string   `hcl:"path"`
	Password string   `hcl:"password,optional"`
	Columns  []string `hcl:"columns,optional"`
	secret   identity.Secret
}

func (b book) Attributes() []string {
	return append([]string{"uid", "cn", "givenName", "mail", "employeeNumber", "leaveDate"}, b.Columns...)
}

func (book) CaseSensitive() bool { return false }

func (book) Exact() []string { return nil }

// Open refuses what only shows when all expressions are known.
func (b book) Open(need sources.Need) (sources.Source, error) {
	if need.Groups && b.Path == "no-groups.txt" {
		return nil, errors.New("member_of() needs groups, and this book has none")
	}
	return closedBook{}, nil
}

// closedBook and closedApp are only ever closed.
type (
	closedBook struct{ sources.Source }
	closedApp  struct{ targets.Target }
)

func (closedBook) Close() error { return nil }

func (closedApp) Close() error { return nil }

// app is a small kind of target.
type app struct {
	URL   string `hcl:"url"`
	Token string `hcl:"bearer_token,optional"`
	Basic *struct {
		Password string `hcl:"password"`
	} `hcl:"basic,block"`
}

func (app) Accepts(path string) error {
	if path == "secretQuestion" {
		return errors.New("an app has no such attribute")
	}
	return nil
}

func (app) Required() []string { return []string{"userName"} }

func (app) Correlate() []string { return []string{"externalId", "userName"} }

func (app) Open(need targets.Need) (targets.Target, error) {
	if !slices.IsSorted(need.Paths) || need.Log == nil || need.Pace == nil {
		return nil, fmt.Errorf("not what a target needs: %+v", need)
	}
	return closedApp{}, nil
}

func load(path string) (*config.Config, error) {
	return config.LoadWith(path,
		[]sources.Kind{{Name: "book", Decode: func(body hcl.Body, env sources.Env) (sources.Spec, hcl.Diagnostics) {
			var b book
			if diags := gohcl.DecodeBody(body, env.Eval, &b); diags.HasErrors() {
				return nil, diags
			}
			b.secret = identity.NewSecret(b.Password)
			return b, nil
		}}},
		[]targets.Kind{{Name: "app", Decode: func(body hcl.Body, env targets.Env) (targets.Spec, hcl.Diagnostics) {
			var a app
			if diags := gohcl.DecodeBody(body, env.Eval, &a); diags.HasErrors() {
				return nil, diags
			}
			if strings.HasPrefix(a.URL, "http:") {
				return a, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Address not accepted", Detail: a.URL + " is not https.", Subject: body.MissingItemRange().Ptr()}}
			}
			return a, nil
		}}})
}

// TestConfigs loads the config of each archive under testdata and compares what comes of it: the mistakes as they
// are printed, or the warnings and the config as it is understood. "go test -update" writes what it sees.
func TestConfigs(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) < 10 {
		t.Fatal(len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			path, want := dir, ""
			t.Setenv("BOOK_PASSWORD", "s3cret-of-the-book")
			t.Setenv("CREDENTIALS_DIRECTORY", dir)
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				if f.Name == "config.hcl" {
					path = filepath.Join(dir, f.Name)
				}
				write(t, filepath.Join(dir, f.Name), string(f.Data))
			}
			got := strings.ReplaceAll(outcome(t, path), dir, "DIR")
			if strings.Contains(got, "s3cret") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			if update(t) {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func update(t *testing.T) bool {
	t.Helper()
	return flag.Lookup("update").Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the outcomes under testdata")
	flag.Parse()
	os.Exit(m.Run())
}

func outcome(t *testing.T, path string) string {
	t.Helper()
	cfg, err := load(path)
	var b bytes.Buffer
	var problems *config.Problems
	if errors.As(err, &problems) {
		if err := problems.Write(&b, false); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "---\n%s\n", err)
		return b.String()
	}
	if err != nil {
		return err.Error() + "\n"
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(&b, "%s:%d: warning: %s: %s\n", w.Subject.Filename, w.Subject.Start.Line, w.Summary, w.Detail)
	}
	b.WriteString(cfg.Show())
	if !strings.HasPrefix(cfg.State.Path, filepath.Dir(path)) && cfg.State.Path != "" {
		return strings.ReplaceAll(b.String(), strconv.Quote(cfg.State.Path), `"the platform's"`)
	}
	return b.String()
}

// FuzzLoad: whatever the bytes are, Load says what is wrong with them, and what it accepts it can show.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	path := filepath.Join(f.TempDir(), "config.hcl")
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("%")) || len(text) > 4000 {
			return // format() makes a text as long as it is told to
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := load(path)
		var problems *config.Problems
		switch {
		case errors.As(err, &problems):
			if len(problems.Found) == 0 || problems.Error() == "" {
				t.Fatal("refused without a reason")
			}
			if err := problems.Write(&bytes.Buffer{}, true); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			if !strings.Contains(err.Error(), "is UTF-16") {
				t.Fatal(err)
			}
		case cfg.Show() == "" || len(cfg.Sources) == 0 || len(cfg.Targets) == 0 || len(cfg.Targets[0].Sources) == 0:
			t.Fatalf("accepted: %+v", cfg)
		}
	})
}

// TestSecretsComeFromOutside: env, file and credential, less the line break that editors and `echo` add.
func TestSecretsComeFromOutside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "unix.txt"), "s3cret\n")
	write(t, filepath.Join(dir, "windows.txt"), "s3cret\r\n")
	write(t, filepath.Join(dir, "two.txt"), "s3cret\n\n")
	write(t, filepath.Join(dir, "huge.txt"), strings.Repeat("x", 1<<20+1))
	write(t, filepath.Join(dir, "bom.txt"), "\ufeffs3cret\r\n")
	write(t, filepath.Join(dir, "bom-two.txt"), "\ufeff\ufeffs3cret")
	write(t, filepath.Join(dir, "wide.txt"), "\xff\xfes\x003\x00\r\x00\n\x00")
	write(t, filepath.Join(dir, "wide-big.txt"), "\xfe\xff\x00s\x003")
	write(t, filepath.Join(dir, "wide-bare.txt"), "s\x003\x00c\x00r\x00")
	write(t, filepath.Join(dir, "latin.txt"), "s3cr\xe9t")
	write(t, filepath.Join(dir, "nul.txt"), "s3cret and much more than that\x00")
	t.Setenv("CONTROL", "s3cret\a")
	t.Setenv("BOOK_PASSWORD", "s3cret")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for expr, want := range map[string]string{
		`env("BOOK_PASSWORD")`:                           "s3cret",
		`file("unix.txt")`:                               "s3cret",
		`file("` + filepath.ToSlash(dir) + `/unix.txt")`: "s3cret",
		`file("windows.txt")`:                            "s3cret",
		`file("two.txt")`:                                `file("two.txt") holds a line break`,
		`file("bom.txt")`:                                "s3cret",
		`file("bom-two.txt")`:                            "holds the character U+FEFF",
		`file("wide.txt")`:                               "wide.txt is UTF-16",
		`file("wide-big.txt")`:                           "wide-big.txt is UTF-16",
		`file("wide-bare.txt")`:                          "wide-bare.txt is UTF-16",
		`file("latin.txt")`:                              "bytes that are not UTF-8",
		`file("nul.txt")`:                                `file("nul.txt") holds a NUL`,
		`env("CONTROL")`:                                 `env("CONTROL") holds the character U+0007`,
		`credential("unix.txt")`:                         "s3cret",
		`trimspace(file("two.txt"))`:                     "s3cret",
		`file("huge.txt")`:                               "larger than 1 MiB",
		`credential("../unix.txt")`:                      "no name of a credential",
		`credential("..")`:                               "no name of a credential",
		`env("NO_SUCH_VARIABLE_AT_ALL")`:                 "NO_SUCH_VARIABLE_AT_ALL is not set",
	} {
		path := filepath.Join(dir, "config.hcl")
		write(t, path, "source \"book\" \"corp\" {\n path = \"x\"\n password = "+expr+
			"\n}\ntarget \"app\" \"wiki\" {\n url = \"https://x\"\n account = { userName = person.uid }\n}\n")
		cfg, err := load(path)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "config.hcl:3: ") {
				t.Errorf("%s: %v", expr, err)
			}
			continue
		}
		spec, ok := cfg.Sources[0].Spec.(book)
		if !ok || spec.secret.Reveal() != want || len(cfg.Warnings) > 0 {
			t.Errorf("%s: %q %v", expr, spec.secret.Reveal(), cfg.Warnings)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", cfg.Show(), cfg.Warnings), "s3cret") {
			t.Errorf("%s: shown", expr)
		}
	}
}
