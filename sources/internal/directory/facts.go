package directory

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// The object identifiers by which a root DSE says what its server is and can do.
const (
	activeDirectory = "1.2.840.113556.1.4.800"  // MS-ADTS 3.1.1.3.4.3.1
	lightweight     = "1.2.840.113556.1.4.1851" // AD LDS, MS-ADTS 3.1.1.3.4.3.5
	whoAmI          = "1.3.6.1.4.1.4203.1.11.3" // RFC 4532
	domainUser      = "userAccountControl"      // mandatory on every user of Active Directory
)

// A server is what the root DSE (RFC 4512, 5.1) tells. Everything in it may be missing: a server need not show one.
type server struct {
	contexts  []string // naming contexts
	extended  []string // extended operations that it supports
	directory bool     // Active Directory
	light     bool     // AD LDS, whose users have no userAccountControl
	service   string   // Active Directory: the DN of the server's own settings
	schema    string   // where the schema is
	vendor    string   // who made it, by its own words
	controls  []string // that it supports
	slapd     bool     // OpenLDAP, which tells to the microsecond when an entry was changed
}

// describe reads the root DSE, once a connection. An error is nil where the server only shows nothing.
func (s *session) describe(ctx context.Context) (*server, error) {
	if s.server != nil {
		return s.server, nil
	}
	dse, err := s.read(ctx, "", "namingContexts", "supportedExtension", "supportedControl", "supportedCapabilities", "dsServiceName",
		"subschemaSubentry", "structuralObjectClass", "vendorName", "vendorVersion")
	if err != nil {
		return nil, err
	}
	s.server = new(server)
	if dse != nil {
		capabilities := dse.GetEqualFoldAttributeValues("supportedCapabilities")
		*s.server = server{
			contexts:  dse.GetEqualFoldAttributeValues("namingContexts"),
			extended:  dse.GetEqualFoldAttributeValues("supportedExtension"),
			controls:  dse.GetEqualFoldAttributeValues("supportedControl"),
			directory: slices.Contains(capabilities, activeDirectory),
			light:     slices.Contains(capabilities, lightweight),
			service:   dse.GetEqualFoldAttributeValue("dsServiceName"),
			schema:    dse.GetEqualFoldAttributeValue("subschemaSubentry"),
			vendor:    dse.GetEqualFoldAttributeValue("vendorName") + " " + dse.GetEqualFoldAttributeValue("vendorVersion"),
			slapd:     strings.EqualFold(dse.GetEqualFoldAttributeValue("structuralObjectClass"), "OpenLDAProotDSE"),
		}
	}
	return s.server, nil
}

// known is what describe finds out; nothing where the root DSE cannot be read.
func (s *session) known(ctx context.Context) server {
	if found, err := s.describe(ctx); err == nil {
		return *found
	}
	return server{}
}

// currency asks how current the server is: Active Directory by its highest update number (MS-ADTS 3.1.1.3.2.17)
// and the identity of its database, others by the contextCSN of the suffixes that hold bases
// (draft-ietf-ldup-model; slapo-syncprov(5)). nil where it does not tell: no answer is no reason to read nothing.
func (s *session) currency(ctx context.Context, bases []string) sources.Currency {
	about := s.known(ctx)
	if about.directory || about.light {
		return s.updates(ctx, about)
	}
	var now sources.Currency
	for _, suffix := range suffixes(about.contexts, bases) {
		entry, err := s.read(ctx, suffix, "contextCSN")
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
func (s *session) updates(ctx context.Context, about server) sources.Currency {
	dse, err := s.read(ctx, "", "highestCommittedUSN")
	if err != nil || dse == nil || about.service == "" {
		return nil
	}
	settings, err := s.read(ctx, about.service, "invocationId")
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

// suffixes are the naming contexts that hold bases, normalised and sorted, each once.
func suffixes(contexts, bases []string) []string {
	var found []string
	for _, context := range contexts {
		normal, err := normalDN(context)
		if err != nil || normal == "" {
			continue
		}
		if slices.ContainsFunc(bases, func(base string) bool { return within(base, context) }) &&
			!slices.Contains(found, normal) {
			found = append(found, normal)
		}
	}
	slices.Sort(found)
	return found
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

// own finds whom the session is signed in as, once a connection.
func (s *source) own(ctx context.Context, session *session) account {
	if session.self == nil {
		self := s.lookUpOwn(ctx, session)
		session.self = &self
	}
	return *session.self
}

func (s *source) lookUpOwn(ctx context.Context, session *session) account {
	name := s.bindDN
	if s.bind == bindAnonymous {
		return account{}
	}
	if normal, err := normalDN(name); err != nil || normal == "" {
		name = session.whoAmI(ctx)
	}
	login, told := strings.CutPrefix(name, "u:")    // Active Directory: u:EXAMPLE\dirsweep
	if name == "" && session.known(ctx).directory { // Samba does not say: it is known by the name that was given
		login, _, _ = strings.Cut(cmp.Or(s.kerberos.Principal, s.bindDN), "@")
		told = true
	}
	if told {
		return account{anchor: s.ownLogin(ctx, session, login[strings.LastIndex(login, `\`)+1:])}
	}
	self := account{dn: strings.TrimPrefix(name, "dn:")}
	if self.dn == "" {
		return self
	}
	if entry, err := session.read(ctx, self.dn, s.anchor.name); err == nil && entry != nil {
		self.anchor, _ = s.anchorOf(entry)
	}
	return self
}

func (s *source) ownLogin(ctx context.Context, session *session, login string) string {
	if login == "" {
		return ""
	}
	for _, base := range s.bases {
		q := query{
			base: base, scope: ldap.ScopeWholeSubtree, filter: "(sAMAccountName=" + ldap.EscapeFilter(login) + ")",
			attributes: []string{s.anchor.name},
		}
		result, err := session.search(ctx, q, 2, nil)
		if err == nil && len(result.Entries) == 1 {
			anchor, _ := s.anchorOf(result.Entries[0])
			return anchor
		}
	}
	return ""
}

// whoAmI asks for the identity that the server gave the session (RFC 4532); "" where it does not say.
func (s *session) whoAmI(ctx context.Context) string {
	if !slices.Contains(s.known(ctx).extended, whoAmI) {
		return ""
	}
	var answer *ldap.WhoAmIResult
	err := s.do(ctx, func() (err error) {
		answer, err = s.conn.WhoAmI(nil)
		return err
	})
	if err != nil || answer == nil {
		return ""
	}
	return answer.AuthzID
}

// maxChecks bounds the member values of one read that are looked up because they name nobody who was read.
const maxChecks = 100

// dangling finds the member values that name nobody in the whole directory, among the first that name nobody who
// was read. DNs outside of what is read are left out: groups whose class must have a member hold such a name for
// none (cn=nobody). answers are those that are known already, and get the new ones: one value may be in many groups.
func (s *source) dangling(
	ctx context.Context, session *session, groups *membership, facts []sources.GroupFact, answers map[string]bool,
) error {
	for value := range groups.unknown() {
		inScope := func(base string) bool { return within(value.value, base) }
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
			fact.Dangling.Add(readable(value.value))
		}
	}
	return nil
}

// exists looks a member up. A server that refuses to say is taken to have it.
func (s *source) exists(ctx context.Context, session *session, value listed) (bool, error) {
	var refused *resultError
	if !value.login {
		if _, err := normalDN(value.value); err != nil {
			return false, nil
		}
		entry, err := session.read(ctx, value.value, "1.1")
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
		q := query{
			base: root, scope: ldap.ScopeWholeSubtree, filter: "(uid=" + ldap.EscapeFilter(value.value) + ")",
			attributes: []string{"1.1"},
		}
		result, err := session.search(ctx, q, 1, nil)
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
