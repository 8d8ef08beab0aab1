package ldapclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var errDN = errors.New("not a distinguished name")

// NormalDN brings a distinguished name (RFC 4514, and the quotes and semicolons of RFC 1779) into one spelling, so
// that names which differ in letter case, spacing, escaping, Unicode form or the order within a multi-valued
// component compare equal. In the result a comma always separates components.
func NormalDN(dn string) (string, error) {
	out := make([]byte, 0, len(dn))
	rest := strings.Trim(dn, " ")
	for first := true; rest != "" || !first; first = false {
		rdn, after, more, err := normalRDN(rest)
		if err != nil {
			return "", err
		}
		if !first {
			out = append(out, ',')
		}
		out = append(out, rdn...)
		if !more {
			break
		}
		rest = after
	}
	return string(out), nil
}

// normalRDN reads up to the comma that ends the first component; more tells that there was one.
func normalRDN(s string) (rdn, rest string, more bool, err error) {
	var parts []string
	for {
		kind, after, ok := strings.Cut(s, "=")
		kind = strings.ToLower(strings.Trim(kind, " "))
		if !ok || kind == "" || strings.ContainsFunc(kind, notInName) {
			return "", "", false, errDN
		}
		value, end, err := scanValue(after)
		if err != nil {
			return "", "", false, err
		}
		parts = append(parts, typeName(kind)+"="+value)
		s = after[end:]
		if s == "" || s[0] != '+' {
			break
		}
		s = s[1:]
	}
	slices.Sort(parts)
	rdn = strings.Join(parts, "+")
	if s == "" {
		return rdn, "", false, nil
	}
	return rdn, s[1:], true, nil
}

// notInName tells what the name of an attribute type, in lower case, or an OID does not contain.
func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// scanValue reads one attribute value up to an unescaped separator, at which end points.
func scanValue(s string) (value string, end int, err error) {
	raw := make([]byte, 0, len(s))
	quoted, kept := false, 0 // up to kept, trailing space is part of the value
	start := len(s) - len(strings.TrimLeft(s, " "))
	hexed := start < len(s) && s[start] == '#'
	i := start
scan:
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i+1 >= len(s) {
				return "", 0, errDN
			}
			if b, ok := hexPair(s[i+1:]); ok {
				raw = append(raw, b)
				i += 2
			} else {
				raw = append(raw, s[i+1])
				i++
			}
			kept = len(raw)
		case c == '"':
			quoted = !quoted
			kept = len(raw)
		case !quoted && (c == ',' || c == ';' || c == '+'):
			break scan
		default:
			raw = append(raw, c)
			if c != ' ' {
				kept = len(raw)
			}
		}
	}
	if quoted {
		return "", 0, errDN
	}
	return escape(fold(string(raw[:kept])), hexed), i, nil
}

func hexPair(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, ok := hexDigit(s[0])
	low, ok2 := hexDigit(s[1])
	return high<<4 | low, ok && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// fold ignores what caseIgnoreMatch ignores (RFC 4518): letter case, compatibility forms, and how many spaces
// there are.
func fold(s string) string {
	switch {
	case !utf8.ValidString(s): // bytes of an unknown encoding are left alone
	case ascii(s):
		s = strings.ToLower(s)
	default:
		s = norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escape writes a folded value. What would read as syntax is written as a hex pair; hexed keeps the # of a BER value.
func escape(s string, hexed bool) string {
	if !strings.ContainsAny(s, `,+;"\#`) {
		return s
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		switch c := s[i]; c {
		case '#':
			if i > 0 || hexed {
				out = append(out, c)
				continue
			}
			fallthrough
		case ',', '+', ';', '"', '\\':
			out = append(out, '\\', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// typeName gives the usual name for an attribute type written as an OID or in long form (RFC 4519).
func typeName(kind string) string {
	switch strings.TrimPrefix(kind, "oid.") {
	case "2.5.4.3", "commonname":
		return "cn"
	case "2.5.4.4", "surname":
		return "sn"
	case "2.5.4.6", "countryname":
		return "c"
	case "2.5.4.7", "localityname":
		return "l"
	case "2.5.4.8", "stateorprovincename", "s":
		return "st"
	case "2.5.4.10", "organizationname":
		return "o"
	case "2.5.4.11", "organizationalunitname":
		return "ou"
	case "0.9.2342.19200300.100.1.1", "userid":
		return "uid"
	case "0.9.2342.19200300.100.1.25", "domaincomponent":
		return "dc"
	}
	return kind
}

// Within reports whether dn is base or below it. A name that cannot be read is within nothing.
func Within(dn, base string) bool {
	below, err := NormalDN(dn)
	if err != nil {
		return false
	}
	above, err := NormalDN(base)
	if err != nil {
		return false
	}
	return above == "" || below == above || strings.HasSuffix(below, ","+above)
}

// SameDN reports whether two names are one. Names that cannot be read are nobody's.
func SameDN(a, b string) bool {
	first, err := NormalDN(a)
	if err != nil {
		return false
	}
	second, err := NormalDN(b)
	return err == nil && first == second
}

// Readable writes bytes of a DN that are not UTF-8 as hex pairs (RFC 4514, 2.4): it is the same name, and can be
// kept as text.
func Readable(dn string) string {
	if utf8.ValidString(dn) {
		return dn
	}
	var b strings.Builder
	for i := 0; i < len(dn); {
		r, size := utf8.DecodeRuneInString(dn[i:])
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\%02x`, dn[i])
		} else {
			b.WriteString(dn[i : i+size])
		}
		i += size
	}
	return b.String()
}
