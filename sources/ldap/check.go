package ldap

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// Check implements sources.Checker. Everyone is counted as a pass would read them, since a limit shows only when it is hit.
func (s *source) Check(ctx context.Context) ([]string, error) {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	err := s.ask(ctx, func(session *session) error {
		lines = nil
		say("%s: connected with %s, signed in %s", session.url, session.tls, s.who())
		if err := s.checkServer(ctx, session, say); err != nil {
			return err
		}
		if err := s.visible(ctx, session); err != nil {
			return err
		}
		if err := s.checkPeople(ctx, session, say); err != nil {
			return err
		}
		if s.groups != nil {
			groups, err := session.readGroups(ctx, s.groups, s.bounds())
			if err != nil {
				return err
			}
			say("%d groups with %d members", len(groups.groups), len(groups.edges))
		}
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

func (s *source) checkServer(ctx context.Context, session *session, say func(string, ...any)) error {
	dse, err := session.read(ctx, "", "vendorName", "vendorVersion", "supportedControl", "namingContexts")
	if err != nil {
		return &shortfall{reason: "root DSE", next: remedy(err), err: err}
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

// checkPeople counts everyone in scope and those without an anchor.
func (s *source) checkPeople(ctx context.Context, session *session, say func(string, ...any)) error {
	for _, base := range s.bases {
		count, nameless, pages := 0, 0, 0
		for entries, err := range session.pages(ctx, s.query(base, []string{s.anchor.name}), s.bounds()) {
			if err != nil {
				return err
			}
			pages++
			count += len(entries)
			for _, entry := range entries {
				if _, err := s.anchorOf(entry); err != nil {
					nameless++
				}
			}
		}
		say("%s: %d people in %d pages", base, count, pages)
		switch {
		case count == 0:
			say("warning: nobody matches %s under %s; check filter, and the rights of the bind DN", s.filter, base)
		case nameless == count:
			return fmt.Errorf("none of the %d people under %s shows an %s: let the bind DN read it, or set anchor: %w",
				count, base, s.anchor.name, sources.ErrIncomplete)
		case nameless > 0:
			say("warning: %d of them have no readable %s and will be left alone", nameless, s.anchor.name)
		}
		if s.pageSize == 0 && count > 0 && count%100 == 0 {
			say("warning: reading without pages gave exactly %d people; some servers stop there without saying so", count)
		}
	}
	return nil
}
