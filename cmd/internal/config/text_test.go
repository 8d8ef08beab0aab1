package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

// wide is text as PowerShell's > writes it.
func wide(text string) string {
	var b strings.Builder
	b.WriteString("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(text)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

func good() string {
	return "source \"book\" \"corp\" { path = \"x\" }\ntarget \"app\" \"wiki\" {\n url = \"https://x\"\n account = { userName = person.uid }\n}\n"
}

func TestFilesFromWindows(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.hcl")
	for name, c := range map[string]struct{ text, want string }{
		"UTF-8 with a byte order mark and CR LF": {"\ufeff" + strings.ReplaceAll(good(), "\n", "\r\n"), ""},
		"UTF-16":                                 {wide(good()), "config.hcl is UTF-16"},
		"UTF-16 without a mark":                  {wide(good())[2:], "config.hcl is UTF-16"},
		"UTF-16, big-endian":                     {"\xfe\xff\x00s\x00o", "config.hcl is UTF-16"},
		"too large":                              {good() + strings.Repeat("# a comment\n", 100_000), "larger than 1 MiB"},
	} {
		write(t, path, c.text)
		_, err := load(path)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var problems *config.Problems
		if err == nil || errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) ||
			strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: %v, want one sentence: %q", name, err, c.want)
		}
		if _, err := config.ReadOutline(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the outline: %v", name, err)
		}
	}
}

// TestR14NestingIsBounded: what would run the parser's, or the interpreter's, stack over is refused before it is
// parsed, with its line.
func TestR14NestingIsBounded(t *testing.T) {
	const many = 20_000
	line := func(expr string) string { return strings.Replace(good(), "person.uid", expr, 1) }
	repeat := strings.Repeat
	for name, text := range map[string]string{
		"parentheses":          line(repeat("(", many) + "1" + repeat(")", many)),
		"parentheses, open":    line(repeat("(", many)),
		"lists":                line(repeat("[", many) + repeat("]", many)),
		"objects":              line(repeat("{a=", many) + "1" + repeat("}", many)),
		"calls":                line(repeat("lower(", many) + "\"a\"" + repeat(")", many)),
		"quotes":               line(repeat(`"${`, many) + "1" + repeat(`}"`, many)),
		"template directives":  line(`"` + repeat("%{ if true }", many) + repeat("%{ endif }", many) + `"`),
		"blocks":               good() + repeat("a {\n", many) + repeat("}\n", many),
		"negations":            line(repeat("!", many) + "true"),
		"minus signs":          line(repeat("- ", many) + "1"),
		"sums":                 line(repeat("1+", many) + "1"),
		"sums over many lines": line("(" + repeat("1+\n", many) + "1)"),
		"conditionals":         line(repeat("true ? 1 : ", many) + "1"),
		"indexes":              line("person.uid" + repeat("[0]", many)),
		"splats":               line("person.uid" + repeat(".*", many)),
		"for expressions":      line(repeat("[for x in ", many) + "[]" + repeat(" : x]", many)),
		"tries":                line(repeat("try(", 30) + "1" + repeat(")", 30)),
		"tries among others":   line(repeat("lower(try (can(", 10) + "1" + repeat(")))", 10)),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.hcl")
		write(t, path, text)
		if _, err := load(path); err == nil ||
			!strings.Contains(err.Error(), "Nested too deeply") && !strings.Contains(err.Error(), "larger than") ||
			len(err.Error()) > 1000 {
			t.Errorf("%s: %.300v", name, err)
		}
		if _, err := config.ReadOutline(path); err != nil && !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%s: the outline: %.300v", name, err)
		}
	}
	// What is within the bounds is read at once.
	for name, expr := range map[string]string{
		"a table of 5,000 entries": `lookup({` + repeat("\n \"key\" = \"value${1}\",", 5000) + `}, "a", "b")`,
		"a long list":              `join("", [` + repeat(`"a", `, 5000) + `"b"])`,
		"ninety parentheses":       repeat("(", 90) + "person.uid" + repeat(")", 90),
		"calls in calls":           repeat("lower(", 90) + "person.uid" + repeat(")", 90),
		"texts in texts":           repeat(`"${`, 40) + "person.uid" + repeat(`}"`, 40),
		"a long condition":         repeat("person.uid == \"a\" || ", 200) + "false ? \"a\" : \"b\"",
		"a long choice":            repeat("person.uid == \"a\" ? \"b\" : ", 120) + `"c"`,
		"tries":                    repeat("try(", 8) + "person.uid" + repeat(")", 8),
		"lists in lists":           `length(` + repeat("[", 90) + repeat("]", 90) + `) == 0 ? "a" : "b"`,
		"for in for":               `join("", ` + repeat("[for x in ", 40) + `["a"]` + repeat(" : x]", 40) + `)`,
	} {
		path := filepath.Join(t.TempDir(), "config.hcl")
		write(t, path, line(expr))
		began := time.Now()
		if _, err := load(path); err != nil {
			t.Errorf("%s is refused: %.300v", name, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s takes %s", name, took)
		}
	}
}

// TestOfflineASecretThatIsHereAndWrongIsAMistake: only what is not here is excused.
func TestOfflineASecretThatIsHereAndWrongIsAMistake(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.hcl")
	write(t, path, string(text))
	if _, err := config.LoadOffline(path); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "wiki.token"), wide("token"))
	if _, err := config.LoadOffline(path); err == nil || !strings.Contains(err.Error(), "wiki.token is UTF-16") {
		t.Errorf("a secret that is here and wrong: %v", err)
	}
}

// TestMissingFilesAreToldWithEverythingElse, at their lines.
func TestMissingFilesAreToldWithEverythingElse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.hcl")
	write(t, path, strings.Replace(string(text), "lower(person.uid)", "lowr(person.uid)", 1))
	lines := strings.Split(string(text), "\n")
	at := func(part string) string {
		for i, line := range lines {
			if strings.Contains(line, part) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				return "config.hcl:" + strconv.Itoa(i+1) + ": "
			}
		}
		t.Fatalf("the example has no %q", part)
		return ""
	}
	t.Setenv("LDAP_PASSWORD", "hunter2")
	_, err = config.Load(path)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		at(`file("wiki.token")`) + "Error in function call", at("lower(person.uid)") + "Call to unknown function",
		at("ca_file ") + "File not readable: ca_file: open " + filepath.Join(dir, "ca.pem"),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%s", want, err)
		}
	}
	write(t, filepath.Join(dir, "ca.pem"), "no certificate")
	if _, err = config.Load(path); err == nil || !strings.Contains(err.Error(), at("ca_file ")+"Not a PEM file") {
		t.Errorf("%v", err)
	}
}
