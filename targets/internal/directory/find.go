package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// entry reads the entry of an account, wherever in the directory it is now: names change, identifiers do not.
func (t *target) entry(
	ctx context.Context, s *ldapclient.Session, id identity.AccountID, attributes ...string,
) (*ldap.Entry, error) {
	found, err := t.lookUp(ctx, s, id, attributes)
	switch {
	case err != nil:
		return nil, classed(err)
	case found != nil && t.untouchable(found) != "":
		return nil, fmt.Errorf("%w: %s is not touched: %s", targets.ErrForbidden, found.DN, t.untouchable(found))
	case found != nil && t.domain && !identified(found):
		return nil, fmt.Errorf("%w: %s is not touched: it shows no objectSid, by which the domain's own accounts are known; "+
			"let the bind DN read it", targets.ErrForbidden, found.DN)
	case found != nil:
		return found, nil
	}
	if elsewhere, yes := t.notYet(s); yes {
		return nil, fmt.Errorf("%w: %s does not know it, and may not know yet what was written on %s",
			targets.ErrUnavailable, s.URL, elsewhere)
	}
	if trace := t.trace(ctx, s, id); trace != "" {
		return nil, fmt.Errorf("%w: %s", targets.ErrNotFound, trace)
	}
	return nil, fmt.Errorf("%w: no entry has the %s %s", targets.ErrNotFound, t.id.name, id)
}

// lookUp is nil where no entry has an identifier.
func (t *target) lookUp(
	ctx context.Context, s *ldapclient.Session, id identity.AccountID, attributes []string,
) (*ldap.Entry, error) {
	filter, err := t.id.filter(id)
	if err != nil || id == "" {
		return nil, nil //nolint:nilerr // what is no identifier is nobody's
	}
	if t.domain {
		for _, name := range judgedBy() {
			attributes = ldapclient.With(attributes, name)
		}
	}
	attributes = ldapclient.With(attributes, t.id.name)
	places := t.roots(ctx, s)
	for _, place := range places {
		q := subtree(place, filter, attributes...)
		if t.domain && t.id.guid { // by its name of that form (MS-ADTS 3.1.1.3.1.2.4) it is found at once, anywhere
			q.Base, q.Scope, q.Filter = "<GUID="+string(id)+">", ldap.ScopeBaseObject, "(objectClass=*)"
		}
		result, err := s.Search(ctx, q, 2, nil)
		switch {
		case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) && len(places) == 1 && !t.domain:
			// The place is gone: of the account nothing is known.
			return nil, fmt.Errorf("%w: %s: %w", targets.ErrUnavailable, place, err)
		case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
			continue
		case err != nil:
			return nil, err
		case len(result.Entries) > 1:
			return nil, fmt.Errorf("%w: %d entries have the %s %s", targets.ErrConflict, len(result.Entries), t.id.name, id)
		}
		for _, found := range result.Entries {
			if t.id.of(found) == id {
				return found, nil
			}
		}
		if t.domain && t.id.guid {
			break
		}
	}
	return nil, nil
}

// roots are where an account may be: anywhere in the naming contexts that hold the bases.
func (t *target) roots(ctx context.Context, s *ldapclient.Session) []string {
	if found := ldapclient.Suffixes(s.Known(ctx).Contexts, t.bases); len(found) > 0 {
		return found
	}
	return t.places()
}

// trace says that an account is among the deleted objects of a domain (MS-ADTS 3.1.1.5.5); "" where it is not seen
// there.
func (t *target) trace(ctx context.Context, s *ldapclient.Session, id identity.AccountID) string {
	if !t.domain || !t.id.guid {
		return ""
	}
	q := ldapclient.Query{
		Base: "<GUID=" + string(id) + ">", Scope: ldap.ScopeBaseObject, Filter: "(isDeleted=TRUE)",
		Attributes: []string{"isDeleted", "isRecycled"}, Controls: []ldap.Control{ldap.NewControlMicrosoftShowDeleted()},
	}
	result, err := s.Search(ctx, q, 1, nil)
	if err != nil || len(result.Entries) == 0 {
		return ""
	}
	return "it was deleted: " + restorable(result.Entries[0], string(id))
}

// restorable says how a deleted object comes back.
func restorable(deleted *ldap.Entry, id string) string {
	if strings.EqualFold(deleted.GetEqualFoldAttributeValue("isRecycled"), "TRUE") {
		return "only a backup of the domain has it whole"
	}
	return "Restore-ADObject -Identity " + id + " brings it back with its rights and memberships"
}

// Account implements targets.Pass.
func (p *pass) Account(ctx context.Context, id identity.AccountID) (a identity.Account, err error) {
	err = p.with(ctx, func(s *ldapclient.Session) error {
		a, err = p.read(ctx, s, id)
		return err
	})
	if err != nil {
		return identity.Account{}, fmt.Errorf("read account %s: %w", id, err)
	}
	return a, nil
}

func (t *target) read(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (identity.Account, error) {
	entry, err := t.entry(ctx, s, id, t.ask...)
	if err != nil {
		return identity.Account{}, err
	}
	a, err := t.account(entry)
	if err == nil {
		a.Unlisted, err = t.unlisted(ctx, s, entry.DN)
	}
	return a, err
}

// unlisted says why a list of accounts lacks an entry; "" where it has it.
func (t *target) unlisted(ctx context.Context, s *ldapclient.Session, dn string) (string, error) {
	if !slices.ContainsFunc(t.places(), func(place string) bool { return ldapclient.Within(dn, place) }) {
		return fmt.Sprintf("it is at %s, which is not below base_dn", dn), nil
	}
	if t.filter == ldapFilter || t.filter == domainFilter {
		return "", nil // which every account fits
	}
	q := ldapclient.Query{Base: dn, Scope: ldap.ScopeBaseObject, Filter: t.filter, Attributes: []string{"1.1"}}
	result, err := s.Search(ctx, q, 1, nil)
	if err != nil || len(result.Entries) > 0 {
		return "", classed(err)
	}
	return fmt.Sprintf("%s does not fit filter any more", dn), nil
}

// Find implements targets.Pass.
func (p *pass) Find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	if value == "" {
		return nil, nil
	}
	err = p.with(ctx, func(s *ldapclient.Session) error {
		found, err = p.find(ctx, s, attribute, value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find %s %q: %w", attribute, value, err)
	}
	return found, nil
}

func (t *target) find(ctx context.Context, s *ldapclient.Session, attribute, value string) ([]identity.Account, error) {
	switch {
	case attribute == "userName":
		attribute = t.login
	case attribute == "id", attribute == "externalId" && t.inPlace():
		a, err := t.read(ctx, s, identity.AccountID(value))
		if errors.Is(err, targets.ErrNotFound) {
			return nil, nil
		}
		return []identity.Account{a}, err
	case attribute == "externalId":
		attribute = t.mark
	}
	if attribute == "" || attribute == container {
		return nil, nil
	}
	if elsewhere, yes := t.notYet(s); yes {
		return nil, fmt.Errorf("%w: %s may not know yet what was written on %s", targets.ErrUnavailable, s.URL, elsewhere)
	}
	var found []identity.Account
	for _, place := range t.places() {
		q := subtree(place, t.filter, t.ask...).And(equal(attribute, value))
		entries, err := ldapclient.Every(s.Pages(ctx, q, t.bounds()))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if t.untouchable(entry) != "" || !holds(entry, attribute, value) {
				continue
			}
			a, err := t.account(entry)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
			}
			found = append(found, a)
		}
	}
	return found, nil
}

// holds reports whether an entry has a value, whatever its letters: a server that finds more is not believed.
func holds(entry *ldap.Entry, attribute, value string) bool {
	return slices.ContainsFunc(valuesOf(entry, attribute), func(have string) bool {
		return strings.EqualFold(strings.Join(strings.Fields(have), " "), strings.Join(strings.Fields(value), " "))
	})
}
