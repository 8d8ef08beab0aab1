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

// renames reports whether a change gives an account another DN or login: groups name it by them.
func (t *target) renames(delta identity.Delta) bool {
	return slices.ContainsFunc(delta.Attributes, func(c identity.AttributeChange) bool {
		attribute := t.attributeOf(c.Path)
		return attribute == "" || strings.EqualFold(attribute, t.naming) || strings.EqualFold(attribute, t.login)
	})
}

// followed has the groups of an account follow what do makes of its name. Domains see to that themselves; other
// servers only with referential integrity (OpenLDAP: refint). Without it the memberships would be lost, and left for
// whoever gets the old name next.
func (t *target) followed(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, do func() error) error {
	if t.domain || t.groups == nil {
		return do()
	}
	groups, err := t.groupsOf(ctx, s, entry)
	if err != nil {
		return err
	}
	if err := do(); err != nil || len(groups) == 0 {
		return err
	}
	now, err := t.entry(ctx, s, t.id.of(entry), t.login)
	if errors.Is(err, targets.ErrNotFound) {
		now, err = &ldap.Entry{}, nil
	}
	if err != nil {
		return err
	}
	was, is := entry.GetEqualFoldAttributeValue(t.login), now.GetEqualFoldAttributeValue(t.login)
	var troubles []error
	for _, group := range groups {
		for _, m := range []struct{ attribute, was, is string }{
			{"member", entry.DN, now.DN}, {"uniqueMember", entry.DN, now.DN}, {"memberUid", was, is},
		} {
			if m.was == m.is || m.was == "" {
				continue
			}
			if err := t.correct(ctx, s, group, m.attribute, m.was, m.is); err != nil {
				err = fmt.Errorf("group %s names it by its old name, %s: %w", group.DN, m.was, classed(err))
				troubles = append(troubles, err)
			}
		}
	}
	return errors.Join(troubles...)
}

// correct puts one member in the place of another that a group still has. An empty one only takes that away.
func (t *target) correct(
	ctx context.Context, s *ldapclient.Session, group *ldap.Entry, attribute, was, is string,
) error {
	if in, err := t.inGroup(ctx, s, group, attribute, was); err != nil || !in {
		return err
	}
	if is != "" {
		switch in, err := t.inGroup(ctx, s, group, attribute, is); {
		case err != nil:
			return err
		case in:
			is = ""
		}
	}
	request := ldap.NewModifyRequest(group.DN, nil)
	request.Delete(attribute, []string{was})
	if is != "" {
		request.Add(attribute, []string{is})
	}
	err := t.modify(ctx, s, request)
	if is == "" && t.groups.placeholder != "" && ldap.IsErrorWithCode(err, ldap.LDAPResultObjectClassViolation) {
		return t.replaceLast(ctx, s, group, attribute, was)
	}
	return err
}

// replaceLast has the placeholder stand in for the last member of a group.
func (t *target) replaceLast(
	ctx context.Context, s *ldapclient.Session, group *ldap.Entry, attribute, member string,
) error {
	request := ldap.NewModifyRequest(group.DN, nil)
	request.Add(attribute, []string{t.groups.placeholder})
	request.Delete(attribute, []string{member})
	return t.modify(ctx, s, request)
}
