package config_test

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	sourcekinds "github.com/dirsweep/dirsweep/sources/all"
	targetkinds "github.com/dirsweep/dirsweep/targets/all"
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
	write(t, filepath.Join(dir, "ca.pem"), certificate(t))
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

// TestTheSamplesMakeAConfig: what `dirsweep sample KIND` prints, one source and one target, is a config.
func TestTheSamplesMakeAConfig(t *testing.T) {
	for _, source := range sourcekinds.Kinds() {
		for _, target := range targetkinds.Kinds() {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "source.hcl"), source.Sample)
			write(t, filepath.Join(dir, "target.hcl"), target.Sample)
			write(t, filepath.Join(dir, "wiki.token"), "t0ken\n")
			write(t, filepath.Join(dir, "ca.pem"), certificate(t))
			t.Setenv("LDAP_PASSWORD", "hunter2")
			t.Setenv("AD_PASSWORD", "hunter2")
			t.Setenv("UNIX_PASSWORD", "hunter2")
			t.Setenv("PAYROLL_PASSWORD", "hunter2")
			t.Setenv("HR_PASSWORD", "hunter2")
			cfg, err := config.Load(dir)
			if err != nil {
				t.Errorf("%s, %s: %v", source.Name, target.Name, err)
			} else if len(cfg.Warnings) > 0 {
				t.Errorf("%s, %s: %v", source.Name, target.Name, cfg.Warnings)
			}
		}
	}
}

func TestTheDigestIsTheFiles(t *testing.T) {
	dir := t.TempDir()
	const text = "source \"book\" \"corp\" { path = \"x\" }\ntarget \"app\" \"wiki\" {\n url = \"https://x\"\n account = { userName = person.uid }\n}\n"
	path := filepath.Join(dir, "config.hcl")
	digest := func(path string) string {
		t.Helper()
		cfg, err := load(path)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Digest
	}
	write(t, path, text)
	alone := digest(path)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); alone != want || digest(dir) != want {
		t.Errorf("%s, as a folder %s, want what sha256sum prints: %s", alone, digest(dir), want)
	}
	write(t, filepath.Join(dir, "guard.hcl"), "guard {}\n")
	both := digest(dir)
	write(t, filepath.Join(dir, "guard.hcl"), "guard {} # edited\n")
	if edited := digest(dir); both == alone || edited == both {
		t.Error("an edit does not show")
	}
}

func TestUnreadableConfigs(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none.hcl"): "none.hcl", dir: "holds no *.hcl file"} {
		if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// certificate returns the PEM of some authority.
func certificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheExampleOfFilesIsGood: what config.example.hcl shows as comments is accepted once it is none.
func TestTheExampleOfFilesIsGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	_, commented, _ := strings.Cut(string(text), "# source \"csv\"")
	commented, _, _ = strings.Cut("# source \"csv\""+commented, "\n\n")
	lines := strings.Split(commented, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
	}
	path := filepath.Join(t.TempDir(), "config.hcl")
	write(t, path, strings.Join(lines, "\n")+`
target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = env("WIKI_TOKEN")
  account      = { userName = person.uid }
}`)
	t.Setenv("WIKI_TOKEN", "hunter2")
	cfg, err := config.Load(path)
	if err != nil || len(cfg.Sources) != 1 || len(cfg.Warnings) > 0 || !cfg.Sources[0].AbsenceLeaves || !cfg.Sources[0].Mapping.Timed() {
		t.Errorf("%+v, %+v", cfg, err)
	}
}

// TestTheExamplesInCommentsAreGood: what config.example.hcl shows as comments is accepted once it is none.
func TestTheExamplesInCommentsAreGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	_, commented, _ := strings.Cut(string(text), "# target \"active_directory\"")
	lines := strings.Split("# target \"active_directory\""+commented, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
	}
	dir := t.TempDir()
	for _, kind := range sourcekinds.Kinds() {
		if kind.Name == "ldap" {
			write(t, filepath.Join(dir, "source.hcl"), kind.Sample)
		}
	}
	write(t, filepath.Join(dir, "target.hcl"), strings.Join(lines, "\n"))
	write(t, filepath.Join(dir, "ca.pem"), certificate(t))
	for _, name := range []string{"LDAP_PASSWORD", "AD_PASSWORD", "UNIX_PASSWORD", "PAYROLL_PASSWORD", "WAREHOUSE_PASSWORD"} {
		t.Setenv(name, "hunter2")
	}
	cfg, err := config.Load(dir)
	if err != nil || len(cfg.Targets) != 4 || len(cfg.Warnings) > 0 {
		t.Errorf("%+v", err)
	}
}

// TestSecretsInAnEnvironmentAreNotShown: nor where the name of the variable is in capitals, as such names are.
func TestSecretsInAnEnvironmentAreNotShown(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range sourcekinds.Kinds() {
		if kind.Name == "ldap" {
			write(t, filepath.Join(dir, "source.hcl"), kind.Sample)
		}
	}
	write(t, filepath.Join(dir, "target.hcl"), "target \"exec\" \"badges\" {\n  command = [\"./badges.py\"]\n"+
		"  environment = { BADGES_TOKEN = \"s3cret-of-badges\", BADGES_DB = \"badges.db\" }\n  account = { userName = person.uid }\n}\n")
	write(t, filepath.Join(dir, "ca.pem"), certificate(t))
	t.Setenv("LDAP_PASSWORD", "hunter2")
	cfg, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if shown := cfg.Show(); strings.Contains(shown, "s3cret") || !strings.Contains(shown, "environment = ") {
		t.Errorf("shown:\n%s", shown)
	}
}
