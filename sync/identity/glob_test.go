package identity_test

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestManagedIsWhatFitsAPattern(t *testing.T) {
	group := func(name string) identity.Entitlement {
		return identity.Entitlement{Kind: "group", ID: "7", Name: name}
	}
	for _, c := range []struct {
		name    string
		managed identity.Managed
		of      identity.Entitlement
		want    bool
	}{
		{"by its beginning", identity.Managed{"wiki-*"}, group("wiki-admins"), true},
		{"another beginning", identity.Managed{"wiki-*"}, group("crm-admins"), false},
		{"any of several", identity.Managed{"crm-*", "wiki-?"}, group("wiki-a"), true},
		{"one letter is one", identity.Managed{"wiki-?"}, group("wiki-ab"), false},
		{"a class of letters", identity.Managed{"wiki-[a-c]"}, group("wiki-b"), true},
		{"the whole name, not a part", identity.Managed{"admins"}, group("wiki-admins"), false},
		{"letter case does not count", identity.Managed{"Wiki-*"}, group("wIKI-Admins"), true},
		{"a slash is a letter", identity.Managed{"team*"}, group("team/sales"), true},
		{"a backslash is a letter", identity.Managed{`CORP\*`}, group(`corp\sales`), true},
		{"everything", identity.Managed{"*"}, group("x"), true},
		{"nothing is managed", nil, group("x"), false},

		{"of its kind", identity.Managed{"role:editor-*"}, identity.Entitlement{Kind: "role", Name: "editor-de"}, true},
		{"of its kind, in other letters", identity.Managed{"Role:editor-*"}, identity.Entitlement{Kind: "role", Name: "EDITOR-de"}, true},
		{"of another kind", identity.Managed{"role:editor-*"}, group("editor-de"), false},
		{"a kind that is not known may be any", identity.Managed{"role:editor-*"}, identity.Entitlement{Name: "editor-de"}, true},
		{"without a kind of every kind", identity.Managed{"editor-*"}, identity.Entitlement{Kind: "role", Name: "editor-de"}, true},
		{"a kind is no part of the name", identity.Managed{"gr*"}, group("x"), false},
		{"nor is it a pattern", identity.Managed{"*:x"}, group("x"), false},
		{"a name may have a colon", identity.Managed{"app:*"}, group("app:admins"), true},

		{"the identifier is no name", identity.Managed{"7", "*"}, identity.Entitlement{Kind: "group", ID: "7"}, false},
		{"what is no pattern fits nothing", identity.Managed{"[a"}, group("[a"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.managed.Has(c.of); got != c.want {
				t.Errorf("%q has %+v: %v", c.managed, c.of, got)
			}
		})
	}
}

func FuzzGlob(f *testing.F) {
	for _, glob := range []string{"wiki-*", "[a", `CORP\*`, "a?c", "role:*", "[^a-z]", ""} {
		f.Add(glob, "wiki-admins")
	}
	f.Fuzz(func(t *testing.T, glob, name string) {
		fits := identity.FitsGlob(glob, name)
		if wrong := identity.GlobError(glob); wrong != nil && fits {
			t.Errorf("%q is no pattern (%v), and fits %q", glob, wrong, name)
		}
		pattern, lower := strings.ToLower(glob), strings.ToLower(name)
		plain := !strings.ContainsAny(glob, "*?[") && !strings.ContainsAny(glob+name, "\x00\x01/\\")
		if plain && fits != (pattern == lower) {
			t.Errorf("%q without wildcards fits %q: %v", glob, name, fits)
		}
		if !identity.FitsGlob("*", name) {
			t.Errorf("* does not fit %q", name)
		}
	})
}
