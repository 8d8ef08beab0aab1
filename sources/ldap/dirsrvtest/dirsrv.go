//go:build unix

// Package dirsrvtest runs a real, private 389 Directory Server for tests and benchmarks. It listens on loopback and ends
// with the test.
package dirsrvtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// Options shape a server. The zero value is an empty directory.
type Options struct {
	People int // user000001, user000002, … below PeopleDN
	Groups int // group001, …: person i is a member of group i modulo Groups (plus one)
	// Imported leaves entries without entryUUID, as ns-slapd's import does.
	Imported bool
}

// The directory.
const (
	suffix   = "dc=example,dc=org"
	password = "correct horse"
	manager  = "cn=Directory Manager"
)

// A Server is one running ns-slapd with one suffix, a reader who may read everything and an administrator.
type Server struct {
	ldaptest.Editor

	instance string
	dir      string
	port     int
	cmd      *exec.Cmd
	exited   chan struct{}
	log      *os.File
}

// Start makes an instance and runs it; it is removed when t ends. Without 389 Directory Server on this machine, or
// without the right to make an instance, the test fails.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	install(t)
	dir := t.TempDir()
	s := &Server{instance: fmt.Sprintf("t%d", os.Getpid()), dir: dir}
	s.SignIn = s.signIn
	for n := 0; ; n++ { // one for each server of a process
		if _, err := os.Stat(s.config()); errors.Is(err, os.ErrNotExist) {
			break
		}
		s.instance = fmt.Sprintf("t%d-%d", os.Getpid(), n)
	}
	var err error
	s.log, err = os.Create(filepath.Join(dir, "log"))
	ldaptest.Check(t, "make a log", err)
	t.Cleanup(func() { _ = s.log.Close() })
	s.port = ldaptest.FreePort(t)
	t.Cleanup(func() { _, _ = tool("dsctl", s.instance, "remove", "--do-it") })
	s.create(t)
	ldaptest.Check(t, "start ns-slapd", s.run())
	t.Cleanup(func() { s.Stop(t) })
	s.load(t, o)
	return s
}

func install(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests need root: an instance of 389 Directory Server is made")
	}
	ldaptest.Install(t, "389 Directory Server", []string{"/usr/sbin/ns-slapd"}, "389-ds-base")
}

// tool runs one of the server's own programs, which are written for the system's Python.
func tool(name string, args ...string) ([]byte, error) {
	command := exec.Command("/usr/sbin/"+name, args...)
	command.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	return command.CombinedOutput()
}

func (s *Server) config() string { return "/etc/dirsrv/slapd-" + s.instance }

// create makes the instance. The server's tools would start it by systemd, and are told not to.
func (s *Server) create(t testing.TB) {
	t.Helper()
	const defaults = "/usr/share/dirsrv/inf/defaults.inf"
	text, err := os.ReadFile(defaults)
	ldaptest.Check(t, "read the server's defaults", err)
	if changed := bytes.Replace(text, []byte("with_systemd = 1"), []byte("with_systemd = 0"), 1); !bytes.Equal(changed, text) {
		ldaptest.Check(t, "write the server's defaults", os.WriteFile(defaults, changed, 0o644))
	}
	file := filepath.Join(s.dir, "instance.inf")
	ldaptest.Check(t, "describe the instance", os.WriteFile(file, fmt.Appendf(nil, `[general]
full_machine_name = localhost
selinux = False
strict_host_checking = False
systemd = False
start = False
[slapd]
instance_name = %s
port = %d
secure_port = 0
root_password = %s
self_sign_cert = False
[backend-userroot]
create_suffix_entry = True
suffix = %s
`, s.instance, s.port, password, suffix), 0o600))
	if out, err := tool("dscreate", "from-file", file); err != nil {
		t.Fatalf("make an instance: %v\n%s", err, out)
	}
}

// run starts the server and waits until it answers.
func (s *Server) run() error {
	if err := os.MkdirAll("/run/dirsrv", 0o770); err != nil {
		return err
	}
	_, _ = exec.Command("chown", "dirsrv:dirsrv", "/run/dirsrv").CombinedOutput()
	s.cmd = exec.Command("/usr/sbin/ns-slapd", "-D", s.config(), "-i", "/run/dirsrv/slapd-"+s.instance+".pid", "-d", "0")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		conn, err := ldap.DialURL(s.URL())
		if err == nil {
			err = conn.Bind(manager, password)
			_ = conn.Close()
			if err == nil {
				return nil
			}
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("ns-slapd ended: %s\n%s", s.cmd.ProcessState, log)
		case <-deadline:
			return fmt.Errorf("ns-slapd does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// load configures the server, and adds people and groups.
func (s *Server) load(t testing.TB, o Options) {
	t.Helper()
	s.Edit(t, "configure the server", func(c *ldap.Conn) error {
		identified := map[bool]string{true: "off", false: "on"}[o.Imported]
		for dn, change := range map[string][2]string{
			"cn=config": {"passwordStorageScheme", "CLEAR"}, // else each person costs half a second
			"cn=MemberOf Plugin,cn=plugins,cn=config":                     {"nsslapd-pluginEnabled", "on"},
			"cn=referential integrity postoperation,cn=plugins,cn=config": {"nsslapd-pluginEnabled", "on"},
			"cn=entryuuid,cn=plugins,cn=config":                           {"nsslapd-pluginEnabled", identified},
		} {
			request := ldap.NewModifyRequest(dn, nil)
			request.Replace(change[0], []string{change[1]})
			if err := c.Modify(request); err != nil {
				return fmt.Errorf("%s: %w", dn, err)
			}
		}
		request := ldap.NewModifyRequest(suffix, nil)
		request.Add("aci", []string{fmt.Sprintf(
			`(targetattr!="userPassword")(version 3.0; acl "reader"; allow (read,search,compare) userdn="ldap:///%s";)`, s.ReaderDN(),
		)})
		return c.Modify(request)
	})
	s.Stop(t) // plugins begin with the server
	ldaptest.Check(t, "start ns-slapd again", s.run())
	for _, dn := range []string{s.PeopleDN(), s.GroupsDN(), s.FormerDN()} {
		s.Add(t, dn, map[string][]string{"objectClass": {"organizationalUnit"}})
	}
	s.Add(t, s.ReaderDN(), map[string][]string{
		"objectClass": {"inetOrgPerson"}, "sn": {"reader"}, "cn": {"reader"}, "userPassword": {password},
		"nsSizeLimit": {"-1"}, "nsLookThroughLimit": {"-1"}, "nsPagedSizeLimit": {"-1"}, "nsPagedLookThroughLimit": {"-1"},
	})
	s.Edit(t, "add people", func(c *ldap.Conn) error {
		for i := 1; i <= o.People; i++ {
			request := ldap.NewAddRequest(s.PersonDN(UID(i)), nil)
			for name, values := range person(UID(i), i) {
				request.Attribute(name, values)
			}
			if err := c.Add(request); err != nil {
				return err
			}
		}
		return nil
	})
	for n := 1; n <= o.Groups; n++ {
		var members []string
		for i := 1; i <= o.People; i++ {
			if i%o.Groups+1 == n {
				members = append(members, s.PersonDN(UID(i)))
			}
		}
		s.AddGroup(t, fmt.Sprintf("group%03d", n), members...)
	}
}

// UID is the login of the person of number i.
func UID(i int) string { return ldaptest.UID(i) }

func person(uid string, i int) map[string][]string {
	return map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {uid}, "cn": {fmt.Sprintf("First%d Last%d", i, i)}, "sn": {fmt.Sprintf("Last%d", i)},
		"givenName": {fmt.Sprintf("First%d", i)}, "mail": {uid + "@example.org"}, "employeeNumber": {fmt.Sprint(i)},
	}
}

// Stop ends the server; all connections break.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	s.signal(t, syscall.SIGCONT)
	s.signal(t, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		s.signal(t, syscall.SIGKILL)
		<-s.exited
	}
}

// Start runs a stopped server again, on the same port.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ldaptest.Check(t, "start ns-slapd again", s.run())
}

// Freeze makes the server hang: connections stand, nothing is answered.
func (s *Server) Freeze(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal ns-slapd: %v", err)
	}
}

// URL is the ldap:// address.
func (s *Server) URL() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.port) }

// PeopleDN holds people.
func (s *Server) PeopleDN() string { return "ou=people," + suffix }

// GroupsDN holds groups.
func (s *Server) GroupsDN() string { return "ou=groups," + suffix }

// FormerDN holds whoever was moved away.
func (s *Server) FormerDN() string { return "ou=former," + suffix }

// PersonDN is where a person is made.
func (s *Server) PersonDN(uid string) string { return "uid=" + ldap.EscapeDN(uid) + "," + s.PeopleDN() }

// GroupDN is where a group is made.
func (s *Server) GroupDN(name string) string { return "cn=" + ldap.EscapeDN(name) + "," + s.GroupsDN() }

// ReaderDN may read everything.
func (s *Server) ReaderDN() string { return "uid=reader," + suffix }

// Password is everybody's.
func (s *Server) Password() string { return password }

// Block is a source block that reads the directory as the reader; lines are added to it.
func (s *Server) Block(name string, lines ...string) string {
	return fmt.Sprintf("source \"ldap\" %q {\n  %s\n}\n", name, strings.Join(append([]string{
		fmt.Sprintf("url           = %q", s.URL()),
		fmt.Sprintf("bind_dn       = %q", s.ReaderDN()),
		fmt.Sprintf("bind_password = %q", s.Password()),
		fmt.Sprintf("base_dn       = %q", s.PeopleDN()),
		`anchor        = "nsUniqueId"`,
		`filter        = "(objectClass=inetOrgPerson)"`,
		fmt.Sprintf("groups { base_dn = %q }", s.GroupsDN()),
	}, lines...), "\n  "))
}
