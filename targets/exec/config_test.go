package exec_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
)

func decode(t *testing.T, text string) (targets.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(text), "config.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	env := targets.Env{Name: "badges", Dir: t.TempDir(), Eval: &hcl.EvalContext{Variables: map[string]cty.Value{"unknown": cty.UnknownVal(cty.String)}}}
	return exec.Kind().Decode(file.Body, env)
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		`command = ["./a"]`: "",
		`command = ["a", "-x", "y z"]
		environment = { A = "b" }
		directory = "here"
		timeout = "1m"
		start_timeout = "5s"
		processes = 4`: "",
		"command = [\"./a\"]\nenvironment = { A = unknown }": "",
		``:                                     "command",
		`command = []`:                         "No program",
		`command = [""]`:                       "No program",
		`command = "./a --x"`:                  "Wrong kind of value",
		`command = ["./a --x"]`:                "A blank in the program's name",
		`command = ["a", "\u0000"]`:            "NUL in the command",
		"command = [\"a\"]\ntimeout = \"0s\"":  "Not a duration",
		"command = [\"a\"]\ntimeout = \"9h\"":  "Not a duration",
		"command = [\"a\"]\nstart_timeout = 3": "Not a duration",
		"command = [\"a\"]\nprocesses = 0":     "processes out of range",
		"command = [\"a\"]\nprocesses = 17":    "processes out of range",
		"command = [\"a\"]\nenvironment = { \"A=B\" = \"c\" }": "Not an environment variable",
		"command = [\"a\"]\nshell = true":                      "Unsupported argument",
	} {
		_, diags := decode(t, text)
		switch got := diags.Error(); {
		case want == "" && len(diags) > 0:
			t.Errorf("%s: %v", text, diags)
		case want != "" && !strings.Contains(got, want):
			t.Errorf("%s: %v, want %q", text, diags, want)
		}
	}
}

func TestMappedPaths(t *testing.T) {
	spec, _ := decode(t, `command = ["a"]`)
	for path, ok := range map[string]bool{"userName": true, "externalId": true, "room": true, "active": false, "id": false, "groups": false, "": false, "a\x00": false} {
		if err := spec.Accepts(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestProgramsAreRelativeToTheConfig: not to where dirsweep was started.
func TestProgramsAreRelativeToTheConfig(t *testing.T) {
	r := newRooms(t)
	p := r.program(t, "let-me-in")
	p.Command, p.Folder = []string{"./" + filepath.Base(p.Command[0])}, filepath.Dir(p.Command[0])
	begin(t, open(t, p, roomsNeed()))
}
