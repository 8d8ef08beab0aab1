//go:build unix

package directory

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/targettest"
)

func TestTarget(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		targettest.Run(t, func(t *testing.T) *targettest.Harness { return harness(t, l.unit(t)) })
	})
}

func harness(t *testing.T, u *unit) *targettest.Harness {
	groups := []string{"editors", "readers"}
	for _, name := range groups {
		u.group(t, name)
	}
	return &targettest.Harness{
		Open: func(t *testing.T) targets.Target { return u.open(t, u.closing("description")...) },
		Intruder: func(t *testing.T) targets.Target {
			lines := strings.Join(u.access, "\n")
			wrong := &lab{domain: u.domain, lines: u.lines, mark: u.mark}
			wrong.access = []string{lines[:strings.LastIndex(lines, "bind_password")], `bind_password = "wrong"`}
			intruder := &unit{lab: wrong, base: u.base, groups: u.groups, prefix: u.prefix}
			return intruder.open(t)
		},
		Want: u.want, Text: "displayName", Clearable: "title", FindBy: []string{"externalId", "mail"}, Conflicts: true, Groups: groups,
		Look: func(t *testing.T, id identity.AccountID) (identity.Account, bool) { return u.look(t, id) },
		Meddle: func(t *testing.T, id identity.AccountID) func() bool {
			dn := u.dn(t, id)
			u.Set(t, dn, "postalCode", "10115")
			u.Set(t, dn, "street", "by hand")
			return func() bool {
				return u.one(t, dn, "postalCode") == "10115" && u.one(t, dn, "street") == "by hand"
			}
		},
	}
}
