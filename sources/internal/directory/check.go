package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// Check implements sources.Checker. Everyone is counted as a pass would read them, since a limit shows only when
// it is hit.
func (s *source) Check(ctx context.Context) ([]string, error) {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	err := s.pool.Ask(ctx, func(session *ldapclient.Session) error {
		lines = nil
		say("%s: connected with %s, signed in %s", session.URL, session.TLS, s.Who())
		if err := s.checkServer(ctx, session, say); err != nil {
			return err
		}
		bases, unseen, err := s.seen(ctx, session)
		if err != nil {
			return err
		}
		for _, base := range unseen {
			say("warning: base_dn %s cannot be seen: take it out if it was given up, else let the bind DN see it", base)
		}
		if err := s.checkPeople(ctx, session, bases, say); err != nil {
			return err
		}
		s.checkSetAside(ctx, session, say)
		s.checkFilter(say)
		s.checkChanges(ctx, session, say)
		roots, err := s.roots(ctx, session)
		if err != nil {
			return err
		}
		say("absence is proven under %q", roots)
		return nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return lines, fmt.Errorf("%s: %w", s.name, err)
	}
	return lines, nil
}

func (s *source) checkServer(ctx context.Context, session *ldapclient.Session, say func(string, ...any)) error {
	dse, err := session.Read(ctx, "", "vendorName", "vendorVersion", "supportedControl", "namingContexts")
	if err != nil {
		return &ldapclient.IncompleteError{Reason: "root DSE", Next: ldapclient.Hint(err), Err: err}
	}
	if dse == nil {
		say("warning: the root DSE cannot be read; set find_base, so that absence can be proven")
		return nil
	}
	if vendor := dse.GetEqualFoldAttributeValue("vendorName"); vendor != "" {
		say("server: %s %s", vendor, dse.GetEqualFoldAttributeValue("vendorVersion"))
	}
	controls := dse.GetEqualFoldAttributeValues("supportedControl")
	if s.pageSize > 0 && len(controls) > 0 && !slices.Contains(controls, ldap.ControlTypePaging) {
		say("warning: the server does not announce paging (RFC 2696): its size limit for the bind DN must be unlimited")
	}
	return nil
}

// checkPeople counts everyone in scope and says what can be seen of them and of their groups.
func (s *source) checkPeople(ctx context.Context, session *ldapclient.Session, bases []string, say func(string, ...any)) error {
	facts := &sources.ReadFacts{From: currency(ctx, session, s.bases)}
	var groups *membership
	var err error
	if s.groups != nil {
		if groups, err = readGroups(ctx, session, s.groups, s.bounds()); err != nil {
			return err
		}
	}
	r := s.reader(ctx, session)
	for _, base := range bases {
		before, pages := *facts, 0
		for entries, err := range s.pages(ctx, session, s.query(base, r.ask)) {
			if err != nil {
				return err
			}
			pages++
			for _, entry := range entries {
				who, err := r.person(entry)
				if personal := (*sources.PersonError)(nil); err != nil && !errors.As(err, &personal) {
					return err
				}
				count(facts, who)
				if groups != nil {
					groups.of(who.member)
				}
			}
		}
		if err := s.checkBase(base, facts.People-before.People, facts.Nameless.Count-before.Nameless.Count, pages, say); err != nil {
			return err
		}
	}
	if err := s.conclude(ctx, session, r, groups, facts, map[string]bool{}); err != nil {
		return err
	}
	s.checkFacts(facts, groups, say)
	return nil
}

// checkSetAside tells of FreeIPA's people who are none, where they are among those who are read.
func (s *source) checkSetAside(ctx context.Context, session *ldapclient.Session, say func(string, ...any)) {
	for _, suffix := range ldapclient.Suffixes(session.Known(ctx).Contexts, s.bases) {
		const dn = "cn=accounts,cn=provisioning,"
		if !slices.ContainsFunc(s.bases, func(base string) bool { return ldapclient.Within(dn+suffix, base) }) || inAny(dn+suffix, s.excluded) {
			continue
		}
		if entry, err := session.Read(ctx, dn+suffix, "1.1"); err == nil && entry != nil {
			say("base_dn takes in %s: who is preserved there has left, and who is staged there is not there yet; neither is active",
				dn+suffix)
		}
	}
}

// checkFilter names what a filter hides that dirsweep is there to see.
func (s *source) checkFilter(say func(string, ...any)) {
	for _, name := range namedIn(s.filter) {
		if judgements()[strings.ToLower(name)] != nil {
			say("warning: the filter names %s, which says who may sign in: whoever is disabled is not read any more, and has to be "+
				"looked up one by one. Leave that part out: dirsweep sees by itself who is disabled", name)
		}
	}
}

// checkChanges says how the server tells what changes, and what right is missing where it does not.
func (s *source) checkChanges(ctx context.Context, session *ldapclient.Session, say func(string, ...any)) {
	feed, why := s.followable(ctx, session, currency(ctx, session, s.bases))
	if feed != nil {
		feed.close()
		say("changes are noticed at once: %s", feed.how())
		return
	}
	say("warning: everybody is read each time, since the server does not tell what changes: %s", why)
	about := session.Known(ctx)
	if !about.Directory {
		return
	}
	for _, domain := range ldapclient.Suffixes(about.Contexts, s.bases) {
		if seesDeletions(ctx, session, domain) {
			continue
		}
		who := s.BindDN
		if login, found := strings.CutPrefix(session.WhoAmI(ctx), "u:"); found {
			who = login
		}
		say("an administrator of the domain gives the right with these two commands:")
		say(`  dsacls "CN=Deleted Objects,%s" /takeownership`, domain)
		say(`  dsacls "CN=Deleted Objects,%s" /G "%s:LCRP"`, domain, who)
	}
}

func (s *source) checkBase(base string, people, nameless, pages int, say func(string, ...any)) error {
	say("%s: %d people in %d pages", base, people, pages)
	switch {
	case people == 0:
		say("warning: nobody matches %s under %s; check filter, and the rights of the bind DN", s.filter, base)
	case nameless == people:
		return fmt.Errorf("none of the %d people under %s shows an %s: let the bind DN read it, or set anchor: %w",
			people, base, s.anchor.name, sources.ErrIncomplete)
	case nameless > 0:
		say("warning: %d of them have no readable %s and will be left alone; until they have one nobody's absence is proven",
			nameless, s.anchor.name)
	}
	if s.pageSize == 0 && people > 0 && people%100 == 0 {
		say("warning: reading without pages gave exactly %d people; some servers stop there without saying so", people)
	}
	return nil
}

// checkFacts says what an expression would miss, and what would be missed of a membership.
func (s *source) checkFacts(facts *sources.ReadFacts, groups *membership, say func(string, ...any)) {
	var shown []string
	for _, name := range s.need.Attributes {
		switch n := facts.Attributes[name]; {
		case n == 0 && facts.People > 0:
			say("warning: nobody shows %s, which the config names: check its spelling, and the rights of the bind DN", name)
		case n < facts.People:
			shown = append(shown, fmt.Sprintf("%s %d", name, n))
		}
	}
	if len(shown) > 0 {
		say("not everybody has: %s (of %d)", strings.Join(shown, ", "), facts.People)
	}
	if facts.From == nil {
		say("warning: the server does not tell how current it is; where several servers answer, absence is proven slowly")
	}
	if facts.Own != "" {
		say("the account that signs in is among the people; its accounts are never closed")
	}
	if groups == nil {
		return
	}
	say("%d groups with %d members", len(groups.groups), len(groups.edges))
	foreign := groups.foreign()
	for _, name := range slices.Sorted(maps.Keys(foreign)) {
		say("warning: group %s lists %d members from other domains (foreign security principals): this source does not read "+
			"them, and by this group they have no account", name, foreign[name])
	}
	for _, group := range facts.Groups {
		if group.Hidden {
			say(
				"warning: group %s hides its members or its number: let the bind DN read them, or its people are held",
				group.Name,
			)
		}
		if group.Dangling.Count > 0 {
			say("warning: group %s names somebody who does not exist: %s", group.Name, group.Dangling)
		}
	}
}
