package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// Find implements sources.Finder. Absence is proven in three steps on one connection: the anchor is not among those whom People reads;
// somebody who is (the witness) is found; and one search of the whole directory, for both anchors at once, returns the witness and
// nobody else. A server that shows us nothing any more, or no anchors, thus never makes a leaver.
func (s *source) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	filter, err := s.anchor.filter(who.Anchor)
	if err != nil {
		return sources.Sighting{}, fmt.Errorf("%s: find %s: %w", s.name, who.Anchor, err)
	}
	var seen sources.Sighting
	err = s.ask(ctx, func(session *session) (err error) {
		seen, err = s.find(ctx, session, filter)
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

func (s *source) find(ctx context.Context, session *session, filter string) (sources.Sighting, error) {
	p := s.portrayer(s.name, s.need.Attributes, s.now())
	p.complete = session.rest
	for _, base := range s.bases {
		q := s.query(base, p.ask)
		q.filter = "(&" + s.filter + filter + ")"
		entries, err := s.every(ctx, session, q)
		if err != nil {
			return sources.Sighting{}, err
		}
		if len(entries) > 0 {
			return s.sighting(ctx, session, p, sources.InScope, entries[0],
				fmt.Sprintf("%s answered %s under %s with %s", session.url, q.filter, base, entries[0].DN))
		}
	}
	roots, err := s.roots(ctx, session)
	if err != nil {
		return sources.Sighting{}, err
	}
	var proof []string
	proven := false
	for _, root := range roots {
		witness, err := s.witness(ctx, session, root)
		if err != nil {
			return sources.Sighting{}, err
		}
		q := query{root, ldap.ScopeWholeSubtree, filter, p.ask}
		if witness != "" {
			q.filter = "(|" + filter + witness + ")"
		}
		entries, err := s.every(ctx, session, q)
		if err != nil {
			return sources.Sighting{}, fmt.Errorf("%w; find_base says where else to look", err)
		}
		found, present := s.separate(entries, witness)
		if found != nil {
			return s.sighting(ctx, session, p, sources.Elsewhere, found,
				fmt.Sprintf("%s answered %s under %s with %s, which is not in scope", session.url, filter, root, found.DN))
		}
		if witness != "" && !present {
			return sources.Sighting{}, &shortfall{
				reason: fmt.Sprintf("%s did not return the witness %s under %s", session.url, witness, root),
				next:   "absence cannot be proven: check the bind DN's rights",
			}
		}
		proven = proven || present
		proof = append(proof, fmt.Sprintf("%s answered %s under %s with success and %s", session.url, q.filter, root, nobody(present)))
	}
	if !proven {
		return sources.Sighting{}, &shortfall{
			reason: session.url + " shows nobody with " + s.anchor.name + " in scope",
			next:   "absence cannot be proven while nobody at all is visible: check base_dn, filter and the bind DN's rights",
		}
	}
	return sources.Sighting{Where: sources.Gone, Proof: strings.Join(proof, "; ")}, nil
}

func nobody(present bool) string {
	if present {
		return "the witness alone"
	}
	return "nobody"
}

// every runs a search to its proven end and returns all entries; meant for a handful.
func (s *source) every(ctx context.Context, session *session, q query) ([]*ldap.Entry, error) {
	var all []*ldap.Entry
	for entries, err := range session.pages(ctx, q, s.bounds()) {
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// roots are the parts of the tree in which a person may be: find_base, or what the root DSE (RFC 4512, 5.1) calls naming contexts; and
// every base_dn that lies outside of those.
func (s *source) roots(ctx context.Context, session *session) ([]string, error) {
	roots := s.findBases
	if len(roots) == 0 {
		dse, err := session.read(ctx, "", "namingContexts")
		if err != nil {
			return nil, &shortfall{reason: "root DSE", next: "set find_base to the suffix of the directory", err: err}
		}
		if dse != nil {
			for _, context := range dse.GetEqualFoldAttributeValues("namingContexts") {
				if context != "" && !partition(context) && !strings.EqualFold(context, "cn=changelog") {
					roots = append(roots, context)
				}
			}
		}
	}
	for _, base := range s.bases {
		covered := false
		for _, root := range roots {
			covered = covered || within(base, root)
		}
		if !covered {
			roots = append(roots[:len(roots):len(roots)], base)
		}
	}
	return roots, nil
}

// witness returns the filter of the anchor of somebody whom People reads below root, or "" where none of the base DNs is there or they
// are empty.
func (s *source) witness(ctx context.Context, session *session, root string) (string, error) {
	for _, base := range s.bases {
		if !within(base, root) {
			continue
		}
		q := s.query(base, []string{s.anchor.name})
		q.filter = "(&" + s.filter + "(" + s.anchor.name + "=*))"
		result, err := session.search(ctx, q, 1, nil)
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			return "", &shortfall{reason: "base_dn " + base, next: remedy(err), err: err}
		}
		if result == nil || len(result.Entries) == 0 {
			continue
		}
		if text, err := s.anchorOf(result.Entries[0]); err == nil {
			return s.anchor.filter(text)
		}
	}
	return "", nil
}

func (s *source) anchorOf(entry *ldap.Entry) (string, error) {
	raw := entry.GetEqualFoldRawAttributeValue(s.anchor.name)
	if len(raw) == 0 {
		return "", errors.New("no anchor")
	}
	return s.anchor.render(raw)
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

func (s *source) sighting(ctx context.Context, session *session, p *portrayer, where sources.Where, entry *ldap.Entry,
	proof string,
) (sources.Sighting, error) {
	who, err := p.portray(ctx, entry)
	if err != nil {
		return sources.Sighting{}, err
	}
	if s.groups != nil {
		if who.Groups, err = session.groupsOf(ctx, s.groups, s.bounds(), who.DN, who.logins); err != nil {
			return sources.Sighting{}, err
		}
	}
	return sources.Sighting{Where: where, Person: who.Person, Proof: proof}, nil
}
