package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// byDepartment is a mapping of entitlements of whom HR moves about; manage is what of it is managed, "" for nothing.
func byDepartment(manage string) string {
	text := `entitlements = lookup({ sales = ["wiki-sales", "wiki-all"], dev = ["wiki-dev", "wiki-all"] }, person.departmentNumber, [])` + "\n"
	if manage != "" {
		text += "manage = " + manage + "\n"
	}
	return text
}

// A wiki is an application whose groups are entitlements.
type teams struct {
	t   *testing.T
	app *scimtest.Server
	ids map[string]string
}

// teamsOf makes groups in an application.
func teamsOf(t *testing.T, app *scimtest.Server, names ...string) teams {
	w := teams{t, app, map[string]string{}}
	for _, name := range names {
		w.ids[name] = app.AddGroup(t, name)
	}
	return w
}

// of are the groups that somebody is in, in the application's own words.
func (w teams) of(uid string) string {
	w.t.Helper()
	var in []string
	id, _ := w.app.Users(w.t)[uid]["id"].(string)
	for name, group := range w.ids {
		if slices.Contains(w.app.Members(w.t, group), id) {
			in = append(in, name)
		}
	}
	slices.Sort(in)
	return strings.Join(in, " ")
}

// join puts somebody into groups by hand.
func (w teams) join(uid string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.app.Patch(w.t, "/Groups/"+w.ids[name], "add", "members", []any{map[string]any{"value": w.app.Users(w.t)[uid]["id"]}})
	}
}

func (w teams) want(uid, names string) {
	w.t.Helper()
	if got := w.of(uid); got != names {
		w.t.Errorf("%s is in %q, wants %q", uid, got, names)
	}
}

// staffed is a company of whom the first few work in departments, and a wiki that knows none of them yet.
func staffed(t *testing.T, people int, departments ...string) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: people, Person: func(i int) map[string][]string {
		if i <= len(departments) {
			return map[string][]string{"departmentNumber": {departments[i-1]}}
		}
		return nil
	}})
	l := newLab(t)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	return l, dir, scimtest.StartElimity(t)
}

// A mover gets what the new department has, and loses what the old one had, whoever granted it; what is not managed is
// nobody's business. All of it is read back, and then there is nothing left to do.
func TestManagedMovers(t *testing.T) {
	l, dir, app := staffed(t, 6, "sales", "dev", "sales")
	mover, other := slapdtest.UID(1), slapdtest.UID(2)
	w := teamsOf(t, app, "wiki-sales", "wiki-dev", "wiki-all", "wiki-owners", "owners")
	l.application("wiki", app, byDepartment(`["wiki-*"]`), nil)
	l.full()
	w.want(mover, "wiki-all wiki-sales")
	w.want(other, "wiki-all wiki-dev")

	w.join(mover, "owners", "wiki-owners")
	w.join(other, "owners")
	dir.Set(t, dir.PersonDN(mover), "departmentNumber", "dev")
	report := l.run(reconcile.Pass{})
	w.want(mover, "owners wiki-all wiki-dev")
	w.want(other, "owners wiki-all wiki-dev")
	if len(report.Plan.Changes) != 1 || len(report.Findings) > 0 {
		t.Fatalf("%+v, findings %+v", report.Plan.Changes, report.Findings)
	}
	c := report.Plan.Changes[0]
	if grant, withdraw := identity.EntitlementNames(c.Delta.Grant), identity.EntitlementNames(c.Delta.Withdraw); c.Op != identity.Update ||
		!slices.Equal(grant, []string{"wiki-dev"}) || !slices.Equal(withdraw, []string{"wiki-owners", "wiki-sales"}) ||
		c.Rule != l.targets[0].Mapping.At("entitlements") || c.GrantRule != c.Rule ||
		c.WithdrawRule != "managed by "+l.targets[0].Mapping.At("manage")+", not wanted by "+c.Rule {
		t.Errorf("%+v", c)
	}
	if at := slices.IndexFunc(l.history(mover), func(note string) bool { return strings.Contains(note, c.WithdrawRule) }); at < 0 {
		t.Errorf("the trail does not say why: %q", l.history(mover))
	}
	before := app.Writes()
	if report := l.full(); len(report.Plan.Changes)+len(report.Findings) > 0 || app.Writes() != before {
		t.Errorf("once more: %+v, %+v", report.Plan.Changes, report.Findings)
	}

	// What somebody grants by hand is drift where it is managed.
	w.join(other, "wiki-owners")
	l.full()
	w.want(other, "owners wiki-all wiki-dev")
	// Who is in no department any more has nothing that is managed, and the rest.
	dir.Set(t, dir.PersonDN(mover), "departmentNumber")
	l.full()
	w.want(mover, "owners")
}

// A mover is one in a delta pass, too: what others granted is seen of the one account that is looked at.
func TestManagedMoversInADelta(t *testing.T) {
	l, dir, app := staffed(t, 6, "sales", "dev")
	mover, other := slapdtest.UID(1), slapdtest.UID(2)
	w := teamsOf(t, app, "wiki-sales", "wiki-dev", "wiki-all", "wiki-owners", "owners")
	l.application("wiki", app, byDepartment(`["wiki-*"]`), nil)
	l.full()
	for _, who := range []string{mover, other} {
		w.join(who, "owners", "wiki-owners")
	}
	dir.Set(t, dir.PersonDN(mover), "departmentNumber", "dev")
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	w.want(mover, "owners wiki-all wiki-dev")
	w.want(other, "owners wiki-all wiki-dev wiki-owners") // nobody looked
	l.full()
	w.want(other, "owners wiki-all wiki-dev")
}

// history is what the trail notes of somebody's changes.
func (l *lab) history(uid string) (notes []string) {
	l.t.Helper()
	list, err := l.engine().Explain(l.t.Context(), uid)
	l.must(err)
	for _, rec := range list[0].History {
		notes = append(notes, rec.Note)
	}
	return notes
}

// Without manage it is as it was: what dirsweep granted is taken back, and what others granted is theirs.
func TestWithoutManageOthersGrantsStay(t *testing.T) {
	l, dir, app := staffed(t, 4, "sales")
	mover := slapdtest.UID(1)
	w := teamsOf(t, app, "wiki-sales", "wiki-dev", "wiki-all", "wiki-owners")
	l.application("wiki", app, byDepartment(""), nil)
	l.full()
	w.join(mover, "wiki-owners")
	dir.Set(t, dir.PersonDN(mover), "departmentNumber", "dev")
	report := l.full()
	w.want(mover, "wiki-all wiki-dev wiki-owners")
	if c := report.Plan.Changes[0]; !strings.HasPrefix(c.WithdrawRule, "granted by dirsweep, no longer wanted by wiki.hcl:") {
		t.Errorf("%+v", c)
	}
}

// An account that was there before is fitted as well; on_drift = "report" leaves what was granted by hand afterwards.
func TestManagedOfAnAdoptedAccount(t *testing.T) {
	l, dir, app := staffed(t, 4, "sales", "dev")
	adopted, reported := slapdtest.UID(1), slapdtest.UID(2)
	w := teamsOf(t, app, "wiki-sales", "wiki-dev", "wiki-all", "wiki-owners", "owners")
	app.AddUser(t, adopted, map[string]any{"externalId": dir.Anchor(t, dir.PersonDN(adopted))})
	w.join(adopted, "wiki-owners", "owners", "wiki-sales")
	l.application("wiki", app, byDepartment(`["wiki-*"]`), func(target *reconcile.Target) { target.OnDrift = "report" })
	l.full()
	w.want(adopted, "owners wiki-all wiki-sales")

	w.join(reported, "wiki-owners", "owners")
	before := app.Writes()
	report := l.full()
	w.want(reported, "owners wiki-all wiki-dev wiki-owners")
	if found := findings(report, "drift"); app.Writes() != before || len(found) != 1 || !strings.Contains(found[0].Detail, "wiki-owners") ||
		strings.Contains(found[0].Detail, "somebody else: owners") {
		t.Errorf("%d writes, %+v", app.Writes()-before, report.Findings)
	}
}

// What the mapping gives and manage does not let it give is a finding that names person, entitlement and both lines. It is
// told in each full pass; it is neither granted nor, where somebody has it, taken.
func TestManagedAloneIsGranted(t *testing.T) {
	l, dir, app := staffed(t, 4)
	w := teamsOf(t, app, "wiki-readers", "admins")
	who, has := slapdtest.UID(1), slapdtest.UID(2)
	members := []string{dir.PersonDN(who), dir.PersonDN(has)}
	dir.AddGroup(t, "wiki-readers", members...)
	dir.AddGroup(t, "admins", members...)
	dir.AddGroup(t, "nowhere", members[0])
	l.application("wiki", app, "entitlements = person.groups\nmanage = [\"wiki-*\"]\n", nil)
	for range 2 {
		report := l.run(reconcile.Pass{})
		w.want(who, "wiki-readers")
		found := findings(report, "not managed")
		if len(found) != 2 || len(findings(report, "entitlement")) > 0 {
			t.Fatalf("%+v", report.Findings)
		}
		for _, f := range found {
			names := f.Subject + " " + f.Detail
			if !strings.Contains(names, `"admins"`) || strings.Contains(names, `"nowhere"`) != (f.Person.Anchor == dir.Anchor(t, members[0])) ||
				!strings.Contains(names, l.targets[0].Mapping.At("entitlements")) || !strings.Contains(names, l.targets[0].Mapping.At("manage")) {
				t.Errorf("%+v", f)
			}
		}
		w.join(has, "admins")
	}
	w.want(has, "admins wiki-readers")
}

// S6: what is left to a leaver, or was taken from them, is no title to it: who returns in another job has what that job gives.
func TestS6AReturnGetsWhatIsWantedNow(t *testing.T) {
	for _, strip := range []bool{true, false} {
		t.Run(fmt.Sprintf("strip = %v", strip), func(t *testing.T) {
			l, dir, app := staffed(t, 6, "sales")
			who := slapdtest.UID(1)
			w := teamsOf(t, app, "wiki-sales", "wiki-dev", "wiki-all", "wiki-owners", "owners")
			l.application("wiki", app, byDepartment(`["wiki-*"]`), func(target *reconcile.Target) { target.Leaver.Strip = strip })
			l.full()
			w.join(who, "wiki-owners", "owners")
			dir.Disable(t, dir.PersonDN(who))
			l.full()
			left := "owners wiki-all wiki-owners wiki-sales"
			if strip {
				left = "" // closing is no mapping: what is not managed is taken as well
			}
			if w.want(who, left); app.Users(t)[who]["active"] != false {
				t.Fatal("the account is open")
			}
			dir.Set(t, dir.PersonDN(who), "departmentNumber", "dev")
			dir.Enable(t, dir.PersonDN(who))
			l.full()
			back := "wiki-all wiki-dev"
			if !strip {
				back = "owners wiki-all wiki-dev"
			}
			if w.want(who, back); app.Users(t)[who]["active"] != true {
				t.Error("the account is not enabled")
			}
		})
	}
}

// R1: that a group shows no members, or is gone, in the directory takes nothing from anybody.
func TestR01ManagedByAGroupThatIsLost(t *testing.T) {
	for _, lost := range []string{"hidden", "deleted"} {
		t.Run(lost, func(t *testing.T) {
			l, dir, app := staffed(t, 30)
			w := teamsOf(t, app, "wiki-editors")
			var members []string
			for n := range 8 {
				members = append(members, dir.PersonDN(slapdtest.UID(n+1)))
			}
			editors := dir.AddGroup(t, "wiki-editors", members...)
			l.application("wiki", app, `entitlements = [for g in person.groups : g if startswith(g, "wiki-")]`+"\nmanage = [\"wiki-*\"]\n", nil)
			l.full()
			if lost == "hidden" {
				dir.Restrict(t, fmt.Sprintf(`to dn.exact="%s" attrs=member by dn.exact="%s" none by * none`, editors, dir.AdminDN()))
			} else {
				dir.Delete(t, editors)
			}
			for range 2 {
				report := l.run(reconcile.Pass{})
				if got := len(app.Members(t, w.ids["wiki-editors"])); got != len(members) || len(report.Held) == 0 {
					t.Fatalf("%d of %d have it still, held %+v, findings %+v", got, len(members), report.Held, report.Findings)
				}
			}
		})
	}
}

// R14: more patterns are another mapping. What that would take from too many waits, each of them by itself a cohort of its
// own and all of them together, until it is approved.
func TestR14AnEditedManageIsHeld(t *testing.T) {
	const people = 60
	t.Run("one that many have", func(t *testing.T) {
		l, _, app := staffed(t, people)
		w := teamsOf(t, app, "crm-users", "wiki-x")
		l.application("wiki", app, "entitlements = []\nmanage = [\"wiki-*\"]\n", nil)
		l.full()
		for n := range 25 {
			w.join(slapdtest.UID(n+1), "crm-users")
		}
		l.application("wiki", app, "entitlements = []\nmanage = [\"wiki-*\", \"crm-*\"]\n", nil)
		report := l.held()
		if got := len(app.Members(t, w.ids["crm-users"])); got != 25 {
			t.Fatalf("%d of 25 have it still", got)
		}
		l.approve(report)
		if got := len(app.Members(t, w.ids["crm-users"])); got != 0 {
			t.Errorf("approved, and %d have it still", got)
		}
	})
	t.Run("one of many teams each", func(t *testing.T) {
		l, _, app := staffed(t, people)
		var names []string
		for n := range people {
			names = append(names, fmt.Sprintf("team-%02d", n))
		}
		w := teamsOf(t, app, names...)
		l.application("wiki", app, "entitlements = []\n", nil)
		l.full()
		for n := range 21 {
			w.join(slapdtest.UID(n+1), names[n])
		}
		has := func() (n int) {
			for _, group := range w.ids {
				n += len(app.Members(t, group))
			}
			return n
		}
		l.application("wiki", app, "entitlements = []\nmanage = [\"team-*\"]\n", nil)
		report := l.held()
		if len(report.Held) != 1 || report.Held[0].Attribute != "entitlements" || report.Held[0].Count != 21 || has() != 21 {
			t.Fatalf("%d have theirs still, held %+v", has(), report.Held)
		}
		// It stands in the next pass.
		l.held()
		l.approve(report)
		if has() != 0 {
			t.Errorf("approved, and %d have theirs still", has())
		}
	})
	t.Run("few of the holders, by what the application shows", func(t *testing.T) {
		l, _, app := staffed(t, people)
		w := teamsOf(t, app, "crm-users")
		l.application("wiki", app, "entitlements = []\n", nil)
		l.full()
		for n := range people {
			w.join(slapdtest.UID(n+1), "crm-users")
		}
		// 24 of 60 holders, none of whom dirsweep made one.
		l.application("wiki", app, "entitlements = contains(["+theFirst(people-24)+"], person.uid) ? [\"crm-users\"] : []\nmanage = [\"crm-*\"]\n",
			func(target *reconcile.Target) { target.Guard.MaxChangePercent = 40 })
		l.full()
		if got := len(app.Members(t, w.ids["crm-users"])); got != people-24 {
			t.Errorf("%d have it still", got)
		}
	})
}

func theFirst(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%q", slapdtest.UID(i+1)))
	}
	return strings.Join(list, ", ")
}

// approve approves all that a report holds, and makes the pass that carries it out.
func (l *lab) approve(report reconcile.Report) {
	l.t.Helper()
	for _, h := range report.Held {
		_, err := l.engine().Approve(l.t.Context(), h.Digest, "tester")
		l.must(err)
	}
	l.full()
}

// R5: the account that the target is signed in to as keeps what others granted to it, and it is told.
func TestR05ManagedIsNotTakenFromOurOwnAccount(t *testing.T) {
	l, _, app := staffed(t, 4)
	who, other := slapdtest.UID(1), slapdtest.UID(2)
	w := teamsOf(t, app, "admins", "wiki-x")
	l.application("wiki", app, "entitlements = []\nmanage = [\"*\"]\n", nil)
	l.full()
	w.join(who, "admins")
	w.join(other, "admins")
	app.Inject(scimtest.Fault{Path: "/Me", Trouble: scimtest.Answer(200, fmt.Sprintf(`{"id": %q, "userName": %q}`, app.Users(t)[who]["id"], who))})
	report := l.run(reconcile.Pass{})
	w.want(who, "admins")
	w.want(other, "")
	found := findings(report, "own account")
	if len(found) != 1 || !strings.Contains(found[0].Detail, `"admins"`) || !strings.Contains(found[0].Detail, "signs in to target wiki") {
		t.Errorf("%+v", report.Findings)
	}
}

// What the application cannot tell which one it is, by that name, is nobody's to lose.
func TestManagedNamesThatAreNotUnique(t *testing.T) {
	l, dir, app := staffed(t, 4, "sales")
	who := slapdtest.UID(1)
	w := teamsOf(t, app, "wiki-sales", "wiki-all")
	l.application("wiki", app, byDepartment(`["wiki-*"]`), nil)
	l.full()
	l.wrap = func(target targets.Target) targets.Target { return ambiguous{target} }
	l.application("wiki", app, byDepartment(`["wiki-*"]`), nil)
	dir.Set(t, dir.PersonDN(who), "title", "Head")
	for range 2 {
		report := l.run(reconcile.Pass{})
		if w.want(who, "wiki-all wiki-sales"); len(findings(report, "entitlement")) != 2 || len(report.Failures) > 0 {
			t.Errorf("%+v, %+v", report.Findings, report.Failures)
		}
	}
}

// ambiguous is an application that has come to have two groups of every name.
type ambiguous struct{ targets.Target }

func (a ambiguous) Begin(ctx context.Context) (targets.Pass, error) {
	p, err := a.Target.Begin(ctx)
	return ambiguousPass{p}, err
}

type ambiguousPass struct{ targets.Pass }

func (ambiguousPass) Resolve(_ context.Context, want []identity.Entitlement) (known []identity.Entitlement, missing []targets.Missing, err error) {
	for _, e := range want {
		missing = append(missing, targets.Missing{Entitlement: e, Why: "2 groups have that name"})
	}
	return nil, missing, nil
}
