package identity

import "strings"

// A Fit is how a name that somebody typed fits a person. A smaller one, but for NoFit, is more certain: where one fits
// somebody, weaker fits of others do not count.
type Fit uint8

// The fits.
const (
	NoFit  Fit = iota
	ByID       // the anchor, or directory/anchor
	ByDN       // the distinguished name, whatever its letter case and the blanks between its parts
	ByName     // the login, a mail address, or the name of an account
	ByText     // the full name
)

// Better reports whether f is a more certain fit than g.
func (f Fit) Better(g Fit) bool { return f != NoFit && (g == NoFit || f < g) }

// FitsOf says how who fits a person of whom these are known. Logins are also names of accounts and mail addresses.
// Letter case does not count but in anchors.
func FitsOf(who string, id PersonID, dn string, logins ...string) Fit {
	who = strings.TrimSpace(who)
	switch {
	case who == "":
		return NoFit
	case who == id.Anchor || who == id.String():
		return ByID
	case dn != "" && FoldDN(who) == FoldDN(dn):
		return ByDN
	}
	for _, login := range logins {
		if login != "" && strings.EqualFold(who, login) {
			return ByName
		}
	}
	return NoFit
}

// Fits says how who fits the person, by what was read of them: only attributes that the config names are.
func (p Person) Fits(who string) Fit {
	if fit := FitsOf(who, p.ID, p.DN, p.Name); fit != NoFit {
		return fit
	}
	who = strings.TrimSpace(who)
	found := NoFit
	for name, values := range p.Attributes {
		fit := fitOf(name)
		if !fit.Better(found) {
			continue
		}
		for _, v := range values {
			if strings.EqualFold(who, v) {
				found = fit
			}
		}
	}
	return found
}

// fitOf is what a value of an attribute names somebody by: RFC 4519 (uid, cn), RFC 4524 (mail), RFC 2798 (displayName),
// and Active Directory's own.
func fitOf(attribute string) Fit {
	switch strings.ToLower(attribute) {
	case "uid", "mail", "samaccountname", "userprincipalname", "employeenumber", "employeeid":
		return ByName
	case "cn", "displayname":
		return ByText
	}
	return NoFit
}

// FoldDN returns a distinguished name in a form in which letter case and blanks around "," and "=" do not count.
// Escaped characters stay as they are.
func FoldDN(dn string) string {
	var b strings.Builder
	pending := 0 // blanks that are kept only if something follows
	for i := 0; i < len(dn); i++ {
		c := dn[i]
		switch {
		case c == '\\' && i+1 < len(dn):
			b.WriteString(strings.Repeat(" ", pending))
			pending = 0
			b.WriteString(dn[i : i+2])
			i++
		case c == ' ':
			pending++
		case c == ',' || c == '=':
			pending = 0
			b.WriteByte(c)
			for i+1 < len(dn) && dn[i+1] == ' ' {
				i++
			}
		default:
			b.WriteString(strings.Repeat(" ", pending))
			pending = 0
			b.WriteByte(c)
		}
	}
	return strings.ToLower(strings.TrimSpace(b.String()))
}
