package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

// TestTheExampleIsGood loads config.example.hcl with the kinds that are built in.
func TestTheExampleIsGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.hcl")
	write(t, path, string(text))
	write(t, filepath.Join(dir, "wiki.token"), "t0ken-of-the-wiki\n")
	t.Setenv("LDAP_PASSWORD", "hunter2-of-ldap")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range cfg.Warnings {
		t.Errorf("warning: %s: %s", w.Summary, w.Detail)
	}
	if len(cfg.Sources) != 1 || len(cfg.Targets) != 1 {
		t.Fatalf("%d sources, %d targets", len(cfg.Sources), len(cfg.Targets))
	}
	corp, wiki := cfg.Sources[0], cfg.Targets[0]
	for _, name := range []string{"leaveDate", "nsAccountLock", "employeeNumber", "uid", "mail", "telephoneNumber"} {
		if !slices.Contains(corp.Need.Attributes, name) {
			t.Errorf("%s is not read; %q are", name, corp.Need.Attributes)
		}
	}
	if !corp.Need.Groups || !corp.Mapping.Timed() {
		t.Error("groups or time are not needed")
	}
	if wiki.Guard.MaxSweepCount != 20 || wiki.Guard.MaxSweepPercent != 5 || !slices.Equal(wiki.Guard.Protect, []string{"administrator", "svc-*", "wiki-bot"}) {
		t.Errorf("guard %+v", wiki.Guard)
	}
	if wiki.Leaver.DeleteAfter != 30*24*time.Hour || !slices.Equal(wiki.Sources, []string{"corp"}) {
		t.Errorf("leaver %+v of %q", wiki.Leaver, wiki.Sources)
	}
	shown := cfg.Show()
	for _, secret := range []string{"hunter2", "t0ken"} {
		if strings.Contains(shown, secret) {
			t.Errorf("a secret is shown:\n%s", shown)
		}
	}
	if !strings.Contains(shown, "bind_password = (secret)") || !strings.Contains(shown, `delete_after = "30d"`) {
		t.Errorf("shown:\n%s", shown)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
