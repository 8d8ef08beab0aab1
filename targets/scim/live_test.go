package scim_test

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim"
)

// open decodes block, opens the target and begins a pass.
func open(t testing.TB, block string, need targets.Need) targets.Pass {
	t.Helper()
	return begin(t, openTarget(t, block, need))
}

func begin(t testing.TB, target targets.Target) targets.Pass {
	t.Helper()
	pass, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

func openTarget(t testing.TB, block string, need targets.Need) targets.Target {
	t.Helper()
	spec, diags := decode(t, block)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	need.Log = hclog.NewNullLogger()
	target, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

func decode(t testing.TB, block string) (targets.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(block), "test.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return scim.Kind().Decode(file.Body, targets.Env{Name: "wiki", Dir: t.TempDir(), Eval: &hcl.EvalContext{}})
}

// everyone reads the whole list.
func everyone(t testing.TB, target targets.Pass) []identity.Account {
	t.Helper()
	var all []identity.Account
	for a, err := range target.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}
