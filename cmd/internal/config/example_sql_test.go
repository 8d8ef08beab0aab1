package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

// TestTheExampleOfADatabaseIsGood: what config.example.hcl shows as comments is accepted once it is none.
func TestTheExampleOfADatabaseIsGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	_, commented, _ := strings.Cut(string(text), "# source \"sql\"")
	commented, _, _ = strings.Cut("# source \"sql\""+commented, "\n\n")
	lines := strings.Split(commented, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.hcl")
	write(t, filepath.Join(dir, "ca.pem"), certificate(t))
	write(t, path, strings.Join(lines, "\n")+`
target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = env("WIKI_TOKEN")
  account      = { userName = person.login }
}`)
	t.Setenv("WIKI_TOKEN", "hunter2")
	t.Setenv("HR_PASSWORD", "hunter2")
	cfg, err := config.Load(path)
	if err != nil || len(cfg.Sources) != 1 || len(cfg.Warnings) > 0 || !cfg.Sources[0].Mapping.Timed() {
		t.Errorf("%+v, %+v", cfg, err)
	}
}
