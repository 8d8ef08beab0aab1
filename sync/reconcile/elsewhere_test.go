package reconcile_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// placed is a target whose lists hold what is in certain places; one account is elsewhere, and is read by itself.
type placed struct {
	targets.Target
	elsewhere identity.AccountID
}

func (p placed) Begin(ctx context.Context) (targets.Pass, error) {
	pass, err := p.Target.Begin(ctx)
	return placedPass{pass, p.elsewhere}, err
}

type placedPass struct {
	targets.Pass
	elsewhere identity.AccountID
}

func (p placedPass) Capabilities() identity.Capabilities {
	can := p.Pass.Capabilities()
	can.Places = true
	return can
}

func (p placedPass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		for a, err := range p.Pass.Accounts(ctx) {
			if (err != nil || a.ID != p.elsewhere) && !yield(a, err) {
				return
			}
		}
	}
}

func (p placedPass) Account(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	a, err := p.Pass.Account(ctx, id)
	if id == p.elsewhere {
		a.Unlisted = "it is elsewhere"
	}
	return a, err
}

// An account that was taken away from where accounts are listed is the person's still: it spoils the list for nobody, and
// is compared as one that was listed, by on_drift too.
func TestR02OneAccountElsewhereSpoilsNoList(t *testing.T) {
	for _, onDrift := range []string{"repair", "report"} {
		t.Run(onDrift, func(t *testing.T) {
			l, dir, app := company(t, 10, "", nil)
			one, two := slapdtest.UID(1), slapdtest.UID(2)
			id := app.Users(t)[one]["id"].(string)
			want := app.Users(t)[one]["displayName"]
			l.wrap = func(real targets.Target) targets.Target { return placed{real, identity.AccountID(id)} }
			l.application("wiki", app, "", func(target *reconcile.Target) { target.OnDrift = onDrift })
			app.Change(t, id, func(doc map[string]any) { doc["displayName"] = "Somebody Else" })
			dir.Delete(t, dir.PersonDN(two))
			report := l.full()
			users := app.Users(t)
			if onDrift == "report" {
				want = "Somebody Else"
			}
			if users[one]["displayName"] != want || users[one]["active"] != true || users[two]["active"] != false {
				t.Errorf("%v is %v, %v; %v is active: %v", one, users[one]["displayName"], users[one]["active"], two, users[two]["active"])
			}
			if told := findings(report, "missing"); len(told) != 1 || !strings.Contains(told[0].Detail, "it is elsewhere") {
				t.Errorf("findings: %+v", report.Findings)
			}
			dir.Delete(t, dir.PersonDN(one))
			if l.full(); app.Users(t)[one]["active"] != false {
				t.Error("who leaves keeps an account that is elsewhere")
			}
		})
	}
}

// A change that the application does not take is a finding until it is done.
func TestR21WhatIsNotTakenIsAFinding(t *testing.T) {
	l, dir, app := company(t, 3, "", nil)
	app.Inject(scimtest.Fault{Method: "POST", Path: "/Users", Trouble: scimtest.Answer(400, `{"status": "400", "detail": "no more licences"}`)})
	dir.AddPerson(t, "newcomer", nil)
	report := l.run(reconcile.Pass{Mode: reconcile.Full})
	told := findings(report, "not done")
	if len(told) != 1 || !strings.Contains(told[0].Subject+told[0].Detail, "newcomer") || !strings.Contains(told[0].Detail, "no more licences") {
		t.Errorf("findings: %+v", report.Findings)
	}
	app.Clear()
	if report := l.full(); len(findings(report, "not done")) != 0 || app.Users(t)["newcomer"]["active"] != true {
		t.Errorf("findings: %+v", report.Findings)
	}
}
