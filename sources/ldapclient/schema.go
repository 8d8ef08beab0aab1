package ldapclient

import (
	"context"
	"errors"
	"strings"
)

// Requires asks the schema whether entries of a class must have an attribute, once a connection.
func (s *Session) Requires(ctx context.Context, class, attribute string) (bool, error) {
	if s.classes == nil {
		about, err := s.Describe(ctx)
		if err != nil {
			return false, err
		}
		s.classes = []string{}
		if about.schema != "" {
			entry, err := s.Read(ctx, about.schema, "objectClasses")
			if err != nil {
				var refused *ResultError
				if !errors.As(err, &refused) {
					return false, err
				}
			}
			if entry != nil {
				s.classes = entry.GetEqualFoldAttributeValues("objectClasses")
			}
		}
	}
	for _, definition := range s.classes {
		if names, must := ParseClass(definition); ContainsFold(names, class) {
			return ContainsFold(must, attribute), nil
		}
	}
	return true, nil
}

// ParseClass reads the names and the mandatory attributes of an object class description (RFC 4512, 4.1.1).
func ParseClass(definition string) (names, must []string) {
	rest := definition
	if cut := strings.Index(rest, "NAME"); cut >= 0 {
		names = words(rest[cut+len("NAME"):])
	}
	if cut := strings.Index(rest, " MUST "); cut >= 0 {
		must = words(rest[cut+len(" MUST "):])
	}
	return names, must
}

// words reads 'a', a, ( 'a' 'b' ) or ( a $ b ).
func words(s string) []string {
	s = strings.TrimLeft(s, " ")
	if inner, ok := strings.CutPrefix(s, "("); ok {
		s, _, _ = strings.Cut(inner, ")")
	} else {
		s, _, _ = strings.Cut(s, " ")
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '$' || r == '\'' || r == ')' })
}

// Defines asks the schema whether the server knows an attribute; true where the schema cannot be read.
func (s *Session) Defines(ctx context.Context, attribute string) (bool, error) {
	about, err := s.Describe(ctx)
	if err != nil || about.schema == "" {
		return true, err
	}
	entry, err := s.Read(ctx, about.schema, "attributeTypes")
	var refused *ResultError
	if err != nil && !errors.As(err, &refused) {
		return false, err
	}
	definitions := []string{}
	if entry != nil {
		definitions = entry.GetEqualFoldAttributeValues("attributeTypes")
	}
	for _, definition := range definitions {
		if names, _ := ParseClass(definition); ContainsFold(names, attribute) {
			return true, nil
		}
	}
	return len(definitions) == 0, nil
}
