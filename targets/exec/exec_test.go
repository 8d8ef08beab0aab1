package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
)

// edited is the program of rooms with some of its text replaced, and three people in it.
func edited(t *testing.T, oldnew ...string) (*rooms, targets.Target) {
	t.Helper()
	source, err := os.ReadFile("testdata/rooms.py")
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("the program has no %q", oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	file := filepath.Join(t.TempDir(), "edited.py")
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRooms(t)
	data := r.read(t)
	for i, name := range []string{"admin", "admin@example.org", "alice"} {
		data.Users = append(data.Users, room{ID: fmt.Sprint(i + 1), UserName: name, Active: true, Attributes: map[string]any{"title": "x"}, Groups: []string{}})
	}
	data.Next = 3
	r.write(t, data)
	p := r.program(t, "let-me-in")
	p.Command = []string{file}
	return r, open(t, p, roomsNeed())
}

// TestX5MoreIsGoneThanWasAsked: a program that deletes by prefix is used no more, and those who went are named.
func TestX5MoreIsGoneThanWasAsked(t *testing.T) {
	t.Parallel()
	_, target := edited(t, `users.remove(a)`, `data["users"] = [u for u in users if not u["userName"].startswith(a["userName"])]`)
	p := begin(t, target)
	_, err := p.Delete(t.Context(), identity.Account{ID: "1", UserName: "admin"})
	for _, want := range []string{"deleting admin took more than was asked for: admin@example.org (2) went too", "used no more", "restart"} {
		if !errors.Is(err, targets.ErrRejected) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	_, disable := p.Disable(t.Context(), identity.Account{ID: "3", UserName: "alice"})
	_, again := target.Begin(t.Context())
	for _, err := range []error{disable, again} {
		if !errors.Is(err, targets.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "admin@example.org") {
			t.Errorf("it is used again: %v", err)
		}
	}
}

// TestX5OthersMayComeAndGo: what an administrator makes at the same time is nobody's fault, and a list that is not whole
// deletes nobody.
func TestX5OthersMayComeAndGo(t *testing.T) {
	t.Parallel()
	r, target := edited(t, `users.remove(a)`, `users.remove(a); users.append({**a, "id": "77", "userName": "new"})`)
	if _, err := begin(t, target).Delete(t.Context(), identity.Account{ID: "1", UserName: "admin"}); err != nil || len(r.read(t).Users) != 3 {
		t.Errorf("%v, %+v", err, r.read(t).Users)
	}
	r, target = edited(t, `"count": len(users)}`, `"count": 2}`)
	if _, err := begin(t, target).Delete(t.Context(), identity.Account{ID: "1", UserName: "admin"}); !errors.Is(err, targets.ErrUnavailable) || len(r.read(t).Users) != 3 {
		t.Errorf("a list that is not whole: %v", err)
	}
}

// TestX2WithoutReadingThereIsNoTarget: a program that cannot show accounts is refused in so many words.
func TestX2WithoutReadingThereIsNoTarget(t *testing.T) {
	t.Parallel()
	for _, lacks := range []string{`"accounts", `, `"account", `} {
		_, target := edited(t, `"operations": ["accounts", "account", `, strings.Replace(`"operations": ["accounts", "account", `, lacks, "", 1))
		_, err := target.Begin(t.Context())
		if !errors.Is(err, targets.ErrRejected) || !strings.Contains(fmt.Sprint(err), "nothing it says could be proven") {
			t.Errorf("without %s: %v", lacks, err)
		}
		if _, err := target.(targets.Checker).Check(t.Context()); !errors.Is(err, targets.ErrRejected) {
			t.Errorf("check without %s: %v", lacks, err)
		}
	}
}

// TestX2WhatIsNotShownIsSaidSo: a step that cannot be read is sent and not provable; an account that is neither active
// nor inactive counts as active; entitlements that nobody sees are unknown.
func TestX2WhatIsNotShownIsSaidSo(t *testing.T) {
	t.Parallel()
	_, target := edited(t, `"active", "groups") if`, `"groups_not", "active_not") if`)
	p := begin(t, target)
	for _, step := range p.Closing() {
		if (step.Left == nil) != (step.Name == "mail") {
			t.Errorf("%s can be read: %t", step.Name, step.Left != nil)
		}
	}
	a, err := p.Account(t.Context(), "3")
	if err != nil || !a.Active || a.ActiveShown != "nothing" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = p.Entitlements(t.Context(), a); err != nil || !a.EntitlementsUnknown {
		t.Errorf("%+v, %v", a, err)
	}
	lines, err := target.(targets.Checker).Check(t.Context())
	if text := strings.Join(lines, "\n"); err != nil || !strings.Contains(text, "closing them will never be proven") || !strings.Contains(text, "closing step mail (sent, not provable)") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestListsThatAreNotWhole(t *testing.T) {
	t.Parallel()
	for name, oldnew := range map[string][2]string{
		"too many are counted":  {`"count": len(users)}`, `"count": len(users) + 1}`},
		"nobody counts":         {`"count": len(users)}`, `"receipt": ""}`},
		"one comes twice":       {`for a in users: say(**show(a))`, "users = users + users[:1]\n        for a in users: say(**show(a))"},
		"one has no id":         {`say(**show(a))`, `say(account={"userName": "x", "active": True})`},
		"one has a NUL":         {`say(**show(a))`, `say(account={"id": "x\0", "userName": "x", "active": True})`},
		"a line has no account": {`for a in users: say(**show(a))`, `say()`},
		"it says not found":     {`if op == "accounts":`, `if op == "accounts" and 1: return {"error": "not_found"}` + "\n    if False:"},
		"the groups are not":    {`"count": len(groups)}`, `"count": 0}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := edited(t, oldnew[0], oldnew[1])
			var last error
			for _, err := range begin(t, target).Accounts(t.Context()) {
				last = err
			}
			if !errors.Is(last, targets.ErrIncomplete) && !errors.Is(last, targets.ErrUnavailable) {
				t.Errorf("ended with %v", last)
			}
		})
	}
}

// TestAnotherAccountIsAnswered: the account that was asked for, or none.
func TestAnotherAccountIsAnswered(t *testing.T) {
	t.Parallel()
	_, target := edited(t, `if op == "account": return show(a)`, `if op == "account": return show(users[0])`)
	if a, err := begin(t, target).Account(t.Context(), "3"); !errors.Is(err, targets.ErrRejected) {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestFindingIsNotBelieved: an empty answer is, once an account that is there was found the same way.
func TestFindingIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, oldnew := range map[string][2]string{
		"it finds nobody":        {`hits = [a`, `hits = [] and [a`},
		"letter case counts":     {`else (lambda s: s.lower() if isinstance(s, str) else s)`, `else (lambda s: s)`},
		"it finds everybody":     {`hits = [a for a in users if`, `hits = [a for a in users if True or`},
		"it does as it promises": {`hits`, `hits`},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := edited(t, oldnew[0], oldnew[1])
			p := begin(t, target)
			if _, err := p.Account(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			if found, err := p.Find(t.Context(), "userName", "ALICE"); err != nil || len(found) != 1 || found[0].ID != "3" {
				t.Errorf("%+v, %v", found, err)
			}
			if found, err := p.Find(t.Context(), "userName", "nobody"); err != nil || len(found) != 0 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// TestRefusedAttributesHoldNothingBack: the rest of a change arrives.
func TestRefusedAttributesHoldNothingBack(t *testing.T) {
	t.Parallel()
	r, target := edited(t, `for k, v in r["set"].items():`, `if "title" in r["set"]: return {"error": "rejected", "attribute": "title", "message": "too long"}`+"\n        for k, v in r[\"set\"].items():")
	after, receipt, err := begin(t, target).Update(t.Context(), identity.Account{ID: "3", UserName: "alice"}, identity.Delta{Attributes: []identity.AttributeChange{
		{Path: "displayName", After: identity.Text("Alice")}, {Path: "room", After: identity.Text("7")}, {Path: "title", After: identity.Text("y")},
	}})
	if err != nil || after.Get("displayName").Text() != "Alice" || r.read(t).Users[2].Attributes["title"] != "x" {
		t.Errorf("%+v, %v", after, err)
	}
	if len(receipt.Refused) != 2 || receipt.Refused[0].Path != "room" || receipt.Refused[1] != (targets.Refusal{Path: "title", Why: "too long"}) {
		t.Errorf("%+v", receipt)
	}
}

func TestOwnAccount(t *testing.T) {
	t.Parallel()
	_, target := edited(t)
	own, err := begin(t, target).(targets.Identifier).Own(t.Context())
	if err != nil || own != (targets.Own{ID: "1000", UserName: "dirsweep"}) {
		t.Errorf("%+v, %v", own, err)
	}
}

// TestEnvironmentIsAllowed: the program sees what it needs and what the config names, nothing else.
func TestEnvironmentIsAllowed(t *testing.T) {
	t.Setenv("LDAP_PASSWORD", "hunter2")
	t.Setenv("LANG", "C.UTF-8")
	dir := t.TempDir()
	p := exec.Program{
		Command: []string{"sh", "-c", "env > seen; pwd > folder"}, Directory: dir,
		Environment: map[string]string{"TOKEN": "abc", "LANG": "de_DE.UTF-8"},
	}
	if _, err := open(t, p, targets.Need{}).Begin(t.Context()); !errors.Is(err, targets.ErrUnavailable) {
		t.Error(err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, "seen"))
	if text := string(seen); err != nil || strings.Contains(text, "hunter2") || !strings.Contains(text, "TOKEN=abc") || strings.Count(text, "LANG=") != 1 || !strings.Contains(text, "LANG=de_DE") {
		t.Errorf("%s, %v", seen, err)
	}
	folder, err := os.ReadFile(filepath.Join(dir, "folder"))
	if err != nil || strings.TrimSpace(string(folder)) != dir {
		t.Errorf("it ran in %s, %v", folder, err)
	}
}

// TestPaceIsAskedFirst: no request goes out that the target's rate does not allow.
func TestPaceIsAskedFirst(t *testing.T) {
	t.Parallel()
	r := newRooms(t)
	full := errors.New("the rate is used up")
	need := roomsNeed()
	need.Pace = func(context.Context) error { return full }
	p := begin(t, open(t, r.program(t, "let-me-in"), need))
	if _, err := p.Disable(t.Context(), identity.Account{ID: "1"}); !errors.Is(err, full) {
		t.Error(err)
	}
	if text, _ := os.ReadFile(r.file + ".log"); strings.Contains(string(text), "disable") {
		t.Error("asked all the same")
	}
}

// TestCheckFindsMappedAttributesThatAreNotKept: a name that the program does not know is told before the first pass.
func TestCheckFindsMappedAttributesThatAreNotKept(t *testing.T) {
	t.Parallel()
	r := newRooms(t)
	need := roomsNeed()
	need.Paths = append(need.Paths, "titel")
	_, err := open(t, r.program(t, "let-me-in"), need).(targets.Checker).Check(t.Context())
	if !errors.Is(err, targets.ErrRejected) || !strings.Contains(fmt.Sprint(err), "titel is mapped, and the program does not keep it") {
		t.Error(err)
	}
	lines, err := open(t, r.program(t, "let-me-in"), roomsNeed()).(targets.Checker).Check(t.Context())
	if text := strings.Join(lines, "\n"); err != nil || !strings.Contains(text, "may write") || !strings.Contains(text, "accounts listed: 0") {
		t.Errorf("%s, %v", text, err)
	}
}
