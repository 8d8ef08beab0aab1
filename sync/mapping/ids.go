package mapping

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
)

// guid renders an objectGUID, 16 bytes in base64, as text; the first three fields are little-endian (MS-DTYP
// 2.3.4). A text form, with braces or without, comes back in lower case without them.
func guid(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	if strings.Contains(s, "-") {
		id, err := uuid.Parse(s)
		if err != nil {
			return "", plain("this is no GUID")
		}
		return id.String(), nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != 16 {
		return "", plain("this is no GUID: 16 bytes in base64, or its text")
	}
	var id uuid.UUID
	binary.BigEndian.PutUint32(id[0:], binary.LittleEndian.Uint32(raw[0:]))
	binary.BigEndian.PutUint16(id[4:], binary.LittleEndian.Uint16(raw[4:]))
	binary.BigEndian.PutUint16(id[6:], binary.LittleEndian.Uint16(raw[6:]))
	copy(id[8:], raw[8:])
	return id.String(), nil
}

// sid renders an objectSid, base64 of the structure of MS-DTYP 2.4.2, as "S-1-5-…". Its text form comes back as it
// is.
func sid(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	if strings.HasPrefix(s, "S-1-") {
		for part := range strings.SplitSeq(s[len("S-1-"):], "-") {
			if _, err := strconv.ParseUint(part, 10, 48); err != nil {
				return "", plain("this is no SID")
			}
		}
		return s, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) < 8 || raw[0] != 1 || raw[1] > 15 || len(raw) != 8+4*int(raw[1]) {
		return "", plain("this is no SID in base64")
	}
	var authority [8]byte
	copy(authority[2:], raw[2:8])
	b := strconv.AppendUint([]byte("S-1-"), binary.BigEndian.Uint64(authority[:]), 10)
	for i := 8; i < len(raw); i += 4 {
		b = strconv.AppendUint(append(b, '-'), uint64(binary.LittleEndian.Uint32(raw[i:])), 10)
	}
	return string(b), nil
}

// dnPartImpl is dn_part(dn, type[, index]): the value of the index-th component of that type, counted from the
// left, or from the right where index is negative; null where there is none.
func dnPartImpl(args []cty.Value, _ cty.Type) (cty.Value, error) {
	none := cty.NullVal(cty.String)
	if args[0].IsNull() {
		return none, nil
	}
	index := 0
	switch len(args) {
	case 2:
	case 3:
		n, accuracy := args[2].AsBigFloat().Int64()
		if accuracy != 0 || n < -1<<30 || n > 1<<30 {
			return none, plain("the index is no whole number")
		}
		index = int(n)
	default:
		return none, plain("one index is enough")
	}
	parts, err := parseDN(args[0].AsString())
	if err != nil {
		return none, err
	}
	var found []string
	for _, p := range parts {
		if strings.EqualFold(p.name, args[1].AsString()) {
			found = append(found, p.value)
		}
	}
	if index < 0 {
		index += len(found)
	}
	if index < 0 || index >= len(found) {
		return none, nil
	}
	return cty.StringVal(found[index]), nil
}

// component is one type and value of a DN.
type component struct{ name, value string }

// parseDN reads a DN as RFC 4514 writes it. A value in #hex stays as it is.
func parseDN(dn string) ([]component, error) {
	var parts []component
	rest := dn
	for strings.TrimSpace(rest) != "" {
		name, after, found := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || strings.ContainsAny(name, ",;+\\\"") {
			return nil, plain("this is no distinguished name")
		}
		value, next, err := parseDNValue(after)
		if err != nil {
			return nil, err
		}
		parts = append(parts, component{name, value})
		rest = next
	}
	return parts, nil
}

// parseDNValue reads one value and returns what follows its separator.
func parseDNValue(s string) (value, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	var b []byte
	keep := 0 // the length that trimming leaves: escaped spaces count
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; ch {
		case ',', ';', '+':
			if strings.TrimSpace(s[i+1:]) == "" {
				return "", "", plain("this is no distinguished name: it ends in a separator")
			}
			return string(b[:keep]), s[i+1:], nil
		case '\\':
			if i+2 < len(s) {
				if raw, hexErr := hex.DecodeString(s[i+1 : i+3]); hexErr == nil {
					b, i = append(b, raw...), i+2
					keep = len(b)
					continue
				}
			}
			if i+1 >= len(s) {
				return "", "", plain("this is no distinguished name: it ends in a backslash")
			}
			i++
			b = append(b, s[i])
			keep = len(b)
		default:
			b = append(b, ch)
			if ch != ' ' {
				keep = len(b)
			}
		}
	}
	return string(b[:keep]), "", nil
}
