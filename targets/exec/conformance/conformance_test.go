package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/targets/exec"
	"github.com/dirsweep/dirsweep/targets/exec/conformance"
)

func program(t *testing.T, path string, environment map[string]string) exec.Program {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return exec.Program{
		Command: []string{path}, Directory: t.TempDir(), Environment: environment,
		Timeout: 20 * time.Second, StartTimeout: 20 * time.Second, Parallel: 2,
	}
}

// run returns what came of each check, and whether all is well.
func run(t *testing.T, p exec.Program) (map[string]conformance.Result, bool) {
	t.Helper()
	got := map[string]conformance.Result{}
	good, err := conformance.Run(t.Context(), p, hclog.NewNullLogger(), func(r conformance.Result) { got[r.Check] = r })
	if err != nil {
		t.Fatal(err)
	}
	return got, good
}

// rooms is an application with somebody's account in it.
func rooms(t *testing.T) (exec.Program, string) {
	file := filepath.Join(t.TempDir(), "rooms.json")
	text := `{"next": 7, "groups": [{"id": "g1", "name": "staff"}], "users": [
		{"id": "7", "userName": "alice", "externalId": "", "active": true, "attributes": {}, "groups": [], "desk": "", "sessions": 0}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return program(t, "../testdata/rooms.py", map[string]string{"ROOMS": file, "ROOMS_TOKEN": "let-me-in"}), file
}

func TestGoodProgramsPass(t *testing.T) {
	full, file := rooms(t)
	for name, p := range map[string]exec.Program{
		"rooms":  full,
		"badges": program(t, "../../../packaging/samples/exec/badges.py", map[string]string{"BADGES_DB": filepath.Join(t.TempDir(), "badges.db")}),
	} {
		got, good := run(t, p)
		if !good {
			t.Errorf("%s: %v", name, got)
		}
		for check, r := range got {
			leaves := name == "badges" && (strings.HasPrefix(check, "groups") || strings.HasPrefix(check, "closing steps"))
			leaves = leaves || r.Detail == "its hello does not name it: what is left of mail, so that it is told as sent, not provable"
			if (r.Outcome == conformance.LeftOut) != leaves {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), conformance.Prefix) || !strings.Contains(string(text), "alice") {
		t.Errorf("left behind: %s, %v", text, err)
	}
}

// TestFaultsAreFound: the good program with one line broken fails the check that is for it.
func TestFaultsAreFound(t *testing.T) {
	source, err := os.ReadFile("../testdata/rooms.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct{ name, old, new, check, detail string }{
		{"X2: it says disabled, and does nothing", `a["active"] = False`, `pass`, "an account is disabled", "active: true"},
		{"X2: nobody is disabled with success", `return {"error": "not_found", "message"`, `return {"receipt": "fine"} if op == "disable" else {"error": "not_found", "message"`, "it shows that", "want not_found"},
		{"X5: it deletes by prefix", `users.remove(a)`, `data["users"] = [u for u in users if not u["userName"].startswith(a["userName"][:14])]`, "an account is deleted", "took more than was asked for"},
		{"X4: a shell has read it", `else: a["attributes"][k] = v`, `else: a["attributes"][k] = v.replace("$(touch x)", "")`, "values stay values", "touch x"},
		{"X3: sessions stay", `if r["step"] == "sessions": a["sessions"] = 0`, `if r["step"] == "sessions": pass`, "closing steps", "1 sessions"},
		{"a list counts itself wrong", `return {"end": True, "count": len(users)}`, `return {"end": True, "count": len(users) + 1}`, "two lists", "incomplete"},
		{"active is a word", `**out, "attributes"`, `**out, "active": str(a["active"]), "attributes"`, "two lists", "neither true nor false"},
		{"two have one name", `return {"error": "conflict"}`, `pass`, "a second account", "want conflict"},
		{"clearing is forgotten", `a["attributes"].pop(k, None)`, `pass`, "an attribute is set", "after it was set to"},
		{"a step opens the account", `if r["step"] == "desk":`, `if r["step"] == "desk" and not a.update(active=True):`, "closing steps", "active: true"},
		{"it cannot read", `"accounts", "account", `, ``, "it says hello", "cannot show accounts"},
		{"it speaks another version", `"version": 1`, `"version": 2`, "it says hello", "speaks version 2 of the protocol"},
		{"finding finds nothing", `hits = [a for a in users if fold`, `hits = [a for a in users if False and fold`, "", ""},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(string(source), fault.old) {
				t.Fatalf("the program has no %q", fault.old)
			}
			broken := filepath.Join(t.TempDir(), "broken.py")
			if err := os.WriteFile(broken, []byte(strings.ReplaceAll(string(source), fault.old, fault.new)), 0o700); err != nil {
				t.Fatal(err)
			}
			p, _ := rooms(t)
			p.Command = []string{broken}
			got, good := run(t, p)
			if good != (fault.check == "") {
				t.Errorf("passed %t: %v", good, got)
			}
			found := fault.check == ""
			for check, r := range got {
				found = found || r.Outcome == conformance.Failed && strings.HasPrefix(check, fault.check) && strings.Contains(r.Detail, fault.detail)
			}
			if !found {
				t.Errorf("no check %q failed with %q: %s", fault.check, fault.detail, fmt.Sprintf("%+v", got))
			}
		})
	}
}
