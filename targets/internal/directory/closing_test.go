//go:build unix

package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// close takes every step of closing, and returns what they kept.
func (u *unit) close(t testing.TB, p *pass, a identity.Account) map[string]string {
	t.Helper()
	if _, err := p.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	for _, step := range p.Closing() {
		if step.Impossible != "" {
			continue
		}
		text, _, err := step.Do(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", step.Name, err)
		}
		if text != "" {
			kept[step.Name] = text
		}
		if step.Left == nil {
			continue
		}
		if left, err := step.Left(t.Context(), a); left != "" || err != nil {
			t.Errorf("%s: left %q, %v", step.Name, left, err)
		}
	}
	return kept
}

// TestClosingIsUndone: everything that closing has changed is as it was once the account is open again, but for the
// password.
func TestClosingIsUndone(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		p := u.begun(t, u.closing("description")...)
		a := u.made(t, p, 1)
		dn := u.dn(t, a.ID)
		u.Set(t, dn, "description", "Fourth floor")
		certificate := "userCertificate"
		if !u.domain {
			certificate = "userCertificate;binary"
		}
		u.Set(t, dn, certificate, someCertificate(t))
		const password = "Correct-Horse-7-Battery"
		u.setPassword(t, dn, password)
		but := []string{
			"pwdLastSet", "userPassword", "pwdChangedTime", "passwordexpirationtime", "passwordExpirationTime", "pwdHistory", "lastKnownParent",
			"badPwdCount", "badPasswordTime", "pwdFailureTime", "passwordRetryCount", "retryCountResetTime", "creatorsName",
		}
		before := u.everything(t, dn, but...)
		kept := u.close(t, p, a)
		away := u.dn(t, a.ID)
		switch {
		case !ldapclient.Within(away, u.leavers):
			t.Errorf("it is at %s", away)
		case !strings.HasPrefix(u.one(t, away, "description"), stamped):
			t.Errorf("its description is %q", u.one(t, away, "description"))
		case len(u.Values(t, away, certificate)) > 0:
			t.Error("it has its certificate still")
		case u.signsIn(t, away, password):
			t.Error("it can sign in")
		case u.domain && !isPast(u.Values(t, away, expires)):
			t.Error("it has not expired")
		}
		if listed := slices.Collect(accounts(t, p)); len(listed) != 1 || listed[0].Active || listed[0].ID != a.ID {
			t.Errorf("listed: %+v", listed)
		}
		if again := u.close(t, p, a); len(again) != 0 {
			t.Errorf("done again, the steps keep %q", again)
		}
		if _, err := p.Enable(t.Context(), a, kept); err != nil {
			t.Fatal(err)
		}
		if back := u.dn(t, a.ID); !ldapclient.SameDN(back, dn) {
			t.Errorf("it is back at %s, want %s", back, dn)
		}
		same(t, "opened again", before, u.everything(t, u.dn(t, a.ID), but...))
	})
}

func someCertificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ann"}}
	raw, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func accounts(t testing.TB, p *pass) func(yield func(identity.Account) bool) {
	return func(yield func(identity.Account) bool) {
		for a, err := range p.Accounts(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if !yield(a) {
				return
			}
		}
	}
}

// TestClosingIsUndoneWhereItStillIs: what somebody has changed since stays as they left it.
func TestClosingIsUndoneWhereItStillIs(t *testing.T) {
	u := slapd(t).unit(t)
	p := u.begun(t, u.closing("description")...)
	a := u.made(t, p, 1)
	u.Set(t, u.dn(t, a.ID), "description", "Fourth floor")
	kept := u.close(t, p, a)
	u.Set(t, u.dn(t, a.ID), "description", "On leave, says Ann")
	u.Move(t, u.dn(t, a.ID), u.groups)
	if _, err := p.Enable(t.Context(), a, kept); err != nil {
		t.Fatal(err)
	}
	if dn := u.dn(t, a.ID); !ldapclient.Within(dn, u.groups) || u.one(t, dn, "description") != "On leave, says Ann" {
		t.Errorf("it is %s, %q", dn, u.one(t, dn, "description"))
	}
}

// TestD11TwoOfOneName: the second one gets its login behind its name where leavers are kept, and its own name back.
func TestD11TwoOfOneName(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		u := l.unit(t)
		u.naming = "cn"
		if !u.domain {
			u.lines = append(u.lines, `rdn = "cn"`)
		}
		other := u.AddUnit(t, "other", u.base)
		p := u.begun(t, u.closing("description")...)
		smith := func(n int, in string) identity.Account {
			return u.made(t, p, n, func(a *identity.Account) {
				a.Attributes["cn"] = identity.Text("John Smith")
				a.Attributes["container"] = p.Normal("container", identity.Text(in))
			})
		}
		first, second := smith(1, u.base), smith(2, other)
		u.close(t, p, first)
		kept := u.close(t, p, second)
		if got := u.dn(t, second.ID); !strings.HasPrefix(strings.ToLower(got), "cn=john smith ("+second.UserName+"),") || !ldapclient.Within(got, u.leavers) {
			t.Errorf("the second one is %s", got)
		}
		if got := u.dn(t, first.ID); !strings.HasPrefix(strings.ToLower(got), "cn=john smith,") {
			t.Errorf("the first one is %s", got)
		}
		if _, err := p.Enable(t.Context(), second, kept); err != nil {
			t.Fatal(err)
		}
		if got := u.dn(t, second.ID); !ldapclient.SameDN(got, "cn=John Smith,"+other) {
			t.Errorf("back as %s", got)
		}
		if got := longer("cn="+strings.Repeat("x", 64), "ann"); len(got) != len("cn=")+64 || !strings.HasSuffix(got, " (ann)") {
			t.Errorf("%q", got)
		}
	})
}

// TestR08ALockOfOthers: where only other programs look at the lock, the password of before opens nothing any more; to leave
// it is refused.
func TestR08ALockOfOthers(t *testing.T) {
	u := slapd(t).unit(t)
	u.lines = []string{`profile = "shadow"`, `object_classes = ["inetOrgPerson", "shadowAccount"]`}
	p := u.begun(t)
	a := u.made(t, p, 1)
	const password = "Correct-Horse-7-Battery"
	u.setPassword(t, u.dn(t, a.ID), password)
	if !u.signsIn(t, u.dn(t, a.ID), password) {
		t.Fatal("they cannot sign in to begin with")
	}
	u.close(t, p, a)
	if dn := u.dn(t, a.ID); u.signsIn(t, dn, password) || u.one(t, dn, "shadowExpire") != "1" {
		t.Errorf("closed, they can sign in, or shadowExpire is %q", u.one(t, dn, "shadowExpire"))
	}
	lines := append(u.access, `base_dn = "ou=x,dc=example,dc=org"`, `profile = ["samba", "shadow"]`, "closing {", "reset_password = false", "}")
	file, diags := hclparse.NewParser().ParseHCL([]byte(strings.Join(lines, "\n")), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if _, diags = u.kind().Decode(file.Body, targets.Env{Name: "accounts", Eval: &hcl.EvalContext{}}); !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Summary == "The directory lets them in"
	}) {
		t.Errorf("to leave the password is taken: %v", diags)
	}
}

// TestR08ALockThatNobodyHeeds: an attribute that says locked, on a server that does not look at it, closes nothing; a bind
// shows it.
func TestR08ALockThatNobodyHeeds(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{})
	u := slapdLab(s).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	if _, err := p.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	step := p.Closing()[1]
	if _, _, err := step.Do(t.Context(), a); step.Name != "password" || !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "pwdLockout") {
		t.Errorf("%s: %v", step.Name, err)
	}
}
