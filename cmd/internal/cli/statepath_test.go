package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStatePathOfABadConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.hcl")
	for _, tt := range []struct{ name, text, want string }{
		{"mistakes elsewhere", "state { path = \"here.db\" }\nsource \"lpad\" \"corp\" { ulr = 1 }\n", filepath.Join(dir, "here.db")},
		{"a syntax error below", "state { path = \"here.db\" }\nsource \"ldap\" {\n", filepath.Join(dir, "here.db")},
		{"no state block", "source \"lpad\" \"corp\" { ulr = 1 }\n", platformState()},
		{"a syntax error and no state block", "source \"ldap\" {\n", ""},
		{"a mistake in it", "state { path = [1] }\n", ""},
	} {
		if err := os.WriteFile(config, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{config, dir} {
			if got := statePath(path); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}
