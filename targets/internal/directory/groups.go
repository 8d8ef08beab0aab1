package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// groupKind is the kind of every entitlement that a directory has.
const groupKind = "group"

// A roster is which account is in which groups, as of one read: a key and an index for each membership.
type roster struct {
	groups   []identity.Entitlement
	members  map[ldapclient.MemberKey][]int32
	primary  map[string]int32 // by SID, in a domain
	unknowns bool             // the groups hide their members
}

// memberNames are the attributes that hold a group's members, in lower case.
func memberNames() []string { return []string{"member", "uniquemember", "memberuid"} }

// groupAttributes are those to ask for of a group, without its members.
func (t *target) groupAttributes() []string {
	list := []string{t.id.name, t.groups.name, "objectClass"}
	if t.domain {
		list = append(list, "objectSid")
	}
	return list
}

// groupBases are where groups are.
func (t *target) groupBases(ctx context.Context, s *ldapclient.Session) []string {
	if len(t.groups.bases) > 0 {
		return t.groups.bases
	}
	return []string{t.root(ctx, s)}
}

// entitlement is what a group is to those in it.
func (t *target) entitlement(group *ldap.Entry) (identity.Entitlement, error) {
	e := identity.Entitlement{
		Kind: groupKind, ID: string(t.id.of(group)), Name: group.GetEqualFoldAttributeValue(t.groups.name),
	}
	if e.ID == "" || e.Name == "" {
		return e, fmt.Errorf("group %s shows no %s or no %s: let the bind DN read them", group.DN, t.id.name, t.groups.name)
	}
	return e, nil
}

// readRoster reads every group with its members.
func (p *pass) readRoster(ctx context.Context, s *ldapclient.Session) (*roster, error) {
	r := &roster{members: map[ldapclient.MemberKey][]int32{}, primary: map[string]int32{}}
	hidden, err := p.hides(ctx, s)
	if err != nil {
		return nil, err
	}
	r.unknowns = hidden
	bounds := p.bounds()
	bounds.PageSize = min(bounds.PageSize, ldapclient.GroupsPage)
	for _, base := range p.groupBases(ctx, s) {
		q := subtree(base, p.groups.filter, append(p.groupAttributes(), memberNames()...)...)
		for entries, err := range s.Pages(ctx, q, bounds) {
			if err != nil {
				return nil, fmt.Errorf("groups: %w", err)
			}
			for _, entry := range entries {
				if err := r.add(p.target, entry); err != nil {
					return nil, err
				}
			}
		}
	}
	return r, nil
}

func (r *roster) add(t *target, group *ldap.Entry) error {
	e, err := t.entitlement(group)
	if err != nil {
		return err
	}
	n := int32(len(r.groups))
	r.groups = append(r.groups, e)
	if sid, err := ldapclient.SIDText(group.GetEqualFoldRawAttributeValue("objectSid")); err == nil {
		r.primary[sid] = n
	}
	for _, attribute := range memberNames() {
		for _, member := range valuesOf(group, attribute) {
			key := ldapclient.KeyOfMember(attribute, member)
			r.members[key] = append(r.members[key], n)
		}
	}
	return nil
}

// entitle gives an account the groups that its entry is in.
func (r *roster) entitle(a identity.Account, entry *ldap.Entry) identity.Account {
	list := []identity.Entitlement{}
	for _, n := range slices.Concat(r.members[ldapclient.DNKey(entry.DN)], r.members[ldapclient.LoginKey(a.UserName)]) {
		list = append(list, r.groups[n])
	}
	if sid := primaryGroup(entry); sid != "" {
		if n, ok := r.primary[sid]; ok {
			list = append(list, r.groups[n])
		}
	}
	a.Entitlements, a.EntitlementsUnknown = identity.SortedEntitlements(list), r.unknowns
	return a
}

// domainUsers is the relative identifier of the group that everybody in a domain is in (MS-SAMR 2.2.1.14).
const domainUsers = 513

// primaryGroup is the SID of the group that an entry names by number, where that is another than the usual one.
func primaryGroup(entry *ldap.Entry) string {
	number, err := strconv.ParseUint(entry.GetEqualFoldAttributeValue("primaryGroupID"), 10, 32)
	domain, _, sidErr := sidOf(entry)
	if err != nil || sidErr != nil || number == domainUsers {
		return ""
	}
	return domain + "-" + strconv.FormatUint(number, 10)
}

// hides reports whether groups do not show their members, once a pass: of a class that must have some, one shows none.
func (p *pass) hides(ctx context.Context, s *ldapclient.Session) (bool, error) {
	p.mu.Lock()
	known := p.hidden
	p.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	hidden := false
	for class, attribute := range map[string]string{"groupOfNames": "member", "groupOfUniqueNames": "uniqueMember"} {
		if p.domain {
			break
		}
		for _, base := range p.groupBases(ctx, s) {
			found, err := p.shows(ctx, s, base, class, attribute)
			if err != nil {
				return false, err
			}
			hidden = hidden || !found
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hidden = &hidden
	return hidden, nil
}

// shows looks at a few groups of a class, by the names of their attributes alone.
func (p *pass) shows(ctx context.Context, s *ldapclient.Session, base, class, attribute string) (bool, error) {
	const few = 10
	required, err := s.Requires(ctx, class, attribute)
	if err != nil || !required {
		return true, err
	}
	var result *ldap.SearchResult
	err = s.Do(ctx, func() (err error) {
		result, err = s.Conn.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, few, 0, true,
			"(&"+p.groups.filter+equal("objectClass", class)+")", []string{"objectClass", attribute}, nil))
		return err
	})
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return false, err
	}
	for _, entry := range result.Entries {
		named := func(a *ldap.EntryAttribute) bool { return strings.EqualFold(a.Name, attribute) }
		if !slices.ContainsFunc(entry.Attributes, named) {
			return false, nil
		}
	}
	return true, nil
}

// Entitlements implements targets.Pass: the groups are asked for this one account.
func (p *pass) Entitlements(ctx context.Context, account identity.Account) (identity.Account, error) {
	if !p.need.Entitlements {
		return account, nil
	}
	err := p.with(ctx, func(s *ldapclient.Session) error {
		entry, err := p.entry(ctx, s, account.ID, p.ask...)
		if err != nil {
			return err
		}
		hidden, err := p.hides(ctx, s)
		if err != nil {
			return err
		}
		groups, err := p.groupsOf(ctx, s, entry)
		if err != nil {
			return err
		}
		list := []identity.Entitlement{}
		for _, group := range groups {
			e, err := p.entitlement(group)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		account.Entitlements, account.EntitlementsUnknown = identity.SortedEntitlements(list), hidden
		return nil
	})
	if err != nil {
		return account, fmt.Errorf("groups of %s: %w", account.UserName, err)
	}
	return account, nil
}

// groupsOf are the entries of the groups that an account is in, by its own name and, in a domain, by number.
func (t *target) groupsOf(ctx context.Context, s *ldapclient.Session, account *ldap.Entry) ([]*ldap.Entry, error) {
	filters := []string{equal("member", account.DN)}
	if !t.domain {
		filters = append(filters, equal("uniqueMember", account.DN))
		if login := account.GetEqualFoldAttributeValue(t.login); login != "" {
			filters = append(filters, equal("memberUid", login))
		}
	}
	if sid := primaryGroup(account); sid != "" {
		filters = append(filters, equal("objectSid", sid))
	}
	return t.groupsThat(ctx, s, anyOf(filters...))
}

// groupsThat are the groups that fit a filter.
func (t *target) groupsThat(ctx context.Context, s *ldapclient.Session, filter string) ([]*ldap.Entry, error) {
	var found []*ldap.Entry
	for _, base := range t.groupBases(ctx, s) {
		q := subtree(base, t.groups.filter, t.groupAttributes()...).And(filter)
		entries, err := ldapclient.Every(s.Pages(ctx, q, t.bounds()))
		if err != nil {
			return nil, fmt.Errorf("groups: %w", err)
		}
		found = append(found, entries...)
	}
	return found, nil
}

// Resolve implements targets.Pass.
func (p *pass) Resolve(
	ctx context.Context, want []identity.Entitlement,
) (known []identity.Entitlement, missing []targets.Missing, err error) {
	if len(want) == 0 || p.groups == nil {
		return nil, nil, nil
	}
	err = p.with(ctx, func(s *ldapclient.Session) error {
		known, missing = nil, nil
		for _, e := range want {
			found, why, err := p.resolve(ctx, s, e)
			switch {
			case err != nil:
				return err
			case why != "":
				missing = append(missing, targets.Missing{Entitlement: e, Why: why})
			default:
				known = append(known, found)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("groups: %w", err)
	}
	return known, missing, nil
}

// resolve is the directory's own entitlement of the one wanted; why says that there is none, or more than one.
func (t *target) resolve(
	ctx context.Context, s *ldapclient.Session, want identity.Entitlement,
) (found identity.Entitlement, why string, err error) {
	group, why, err := t.group(ctx, s, want)
	if err != nil || why != "" {
		return found, why, err
	}
	found, err = t.entitlement(group)
	return found, "", err
}

// group is the entry of an entitlement.
func (t *target) group(
	ctx context.Context, s *ldapclient.Session, want identity.Entitlement,
) (group *ldap.Entry, why string, err error) {
	filter := equal(t.groups.name, want.Name)
	if want.ID != "" {
		if filter, err = t.id.filter(identity.AccountID(want.ID)); err != nil {
			return nil, "the directory has no group " + want.String(), nil //nolint:nilerr // what is no identifier is no group's
		}
	}
	groups, err := t.groupsThat(ctx, s, filter)
	switch {
	case err != nil:
		return nil, "", err
	case len(groups) == 0:
		return nil, fmt.Sprintf("the directory has no group %q", want.String()), nil
	case len(groups) > 1:
		return nil, fmt.Sprintf("the directory has %d groups called %q", len(groups), want.String()), nil
	}
	return groups[0], "", nil
}

// regroup adds an account to groups and takes it out of others, one value at a time: whoever else is in them is not
// touched.
func (t *target) regroup(
	ctx context.Context, s *ldapclient.Session, id identity.AccountID, withdraw, grant []identity.Entitlement,
) error {
	if len(withdraw)+len(grant) == 0 {
		return nil
	}
	if t.groups == nil {
		return fmt.Errorf("%w: entitlements need a groups block", targets.ErrRejected)
	}
	account, err := t.entry(ctx, s, id, t.ask...)
	if err != nil {
		return err
	}
	var troubles []error
	for n, e := range slices.Concat(withdraw, grant) {
		group, why, err := t.group(ctx, s, e)
		switch {
		case err != nil:
		case why != "" && n < len(withdraw): // what is gone gives nothing
		case why != "":
			err = fmt.Errorf("%w: %s", targets.ErrRejected, why)
		case n < len(withdraw):
			err = t.leave(ctx, s, account, group)
		default:
			err = t.join(ctx, s, account, group)
		}
		if err != nil {
			troubles = append(troubles, fmt.Errorf("group %s: %w", e, classed(err)))
		}
		if errors.Is(err, targets.ErrUnavailable) {
			break
		}
	}
	return errors.Join(troubles...)
}

// memberOf is the attribute in which a group holds an account, and the value.
func (t *target) memberOf(account, group *ldap.Entry) (attribute, value string) {
	for _, class := range group.GetEqualFoldAttributeValues("objectClass") {
		switch strings.ToLower(class) {
		case "groupofuniquenames":
			return "uniqueMember", account.DN
		case "groupofnames", "group", "groupofentries", "groupofmembers":
			return "member", account.DN
		case "posixgroup":
			attribute, value = "memberUid", account.GetEqualFoldAttributeValue(t.login)
		}
	}
	if attribute == "" {
		return "member", account.DN
	}
	return attribute, value
}

func (t *target) join(ctx context.Context, s *ldapclient.Session, account, group *ldap.Entry) error {
	attribute, value := t.memberOf(account, group)
	request := ldap.NewModifyRequest(group.DN, nil)
	request.Add(attribute, []string{value})
	err := t.modify(ctx, s, request)
	if err == nil {
		return nil
	}
	if in, lookErr := t.inGroup(ctx, s, group, attribute, value); lookErr == nil && in {
		return nil // they were in it already
	}
	return err
}

// leave takes an account out of a group. One that is its primary group is exchanged for the usual one first.
func (t *target) leave(ctx context.Context, s *ldapclient.Session, account, group *ldap.Entry) error {
	sid, err := ldapclient.SIDText(group.GetEqualFoldRawAttributeValue("objectSid"))
	if err == nil && sid == primaryGroup(account) {
		if err := t.unsetPrimary(ctx, s, account); err != nil {
			return err
		}
	}
	attribute, value := t.memberOf(account, group)
	request := ldap.NewModifyRequest(group.DN, nil)
	request.Delete(attribute, []string{value})
	if err = t.modify(ctx, s, request); err == nil {
		return nil
	}
	if in, lookErr := t.inGroup(ctx, s, group, attribute, value); lookErr == nil && !in {
		return nil // they were out of it already
	}
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultObjectClassViolation) {
		return err
	}
	if t.groups.placeholder == "" {
		return fmt.Errorf("%w: they are its last member, and the group may not be empty: set placeholder_member, or delete "+
			"the group: %w", targets.ErrRejected, err)
	}
	return t.replaceLast(ctx, s, group, attribute, value)
}

// inGroup asks whether a group has a member (RFC 4511, 4.10).
func (t *target) inGroup(
	ctx context.Context, s *ldapclient.Session, group *ldap.Entry, attribute, value string,
) (in bool, err error) {
	result, err := s.Search(ctx, ldapclient.Query{
		Base: group.DN, Scope: ldap.ScopeBaseObject, Filter: equal(attribute, value), Attributes: []string{"1.1"},
	}, 1, nil)
	if err != nil {
		return false, err
	}
	return len(result.Entries) > 0, nil
}

// unsetPrimary makes Domain Users an account's primary group: what was is an ordinary group of theirs then.
func (t *target) unsetPrimary(ctx context.Context, s *ldapclient.Session, account *ldap.Entry) error {
	domain, _, err := sidOf(account)
	if err != nil {
		return fmt.Errorf("%w: its objectSid cannot be read, and so its primary group not be changed", targets.ErrRejected)
	}
	filter := equal("objectSid", fmt.Sprintf("%s-%d", domain, domainUsers))
	usual, err := s.Search(ctx, subtree(t.root(ctx, s), filter, "1.1"), 1, nil)
	if err != nil {
		return err
	}
	if len(usual.Entries) == 0 {
		return fmt.Errorf("%w: the group Domain Users cannot be seen, and so the primary group not be changed",
			targets.ErrRejected)
	}
	if err := t.join(ctx, s, account, usual.Entries[0]); err != nil {
		return fmt.Errorf("domain users: %w", err)
	}
	request := ldap.NewModifyRequest(account.DN, nil)
	request.Replace("primaryGroupID", []string{strconv.Itoa(domainUsers)})
	return t.modify(ctx, s, request)
}
