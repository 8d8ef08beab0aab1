//go:build unix

package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// delegated is a domain in which dirsweep writes as an account that has some rights on the unit alone.
func delegated(t testing.TB, aces ...string) (*unit, *sambatest.Server) {
	s := sambatest.Start(t, sambatest.Options{})
	l := sambaLab(s)
	u := l.unit(t)
	s.Grant(t, u.base, aces...)
	l.access = []string{
		fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("ca_file = %q", s.CAFile()), fmt.Sprintf("bind_dn = %q", s.Reader()),
		fmt.Sprintf("bind_password = %q", s.Password()),
	}
	return u, s
}

// hand makes an account as an administrator does.
func (u *unit) hand(t testing.TB, n int) identity.Account {
	t.Helper()
	want := u.want(n)
	dn := "CN=" + ldap.EscapeDN(want.Get("cn").Text()) + "," + u.base
	u.Add(t, dn, map[string][]string{
		"objectClass": {"user"}, "sAMAccountName": {want.UserName}, "employeeID": {want.ExternalID}, "displayName": {"By hand"},
		"userAccountControl": {"544"}, "title": {"Clerk"},
	})
	id, err := ldapclient.GUIDText([]byte(u.one(t, dn, "objectGUID")))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Account{ID: identity.AccountID(id), UserName: want.UserName, ExternalID: want.ExternalID, Active: true}
}

// TestD06ProtectedByAdminSDHolder: rights that are taken back within the hour are named as what they are.
func TestD06ProtectedByAdminSDHolder(t *testing.T) {
	u, _ := delegated(t)
	p := u.begun(t)
	a, other := u.hand(t, 1), u.hand(t, 2)
	u.Set(t, u.dn(t, a.ID), "adminCount", "1")
	for _, do := range []func() error{
		func() error { _, err := p.Disable(t.Context(), a); return err },
		func() error { _, _, err := p.Closing()[1].Do(t.Context(), a); return err },
	} {
		if err := do(); !errors.Is(err, targets.ErrForbidden) || !strings.Contains(err.Error(), "AdminSDHolder") ||
			!strings.Contains(err.Error(), "Disable-ADAccount") {
			t.Errorf("of a protected account: %v", err)
		}
	}
	if _, err := p.Disable(t.Context(), other); !errors.Is(err, targets.ErrForbidden) || strings.Contains(err.Error(), "AdminSDHolder") {
		t.Errorf("of another one: %v", err)
	}
	lines, err := u.open(t).(targets.Checker).Check(t.Context())
	if err == nil || !strings.Contains(strings.Join(lines, "\n"), "AdminSDHolder protects these (adminCount is 1)") {
		t.Errorf("check: %q, %v", lines, err)
	}
}

// writeAll lets the reader write every attribute, and reset passwords; make and delete entries.
func writeAll() []string {
	return []string{"(A;CI;WPCCDCSD;;;", "(OA;CI;CR;00299570-246d-11d0-a768-00aa006e0529;;"}
}

// TestD07ProtectedFromDeletion: it is disabled all the same, and what is refused names the cure.
func TestD07ProtectedFromDeletion(t *testing.T) {
	u, s := delegated(t, writeAll()...)
	p := u.begun(t, "closing {", fmt.Sprintf("move_to = %q", u.leavers), "}")
	s.Grant(t, u.leavers, writeAll()...)
	a, neighbour := u.hand(t, 1), u.hand(t, 2)
	s.Grant(t, u.dn(t, a.ID), "(D;;SD;;;")
	s.Grant(t, u.base, "(D;;DC;;;")
	if _, err := p.Disable(t.Context(), a); err != nil || u.active(t, u.dn(t, a.ID)) {
		t.Errorf("disabled: %v", err)
	}
	if _, err := p.Delete(t.Context(), a); !errors.Is(err, targets.ErrForbidden) || !strings.Contains(err.Error(), "ProtectedFromAccidentalDeletion") {
		t.Errorf("deleted: %v", err)
	}
	move := p.Closing()[2]
	if _, _, err := move.Do(t.Context(), a); move.Name != "move" || !errors.Is(err, targets.ErrForbidden) ||
		!strings.Contains(err.Error(), "protected from accidental deletion") {
		t.Errorf("%s: %v", move.Name, err)
	}
	if _, _, err := move.Do(t.Context(), neighbour); err != nil || !ldapclient.Within(u.dn(t, neighbour.ID), u.leavers) {
		t.Errorf("its neighbour is moved: %v", err)
	}
}

// TestD12EachRightByItself: what may be written is written, and what may not is named.
func TestD12EachRightByItself(t *testing.T) {
	const displayName = "bf967953-0de6-11d0-a285-00aa003049e2"
	u, _ := delegated(t, "(A;CI;WP;;;", "(OD;CI;WP;"+displayName+";;")
	p := u.begun(t)
	a := u.hand(t, 1)
	_, r, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
		{Path: "displayName", Before: identity.Text("By hand"), After: identity.Text("Ann")},
		{Path: "mail", After: identity.Text("ann@example.org")},
		{Path: "title", Before: identity.Text("Clerk"), After: identity.Text("Boss")},
	}})
	if err != nil || len(r.Refused) != 1 || r.Refused[0].Path != "displayName" {
		t.Errorf("refused: %+v, %v", r.Refused, err)
	}
	dn := u.dn(t, a.ID)
	if u.one(t, dn, "title") != "Boss" || u.one(t, dn, "mail") != "ann@example.org" || u.one(t, dn, "displayName") != "By hand" {
		t.Errorf("it has title %q, mail %q, displayName %q", u.one(t, dn, "title"), u.one(t, dn, "mail"), u.one(t, dn, "displayName"))
	}
}

// TestD14AProfileThatTheServerDoesNotKnow: refused before the first leaver.
func TestD14AProfileThatTheServerDoesNotKnow(t *testing.T) {
	u := slapd(t).unit(t)
	u.lines = []string{`profile = "edirectory"`}
	if lines, err := u.open(t).(targets.Checker).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "loginDisabled") {
		t.Errorf("check: %q, %v", lines, err)
	}
}

// TestD16DeletedByHand: whoever was deleted is found among the deleted, and is not made anew unless told so.
func TestD16DeletedByHand(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	s.UseRecycleBin(t)
	u := sambaLab(s).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	u.Delete(t, u.dn(t, a.ID))
	_, err := p.Account(t.Context(), a.ID)
	if !errors.Is(err, targets.ErrNotFound) || !strings.Contains(err.Error(), "Restore-ADObject -Identity "+string(a.ID)) {
		t.Errorf("reading it: %v", err)
	}
	if _, _, err := p.Create(t.Context(), u.want(1)); !errors.Is(err, targets.ErrRejected) ||
		!strings.Contains(err.Error(), "Restore-ADObject -Identity "+string(a.ID)) {
		t.Errorf("making it anew: %v", err)
	}
	again := u.begun(t, "recreate_deleted = true")
	if b, _, err := again.Create(t.Context(), u.want(1)); err != nil || b.ID == a.ID {
		t.Errorf("told so: %+v, %v", b, err)
	}
}

// TestB01NotThereMayBeNotYet: what one server has taken, another one lacks for a while: that is no word about an account.
func TestB01NotThereMayBeNotYet(t *testing.T) {
	first, second := slapdtest.Start(t, slapdtest.Options{Locks: true}), slapdtest.Start(t, slapdtest.Options{Locks: true})
	u := slapdLab(first, second.URL()).unit(t)
	for _, dn := range []string{u.base, u.groups, u.leavers} {
		name, _, _ := strings.Cut(strings.TrimPrefix(dn, "ou="), ",")
		second.AddUnit(t, name, second.BaseDN())
	}
	p := u.begun(t)
	a := u.made(t, p, 1)
	first.Stop(t)
	for what, do := range map[string]func() error{
		"reading": func() error { _, err := p.Account(t.Context(), a.ID); return err },
		"finding": func() error { _, err := p.Find(t.Context(), "userName", a.UserName); return err },
		"closing": func() error { _, err := p.Disable(t.Context(), a); return err },
	} {
		if err := do(); !errors.Is(err, targets.ErrUnavailable) || errors.Is(err, targets.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var listed error
	for _, err := range p.Accounts(t.Context()) {
		listed = errors.Join(listed, err)
	}
	if !errors.Is(listed, targets.ErrIncomplete) {
		t.Errorf("listing: %v", listed)
	}
	p.target.wroteAt = time.Now().Add(-2 * replicated)
	if _, err := p.Account(t.Context(), a.ID); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("long after: %v", err)
	}
}

// TestE02AConnectionThatDied: a new one takes its place, and a write that had no answer is not sent again.
func TestE02AConnectionThatDied(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{Locks: true})
	u := slapdLab(s).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	s.Stop(t)
	if _, err := p.Disable(t.Context(), a); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("the server is away: %v", err)
	}
	s.Start(t)
	if _, err := p.Disable(t.Context(), a); err != nil || u.active(t, u.dn(t, a.ID)) {
		t.Errorf("the server is back: %v", err)
	}
	sent := 0
	err := p.with(t.Context(), func(session *ldapclient.Session) error {
		sent++
		_ = session.Raw.Close()
		return p.drop(t.Context(), session, u.dn(t, a.ID))
	})
	if sent != 1 || !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("sent %d times: %v", sent, err)
	}
}

// TestB05AReadOnlyServerIsNamed: with the one that takes writes, to which nothing is sent.
func TestB05AReadOnlyServerIsNamed(t *testing.T) {
	err := classed(&ldap.Error{ResultCode: ldap.LDAPResultReferral, Err: errors.New("Referral")})
	if !errors.Is(err, targets.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Error(err)
	}
}

// TestClassesOfAnswers: what an answer means for an account, and what to do about it.
func TestClassesOfAnswers(t *testing.T) {
	for _, c := range []struct {
		code  uint16
		words string
		class error
		want  string
	}{
		{ldap.LDAPResultNoSuchObject, "", targets.ErrNotFound, ""},
		{ldap.LDAPResultNoSuchAttribute, "", targets.ErrConflict, ""},
		{ldap.LDAPResultEntryAlreadyExists, "00000524: UpdErr", targets.ErrConflict, "another account has this name"},
		{ldap.LDAPResultConstraintViolation, "000021C8: AtrErr: DSID-03200BBA", targets.ErrRejected, "userPrincipalName"},
		{ldap.LDAPResultConstraintViolation, "0000052D: AtrErr", targets.ErrRejected, "policy in force"},
		{ldap.LDAPResultUnwillingToPerform, "0000052D: SvcErr", targets.ErrRejected, "policy in force"},
		{ldap.LDAPResultInsufficientAccessRights, "00000005: SecErr", targets.ErrForbidden, ""},
		{ldap.LDAPResultUndefinedAttributeType, "", targets.ErrRejected, "schema"},
		{ldap.LDAPResultNotAllowedOnNonLeaf, "", targets.ErrRejected, "below it"},
		{ldap.LDAPResultObjectClassViolation, "", targets.ErrRejected, "object class"},
		{ldap.LDAPResultTimeLimitExceeded, "", targets.ErrUnavailable, ""},
		{ldap.LDAPResultAdminLimitExceeded, "", targets.ErrUnavailable, ""},
	} {
		err := classed(&ldap.Error{ResultCode: c.code, Err: errors.New(c.words)})
		if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %s: %v", c.code, c.words, err)
		}
		others := slices.DeleteFunc([]error{targets.ErrNotFound, targets.ErrConflict, targets.ErrRejected, targets.ErrForbidden, targets.ErrUnavailable},
			func(e error) bool { return e == c.class })
		for _, other := range others {
			if errors.Is(err, other) {
				t.Errorf("%d is of the class %v as well", c.code, other)
			}
		}
	}
}

// TestE01ARefusedSignInIsNamed: by what the controller says, and it is not tried so often that the account is locked. The
// words for each of its codes are a table of ldapclient's.
func TestE01ARefusedSignInIsNamed(t *testing.T) {
	u := samba(t).unit(t)
	u.access = []string{strings.Join(u.access[:3], "\n"), `bind_password = "wrong"`}
	target := u.open(t)
	for range 3 {
		_, err := target.Begin(t.Context())
		if !errors.Is(err, targets.ErrUnauthorized) || !strings.Contains(err.Error(), "the name or the password is wrong") {
			t.Errorf("%v", err)
		}
	}
	if _, err := target.Begin(t.Context()); !strings.Contains(fmt.Sprint(err), "not tried again before") {
		t.Errorf("%v", err)
	}
}

// TestE03KerberosGoesOn: a new key in the keytab is used without a restart.
func TestE03KerberosGoesOn(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{Tickets: true})
	u := sambaLab(s).unit(t)
	s.Grant(t, u.base, writeAll()...)
	u.lab.access = []string{
		fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("ca_file = %q", s.CAFile()),
		fmt.Sprintf("principal = %q", "dirsweep@"+s.Realm()), fmt.Sprintf("keytab = %q", s.Keytab()),
	}
	target := u.open(t)
	a := u.hand(t, 1)
	p, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Disable(t.Context(), a); err != nil || u.active(t, u.dn(t, a.ID)) {
		t.Errorf("disabled: %v", err)
	}
	s.SetPassword(t, "Another-Password-9")
	s.ExportKeytab(t)
	s.Stop(t)
	s.Start(t)
	if p, err = target.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Enable(t.Context(), a, nil); err != nil || !u.active(t, u.dn(t, a.ID)) {
		t.Errorf("enabled: %v", err)
	}
}
