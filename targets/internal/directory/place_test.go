//go:build unix

package directory

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// TestInPlace: accounts that are the people themselves are neither made nor deleted, and known by their identifier.
func TestInPlace(t *testing.T) {
	u := slapd(t).unit(t)
	a := u.made(t, u.begun(t), 1)
	u.mark = "entryUUID"
	spec := u.spec(t)
	if spec.Accepts("externalId") == nil || len(spec.Required()) > 0 {
		t.Error("something has to be mapped, or externalId can be")
	}
	target, err := spec.Open(targets.Need{Paths: []string{"userName", "title"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	p, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.Capabilities().Delete {
		t.Error("it says that it can delete people")
	}
	found, err := p.Find(t.Context(), "externalId", string(a.ID))
	if err != nil || len(found) != 1 || found[0].ID != a.ID || found[0].ExternalID != string(a.ID) {
		t.Errorf("found: %+v, %v", found, err)
	}
	want := u.want(2)
	want.ExternalID = ""
	if made, _, err := p.Create(t.Context(), want); !errors.Is(err, targets.ErrRejected) || made.ID != "" {
		t.Errorf("somebody is made: %s, %v", made.ID, err)
	}
	if _, err := p.Delete(t.Context(), a); !errors.Is(err, targets.ErrRejected) || u.dn(t, a.ID) == "" {
		t.Errorf("somebody is deleted: %v", err)
	}
}

// TestLoginsAreUniqueWhereverAccountsAre: a server sees to that in one container only.
func TestLoginsAreUniqueWhereverAccountsAre(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t, u.closing("description")...)
	want := u.want(1)
	leaver := "cn=Somebody," + u.leavers
	u.Add(t, leaver, map[string][]string{"objectClass": {"inetOrgPerson"}, "sn": {"x"}, "uid": {want.UserName}})
	_, _, err := p.Create(t.Context(), want)
	if !errors.Is(err, targets.ErrConflict) || !strings.Contains(strings.ToLower(err.Error()), "cn=somebody") {
		t.Errorf("made: %v", err)
	}
	a := u.made(t, p, 2)
	_, _, err = p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
		{Path: "userName", After: identity.Text(want.UserName)},
	}})
	if !errors.Is(err, targets.ErrConflict) {
		t.Errorf("renamed: %v", err)
	}
}

// TestStepsSayWhatIsLeft: before they are taken, and of each what it is about.
func TestStepsSayWhatIsLeft(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t, u.closing("description")...)
	a := u.made(t, p, 1)
	u.Set(t, u.dn(t, a.ID), "userCertificate;binary", someCertificate(t))
	want := map[string]string{"stamp": "description", "clear": "userCertificate", "move": "it is at"}
	for _, step := range p.Closing() {
		if step.Left == nil {
			continue
		}
		left, err := step.Left(t.Context(), a)
		if err != nil || !strings.Contains(left, want[step.Name]) || want[step.Name] == "" {
			t.Errorf("%s: left is %q, %v", step.Name, left, err)
		}
	}
}

// TestD08ChildrenOfChildren: what is deepest goes first.
func TestD08ChildrenOfChildren(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t, `delete_children = ["applicationProcess"]`)
	a := u.made(t, p, 1)
	below := u.dn(t, a.ID)
	for n := range 3 {
		below = fmt.Sprintf("cn=phone%d,%s", n, below)
		u.Add(t, below, map[string][]string{"objectClass": {"applicationProcess"}})
	}
	if _, err := p.Delete(t.Context(), a); err != nil || u.dn(t, a.ID) != "" {
		t.Errorf("with children of children: %v", err)
	}
}

// TestR12WhoJoinsIsAdded: to whoever is there, and only once.
func TestR12WhoJoinsIsAdded(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t)
	a, other := u.made(t, p, 1), u.made(t, p, 2)
	group := u.group(t, "editors", u.dn(t, other.ID))
	grant := identity.Delta{Grant: identity.NamedEntitlements("editors")}
	for range 2 { // the second time as one whose answer was lost
		if _, _, err := p.Update(t.Context(), a, grant); err != nil {
			t.Error(err)
		}
	}
	if got := u.Values(t, group, "member"); len(got) != 3 {
		t.Errorf("members: %q", got)
	}
}
