//go:build unix

package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// begun opens the unit's target and begins a pass.
func (u *unit) begun(t testing.TB, lines ...string) *pass {
	t.Helper()
	p, err := u.open(t, lines...).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.(*pass)
}

// made makes an account of number n.
func (u *unit) made(t testing.TB, p *pass, n int, change ...func(*identity.Account)) identity.Account {
	t.Helper()
	want := u.want(n)
	for _, c := range change {
		c(&want)
	}
	a, _, err := p.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// everything is an entry as the administrator sees it, but for what every write changes.
func (u *unit) everything(t testing.TB, dn string, but ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	u.Edit(t, "read "+dn, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
			[]string{"*", "+"}, nil))
		if err != nil {
			return err
		}
		for _, a := range found.Entries[0].Attributes {
			if !ldapclient.ContainsFold(slices.Concat(but, []string{
				"uSNChanged", "whenChanged", "modifyTimestamp", "entryCSN", "modifiersName", "entryusn", "uSNCreated", "replPropertyMetaData",
			}), a.Name) {
				all[a.Name] = strings.Join(a.Values, "\x00")
			}
		}
		return nil
	})
	return all
}

func same(t testing.TB, what string, before, after map[string]string) {
	t.Helper()
	for name, value := range before {
		if after[name] != value {
			t.Errorf("%s: %s was %q and is %q", what, name, value, after[name])
		}
	}
	for name, value := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s: %s is new: %q", what, name, value)
		}
	}
}

// TestR08WhoIsDisabledCannotSignIn: the proof is a bind that is refused; and whoever else is there, and whatever else the
// account has, is byte for byte as before.
func TestR08WhoIsDisabledCannotSignIn(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a, other := u.made(t, p, 1), u.made(t, p, 2)
		const password = "Correct-Horse-7-Battery"
		for _, who := range []identity.Account{a, other} {
			u.setPassword(t, u.dn(t, who.ID), password)
			if u.domain {
				u.Set(t, u.dn(t, who.ID), "pwdLastSet", "-1")
			}
		}
		dn := u.dn(t, a.ID)
		if !u.signsIn(t, dn, password) || !u.signsIn(t, u.dn(t, other.ID), password) {
			t.Fatal("they cannot sign in to begin with")
		}
		door := p.doors[0].attribute
		but := []string{door, "lastLogon", "lastLogonTimestamp", "logonCount", "badPwdCount", "badPasswordTime"}
		before, neighbour := u.everything(t, dn, but...), u.everything(t, u.dn(t, other.ID), but[1:]...)
		if _, err := p.Disable(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if u.signsIn(t, dn, password) {
			t.Error("disabled, and can sign in")
		}
		same(t, "the account", before, u.everything(t, dn, but...))
		same(t, "another account", neighbour, u.everything(t, u.dn(t, other.ID), but[1:]...))
		if _, err := p.Enable(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		if !u.signsIn(t, dn, password) {
			t.Error("enabled, and cannot sign in")
		}
		same(t, "the account again", before, u.everything(t, dn, but...))
	})
}

// TestD01OtherFlagsStay: each step changes its own bit of userAccountControl, and a new password none.
func TestD01OtherFlagsStay(t *testing.T) {
	u := samba(t).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	dn := u.dn(t, a.ID)
	const closed, opened = "66082", "66080" // never expires, needs no password
	u.Set(t, dn, "userAccountControl", closed)
	flags := func(want, after string) {
		t.Helper()
		if got := u.one(t, dn, "userAccountControl"); got != want {
			t.Errorf("after %s userAccountControl is %s, want %s", after, got, want)
		}
	}
	if _, err := p.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	flags(closed, "disable")
	if err := p.with(t.Context(), func(s *ldapclient.Session) error { return p.resetPassword(t.Context(), s, a.ID) }); err != nil {
		t.Fatal(err)
	}
	flags(closed, "a new password")
	if _, err := p.Enable(t.Context(), a, nil); err != nil {
		t.Fatal(err)
	}
	flags(opened, "enable")
}

// TestD02FlagsAreExchangedNotWritten: what somebody else changes between reading and writing is read again; what cannot be
// read is not computed of.
func TestD02FlagsAreExchangedNotWritten(t *testing.T) {
	u := samba(t).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	dn := u.dn(t, a.ID)
	meddled := false
	err := p.with(t.Context(), func(s *ldapclient.Session) error {
		return p.swap(t.Context(), s, a.ID, p.doors[0].attribute, func(have []string) ([]string, error) {
			if !meddled {
				meddled = true
				u.Set(t, dn, "userAccountControl", "66048") // an administrator says that the password never expires
			}
			return p.doors[0].shut(have)
		})
	})
	if got := u.one(t, dn, "userAccountControl"); err != nil || got != "66050" {
		t.Errorf("userAccountControl is %s, want both changes: %v", got, err)
	}
	for _, values := range [][]string{nil, {""}, {"0"}, {"x"}, {"512", "514"}} {
		d := domainDoor()
		if closed, err := d.closed(values); closed || err == nil {
			t.Errorf("%q counts as closed: %v, %v", values, closed, err)
		}
		for _, compute := range []func([]string) ([]string, error){d.shut, d.release} {
			if got, err := compute(values); err == nil {
				t.Errorf("of %q %q was computed", values, got)
			}
		}
	}
}

// TestD03PasswordsFitThePolicy: a stricter policy makes no creation end half way.
func TestD03PasswordsFitThePolicy(t *testing.T) {
	u := samba(t).unit(t)
	p := u.begun(t)
	u.Set(t, u.root, "minPwdLength", "40")
	u.Set(t, u.root, "pwdProperties", "1")
	a := u.made(t, p, 1)
	if dn := u.dn(t, a.ID); !u.active(t, dn) || u.one(t, dn, "userAccountControl") != "512" || u.one(t, dn, "pwdLastSet") != "0" {
		t.Errorf("made with userAccountControl %s, pwdLastSet %s", u.one(t, dn, "userAccountControl"), u.one(t, dn, "pwdLastSet"))
	}
	for _, length := range []int{4, 32, 128} {
		one, err := randomPassword(length)
		another, _ := randomPassword(length)
		if err != nil || len(one) != length || length > 4 && one == another {
			t.Errorf("%q, %q, %v", one, another, err)
		}
		for _, alphabet := range alphabets() {
			if !strings.ContainsAny(one, alphabet) {
				t.Errorf("%q has nothing of %q", one, alphabet)
			}
		}
	}
}

// TestD04MovesAreReadBack: into a deep tree, and with a name that needs escapes.
func TestD04MovesAreReadBack(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a := u.made(t, p, 1, func(a *identity.Account) {
			a.Attributes["cn"] = identity.Text(u.prefix + `Smith, "Ann" #1 + 名前`)
		})
		deep := u.base
		for n := range 10 {
			deep = u.AddUnit(t, fmt.Sprintf("level %d, deep", n), deep)
		}
		change := func(path, to string) (identity.Account, targets.Receipt) {
			t.Helper()
			after, r, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
				{Path: path, Before: a.Get(path), After: p.Normal(path, identity.Text(to))},
			}})
			if err != nil {
				t.Fatal(err)
			}
			return after, r
		}
		after, _ := change("container", deep)
		if got := u.dn(t, a.ID); !ldapclient.SameDN(identity.ParentDN(got), deep) {
			t.Errorf("it is at %s, want it below %s", got, deep)
		}
		if want := p.Normal("container", identity.Text(deep)); after.Get("container") != want || after.ID != a.ID {
			t.Errorf("it says that it is at %s, want %s", after.Get("container"), want)
		}
		for _, to := range []string{"ou=nowhere," + u.base, "no DN"} {
			if _, r := change("container", to); len(r.Refused) != 1 || r.Refused[0].Path != "container" {
				t.Errorf("to %s: refused is %+v", to, r.Refused)
			}
		}
	})
}

// TestD05StepsFindAnAccountThatMoves: each looks where it is now.
func TestD05StepsFindAnAccountThatMoves(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a := u.made(t, p, 1)
		for _, to := range []string{u.leavers, u.base, u.groups} {
			u.Move(t, u.dn(t, a.ID), to)
			for _, do := range []func() error{
				func() error { _, err := p.Disable(t.Context(), a); return err },
				func() error { _, err := p.Account(t.Context(), a.ID); return err },
				func() error {
					_, _, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", After: identity.Text(to)}}})
					return err
				},
			} {
				if err := do(); err != nil {
					t.Error(err)
				}
			}
			if u.active(t, u.dn(t, a.ID)) || u.one(t, u.dn(t, a.ID), "title") != to {
				t.Errorf("at %s nothing was done", to)
			}
		}
	})
}

// TestR09EveryDoorIsTried: one lock that cannot be set keeps no other from being set.
func TestR09EveryDoorIsTried(t *testing.T) {
	u := slapd(t).unit(t)
	u.lines = []string{`profile = ["edirectory", "openldap"]`}
	p := u.begun(t)
	a := u.made(t, p, 1)
	if _, err := p.Disable(t.Context(), a); !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "loginDisabled") {
		t.Errorf("disabled by what the server does not know: %v", err)
	}
	if u.active(t, u.dn(t, a.ID)) {
		t.Error("the other lock is not set")
	}
}

// TestWhatNoListHas: an account that was taken away from where accounts are is read by itself, and says that no list has it.
func TestWhatNoListHas(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a, b := u.made(t, p, 1), u.made(t, p, 2)
		u.Move(t, u.dn(t, a.ID), u.groups)
		for who, want := range map[identity.AccountID]string{a.ID: "is not below base_dn", b.ID: ""} {
			if now, err := p.Account(t.Context(), who); err != nil || (now.Unlisted == "") != (want == "") || !strings.HasSuffix(now.Unlisted, want) {
				t.Errorf("%q, %v", now.Unlisted, err)
			}
		}
		filtered := u.begun(t, `filter = "(&(objectClass=person)(title=Engineer))"`)
		u.Set(t, u.dn(t, b.ID), "title", "Boss")
		if now, err := filtered.Account(t.Context(), b.ID); err != nil || !strings.Contains(now.Unlisted, "filter") {
			t.Errorf("%q, %v", now.Unlisted, err)
		}
	})
}

// TestD08ChildrenAreTold: an account with entries below it is deleted only where the config names them.
func TestD08ChildrenAreTold(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a, other := u.made(t, p, 1), u.made(t, p, 2)
		class, child := "applicationProcess", map[string][]string{"objectClass": {"applicationProcess"}}
		if u.domain {
			class, child = "nTFRSSubscriptions", map[string][]string{"objectClass": {"nTFRSSubscriptions"}}
		}
		for _, who := range []identity.Account{a, other} {
			u.Add(t, "cn=phone,"+u.dn(t, who.ID), child)
		}
		_, err := p.Delete(t.Context(), a)
		if !errors.Is(err, targets.ErrRejected) || !strings.Contains(strings.ToLower(err.Error()), "cn=phone,") {
			t.Errorf("with a child: %v", err)
		}
		with := u.begun(t, fmt.Sprintf("delete_children = [%q]", class))
		if _, err := with.Delete(t.Context(), a); err != nil || u.dn(t, a.ID) != "" {
			t.Errorf("with a child of a class that is named: %v", err)
		}
		if !u.domain {
			u.Add(t, "uid=below,"+u.dn(t, other.ID), map[string][]string{"objectClass": {"inetOrgPerson"}, "sn": {"x"}, "cn": {"x"}})
			people := u.begun(t, fmt.Sprintf(`delete_children = [%q, "inetOrgPerson", "person"]`, class))
			if _, err := people.Delete(t.Context(), other); !errors.Is(err, targets.ErrRejected) || u.dn(t, other.ID) == "" {
				t.Errorf("with a person below: %v", err)
			}
		}
	})
}

// TestD09TheLastMember: a group that may not be empty keeps its last member, unless somebody stands in.
func TestD09TheLastMember(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	alone := u.group(t, "alone", u.dn(t, a.ID))
	u.Leave(t, alone, "cn=nobody")
	withdraw := identity.Delta{Withdraw: identity.NamedEntitlements("alone")}
	_, _, err := p.Update(t.Context(), a, withdraw)
	if !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "placeholder_member") {
		t.Errorf("the last member: %v", err)
	}
	if got := u.Values(t, alone, "member"); len(got) != 1 {
		t.Errorf("members: %q", got)
	}
	u.lines = append(u.lines, "")
	spec := decode(t, u.kind(), slices.Concat(u.access, u.lines, []string{
		fmt.Sprintf("base_dn = %q", u.base), "groups {", fmt.Sprintf("base_dn = %q", u.groups), `placeholder_member = "cn=nobody"`, "}",
	})...)
	target, err := spec.Open(targets.Need{Paths: paths()[:1], Entitlements: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	with, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := with.Update(t.Context(), a, withdraw); err != nil {
		t.Error(err)
	}
	if got := u.Values(t, alone, "member"); !slices.Equal(got, []string{"cn=nobody"}) {
		t.Errorf("members: %q", got)
	}
}

// TestD10OneValueOfAGroup: whoever else joins or is in it stays.
func TestD10OneValueOfAGroup(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t)
		a, eve := u.made(t, p, 1), u.made(t, p, 2)
		var others []string
		for n := 3; n < 40; n++ {
			others = append(others, u.dn(t, u.made(t, p, n).ID))
		}
		group := u.group(t, "many", append(others, u.dn(t, a.ID))...)
		whole, err := p.Entitlements(t.Context(), a)
		if err != nil || len(whole.Entitlements) != 1 {
			t.Fatalf("%+v, %v", whole.Entitlements, err)
		}
		u.Join(t, group, u.dn(t, eve.ID))
		if _, _, err := p.Update(t.Context(), a, identity.Delta{Withdraw: whole.Entitlements}); err != nil {
			t.Fatal(err)
		}
		members := u.Values(t, group, "member")
		for _, dn := range append(others, u.dn(t, eve.ID)) {
			if !slices.ContainsFunc(members, func(m string) bool { return ldapclient.SameDN(m, dn) }) {
				t.Errorf("%s is not in the group any more", dn)
			}
		}
		if slices.ContainsFunc(members, func(m string) bool { return ldapclient.SameDN(m, u.dn(t, a.ID)) }) {
			t.Error("the one who was taken out is in")
		}
	})
}

// TestPrimaryGroups: one that is somebody's primary group is an entitlement as well, and is taken away.
func TestPrimaryGroups(t *testing.T) {
	u := samba(t).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	dn := u.dn(t, a.ID)
	group := u.group(t, "sales", dn)
	sid, err := ldapclient.SIDText([]byte(u.one(t, group, "objectSid")))
	if err != nil {
		t.Fatal(err)
	}
	u.Set(t, dn, "primaryGroupID", sid[strings.LastIndexByte(sid, '-')+1:])
	if members := u.Values(t, group, "member"); len(members) != 0 {
		t.Fatalf("the primary group still lists %q", members)
	}
	whole, err := p.Entitlements(t.Context(), a)
	if err != nil || len(whole.Entitlements) != 1 || whole.Entitlements[0].Name != "sales" {
		t.Fatalf("%+v, %v", whole.Entitlements, err)
	}
	for listed, err := range p.Accounts(t.Context()) {
		if err != nil || listed.ID == a.ID && !slices.Equal(listed.Entitlements, whole.Entitlements) {
			t.Errorf("listed with %+v, %v", listed.Entitlements, err)
		}
	}
	after, _, err := p.Update(t.Context(), a, identity.Delta{Withdraw: whole.Entitlements})
	if err != nil || len(after.Entitlements) != 0 || u.one(t, dn, "primaryGroupID") != "513" || len(u.Values(t, group, "member")) != 0 {
		t.Errorf("taken away: %+v, %v, primary %s, members %q", after.Entitlements, err, u.one(t, dn, "primaryGroupID"), u.Values(t, group, "member"))
	}
}

// TestR05TheDomainsOwnAreNotTouched: nobody sees them, and nobody can disable them.
func TestR05TheDomainsOwnAreNotTouched(t *testing.T) {
	l := samba(t)
	u := &unit{lab: l, base: "CN=Users," + l.root, groups: l.AddUnit(t, "g", l.root), prefix: "x."}
	p := u.begun(t)
	for a, err := range p.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if a.UserName != "dirsweep" {
			t.Errorf("%s is listed", a.UserName)
		}
	}
	found, err := p.Find(t.Context(), "userName", "Administrator")
	if err != nil || len(found) > 0 {
		t.Errorf("found: %+v, %v", found, err)
	}
	raw := u.one(t, "CN=Administrator,CN=Users,"+u.root, "objectGUID")
	id, err := ldapclient.GUIDText([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Disable(t.Context(), identity.Account{ID: identity.AccountID(id)}); !errors.Is(err, targets.ErrForbidden) ||
		!u.active(t, "CN=Administrator,CN=Users,"+u.root) {
		t.Errorf("disabling the administrator: %v", err)
	}
	own, err := p.Own(t.Context())
	if err != nil || own.UserName != "Administrator" || own.ID != identity.AccountID(id) {
		t.Errorf("signed in as %+v, %v", own, err)
	}
}

// TestUniqueOverTheForest: a mail address or userPrincipalName that somebody has is given to nobody else.
func TestUniqueOverTheForest(t *testing.T) {
	u := samba(t).unit(t)
	p := u.begun(t)
	elsewhere := "CN=taken,CN=Users," + u.root
	u.Add(t, elsewhere, map[string][]string{
		"objectClass": {"user"}, "sAMAccountName": {"taken"}, "mail": {"Ann@example.org"}, "proxyAddresses": {"smtp:second@example.org"},
	})
	for _, mail := range []string{"ann@EXAMPLE.org", "second@example.org"} {
		want := u.want(1)
		want.Attributes["mail"] = identity.Text(mail)
		if _, _, err := p.Create(t.Context(), want); !errors.Is(err, targets.ErrConflict) || !strings.Contains(err.Error(), elsewhere) {
			t.Errorf("made with %s: %v", mail, err)
		}
	}
	a := u.made(t, p, 2)
	_, _, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{{Path: "mail", After: identity.Text("ann@example.org")}}})
	if !errors.Is(err, targets.ErrConflict) {
		t.Errorf("changed to a taken one: %v", err)
	}
	if catalogOf("ldaps://dc1.example.org") != "ldaps://dc1.example.org:3269" || catalogOf("ldap://dc1") != "ldap://dc1:3268" ||
		catalogOf("ldaps://dc1:1636") != "" {
		t.Error("the catalog is elsewhere")
	}
}
