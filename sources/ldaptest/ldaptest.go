// Package ldaptest is what the test servers that speak LDAP share.
package ldaptest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Check fails the test where something did not work.
func Check(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Output runs a program and returns what it prints; the test fails where the program does.
func Output(t testing.TB, what, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, out)
	}
	return string(out)
}

// FreePort is a port of loopback that nobody listens on. Another process may take it in between.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Check(t, "find a free port", err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Install installs packages where one of these files is missing. Without the right to, the test fails and says how.
func Install(t testing.TB, server string, files []string, packages ...string) {
	t.Helper()
	missing := false
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			missing = true
		}
	}
	if !missing {
		return
	}
	how := "apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
	if os.Geteuid() != 0 {
		t.Fatalf("these tests need %s: sudo %s", server, how)
	}
	args := []string{"-o", "DPkg::Lock::Timeout=600", "install", "-y", "-qq", "--no-install-recommends"}
	command := exec.Command("apt-get", append(args, packages...)...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("these tests need %s: %s: %v\n%s", server, how, err, out)
	}
}

// UID is the login of the person of number i, of those that a server begins with.
func UID(i int) string { return fmt.Sprintf("user%06d", i) }
