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
		eachLiteral(file, func(name string, at hcl.Range) {
			l.warn(at, literalSecret, fmt.Sprintf(
				`Whoever may read the config can read it. Write %s = env("NAME"), file("path") or credential("name").`, name))
		})
	}
}

// eachLiteral calls f for every argument named like a secret whose value is written out.
func eachLiteral(file *hcl.File, f func(name string, at hcl.Range)) {
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		a, ok := n.(*hclsyntax.Attribute)
		if !ok || !secretName(a.Name) {
			return nil
		}
		if v, diags := a.Expr.Value(nil); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String && v.AsString() != "" {
			f(a.Name, a.Expr.Range())
		}
		return nil
	})
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
	eachLiteral(file, func(_ string, at hcl.Range) {
		if at.CanSliceBytes(out) {
			star(at.Start.Byte, at.End.Byte)
		}
	})
	// by their look as well, for files that do not parse
	for _, pattern := range []string{`(?:password|token|secret)"?[ \t]*[=:][ \t]*"([^\n]*)`, `://[^/@\s"]*:([^/@\s"]*)@`} {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatchIndex(out, -1) {
			star(m[2], m[3])
		}
	}
	return out
}

// maskAddresses stars the password of "scheme://name:password@host".
func maskAddresses(s string) string {
	return regexp.MustCompile(`(://[^/@\s"]*:)[^/@\s"]*@`).ReplaceAllString(s, "$1(secret)@")
}
