package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
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
		return ldapclient.GUIDText(raw)
	case sidForm:
		return ldapclient.SIDText(raw)
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
		raw, err = ldapclient.GUIDBytes(text)
	case sidForm:
		raw, err = ldapclient.SIDBytes(text)
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
