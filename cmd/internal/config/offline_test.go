package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

// TestTheExampleIsGoodAsShipped: checked offline it needs none of the secrets and certificates that it names.
func TestTheExampleIsGoodAsShipped(t *testing.T) {
	t.Parallel()
	cfg, err := config.LoadOffline(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, w := range cfg.Warnings {
		said = append(said, w.Summary+": "+w.Detail)
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "LDAP_PASSWORD is not set") || !strings.Contains(text, "wiki.token") {
		t.Errorf("what was not read is told as:\n%s", text)
	}
	want := []config.Secret{{Function: "env", Name: "LDAP_PASSWORD"}, {Function: "file", Name: "wiki.token"}}
	if got := cfg.Secrets(); !slices.Equal(got, want) {
		t.Errorf("the secrets are %v", got)
	}
	if shown := cfg.Show(); !strings.Contains(shown, `source "ldap" "corp"`) || !strings.Contains(shown, "max_sweep_count") {
		t.Errorf("shown as:\n%s", shown)
	}
}

func TestOfflineStillFindsEveryMistake(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.hcl")
	text := `
source "ldap" "corp" {
  url           = env("NOT_SET_ANYWHERE")
  bind_dn       = "cn=reader"
  bind_password = credential("no-such")
  base_dn       = "ou=people,dc=example,dc=org"
  fliter        = "(uid=*)"
}
target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = file("nowhere.token")
  account      = { userName = lowr(person.uid) }
}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.LoadOffline(path)
	if err == nil || !strings.Contains(err.Error(), "fliter") || !strings.Contains(err.Error(), "lowr") {
		t.Fatalf("the mistakes: %v", err)
	}
	for _, excused := range []string{"NOT_SET_ANYWHERE", "no-such", "nowhere.token"} {
		if strings.Contains(err.Error(), excused) {
			t.Errorf("%s is told as a mistake: %v", excused, err)
		}
	}
	good := strings.NewReplacer("  fliter        = \"(uid=*)\"\n", "", "lowr", "lower").Replace(text)
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.LoadOffline(path); err != nil {
		t.Error(err)
	}
	if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "NOT_SET_ANYWHERE") {
		t.Errorf("loaded to be run without its secrets: %v", err)
	}
}
