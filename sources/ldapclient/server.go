package ldapclient

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// The object identifiers by which a root DSE says what its server is and can do.
const (
	ActiveDirectoryCapability = "1.2.840.113556.1.4.800"  // MS-ADTS 3.1.1.3.4.3.1
	lightweight               = "1.2.840.113556.1.4.1851" // AD LDS, MS-ADTS 3.1.1.3.4.3.5
	WhoAmIOperation           = "1.3.6.1.4.1.4203.1.11.3" // RFC 4532
)

// A Server is what the root DSE (RFC 4512, 5.1) tells. Everything in it may be missing: a server need not show one.
type Server struct {
	Contexts    []string // naming contexts
	extended    []string // extended operations that it supports
	Directory   bool     // Active Directory
	LightWeight bool     // AD LDS, whose users have no userAccountControl
	Service     string   // Active Directory: the DN of the server's own settings
	schema      string   // where the schema is
	Vendor      string   // who made it, by its own words
	Controls    []string // that it supports
	OpenLDAP    bool     // OpenLDAP, which tells to the microsecond when an entry was changed
}

// Describe reads the root DSE, once a connection. An error is nil where the server only shows nothing.
func (s *Session) Describe(ctx context.Context) (*Server, error) {
	if s.server != nil {
		return s.server, nil
	}
	dse, err := s.Read(ctx, "", "namingContexts", "supportedExtension", "supportedControl", "supportedCapabilities", "dsServiceName",
		"subschemaSubentry", "structuralObjectClass", "vendorName", "vendorVersion")
	if err != nil {
		return nil, err
	}
	s.server = new(Server)
	if dse != nil {
		capabilities := dse.GetEqualFoldAttributeValues("supportedCapabilities")
		*s.server = Server{
			Contexts:    dse.GetEqualFoldAttributeValues("namingContexts"),
			extended:    dse.GetEqualFoldAttributeValues("supportedExtension"),
			Controls:    dse.GetEqualFoldAttributeValues("supportedControl"),
			Directory:   slices.Contains(capabilities, ActiveDirectoryCapability),
			LightWeight: slices.Contains(capabilities, lightweight),
			Service:     dse.GetEqualFoldAttributeValue("dsServiceName"),
			schema:      dse.GetEqualFoldAttributeValue("subschemaSubentry"),
			Vendor:      dse.GetEqualFoldAttributeValue("vendorName") + " " + dse.GetEqualFoldAttributeValue("vendorVersion"),
			OpenLDAP:    strings.EqualFold(dse.GetEqualFoldAttributeValue("structuralObjectClass"), "OpenLDAProotDSE"),
		}
	}
	return s.server, nil
}

// Known is what Describe finds out; nothing where the root DSE cannot be read.
func (s *Session) Known(ctx context.Context) Server {
	if found, err := s.Describe(ctx); err == nil {
		return *found
	}
	return Server{}
}

// Suffixes are the naming contexts that hold bases, normalised and sorted, each once.
func Suffixes(contexts, bases []string) []string {
	var found []string
	for _, context := range contexts {
		normal, err := NormalDN(context)
		if err != nil || normal == "" {
			continue
		}
		if slices.ContainsFunc(bases, func(base string) bool { return Within(base, context) }) &&
			!slices.Contains(found, normal) {
			found = append(found, normal)
		}
	}
	slices.Sort(found)
	return found
}

// WhoAmI asks for the identity that the server gave the session (RFC 4532); "" where it does not say.
func (s *Session) WhoAmI(ctx context.Context) string {
	if !slices.Contains(s.Known(ctx).extended, WhoAmIOperation) {
		return ""
	}
	var answer *ldap.WhoAmIResult
	err := s.Do(ctx, func() (err error) {
		answer, err = s.Conn.WhoAmI(nil)
		return err
	})
	if err != nil || answer == nil {
		return ""
	}
	return answer.AuthzID
}

// Own is the entry that the session is signed in with, with the attributes asked for, once a connection; without any
// where only its name is known, and nil where nothing is. bases are where a login is looked for.
func (s *Session) Own(ctx context.Context, a Access, bases []string, attributes ...string) *ldap.Entry {
	if s.self == nil {
		entry := s.lookUpOwn(ctx, a, bases, attributes)
		s.self = &entry
	}
	return *s.self
}

func (s *Session) lookUpOwn(ctx context.Context, a Access, bases, attributes []string) *ldap.Entry {
	name := a.BindDN
	if a.Bind == BindAnonymous {
		return nil
	}
	if normal, err := NormalDN(name); err != nil || normal == "" {
		name = s.WhoAmI(ctx)
	}
	login, told := strings.CutPrefix(name, "u:") // Active Directory: u:EXAMPLE\dirsweep
	if name == "" && s.Known(ctx).Directory {    // Samba does not say: it is known by the name that was given
		login, _, _ = strings.Cut(cmp.Or(a.kerberos.Principal, a.BindDN), "@")
		told = true
	}
	if told {
		return s.byLogin(ctx, bases, login[strings.LastIndex(login, `\`)+1:], attributes)
	}
	dn := strings.TrimPrefix(name, "dn:")
	if dn == "" {
		return nil
	}
	if entry, err := s.Read(ctx, dn, attributes...); err == nil && entry != nil {
		return entry
	}
	return &ldap.Entry{DN: dn}
}

// byLogin is the one entry that has a login of Active Directory; nil where there is none.
func (s *Session) byLogin(ctx context.Context, bases []string, login string, attributes []string) *ldap.Entry {
	if login == "" {
		return nil
	}
	for _, base := range bases {
		q := Query{
			Base: base, Scope: ldap.ScopeWholeSubtree, Filter: "(sAMAccountName=" + ldap.EscapeFilter(login) + ")",
			Attributes: attributes,
		}
		result, err := s.Search(ctx, q, 2, nil)
		if err == nil && len(result.Entries) == 1 {
			return result.Entries[0]
		}
	}
	return nil
}
