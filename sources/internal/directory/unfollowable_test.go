package directory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// TestR04SigningInAtOnceIsTriedOnce: a wrong password is tried once, whoever asks meanwhile.
func TestR04SigningInAtOnceIsTriedOnce(t *testing.T) {
	dc := &fake{people: func(w *answer, _ asked) { w.persons(1, 2); w.page("") }, bind: 49}
	src := reading(t, sources.Need{}, []string{dc.start(t)})
	ended := make(chan error)
	for range 10 {
		go func() {
			_, err := src.Find(t.Context(), sources.Lookup{Anchor: "uuid-1"})
			ended <- err
		}()
	}
	for range 10 {
		if err := <-ended; !ldapclient.RefusedSignIn(err) {
			t.Error(err)
		}
	}
	if n := dc.binds.Load(); n != 1 {
		t.Errorf("%d binds", n)
	}
}

// TestWhatNoChangeTellsOf: attributes that change without a change of their entry are not followed, wherever the config
// names them.
func TestWhatNoChangeTellsOf(t *testing.T) {
	for name, c := range map[string]struct {
		need   []string
		filter string
		lines  []string
		want   string
	}{
		"nothing of the kind":      {need: []string{"mail"}, filter: "(&(objectClass=person)(|(mail=*)(title=x*)))"},
		"an attribute":             {need: []string{"mail", "memberOf"}, want: "memberOf changes"},
		"with an option":           {need: []string{"MEMBEROF;lang-de"}, want: "MEMBEROF;lang-de changes"},
		"a filter":                 {filter: "(&(objectClass=person)(!(|(memberOf=cn=x)(mail=*))))", want: "memberOf, in filter, changes"},
		"a filter for presence":    {filter: "(isMemberOf=*)", want: "isMemberOf, in filter"},
		"a filter for a part":      {filter: "(tokenGroups=a*b)", want: "tokenGroups, in filter"},
		"a filter by a rule":       {filter: "(memberOf:1.2.840.113556.1.4.1941:=cn=x)", want: "memberOf, in filter"},
		"the filter of groups":     {lines: []string{`groups {`, `base_dn = "ou=g,dc=example,dc=org"`, `filter = "(memberOf=cn=x)"`, `}`}, want: "memberOf, in the groups block"},
		"the attribute of members": {lines: []string{`groups {`, `base_dn = "ou=g,dc=example,dc=org"`, `member = ["nsRole"]`, `}`}, want: "nsRole, in the groups block"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := append([]string{
				`url = "ldaps://ldap.example.org"`, `bind = "anonymous"`, `base_dn = "dc=example,dc=org"`,
			}, c.lines...)
			if c.filter != "" {
				lines = append(lines, fmt.Sprintf("filter = %q", c.filter))
			}
			src := open(t, sources.Need{Attributes: c.need, Groups: c.lines != nil}, lines...)
			if got := src.unfollowable(); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
