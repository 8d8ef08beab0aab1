package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

const domainUser = "userAccountControl" // mandatory on every user of Active Directory

// currency asks how current the server is: Active Directory by its highest update number (MS-ADTS 3.1.1.3.2.17)
// and the identity of its database, others by the contextCSN of the suffixes that hold bases
// (draft-ietf-ldup-model; slapo-syncprov(5)). nil where it does not tell: no answer is no reason to read nothing.
func currency(ctx context.Context, s *ldapclient.Session, bases []string) sources.Currency {
	about := s.Known(ctx)
	if about.Directory || about.LightWeight {
		return updates(ctx, s, about)
	}
	var now sources.Currency
	for _, suffix := range ldapclient.Suffixes(about.Contexts, bases) {
		entry, err := s.Read(ctx, suffix, "contextCSN")
		if err != nil || entry == nil {
			return nil
		}
		for _, csn := range entry.GetEqualFoldAttributeValues("contextCSN") {
			sequence, ok := sequenceOf(csn)
			if !ok {
				return nil
			}
			if now == nil {
				now = make(sources.Currency)
			}
			now[suffix+" "+sequence] = csn
		}
	}
	return now
}

// updates is the currency of a domain controller.
func updates(ctx context.Context, s *ldapclient.Session, about ldapclient.Server) sources.Currency {
	dse, err := s.Read(ctx, "", "highestCommittedUSN")
	if err != nil || dse == nil || about.Service == "" {
		return nil
	}
	settings, err := s.Read(ctx, about.Service, "invocationId")
	if err != nil || settings == nil {
		return nil
	}
	number := dse.GetEqualFoldAttributeValue("highestCommittedUSN")
	id := settings.GetEqualFoldRawAttributeValue("invocationId")
	if number == "" || len(number) > 20 || len(id) == 0 || strings.Trim(number, "0123456789") != "" {
		return nil
	}
	return sources.Currency{hex.EncodeToString(id): fmt.Sprintf("%020s", number)}
}

// sequenceOf takes the server that made a change out of a change sequence number:
// "20260301120000.000000Z#000000#001#000000".
func sequenceOf(csn string) (string, bool) {
	parts := strings.Split(csn, "#")
	if len(parts) != 4 || len(parts[0]) < len("20060102150405Z") || parts[2] == "" {
		return "", false
	}
	return parts[2], true
}

// own finds whom the session is signed in as.
func (s *source) own(ctx context.Context, session *ldapclient.Session) account {
	entry := session.Own(ctx, s.pool.Access, s.bases, s.anchor.name)
	if entry == nil {
		return account{}
	}
	self := account{dn: entry.DN}
	if len(entry.Attributes) > 0 {
		self.anchor, _ = s.anchorOf(entry)
	}
	return self
}

// maxChecks bounds the member values of one read that are looked up because they name nobody who was read.
const maxChecks = 100

// dangling finds the member values that name nobody in the whole directory, among the first that name nobody who
// was read. DNs outside of what is read are left out: groups whose class must have a member hold such a name for
// none (cn=nobody). answers are those that are known already, and get the new ones: one value may be in many groups.
func (s *source) dangling(
	ctx context.Context, session *ldapclient.Session, groups *membership, facts []sources.GroupFact, answers map[string]bool,
) error {
	for value := range groups.unknown() {
		inScope := func(base string) bool { return ldapclient.Within(value.value, base) }
		if !value.login && !slices.ContainsFunc(s.bases, inScope) {
			continue
		}
		fact := &facts[value.group]
		exists, asked := answers[value.value]
		if !asked {
			if len(answers) == maxChecks {
				return nil
			}
			var err error
			if exists, err = s.exists(ctx, session, value); err != nil {
				return fmt.Errorf("groups: member of %s: %w", fact.DN, err)
			}
			answers[value.value] = exists
		}
		if !exists {
			fact.Dangling.Add(ldapclient.Readable(value.value))
		}
	}
	return nil
}

// exists looks a member up. A server that refuses to say is taken to have it.
func (s *source) exists(ctx context.Context, session *ldapclient.Session, value listed) (bool, error) {
	var refused *ldapclient.ResultError
	if !value.login {
		if _, err := ldapclient.NormalDN(value.value); err != nil {
			return false, nil
		}
		entry, err := session.Read(ctx, value.value, "1.1")
		if errors.As(err, &refused) {
			return !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), nil
		}
		return entry != nil || err == nil, err
	}
	roots, err := s.roots(ctx, session)
	if err != nil {
		roots = s.bases
	}
	for _, root := range roots {
		q := ldapclient.Query{
			Base: root, Scope: ldap.ScopeWholeSubtree, Filter: "(uid=" + ldap.EscapeFilter(value.value) + ")",
			Attributes: []string{"1.1"},
		}
		result, err := session.Search(ctx, q, 1, nil)
		if errors.As(err, &refused) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if len(result.Entries) > 0 {
			return true, nil
		}
	}
	return false, nil
}
