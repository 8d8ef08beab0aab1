package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

const literalSecret = "A secret in the config" //nolint:gosec // the heading of a warning

// secretLimit bounds what file() and credential() read: a secret is short.
const secretLimit = 1 << 20

// functions returns what expressions outside of mappings may call: the pure functions, and the three that reach secrets.
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
		case folder == "":
			return "", fmt.Errorf("no credentials were passed: $CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=%s:…)", name)
		case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`):
			return "", fmt.Errorf("%q is no name of a credential", name)
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

// readSecret returns a file's text less its last line break, which editors add.
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
	return strings.TrimSuffix(strings.TrimSuffix(b.String(), "\n"), "\r"), nil
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
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if a, ok := n.(*hclsyntax.Attribute); ok && secretName(a.Name) {
			if call, ok := a.Expr.(*hclsyntax.FunctionCallExpr); !ok || !fetches(call.Name) {
				f(a)
			}
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
	for _, m := range regexp.MustCompile(`(?:password|token|secret)"?[ \t]*[=:][ \t]*([^\n]*)`).FindAllSubmatchIndex(out, -1) {
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
