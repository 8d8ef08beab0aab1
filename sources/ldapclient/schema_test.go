package ldapclient

import (
	"strings"
	"testing"
)

// TestSchemaClasses reads object class descriptions as servers write them.
func TestSchemaClasses(t *testing.T) {
	for definition, want := range map[string][2]string{
		`( 2.5.6.9 NAME 'groupOfNames' DESC 'RFC2256: a group' SUP top STRUCTURAL MUST ( member $ cn ) MAY ( owner $ ou ) )`: {"groupOfNames", "member cn"},
		`( 2.5.6.9 NAME 'groupOfNames' SUP top MUST cn MAY ( member $ owner ) X-ORIGIN 'RFC 4519' )`:                         {"groupOfNames", "cn"},
		`( 1.2 NAME ( 'a' 'b' ) ABSTRACT )`: {"a b", ""},
		`(1.2 NAME 'a' MUST cn)`:            {"a", "cn"},
		``:                                  {"", ""},
		`NAME`:                              {"", ""},
	} {
		names, must := ParseClass(definition)
		if got := [2]string{strings.Join(names, " "), strings.Join(must, " ")}; got != want {
			t.Errorf("%s: %q", definition, got)
		}
	}
}
