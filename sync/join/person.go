package join

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// rules are the members as judge sees them.
func (s *Source) rules(failed map[int]error) []judge.Member {
	list := make([]judge.Member, len(s.o.Members))
	for n, m := range s.o.Members {
		list[n] = m.Member
		list[n].Unread = failed[n] != nil
	}
	return list
}

// A saying is an entry with what it says at an instant.
type saying struct {
	entry
	judge.Word
	presence mapping.Presence
}

// say asks the member's own block about an entry.
func (s *Source) say(e entry, at time.Time) saying {
	m := s.o.Members[e.Member]
	out := saying{entry: e, Word: judge.Word{Member: e.Member, Anchor: e.Person.ID.Anchor, Human: e.Human}}
	var err error
	out.presence, err = m.Mapping.Later(e.Person, at)
	switch {
	case err != nil:
		out.Word.Unknown = err.Error()
	case out.presence.Active:
		out.Word.Active, out.Ends = true, out.presence.Next.At
	default:
		out.Why = cmp.Or(out.presence.Why, e.Person.Inactive)
	}
	return out
}

// said is what all entries of a key say at an instant, now or to come, in the order of precedence.
func (s *Source) said(entries []entry, at time.Time) []saying {
	list := make([]saying, len(entries))
	for i, e := range entries {
		list[i] = s.say(e, at)
	}
	slices.SortFunc(list, func(a, b saying) int { return judge.Precedence(a.Word, b.Word) })
	return list
}

func words(list []saying) []judge.Word {
	out := make([]judge.Word, len(list))
	for i, w := range list {
		out[i] = w.Word
	}
	return out
}

// person is who the entries of one key are. Where that cannot be told the error is a *sources.PersonError.
func (s *Source) person(entries []entry, failed map[int]error, now time.Time) (identity.Person, error) {
	rules, list := s.rules(failed), s.said(entries, now)
	first := list[0]
	p := identity.Person{ID: identity.PersonID{Anchor: first.anchor(s.o.Members)}, Source: s.o.Name, DN: first.Person.DN}
	for _, w := range list {
		p.Name = cmp.Or(p.Name, w.entry.Person.Name)
		p.Own = p.Own || w.entry.Person.Own
		p.Parts = append(p.Parts, identity.Part{
			Source: s.o.Members[w.entry.Member].Name, Anchor: w.Anchor, DN: w.entry.Person.DN, Says: says(w),
			Over: !w.Word.Active && w.Word.Unknown == "", Human: human(w.Word.Human),
		})
		p.Groups = append(p.Groups, w.entry.Person.Groups...)
	}
	p.Name = cmp.Or(p.Name, p.ID.Anchor)
	slices.SortFunc(p.Groups, func(a, b identity.Group) int { return cmp.Compare(a.DN, b.DN) })
	p.Groups = slices.CompactFunc(p.Groups, func(a, b identity.Group) bool { return a.DN == b.DN })
	s.attributes(&p, list, failed)
	u := judge.Join(rules, words(list))
	switch {
	case u.Disputed != "":
		return p, &sources.PersonError{
			ID: p.ID, DN: p.DN, Disputed: true,
			Err: fmt.Errorf("the key %q may be of several humans: %s", p.ID.Anchor, u.Disputed),
		}
	case u.Unknown != "":
		unread := slices.ContainsFunc(rules, func(m judge.Member) bool { return m.Unread })
		return p, &sources.PersonError{ID: p.ID, DN: p.DN, Told: unread, Err: errors.New(u.Unknown)}
	}
	p.Active, p.Inactive = u.Active, u.Why
	p.Changed = changed(list, u)
	s.dates(&p, entries, list, rules, u, now)
	return p, nil
}

// human is what is remembered of what tells humans apart: a date of birth is nobody's business.
func human(text string) uint64 {
	if text == "" {
		return 0
	}
	return hash(text)
}

// says is what an entry says, for people.
func says(w saying) string {
	switch {
	case w.Word.Unknown != "":
		return "unknown: " + w.Word.Unknown
	case w.Word.Active:
		return "active"
	}
	return strings.TrimSuffix("not active: "+w.Why, ": ")
}

// changed is when the entries were last changed that say what became of somebody; zero where one of them does not tell.
func changed(list []saying, u judge.Union) (at time.Time) {
	for i, w := range list {
		when := w.entry.Person.Changed
		switch {
		case !u.Active && !slices.Contains(u.By, i):
		case !u.Active && when.IsZero():
			return time.Time{}
		case when.After(at):
			at = when
		}
	}
	return at
}

// attributes gives a person of each attribute what the first entry has that has it: by precedence, but for those about
// which another member has the first word. What a member of higher precedence that was not read would have said is not
// known, whatever the others have.
func (s *Source) attributes(p *identity.Person, list []saying, failed map[int]error) {
	p.Attributes, p.From = identity.Attributes{}, map[string]string{}
	unreadable, unread := map[string]bool{}, map[string]bool{}
	known := func(name string) bool {
		_, has := p.Attributes[name]
		return has || unreadable[name]
	}
	take := func(n int, wanted func(name string) bool) {
		m := s.o.Members[n]
		if failed[n] != nil {
			for _, name := range m.Attributes {
				if wanted(name) && !known(name) {
					unreadable[name], unread[name] = true, true
				}
			}
			return
		}
		for _, w := range list {
			if w.entry.Member != n {
				continue
			}
			for own, name := range m.Attributes {
				if !wanted(name) || known(name) {
					continue
				}
				if values, has := w.entry.Person.Attributes[own]; has {
					p.Attributes[name], p.From[name] = values, m.Name
				} else if slices.Contains(w.entry.Person.Unreadable, own) {
					unreadable[name] = true
				}
			}
		}
	}
	for n, m := range s.o.Members {
		take(n, func(name string) bool { return slices.Contains(m.First, name) })
	}
	for n := range s.o.Members {
		take(n, func(string) bool { return true })
	}
	p.Unreadable, p.Unread = slices.Sorted(maps.Keys(unreadable)), slices.Sorted(maps.Keys(unread))
}

// mostTurns bounds how many dates of one human are looked at.
const mostTurns = 64

// dates says when the clock alone makes somebody come or leave, and since when it has them not active: by what all their
// entries say together. One contract that ends as the next begins is neither.
func (s *Source) dates(p *identity.Person, entries []entry, list []saying, rules []judge.Member, u judge.Union, now time.Time) {
	if !u.Active {
		for _, i := range u.By {
			w := list[i]
			if w.presence.Ended.IsZero() {
				p.Ends, p.EndsBy = time.Time{}, ""
				break
			}
			if w.presence.Ended.After(p.Ends) {
				p.Ends, p.EndsBy = w.presence.Ended, s.o.Members[w.entry.Member].Name+": "+w.presence.By
			}
		}
	}
	at := now
	for range mostTurns {
		var next mapping.Turn
		member := 0
		for _, w := range list {
			if turn := w.presence.Next; turn.At.After(at) && (next.Never() || turn.At.Before(next.At)) {
				next, member = turn, w.entry.Member
			}
		}
		if next.Never() {
			return
		}
		at = next.At
		list = s.said(entries, at)
		then := judge.Join(rules, words(list))
		switch by := s.o.Members[member].Name + ": " + next.By; {
		case then.Unknown != "" || then.Disputed != "" || then.Active == u.Active:
		case u.Active:
			p.Ends, p.EndsBy = at, by
			return
		default:
			p.Begins, p.BeginsBy = at, by
			p.Ends, p.EndsBy = time.Time{}, ""
			return
		}
	}
}
