package ldap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A portrayer makes a Person of a directory entry. It learns how a server spells attribute names, and is used by one goroutine.
type portrayer struct {
	source   string
	anchor   anchor
	name     string               // the attribute of Person.Name, in lower case
	wanted   map[string]string    // lower case -> the spelling that expressions use
	binary   map[string]bool      // lower case
	judges   map[string]judgement // lower case
	ask      []string             // the attributes to ask for
	spelled  map[string]field     // by a server's spelling
	now      time.Time
	complete func(ctx context.Context, dn string, d description) (*ldap.EntryAttribute, error)
}

type judgement = func(value string, now time.Time) (bool, error)

// A field is what an attribute, as a server spells its name, is good for.
type field struct {
	description
	key    string // of Person.Attributes, "" where expressions do not name it
	anchor bool
	name   bool
	login  bool
	judge  judgement
	binary bool
}

// maxSpellings bounds what is remembered of a server that invents attribute names.
const maxSpellings = 1 << 12

func (b block) portrayer(name string, need []string, now time.Time) *portrayer {
	p := &portrayer{
		source: name, anchor: b.anchor, name: strings.ToLower(b.name), now: now,
		wanted: make(map[string]string), binary: binaries(), judges: judges(), spelled: make(map[string]field),
	}
	asked := make(map[string]bool)
	ask := func(attribute string) {
		if lower := strings.ToLower(attribute); !asked[lower] {
			asked[lower] = true
			p.ask = append(p.ask, attribute)
		}
	}
	for _, attribute := range need {
		p.wanted[strings.ToLower(attribute)] = attribute
		ask(attribute)
	}
	ask(b.anchor.name)
	ask(b.name)
	if b.groups != nil && b.groups.byLogin() {
		ask("uid")
	}
	for _, attribute := range vocabulary() {
		if p.judges[strings.ToLower(attribute)] != nil {
			ask(attribute)
		}
	}
	return p
}

func (p *portrayer) field(name string) field {
	if f, ok := p.spelled[name]; ok {
		return f
	}
	f := field{description: parseDescription(name)}
	f.key = p.wanted[strings.ToLower(name)] // an option that an expression names
	if f.key != "" && f.tagged {
		f.tagged = false
	} else if f.key == "" {
		f.key = p.wanted[f.base]
	}
	f.binary = f.description.binary || p.binary[f.base]
	if !f.tagged {
		f.anchor = f.base == strings.ToLower(p.anchor.name)
		f.name = f.base == p.name
		f.login = f.base == "uid"
		f.judge = p.judges[f.base]
	}
	if len(p.spelled) < maxSpellings {
		p.spelled[name] = f
	}
	return f
}

// A portrait is a person and what is needed of their entry beside.
type portrait struct {
	identity.Person
	logins []string
}

// portray makes a person of an entry. A *sources.PersonError concerns this person only; any other error ends the reading.
func (p *portrayer) portray(ctx context.Context, entry *ldap.Entry) (portrait, error) {
	who := portrait{Person: identity.Person{
		ID: identity.PersonID{Directory: p.source}, Source: p.source, DN: readable(entry.DN), Active: true, Attributes: make(identity.Attributes, len(p.wanted)),
	}}
	var trouble error
	var tagged map[string]*ldap.EntryAttribute
	for _, attr := range entry.Attributes {
		f := p.field(attr.Name)
		if f.partial {
			rest, err := p.complete(ctx, entry.DN, f.description)
			if err != nil {
				return who, err
			}
			attr.Values, attr.ByteValues = append(attr.Values, rest.Values...), append(attr.ByteValues, rest.ByteValues...)
		}
		if len(attr.Values) == 0 {
			continue
		}
		if f.tagged {
			if _, again := tagged[f.key]; f.key != "" && !again {
				if tagged == nil {
					tagged = make(map[string]*ldap.EntryAttribute)
				}
				tagged[f.key] = attr
			}
			continue
		}
		if err := p.note(&who, f, attr); err != nil {
			trouble = errors.Join(trouble, err)
		}
		if f.key != "" {
			who.Attributes[f.key] = append(who.Attributes[f.key], rendered(f, attr)...)
		}
	}
	for key, attr := range tagged { // another language is better than none
		if _, ok := who.Attributes[key]; !ok {
			who.Attributes[key] = rendered(p.field(attr.Name), attr)
		}
	}
	if who.Name == "" {
		who.Name = firstValue(who.DN)
	}
	if who.ID.Anchor == "" && trouble == nil {
		trouble = fmt.Errorf("the entry has no %s that the bind DN may read", p.anchor.name)
	}
	if trouble != nil {
		return who, &sources.PersonError{ID: who.ID, DN: who.DN, Err: trouble}
	}
	return who, nil
}

// note takes from an attribute what the source itself needs of it.
func (p *portrayer) note(who *portrait, f field, attr *ldap.EntryAttribute) error {
	if f.name {
		who.Name = strings.ToValidUTF8(attr.Values[0], "\uFFFD")
	}
	if f.login {
		who.logins = attr.Values
	}
	if f.judge != nil {
		inactive, err := f.judge(attr.Values[0], p.now)
		if err != nil {
			return err
		}
		who.Active = who.Active && !inactive
	}
	if f.anchor {
		if len(attr.ByteValues) > 1 {
			return fmt.Errorf("%s has %d values, and an anchor has one", p.anchor.name, len(attr.ByteValues))
		}
		text, err := p.anchor.render(attr.ByteValues[0])
		if err != nil {
			return err
		}
		who.ID.Anchor = text
	}
	return nil
}

// rendered makes text of values: base64 where they are binary or not UTF-8.
func rendered(f field, attr *ldap.EntryAttribute) []string {
	values := attr.Values
	for i, value := range values {
		if f.binary || !utf8.ValidString(value) {
			values[i] = base64.StdEncoding.EncodeToString(attr.ByteValues[i])
		}
	}
	return values
}

// firstValue is the value of a DN's first component, for messages.
func firstValue(dn string) string {
	first := strings.TrimSuffix(dn, identity.ParentDN(dn))
	_, value, _ := strings.Cut(strings.TrimRight(first, ", "), "=")
	return value
}

// rest asks for the values that follow a range, until there are no more (MS-ADTS 3.1.1.3.1.3.3).
func (s *session) rest(ctx context.Context, dn string, d description) (*ldap.EntryAttribute, error) {
	all := new(ldap.EntryAttribute)
	for d.partial {
		name := fmt.Sprintf("%s;range=%d-*", d.base, d.high+1)
		entry, err := s.read(ctx, dn, name)
		if err != nil {
			return nil, &shortfall{reason: "values of " + dn + " from " + name, next: remedy(err), err: err}
		}
		var more *ldap.EntryAttribute
		var got description
		for _, attr := range attributes(entry) {
			if g := parseDescription(attr.Name); g.base == d.base && g.ranged && len(attr.Values) > 0 {
				more, got = attr, g
			}
		}
		if more == nil || got.partial && got.high <= d.high {
			return nil, &shortfall{reason: "values of " + dn + ": the server did not go on from " + name}
		}
		all.Values, all.ByteValues = append(all.Values, more.Values...), append(all.ByteValues, more.ByteValues...)
		d = got
	}
	return all, nil
}

func attributes(entry *ldap.Entry) []*ldap.EntryAttribute {
	if entry == nil {
		return nil
	}
	return entry.Attributes
}
