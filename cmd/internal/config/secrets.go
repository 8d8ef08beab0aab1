package config

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

const literalSecret = "A secret in the config" //nolint:gosec // the heading of a warning

// secretLimit bounds what file() and credential() read: a secret is short.
const secretLimit = 1 << 20

// functions returns what expressions outside of mappings may call: the pure functions, and the three that reach
// secrets.
func functions(dir string) map[string]function.Function {
	all := mapping.Functions()
	all["env"] = reading("name", func(name string) (string, error) {
		value, set := os.LookupEnv(name)
		if !set {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	})
	all["file"] = reading("path", func(path string) (string, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return readSecret(path)
	})
	all["credential"] = reading("name", func(name string) (string, error) {
		folder := os.Getenv("CREDENTIALS_DIRECTORY")
		switch {
		case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`):
			return "", fmt.Errorf("%q is no name of a credential", name)
		case folder == "":
			return "", fmt.Errorf(
				"no credentials were passed: $CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=%s:…)",
				name,
			)
		}
		return readSecret(filepath.Join(folder, name))
	})
	return all
}

func reading(param string, read func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := read(args[0].AsString())
			return cty.StringVal(text), err
		},
	})
}

// errUnusable: a secret is here, and is none.
var errUnusable = errors.New("save it as UTF-8")

// readSecret returns a file's text less its byte order mark and its last line break, which editors add.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	var b bytes.Buffer
	switch n, err := b.ReadFrom(io.LimitReader(f, secretLimit+1)); {
	case err != nil:
		return "", err
	case n > secretLimit:
		return "", fmt.Errorf("%s is larger than 1 MiB", path)
	}
	if wideText(b.Bytes()) {
		return "", fmt.Errorf("%s is UTF-16, as PowerShell's > and Notepad write it: %w", path, errUnusable)
	}
	text := strings.TrimPrefix(b.String(), byteOrderMark)
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
}

// secrets refuses what no password or token can be: bytes that were meant to end a line, or that no HTTP header
// can carry (RFC 9110 §5.5, RFC 6750 §2.1). A server would answer that it does not know them, and nothing else.
func (l *loader) secrets() {
	for _, file := range l.config.files {
		eachSecretNamed(file, func(a *hclsyntax.Attribute) {
			if origin(a) == "" {
				return // whoever wrote it here can see what it is
			}
			v, diags := a.Expr.Value(l.eval)
			if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
				return // complained about, or no secret
			}
			unfit := func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError || r == '\ufeff' }
			if strings.HasSuffix(a.Name, "token") {
				unfit = func(r rune) bool { return r <= ' ' || r > '~' }
			}
			if at := strings.IndexFunc(v.AsString(), unfit); at >= 0 {
				r, _ := utf8.DecodeRuneInString(v.AsString()[at:])
				l.fail(a.Expr.Range(), "Not a secret that can be sent", fmt.Sprintf(
					"%s holds %s, which cannot be part of it. Save the secret alone, as UTF-8, on one line.", origin(a), describe(r)))
			}
		})
	}
}

// describe names a character that does not show.
func describe(r rune) string {
	switch r {
	case '\n', '\r':
		return "a line break"
	case 0:
		return "a NUL"
	case ' ':
		return "a space"
	case utf8.RuneError:
		return "bytes that are not UTF-8"
	}
	return fmt.Sprintf("the character %U", r)
}

// origin says which function fetches a secret from where, without any of it; "" where none does.
func origin(a *hclsyntax.Attribute) (from string) {
	_ = hclsyntax.VisitAll(a.Expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || !fetches(call.Name) || from != "" {
			return nil
		}
		from = call.Name + "(…)"
		if len(call.Args) == 1 {
			if v, diags := call.Args[0].Value(nil); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
				from = fmt.Sprintf("%s(%q)", call.Name, v.AsString())
			}
		}
		return nil
	})
	return from
}

// referenced complains, at their lines, about certificate files that are not there: with everything else that is
// wrong, not after it.
func (l *loader) referenced() {
	if l.offline {
		return
	}
	for _, file := range l.config.files {
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			a, ok := n.(*hclsyntax.Attribute)
			if !ok || a.Name != "ca_file" && a.Name != "cert_file" && a.Name != "key_file" {
				return nil
			}
			v, diags := a.Expr.Value(l.eval)
			if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String || v.AsString() == "" {
				return nil
			}
			path := v.AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(l.config.Dir, path)
			}
			raw, err := os.ReadFile(path)
			switch block, _ := pem.Decode(raw); {
			case err != nil:
				l.fail(a.Expr.Range(), "File not readable", fmt.Sprintf("%s: %v.", a.Name, err))
			case block == nil:
				l.fail(a.Expr.Range(), "Not a PEM file", fmt.Sprintf("%s: %s holds nothing in PEM form.", a.Name, path))
			}
			return nil
		})
	}
}

// secretName reports whether an argument of this name holds a secret.
func secretName(name string) bool {
	switch name {
	case "password", "token", "secret":
		return true
	}
	return strings.HasSuffix(name, "_password") || strings.HasSuffix(name, "_token") || strings.HasSuffix(name, "_secret")
}

// literals warns of secrets that the config spells out.
func (l *loader) literals() {
	for _, file := range l.config.files {
		eachSecret(file, func(a *hclsyntax.Attribute) {
			v, diags := a.Expr.Value(nil)
			if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String || v.AsString() == "" {
				return
			}
			l.warn(a.Expr.Range(), literalSecret, fmt.Sprintf(
				`Whoever may read the config can read it. Write %s = env("NAME"), file("path") or credential("name").`, a.Name))
		})
	}
}

// eachSecret calls f for every argument named like a secret, unless a function fetches it from elsewhere.
func eachSecret(file *hcl.File, f func(a *hclsyntax.Attribute)) {
	eachSecretNamed(file, func(a *hclsyntax.Attribute) {
		if call, ok := a.Expr.(*hclsyntax.FunctionCallExpr); !ok || !fetches(call.Name) {
			f(a)
		}
	})
}

// eachSecretNamed calls f for every argument named like a secret.
func eachSecretNamed(file *hcl.File, f func(a *hclsyntax.Attribute)) {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if a, ok := n.(*hclsyntax.Attribute); ok && secretName(a.Name) {
			f(a)
		}
		return nil
	})
}

func fetches(function string) bool {
	return function == "env" || function == "file" || function == "credential"
}

// mask returns a file's bytes with the secrets that it spells out starred; positions stay as they are.
func mask(file *hcl.File) []byte {
	out := bytes.Clone(file.Bytes)
	star := func(start, end int) {
		for i := start; i < end; i++ {
			if out[i] != '\n' && out[i] != '\r' {
				out[i] = '*'
			}
		}
	}
	eachSecret(file, func(a *hclsyntax.Attribute) {
		if at := a.Expr.Range(); at.CanSliceBytes(out) {
			star(at.Start.Byte, at.End.Byte)
		}
	})
	// by their look as well: in objects, and in files that do not parse
	for _, m := range regexp.MustCompile(`(?i:password|token|secret)"?[ \t]*[=:][ \t]*([^\n]*)`).FindAllSubmatchIndex(out, -1) {
		if function, _, found := bytes.Cut(out[m[2]:m[3]], []byte("(")); !found || !fetches(string(function)) {
			star(m[2], m[3])
		}
	}
	for _, m := range regexp.MustCompile(`://[^/@\s"]*:([^/@\s"]*)@`).FindAllSubmatchIndex(out, -1) {
		star(m[2], m[3])
	}
	return out
}

// maskAddresses stars the password of "scheme://name:password@host".
func maskAddresses(s string) string {
	return regexp.MustCompile(`(://[^/@\s"]*:)[^/@\s"]*@`).ReplaceAllString(s, "$1(secret)@")
}

// A Secret is where the config takes something from that it does not spell out.
type Secret struct {
	Function string // "env", "file" or "credential"
	Name     string // of the variable, the file or the credential
}

// Secrets lists where the config's secrets come from, as far as it names them plainly: sorted, each once.
func (c *Config) Secrets() (list []Secret) {
	for _, file := range c.files {
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			call, ok := n.(*hclsyntax.FunctionCallExpr)
			if !ok || !fetches(call.Name) || len(call.Args) != 1 {
				return nil
			}
			if v, diags := call.Args[0].Value(nil); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
				list = append(list, Secret{Function: call.Name, Name: v.AsString()})
			}
			return nil
		})
	}
	slices.SortFunc(list, func(a, b Secret) int { return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(list)
}
