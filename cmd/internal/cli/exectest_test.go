//go:build unix

package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/targets/exec/conformance"
)

// TestExecTest: one line a check, and an exit code; nothing is made unless somebody agreed.
func TestExecTest(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "badges.db")
	t.Setenv("BADGES_DB", db)
	sample, err := filepath.Abs("../../../packaging/samples/exec/badges.py")
	if err != nil {
		t.Fatal(err)
	}
	silent := filepath.Join(dir, "silent.sh")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\necho 'no such user'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Main(t.Context(), append([]string{"exec-test"}, args...), &out, &errs, "test")
		return code, out.String(), errs.String()
	}
	if code, _, errs := run("--environment", "BADGES_DB", sample); code != ExitFailed || !strings.Contains(errs, "nothing was begun: say --yes") {
		t.Errorf("without --yes: exit code %d, %s", code, errs)
	}
	if _, err := os.Stat(db); err == nil {
		t.Error("the program was started all the same")
	}
	code, out, errs := run("--yes", "--environment", "BADGES_DB", sample)
	if code != ExitOK || !strings.Contains(out, "ok  an account is disabled, twice, and shown so\n") || !strings.Contains(out, "keeps what it promises: 12 of 14 checks passed") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errs)
	}
	code, out, _ = run("--yes", silent, "--flag-of-the-program")
	if code != ExitFailed || !strings.Contains(out, `!!  it says hello, and can show accounts: `) || !strings.Contains(out, `"no such user"`) || !strings.Contains(out, "1 check of 1 failed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out, _ = run("--json", "--yes", "--environment", "BADGES_DB", sample)
	var told tried
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != ExitOK || !told.Passed || len(told.Checks) != 14 || told.Checks[0].Outcome != conformance.Passed {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	if code, _, errs := run("--yes"); code != ExitFailed || !strings.Contains(errs, "missing PROGRAM") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := run("--yes", "--environment", "NO_SUCH_VARIABLE", sample); code != ExitFailed || !strings.Contains(errs, "NO_SUCH_VARIABLE: it is not set") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}
