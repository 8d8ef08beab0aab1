package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Find implements sources.Finder. Absence is proven in three steps on one connection: the anchor is not among
// those whom People reads; somebody who is (the witness) is found; and one search of the whole directory, for both
// anchors at once, returns the witness and nobody else. A server that shows us nothing any more, or no anchors,
// thus never makes a leaver. What is left of the place where the person was, and how current the server is, is
// told beside it.
func (s *source) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	known := s.anchor
	if who.By != "" {
		known = newAnchor(who.By)
	}
	filter, err := known.filter(who.Anchor)
	if err != nil {
		return sources.Sighting{}, fmt.Errorf("%s: find %s: %w", s.name, who.Anchor, err)
	}
	var seen sources.Sighting
	err = s.pool.Ask(ctx, func(session *ldapclient.Session) (err error) {
		currency := currency(ctx, session, s.bases)
		if seen, err = s.find(ctx, session, who, known, filter); err == nil {
			seen.Server, seen.Currency = session.URL, currency
		}
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return sources.Sighting{}, fmt.Errorf("%s: find %s: %w", s.name, who.Anchor, err)
	}
	seen.At = s.now()
	return seen, nil
}

func (s *source) find(
	ctx context.Context,
	session *ldapclient.Session,
	who sources.Lookup,
	known anchor,
	filter string,
) (sources.Sighting, error) {
	r := s.reader(ctx, session)
	for _, base := range s.bases {
		q := s.query(base, r.ask).And(filter)
		entries, err := ldapclient.Every(s.pages(ctx, session, q))
		if err != nil && !s.oneOfSeveral(err) {
			return sources.Sighting{}, err
		}
		if len(entries) > 0 {
			return s.sighting(ctx, session, r, who, sources.InScope, entries[0],
				fmt.Sprintf("%s answered %s under %s with %s", session.URL, q.Filter, base, entries[0].DN))
		}
	}
	roots, err := s.roots(ctx, session)
	if err != nil {
		return sources.Sighting{}, err
	}
	for _, root := range roots {
		if deleted, found := s.tombstone(ctx, session, root, known, filter); found {
			return deleted, nil
		}
	}
	gone := sources.Sighting{Where: sources.Gone}
	if gone.Place, err = s.place(ctx, session, who.DN); err != nil {
		return sources.Sighting{}, err
	}
	var proof []string
	for _, root := range roots {
		name, err := s.witness(ctx, session, root, who.DN)
		if err != nil {
			return sources.Sighting{}, err
		}
		witness := ""
		if name != "" {
			if witness, err = s.anchor.filter(name); err != nil {
				return sources.Sighting{}, err
			}
		}
		q := ldapclient.Query{Base: root, Scope: ldap.ScopeWholeSubtree, Filter: filter, Attributes: r.ask}
		if witness != "" {
			q.Filter = "(|" + filter + witness + ")"
		}
		if session.Known(ctx).Directory {
			q.Attributes = ldapclient.With(q.Attributes, metadata)
		}
		entries, err := ldapclient.Every(session.Pages(ctx, q, s.bounds()))
		if err != nil {
			return sources.Sighting{}, fmt.Errorf("%w; find_base says where else to look", err)
		}
		found, present := s.separate(entries, witness)
		if found != nil {
			return s.sighting(ctx, session, r, who, sources.Elsewhere, found,
				fmt.Sprintf("%s answered %s under %s with %s, which is not in scope", session.URL, filter, root, found.DN))
		}
		if witness != "" && !present {
			return sources.Sighting{}, &ldapclient.IncompleteError{
				Reason: fmt.Sprintf("%s did not return the witness %s under %s", session.URL, witness, root),
				Next:   "absence cannot be proven: check the bind DN's rights",
			}
		}
		if present && gone.Witness == "" {
			gone.Witness = name
		}
		proof = append(
			proof,
			fmt.Sprintf("%s answered %s under %s with success and %s", session.URL, q.Filter, root, nobody(present)),
		)
	}
	if gone.Witness == "" {
		return sources.Sighting{}, &ldapclient.IncompleteError{
			Reason: session.URL + " shows nobody with " + s.anchor.name + " in scope",
			Next:   "absence cannot be proven while nobody at all is visible: check base_dn, filter and the bind DN's rights",
		}
	}
	if gone.Place != sources.PlaceUnknown {
		proof = append(proof, fmt.Sprintf("%s, where they were: %s", identity.ParentDN(who.DN), gone.Place))
	}
	if gone.Untraced = s.tracesDeletions(ctx, session, known, roots); gone.Untraced {
		proof = append(proof, "nothing of them is among the deleted objects")
	}
	gone.Proof = strings.Join(proof, "; ")
	return gone, nil
}

// tracesDeletions reports whether whoever is deleted below roots can be found among the deleted objects, by an anchor that
// those keep (MS-ADTS 3.1.1.5.5.1).
func (s *source) tracesDeletions(ctx context.Context, session *ldapclient.Session, known anchor, roots []string) bool {
	about := session.Known(ctx)
	if !about.Directory || !strings.EqualFold(known.name, "objectGUID") && !strings.EqualFold(known.name, "objectSid") {
		return false
	}
	searched := normalised(roots)
	for _, domain := range ldapclient.Suffixes(about.Contexts, s.bases) {
		if !slices.Contains(searched, domain) || !seesDeletions(ctx, session, domain) {
			return false
		}
	}
	return true
}

// tombstone looks for what the directory keeps of somebody deleted: Active Directory for tombstoneLifetime
// (MS-ADTS 3.1.1.5.5), 389 Directory Server for nsds5ReplicaPurgeDelay. Few may read those; that there is none
// proves nothing.
func (s *source) tombstone(
	ctx context.Context,
	session *ldapclient.Session,
	root string,
	known anchor,
	filter string,
) (seen sources.Sighting, found bool) {
	q := ldapclient.Query{
		Base: root, Scope: ldap.ScopeWholeSubtree, Attributes: []string{known.name, "whenChanged", "modifyTimestamp", metadata},
	}
	var controls []ldap.Control
	switch about := session.Known(ctx); {
	case about.Directory || about.LightWeight:
		q.Filter = "(&(isDeleted=TRUE)" + filter + ")"
		controls = append(controls, ldap.NewControlMicrosoftShowDeleted())
	case strings.EqualFold(known.name, "nsUniqueId"):
		q.Filter = "(&(objectClass=nsTombstone)" + filter + ")"
	default:
		return seen, false
	}
	result, err := session.Search(ctx, q, 0, controls)
	if err != nil || len(result.Entries) != 1 {
		return seen, false
	}
	entry := result.Entries[0]
	seen = sources.Sighting{
		Where: sources.Tombstone,
		Proof: fmt.Sprintf("%s answered %s under %s with the tombstone %q", session.URL, q.Filter, root, ldapclient.Readable(entry.DN)),
	}
	for _, name := range []string{"whenChanged", "modifyTimestamp"} {
		if changed, err := ber.ParseGeneralizedTime([]byte(entry.GetEqualFoldAttributeValue(name))); err == nil &&
			seen.Changed.IsZero() {
			seen.Changed = changed.UTC()
		}
	}
	seen.Changed = originated(entry, seen.Changed, "isDeleted")
	return seen, true
}

// place looks at the container that held dn.
func (s *source) place(ctx context.Context, session *ldapclient.Session, dn string) (sources.Place, error) {
	container := identity.ParentDN(dn)
	if container == "" {
		return sources.PlaceUnknown, nil
	}
	entry, err := session.Read(ctx, container, "1.1")
	var refused *ldapclient.ResultError
	switch {
	case errors.As(err, &refused):
		return sources.PlaceHidden, nil
	case err != nil:
		return "", err
	case entry == nil:
		return sources.PlaceHidden, nil
	}
	if s.unnamed(ctx, session, dn) {
		return "", &ldapclient.IncompleteError{
			Reason: fmt.Sprintf("%s still has an entry %s, which shows no %s", session.URL, dn, s.anchor.name),
			Next:   "it may be the very person: let the bind DN read their anchor",
		}
	}
	neighbour, err := s.first(ctx, session, container, ldap.ScopeSingleLevel)
	switch {
	case err != nil:
		return "", err
	case neighbour == "":
		return sources.PlaceEmpty, nil
	}
	return sources.PlacePeopled, nil
}

// unnamed reports whether there is an entry dn without a readable anchor.
func (s *source) unnamed(ctx context.Context, session *ldapclient.Session, dn string) bool {
	entry, err := session.Read(ctx, dn, s.anchor.name)
	if err != nil || entry == nil {
		return false
	}
	_, err = s.anchorOf(entry)
	return err != nil
}

func nobody(present bool) string {
	if present {
		return "the witness alone"
	}
	return "nobody"
}

// roots are the parts of the tree in which a person may be: find_base, or what the root DSE (RFC 4512, 5.1) calls
// naming contexts; and every base_dn that lies outside of those.
func (s *source) roots(ctx context.Context, session *ldapclient.Session) ([]string, error) {
	roots := s.findBases
	if len(roots) == 0 {
		about, err := session.Describe(ctx)
		if err != nil {
			return nil, &ldapclient.IncompleteError{Reason: "root DSE", Next: "set find_base to the suffix of the directory", Err: err}
		}
		for _, context := range about.Contexts {
			if context != "" && !ldapclient.Partition(context) && !strings.EqualFold(context, "cn=changelog") {
				roots = append(roots, context)
			}
		}
	}
	for _, base := range s.bases {
		covered := false
		for _, root := range roots {
			covered = covered || ldapclient.Within(base, root)
		}
		if !covered {
			roots = append(roots[:len(roots):len(roots)], base)
		}
	}
	return roots, nil
}

// witness returns the anchor of somebody whom People reads below root: of the container that held dn where there
// is one, since rights may end at a branch, else of whoever comes first. It is "" where none of the base DNs is
// there or they are empty.
func (s *source) witness(ctx context.Context, session *ldapclient.Session, root, dn string) (string, error) {
	if container := identity.ParentDN(dn); container != "" && ldapclient.Within(container, root) && s.covers(container) {
		if name, err := s.first(ctx, session, container, ldap.ScopeSingleLevel); err == nil && name != "" {
			return name, nil
		}
	}
	for _, base := range s.bases {
		if !ldapclient.Within(base, root) {
			continue
		}
		name, err := s.first(ctx, session, base, s.scope)
		if err != nil && !s.oneOfSeveral(err) {
			return "", &ldapclient.IncompleteError{Reason: "base_dn " + base, Next: ldapclient.Hint(err), Err: err}
		}
		if name != "" {
			return name, nil
		}
	}
	return "", nil
}

// oneOfSeveral reports whether a base DN is not there that is not the only one: nobody is below it.
func (s *source) oneOfSeveral(err error) bool {
	return len(s.bases) > 1 && ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject)
}

// covers reports whether People reads what is directly below container.
func (s *source) covers(container string) bool {
	return slices.ContainsFunc(s.bases, func(base string) bool {
		return ldapclient.SameDN(container, base) || s.scope == ldap.ScopeWholeSubtree && ldapclient.Within(container, base)
	})
}

// separate tells the witness from whoever else was found.
func (s *source) separate(entries []*ldap.Entry, witness string) (found *ldap.Entry, present bool) {
	for _, entry := range entries {
		text, err := s.anchorOf(entry)
		if err == nil && witness != "" {
			if own, err := s.anchor.filter(text); err == nil && own == witness {
				present = true
				continue
			}
		}
		found = entry
	}
	return found, present
}

func (s *source) sighting(
	ctx context.Context, session *ldapclient.Session, r *entryReader, asked sources.Lookup, where sources.Where, entry *ldap.Entry,
	proof string,
) (sources.Sighting, error) {
	who, err := r.person(entry)
	if err != nil {
		return sources.Sighting{}, err
	}
	if s.groups != nil && (where == sources.InScope || !asked.Leaving) {
		if who.Groups, err = groupsOf(ctx, session, s.groups, s.bounds(), who.member); err != nil {
			return sources.Sighting{}, err
		}
	}
	seen := sources.Sighting{Where: where, Person: who.Person, Proof: proof}
	if where == sources.Elsewhere && who.Active {
		seen.Changed = originated(entry, who.Changed, "name") // it is what a move changes
	} else if where == sources.Elsewhere {
		seen.Changed = originated(entry, who.Changed, domainUser)
	}
	return seen, nil
}
