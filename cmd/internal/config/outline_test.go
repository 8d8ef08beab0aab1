package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutlineNeedsNoSecretAndForgivesMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.hcl")
	here := filepath.Join(dir, "here.db")
	corp, wiki := []Named{{Name: "corp", Kind: "ldap"}}, []Named{{Name: "wiki", Kind: "scim", Mode: "observe"}}
	for _, tt := range []struct {
		name, text string
		want       Outline
	}{
		{
			"secrets that are not there",
			"state { path = \"here.db\" }\nsource \"ldap\" \"corp\" {\n  bind_password = env(\"NOT_SET_ANYWHERE\")\n}\n" +
				"target \"scim\" \"wiki\" {\n  mode = \"observe\"\n  bearer_token = file(\"nowhere\")\n  leaver {}\n}\n",
			Outline{State: here, Sources: corp, Targets: wiki},
		},
		{"mistakes elsewhere", "state { path = \"here.db\" }\nsource \"ldap\" \"corp\" { ulr = 1 }\n", Outline{State: here, Sources: corp}},
		{"a syntax error below", "state { path = \"here.db\" }\nsource \"ldap\" {\n", Outline{State: here}},
		{"no state block", "source \"ldap\" \"corp\" { ulr = 1 }\n", Outline{State: defaultState(), Sources: corp}},
		{"a syntax error and no state block", "source \"ldap\" {\n", Outline{}},
		{"a mistake in it", "state { path = [1] }\n", Outline{}},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, dir} {
			tt.want.Path = path
			got, err := ReadOutline(path)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
			}
		}
	}
	if _, err := ReadOutline(filepath.Join(dir, "nix.hcl")); err == nil {
		t.Error("an outline of nothing")
	}
}
