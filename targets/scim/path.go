package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The schemas of RFC 7643 and the messages of RFC 7644.
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// A path names one attribute: RFC 7644 figure 7's attrPath and valuePath, less what a mapping has no use for.
type path struct {
	schema string // an extension's URN, "" for the core schema
	attr   string
	key    string // of a value filter [key eq value], "" for none
	value  any    // string or bool
	sub    string // sub-attribute, "" for none
}

// parsePath reads a path as the config spells it: userName, name.givenName, emails[type eq "work"].value, and each of
// them after an extension's URN and a colon. The enterprise extension's own attributes may go without their URN.
func parsePath(text string) (path, error) {
	var p path
	rest := text
	if isURN(text) {
		end := len(text)
		if i := strings.IndexByte(text, '['); i >= 0 {
			end = i
		}
		colon := strings.LastIndexByte(text[:end], ':')
		p.schema, rest = text[:colon], text[colon+1:]
	}
	if open := strings.IndexByte(rest, '['); open >= 0 {
		attr, filter := rest[:open], rest[open+1:]
		end := closing(filter)
		if end < 0 {
			return path{}, fmt.Errorf("%q: the [ is not closed", text)
		}
		if err := p.filter(filter[:end]); err != nil {
			return path{}, fmt.Errorf("%q: %w", text, err)
		}
		after := filter[end+1:]
		if after != "" && after[0] != '.' {
			return path{}, fmt.Errorf("%q: only a sub-attribute can follow the ]", text)
		}
		rest = attr + after
	}
	p.attr, p.sub, _ = strings.Cut(rest, ".")
	if strings.HasSuffix(rest, ".") || !isName(p.attr) || p.sub != "" && !isName(p.sub) {
		return path{}, fmt.Errorf("%q is not a SCIM attribute path", text)
	}
	switch {
	case strings.EqualFold(p.schema, userSchema):
		p.schema = ""
	case p.schema == "" && slices.Contains(enterpriseAttributes, p.attr):
		p.schema = enterpriseSchema
	}
	return p, nil
}

// enterpriseAttributes are those of RFC 7643 §4.3.
var enterpriseAttributes = []string{"employeeNumber", "costCenter", "organization", "division", "department", "manager"}

// multiValued are the core attributes whose values are objects in a list, RFC 7643 §4.1.2.
var multiValued = []string{"emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates"}

func (p *path) filter(text string) error {
	fields := strings.SplitN(strings.TrimSpace(text), " ", 3)
	if len(fields) != 3 || !isName(fields[0]) || !strings.EqualFold(fields[1], "eq") {
		return errors.New(`only [attribute eq "value"] can be mapped`)
	}
	if json.Unmarshal([]byte(fields[2]), &p.value) != nil {
		return errors.New("the filter's value is not JSON")
	}
	switch p.value.(type) {
	case string, bool:
	default:
		return errors.New("the filter's value is neither text nor true or false")
	}
	p.key = fields[0]
	return nil
}

// String writes the path as a PATCH operation names it.
func (p path) String() string {
	var b strings.Builder
	b.WriteString(p.list())
	if p.key != "" {
		fmt.Fprintf(&b, "[%s eq %s]", p.key, quote(p.value))
	}
	if p.sub != "" {
		b.WriteString("." + p.sub)
	}
	return b.String()
}

// list is the path of the attribute itself: without value filter and sub-attribute.
func (p path) list() string {
	if p.schema != "" {
		return p.schema + ":" + p.attr
	}
	return p.attr
}

// filterName is how a filter names what the path holds: a list of objects by their value.
func (p path) filterName() string {
	if p.sub == "" && p.schema == "" && slices.Contains(multiValued, p.attr) {
		return p.String() + ".value"
	}
	if p.attr == "manager" && p.sub == "" {
		return p.String() + ".value"
	}
	return p.String()
}

// exact reports whether values that differ in letter case are different values, RFC 7643 §3.1 and §4.1.
func (p path) exact() bool { return p.schema == "" && (p.attr == "externalId" || p.attr == "id") }

// equalFilter is the filter that finds value, RFC 7644 §3.4.2.2.
func equalFilter(name, value string) string { return name + " eq " + quote(value) }

// quote writes a filter's value: JSON text, without the escapes of HTML that some parsers do not know.
func quote(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// closing finds the ] that ends a value filter, passing over those within quotes.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ']' && !quoted:
			return i
		}
	}
	return -1
}

func isURN(s string) bool { return len(s) > 4 && strings.EqualFold(s[:4], "urn:") }

// isName follows ATTRNAME of RFC 7644, and lets $ begin one ($ref).
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		switch {
		case letter, i == 0 && r == '$':
		case i > 0 && (r >= '0' && r <= '9' || r == '-' || r == '_'):
		default:
			return false
		}
	}
	return s != ""
}
