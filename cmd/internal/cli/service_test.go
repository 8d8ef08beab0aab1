package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

const serviceConfig = `
source "ldap" "corp" {
  url           = "ldaps://ldap.example.org"
  bind_dn       = "cn=reader"
  bind_password = credential("ldap")
  base_dn       = "ou=people,dc=example,dc=org"
}
target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = env("WIKI_TOKEN")
  account      = { userName = person.uid }
}
`

// TestTheUnitLetsTheServiceStart: what the config needs is there, and nothing else may be written.
func TestTheUnitLetsTheServiceStart(t *testing.T) {
	t.Parallel()
	load := func(text string) *config.Config {
		t.Helper()
		path := filepath.Join(t.TempDir(), "config.hcl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.LoadOffline(path)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	lines := func(text string) map[string]bool {
		set := map[string]bool{}
		for line := range strings.Lines(unit(load(text))) {
			set[strings.TrimSpace(line)] = true
		}
		return set
	}
	usual := lines(`state { path = "/var/lib/dirsweep/state.db" }` + serviceConfig)
	for _, want := range []string{
		"ProtectSystem=strict", "StateDirectory=dirsweep", "EnvironmentFile=-/etc/dirsweep/environment", "LoadCredential=ldap:/etc/dirsweep/credentials/ldap",
	} {
		if !usual[want] {
			t.Errorf("the unit lacks %s", want)
		}
	}
	for line := range usual {
		if strings.HasPrefix(line, "ReadWritePaths=") || strings.Contains(line, "@") && !strings.HasPrefix(line, "SystemCallFilter=") {
			t.Errorf("the unit has %s", line)
		}
	}
	if moved := lines(`state { path = "/srv/100%/dirsweep/state.db" }` + serviceConfig); !moved[`ReadWritePaths="/srv/100%%/dirsweep"`] {
		t.Errorf("a state elsewhere cannot be written: %v", moved)
	}
}
