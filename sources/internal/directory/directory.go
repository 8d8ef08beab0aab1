package directory

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

var (
	_ sources.Identified = (*source)(nil)
	_ sources.Selective  = (*source)(nil)
)

// Selection implements sources.Selective.
func (s *source) Selection() (anchor string, settings map[string]uint64) {
	print := func(values ...string) uint64 { return xxhash.Sum64String(strings.Join(values, "\x00")) }
	settings = map[string]uint64{
		"scope_depth": print(fmt.Sprint(s.scope)), "filter": print(s.filter), "base_dn": print(normalised(s.bases)...),
		"exclude_dn": print(normalised(s.excluded)...),
	}
	if s.groups != nil {
		settings["groups.filter"], settings["groups.name"] = print(s.groups.filter), print(s.groups.name)
		settings["groups.base_dn"] = print(normalised(s.groups.bases)...)
		settings["groups.member"] = print(s.groups.member...)
	}
	return strings.ToLower(s.anchor.name), settings
}

// normalised are DNs in one spelling and order.
func normalised(dns []string) []string {
	list := make([]string, len(dns))
	for i, dn := range dns {
		normal, err := ldapclient.NormalDN(dn)
		if err != nil {
			normal = dn
		}
		list[i] = normal
	}
	slices.Sort(list)
	return list
}

// Directory implements sources.Identified: the SID of an Active Directory domain (MS-ADTS 6.1.1.1), else the
// identifier of the entry at the suffix that holds base_dn (RFC 4530).
func (s *source) Directory(ctx context.Context) (id string, err error) {
	err = s.pool.Ask(ctx, func(session *ldapclient.Session) error {
		id = directory(ctx, session, s.bases)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	return id, nil
}

// directory is "" where the server shows no suffix that holds bases, or no identifier of it.
func directory(ctx context.Context, s *ldapclient.Session, bases []string) string {
	held := ldapclient.Suffixes(s.Known(ctx).Contexts, bases)
	if len(held) == 0 {
		return ""
	}
	suffix := held[0]
	for _, longer := range held[1:] { // of two that hold it, the one below the other
		if ldapclient.Within(longer, suffix) {
			suffix = longer
		}
	}
	entry, err := s.Read(ctx, suffix, "objectSid", "objectGUID", "entryUUID", "nsUniqueId", "GUID", "ibm-entryUUID")
	if err != nil || entry == nil {
		return ""
	}
	if sid, err := ldapclient.SIDText(entry.GetEqualFoldRawAttributeValue("objectSid")); err == nil {
		return sid
	}
	for _, name := range []string{"entryUUID", "nsUniqueId", "ibm-entryUUID"} {
		if id := entry.GetEqualFoldAttributeValue(name); id != "" {
			return strings.ToLower(id)
		}
	}
	for _, name := range []string{"objectGUID", "GUID"} {
		if id := entry.GetEqualFoldRawAttributeValue(name); len(id) > 0 {
			return hex.EncodeToString(id)
		}
	}
	return ""
}
