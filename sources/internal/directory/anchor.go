package directory

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// An anchor is the attribute that names a person for life, and how its values become text and filters.
type anchor struct {
	name string
	form form
}

type form uint8

const (
	plainForm form = iota // text, compared by the server's own rules
	uuidForm              // text, letter case without meaning
	guidForm              // 16 bytes, the first three fields little-endian (MS-DTYP 2.3.4.2)
	sidForm               // a binary security identifier (MS-DTYP 2.4.2.2)
)

func newAnchor(name string) anchor {
	a := anchor{name: name}
	switch strings.ToLower(name) {
	case "entryuuid", "nsuniqueid", "ipauniqueid":
		a.form = uuidForm
	case "objectguid", "ms-ds-consistencyguid":
		a.form = guidForm
	case "objectsid":
		a.form = sidForm
	}
	return a
}

// directory tells that the anchor is Active Directory's own.
func (a anchor) directory() bool { return a.form == guidForm || a.form == sidForm }

// render makes the canonical text of a raw value.
func (a anchor) render(raw []byte) (string, error) {
	switch a.form {
	case guidForm:
		return renderGUID(raw)
	case sidForm:
		return renderSID(raw)
	}
	if !utf8.Valid(raw) {
		return "", fmt.Errorf("%s is not text", a.name)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("%s is empty", a.name)
	}
	if a.form == uuidForm {
		text = strings.ToLower(text)
	}
	return text, nil
}

// only renders the one value that an anchor has.
func (a anchor) only(raw [][]byte) (string, error) {
	if len(raw) != 1 {
		return "", fmt.Errorf("%s has %d values, and an anchor has one", a.name, len(raw))
	}
	return a.render(raw[0])
}

// filter makes the search filter that finds text, which render made.
func (a anchor) filter(text string) (string, error) {
	var raw []byte
	var err error
	switch a.form {
	case guidForm:
		raw, err = parseGUID(text)
	case sidForm:
		raw, err = parseSID(text)
	default:
		if text == "" {
			return "", errors.New("the anchor is empty")
		}
		return "(" + a.name + "=" + ldap.EscapeFilter(text) + ")", nil
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("(" + a.name + "=")
	for _, c := range raw {
		fmt.Fprintf(&b, `\%02x`, c)
	}
	b.WriteByte(')')
	return b.String(), nil
}

// renderGUID writes a GUID as Windows shows it, in lower case.
func renderGUID(raw []byte) (string, error) {
	if len(raw) != 16 {
		return "", fmt.Errorf("a GUID has 16 bytes, not %d", len(raw))
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint16(raw[4:]),
		binary.LittleEndian.Uint16(raw[6:]), raw[8:10], raw[10:]), nil
}

func parseGUID(text string) ([]byte, error) {
	digits := strings.ReplaceAll(text, "-", "")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 16 || len(text) != 36 {
		return nil, fmt.Errorf("%q is not a GUID", text)
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b, nil
}

// renderSID writes S-1-5-21-….
func renderSID(raw []byte) (string, error) {
	if len(raw) < 8 || raw[0] != 1 || raw[1] > 15 || len(raw) != 8+4*int(raw[1]) {
		return "", errors.New("not a binary security identifier")
	}
	authority := uint64(binary.BigEndian.Uint16(raw[2:]))<<32 | uint64(binary.BigEndian.Uint32(raw[4:]))
	text := []byte("S-1-")
	text = strconv.AppendUint(text, authority, 10)
	for sub := raw[8:]; len(sub) > 0; sub = sub[4:] {
		text = append(text, '-')
		text = strconv.AppendUint(text, uint64(binary.LittleEndian.Uint32(sub)), 10)
	}
	return string(text), nil
}

func parseSID(text string) ([]byte, error) {
	bad := fmt.Errorf("%q is not a security identifier", text)
	fields := strings.Split(text, "-")
	if len(fields) < 3 || len(fields) > 18 || fields[0] != "S" || fields[1] != "1" {
		return nil, bad
	}
	authority, err := strconv.ParseUint(fields[2], 10, 48)
	if err != nil {
		return nil, bad
	}
	raw := []byte{1, byte(len(fields) - 3)}
	raw = binary.BigEndian.AppendUint16(raw, uint16(authority>>32))
	raw = binary.BigEndian.AppendUint32(raw, uint32(authority))
	for _, field := range fields[3:] {
		sub, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, bad
		}
		raw = binary.LittleEndian.AppendUint32(raw, uint32(sub))
	}
	return raw, nil
}
