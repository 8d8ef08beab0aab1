package acceptance

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// What the directory may do wrong ends, for whoever runs the program, with no write, the reason named and an exit code
// that is not 0; and the next good pass goes on as if nothing had been.
func TestTroublesOfTheDirectory(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 5000})
	app := scimtest.StartElimity(t)
	good := []string{source("corp", dir, ""), target("wiki", app, "")}
	i := newInstall(t, good...)
	i.must("sync")
	for _, trouble := range []struct {
		name       string
		begin, end func()
		filter     string // "" for the usual one
		exit       int
		reason     string
	}{
		{"success with 0 entries", func() { dir.HidePeople(t) }, func() { dir.Show(t) }, "", 3, "nobody"},
		{"size limit", func() { dir.SetSizeLimit(t, 500) }, func() { dir.SetSizeLimit(t, 0) }, "", 1, "limit"},
		{"filter that matches nobody", nil, nil, "(uid=nobody)", 3, "nobody"},
		{"every right removed", func() { dir.Hide(t) }, func() { dir.Show(t) }, "", 1, "corp"},
		{"stopped", func() { dir.Kill(t) }, func() { dir.Start(t) }, "", 1, "corp"},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			before := app.Writes()
			if trouble.begin != nil {
				trouble.begin()
			}
			if trouble.filter != "" {
				i.configure(strings.Replace(good[0], "(objectClass=inetOrgPerson)", trouble.filter, 1), good[1])
			}
			code, stdout, stderr := i.run("sync")
			if code != trouble.exit || !strings.Contains(stdout+stderr, trouble.reason) {
				t.Errorf("exit %d, want %d and %q in:\n%s%s", code, trouble.exit, trouble.reason, stdout, stderr)
			}
			if trouble.end != nil {
				trouble.end()
			}
			i.configure(good...)
			i.must("sync")
			if got := app.Writes() - before; got != 0 {
				t.Errorf("%d writes arrived", got)
			}
		})
	}
}
