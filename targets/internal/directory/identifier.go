package directory

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// An identifier is the attribute that names an entry for life.
type identifier struct {
	name string
	guid bool // 16 bytes, written as Windows does (MS-DTYP 2.3.4.3)
}

func newIdentifier(name string) identifier {
	return identifier{name, strings.EqualFold(name, "objectGUID")}
}

// of is an entry's identifier; "" where it shows none, or more than one.
func (id identifier) of(entry *ldap.Entry) identity.AccountID {
	raw := entry.GetEqualFoldRawAttributeValues(id.name)
	if len(raw) != 1 {
		return ""
	}
	if id.guid {
		text, err := ldapclient.GUIDText(raw[0])
		if err != nil {
			return ""
		}
		return identity.AccountID(text)
	}
	text := strings.TrimSpace(string(raw[0]))
	if !utf8.ValidString(text) {
		return ""
	}
	return identity.AccountID(strings.ToLower(text))
}

// filter finds the entry of an identifier.
func (id identifier) filter(account identity.AccountID) (string, error) {
	if !id.guid {
		return equal(id.name, string(account)), nil
	}
	raw, err := ldapclient.GUIDBytes(string(account))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, c := range raw {
		fmt.Fprintf(&b, `\%02x`, c)
	}
	return "(" + id.name + "=" + b.String() + ")", nil
}

// equal is the filter for one value of an attribute (RFC 4515): whatever the value is, it stays one.
func equal(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

// anyOf is the filter that fits where one of filters does.
func anyOf(filters ...string) string {
	if len(filters) == 1 {
		return filters[0]
	}
	return "(|" + strings.Join(filters, "") + ")"
}
