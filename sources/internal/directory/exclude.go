package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// provisioning is where FreeIPA keeps people who have left and are preserved, and people who are yet to come, below its
// suffix. Both are entries of persons.
const provisioning = "cn=provisioning,"

// exclusions are the DNs, normalised, below which nobody is read, asked for once a connection: what the config says, and
// FreeIPA's people who are none, unless a base DN names them.
func (s *source) exclusions(ctx context.Context, session *session) []string {
	if session.excluded != nil {
		return session.excluded
	}
	session.excluded = append([]string{}, normalised(s.excluded)...)
	about := session.known(ctx)
	if !strings.Contains(strings.ToLower(about.vendor), "389 project") {
		return session.excluded
	}
	for _, suffix := range suffixes(about.contexts, s.bases) {
		dn := provisioning + suffix
		named := slices.ContainsFunc(s.bases, func(base string) bool { return within(base, dn) })
		entry, err := session.read(ctx, "cn=accounts,"+dn, "1.1")
		if absent := err == nil && entry == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject); !absent && !named {
			session.excluded = append(session.excluded, dn)
		}
	}
	return session.excluded
}
