//go:build unix

package directory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// TestKerberos: a domain is read with a key of the reader, and what goes wrong is told as an administrator needs it.
func TestKerberos(t *testing.T) {
	dc := sambatest.Start(t, sambatest.Options{People: 3, Tickets: true})
	from := func(principal string, lines ...string) *source {
		return open(t, sources.Need{}, append([]string{
			fmt.Sprintf("url = %q", dc.URL()), fmt.Sprintf("ca_file = %q", dc.CAFile()), fmt.Sprintf("base_dn = %q", dc.PeopleDN()),
			`anchor = "objectGUID"`, `bind = "kerberos"`, fmt.Sprintf("principal = %q", principal+"@"+dc.Realm()),
		}, lines...)...)
	}
	keytab := fmt.Sprintf("keytab = %q", dc.Keytab())
	people, _, err := everyone(t, from("dirsweep", keytab))
	if err != nil || len(people) != 3 {
		t.Fatalf("%d people, %v", len(people), err)
	}
	lines, err := from("dirsweep", keytab).Check(t.Context())
	if want := "signed in by Kerberos as dirsweep@" + dc.Realm(); err != nil || !strings.Contains(lines[0], want) {
		t.Errorf("%q, %v", lines, err)
	}
	refused := func(what string, src *source, want string, isRefused bool) {
		t.Helper()
		_, _, err := everyone(t, src)
		if err == nil || !strings.Contains(err.Error(), want) || ldapclient.RefusedSignIn(err) != isRefused {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	refused("no file", from("dirsweep", `keytab = "/nonexistent"`), "keytab: ", false)
	dc.SetPassword(t, "another password")
	refused("the password was changed", from("dirsweep", keytab), "the keytab does not have the account's key any more", true)
	dc.ExportKeytab(t)
	if people, _, err := everyone(t, from("dirsweep", keytab)); err != nil || len(people) != 3 {
		t.Errorf("with the new keytab: %d people, %v", len(people), err)
	}
	tickets := fmt.Sprintf("credential_cache = %q", dc.Tickets(t))
	if people, _, err := everyone(t, from("dirsweep", tickets)); err != nil || len(people) != 3 {
		t.Errorf("with tickets: %d people, %v", len(people), err)
	}
	elsewhere := filepath.Join(t.TempDir(), "krb5.conf")
	text := fmt.Sprintf("[libdefaults]\ndefault_realm = %[1]s\nudp_preference_limit = 1\n[realms]\n%[1]s = {\n kdc = 127.0.0.1:1\n}\n", dc.Realm())
	if err := os.WriteFile(elsewhere, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("no key distribution center answers", from("dirsweep", keytab, fmt.Sprintf("krb5_conf = %q", elsewhere)), "127.0.0.1:1", false)
	dc.Stop(t)
	refused("nobody is there", from("dirsweep", keytab), dc.URL(), false)
}
