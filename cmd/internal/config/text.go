package config

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The bounds of what is parsed. The parser and HCL's interpreter call themselves for each level and each operator,
// and a stack that runs over ends the process: a config that is reloaded must not be able to end the daemon.
const (
	maxBytes     = 1 << 20
	maxNesting   = 100 // brackets, braces, quotes and template sequences within each other
	maxOperators = 500 // of one expression, between two commas
	maxTries     = 8   // try() and can() within each other: each looks twice at what is in it
)

// byteOrderMark begins texts that Windows programs have saved as UTF-8.
const byteOrderMark = "\ufeff"

// wideText reports whether b is UTF-16, as PowerShell's > writes it: by its byte order mark, or by the NUL beside
// each ASCII letter.
func wideText(b []byte) bool {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return true
	}
	const sample = 64
	head := b[:min(len(b), sample)]
	return len(head) > 1 && bytes.Count(head, []byte{0})*3 >= len(head)
}

// readable refuses a file that cannot be a config, in one sentence.
func (t text) readable() error {
	switch {
	case wideText(t.bytes):
		return fmt.Errorf("%s is UTF-16, as PowerShell's > writes it: save it as UTF-8 "+
			"(dirsweep sample ldap | Out-File -Encoding utf8 %s)", t.name, t.name)
	case len(t.bytes) > maxBytes:
		return fmt.Errorf("%s is larger than %d MiB", t.name, maxBytes>>20)
	}
	return nil
}

// parse is the only way in which a config's text reaches the parser.
func (t text) parse(parser *hclparse.Parser) (*hcl.File, hcl.Diagnostics) {
	if at, deep := tooDeep(t); deep {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Nested too deeply", Subject: at.Ptr(),
			Detail: fmt.Sprintf(
				"Brackets and quotes go %d deep at most, try() and can() %d, and one expression has at most %d operators.",
				maxNesting, maxTries, maxOperators,
			),
		}}
	}
	return parser.ParseHCL(t.bytes, t.name)
}

// A level is what is between a bracket, a brace or a quote and the one that ends it.
type level struct {
	operators int  // since the last comma
	lines     bool // whether a line break ends an expression
	tries     int  // calls of try() and can() around
}

// tooDeep returns where a text exceeds maxNesting, maxOperators or maxTries. It looks at tokens alone.
func tooDeep(t text) (at hcl.Range, deep bool) {
	tokens, _ := hclsyntax.LexConfig(t.bytes, t.name, hcl.InitialPos)
	levels := []level{{lines: true}}
	for i, token := range tokens {
		top := &levels[len(levels)-1]
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if token.Type == hclsyntax.TokenOBrack || token.Type == hclsyntax.TokenTemplateControl {
				top.operators++ // a[0][0] and %{ if a }%{ if b } nest as operators do
			}
			next := level{lines: token.Type == hclsyntax.TokenOBrace, tries: top.tries}
			if token.Type == hclsyntax.TokenOParen && i > 0 && tries(tokens[i-1]) {
				next.tries++
			}
			levels = append(levels, next)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(levels) > 1 {
				levels = levels[:len(levels)-1]
			}
		case hclsyntax.TokenComma:
			top.operators = 0
		case hclsyntax.TokenNewline:
			if top.lines {
				top.operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit,
			hclsyntax.TokenComment, hclsyntax.TokenDot:
		default:
			top.operators++
		}
		top = &levels[len(levels)-1]
		if len(levels)-1 > maxNesting || top.operators > maxOperators || top.tries > maxTries {
			return token.Range, true
		}
	}
	return hcl.Range{}, false
}

func tries(name hclsyntax.Token) bool {
	return name.Type == hclsyntax.TokenIdent && (string(name.Bytes) == "try" || string(name.Bytes) == "can")
}
