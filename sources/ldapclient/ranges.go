package ldapclient

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// rest asks for the values that follow a range, until there are no more (MS-ADTS 3.1.1.3.1.3.3).
func (s *Session) rest(ctx context.Context, dn string, d Description) (*ldap.EntryAttribute, error) {
	all := new(ldap.EntryAttribute)
	for d.Partial {
		name := fmt.Sprintf("%s;range=%d-*", d.Base, d.high+1)
		entry, err := s.Read(ctx, dn, name)
		if err != nil {
			return nil, &IncompleteError{Reason: "values of " + dn + " from " + name, Next: Hint(err), Err: err}
		}
		var more *ldap.EntryAttribute
		var got Description
		for _, attr := range attributes(entry) {
			if g := ParseDescription(attr.Name); g.Base == d.Base && g.ranged && len(attr.Values) > 0 {
				more, got = attr, g
			}
		}
		if more == nil || got.Partial && got.high <= d.high {
			return nil, &IncompleteError{Reason: "values of " + dn + ": the server did not go on from " + name}
		}
		all.Values, all.ByteValues = append(all.Values, more.Values...), append(all.ByteValues, more.ByteValues...)
		d = got
	}
	return all, nil
}

// complete asks for the values that the server has held back of an entry.
func (s *Session) complete(ctx context.Context, entry *ldap.Entry) error {
	for _, attribute := range entry.Attributes {
		d := ParseDescription(attribute.Name)
		if !d.Partial {
			continue
		}
		rest, err := s.rest(ctx, entry.DN, d)
		if err != nil {
			return err
		}
		attribute.Name = d.Base
		attribute.Values = append(attribute.Values, rest.Values...)
		attribute.ByteValues = append(attribute.ByteValues, rest.ByteValues...)
	}
	return nil
}

func attributes(entry *ldap.Entry) []*ldap.EntryAttribute {
	if entry == nil {
		return nil
	}
	return entry.Attributes
}
