package directory

import (
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// silent are the attributes, in lower case, that change without a change of the entry that shows them: back links and what
// a server computes when it is asked (MS-ADTS 3.1.1.4.5; slapo-memberof(5); 389 Directory Server's roles), and what a
// domain controller keeps to itself (MS-ADTS 3.1.1.1.9). No feed of changes tells of them.
func silent() []string {
	return []string{
		"memberof", "ismemberof", "directreports", "managedobjects", "msds-memberoftransitive", "nsrole",
		"tokengroups", "tokengroupsglobalanduniversal", "tokengroupsnogcacceptable", "canonicalname",
		"msds-user-account-control-computed", "msds-userpasswordexpirytimecomputed",
		"lastlogon", "lastlogoff", "logoncount", "badpwdcount", "badpasswordtime", "numsubordinates", "hassubordinates",
	}
}

// silentOf is the first of some attributes that changes silently, "" where none does.
func silentOf(attributes []string) string {
	list := silent()
	for _, name := range attributes {
		if slices.Contains(list, ldapclient.ParseDescription(name).Base) {
			return name
		}
	}
	return ""
}

// namedIn are the attributes that a search filter names.
func namedIn(filter string) (names []string) {
	packet, err := ldap.CompileFilter(filter)
	if err != nil {
		return nil
	}
	var walk func(p *ber.Packet)
	walk = func(p *ber.Packet) {
		name := ""
		switch p.Tag {
		case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
			for _, child := range p.Children {
				walk(child)
			}
		case ldap.FilterPresent:
			name = ber.DecodeString(p.Data.Bytes())
		case ldap.FilterExtensibleMatch:
			for _, child := range p.Children {
				if child.Tag == ldap.MatchingRuleAssertionType {
					name = ber.DecodeString(child.Data.Bytes())
				}
			}
		default:
			if len(p.Children) > 0 {
				name = ber.DecodeString(p.Children[0].Data.Bytes())
			}
		}
		if name != "" && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			names = append(names, name)
		}
	}
	walk(packet)
	return names
}

// unfollowable says why what the config asks for cannot be followed, whatever the server; "" where it can.
func (s *source) unfollowable() string {
	const why = " changes without a change of the entry that shows it: "
	if name := silentOf(s.need.Attributes); name != "" {
		return name + why + "do without it, or, for groups, use member_of() and a groups block"
	}
	if name := silentOf(namedIn(s.filter)); name != "" {
		return name + ", in filter," + why + "use scope = member_of(…) and a groups block"
	}
	if s.groups != nil {
		if name := silentOf(append(namedIn(s.groups.filter), s.groups.member...)); name != "" {
			return name + ", in the groups block," + why + "do without it"
		}
	}
	return ""
}
