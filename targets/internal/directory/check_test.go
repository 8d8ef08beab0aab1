//go:build unix

package directory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets"
)

// The GUIDs of attributes and rights by which a domain delegates (MS-ADA1 to 3, MS-ADTS 5.1.3.2.1).
const (
	accountControl = "bf967a68-0de6-11d0-a285-00aa003049e2"
	titles         = "bf967a55-0de6-11d0-a285-00aa003049e2"
	members        = "bf9679c0-0de6-11d0-a285-00aa003049e2"
	resetPassword  = "00299570-246d-11d0-a768-00aa006e0529"
)

// TestCheckNamesTheRightThatIsMissing: with the rights that the documentation gives, check is content; with one less it
// names that one, and nothing was changed by looking.
func TestCheckNamesTheRightThatIsMissing(t *testing.T) {
	all := writeAll()
	for name, c := range map[string]struct {
		base, groups []string
		want         string
	}{
		"all of them":        {all, []string{"(A;CI;WP;;;"}, ""},
		"not disabling":      {append(all, "(OD;CI;WP;"+accountControl+";;"), []string{"(A;CI;WP;;;"}, "write userAccountControl"},
		"not an attribute":   {append(all, "(OD;CI;WP;"+titles+";;"), []string{"(A;CI;WP;;;"}, "write title"},
		"not passwords":      {append(all, "(OD;CI;CR;"+resetPassword+";;"), []string{"(A;CI;WP;;;"}, "reset passwords"},
		"not the membership": {all, []string{"(OD;CI;WP;" + members + ";;"}, "write member of groups"},
	} {
		t.Run(name, func(t *testing.T) {
			u, s := delegated(t, c.base...)
			s.Grant(t, u.groups, c.groups...)
			a := u.hand(t, 1)
			u.group(t, "editors")
			dn := u.dn(t, a.ID)
			before := u.everything(t, dn)
			lines, err := u.open(t).(targets.Checker).Check(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), "lacks the right to "+c.want) &&
				!strings.Contains(err.Error(), "lacks the right to "+c.want+" (")) {
				t.Errorf("%v, want %q\n%s", err, c.want, strings.Join(lines, "\n"))
			}
			same(t, "the account", before, u.everything(t, dn))
		})
	}
}

// TestCheckOfSlapd: the same with the access rules of OpenLDAP.
func TestCheckOfSlapd(t *testing.T) {
	for name, c := range map[string]struct{ but, want string }{
		"all of them":      {"", ""},
		"not disabling":    {"to attrs=pwdAccountLockedTime by * read", "write pwdAccountLockedTime"},
		"not an attribute": {"to attrs=title by * read", "write title"},
	} {
		t.Run(name, func(t *testing.T) {
			s := slapdtest.Start(t, slapdtest.Options{Locks: true})
			u := slapdLab(s).unit(t)
			u.made(t, u.begun(t), 1)
			rules := []string{fmt.Sprintf("to * by dn.exact=%q write by * none", s.ReaderDN())}
			if c.but != "" {
				rules = append([]string{c.but}, rules...)
			}
			s.Restrict(t, append([]string{"to attrs=userPassword by anonymous auth by * write"}, rules...)...)
			u.access[1] = fmt.Sprintf("bind_dn = %q", s.ReaderDN())
			lines, err := u.open(t).(targets.Checker).Check(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), "lacks the right to "+c.want)) {
				t.Errorf("%v, want %q\n%s", err, c.want, strings.Join(lines, "\n"))
			}
		})
	}
}
