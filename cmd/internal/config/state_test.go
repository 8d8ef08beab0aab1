package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

func TestStatePathOfABadConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct{ name, text, want string }{
		{"mistakes elsewhere", "state { path = \"here.db\" }\nsource \"lpad\" \"corp\" { ulr = 1 }\n", filepath.Join(dir, "here.db")},
		{"a syntax error below", "state { path = \"here.db\" }\nsource \"ldap\" {\n", filepath.Join(dir, "here.db")},
		{"a syntax error and no state block", "source \"ldap\" {\n", ""},
		{"a mistake in it", "state { path = [1] }\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, "config.hcl")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := config.StatePath(path)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("StatePath: %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
