// Package slapdtest runs a real, private OpenLDAP server for tests and benchmarks. It listens on loopback, keeps
// everything in a folder of its own, and ends with the test.
package slapdtest

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
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
	// Person overrides attributes of the person of number i (from 1); an empty list takes one away, objectClass is
	// added to.
	Person func(i int) map[string][]string
	LDIF   string // loaded after everything else
	// Schema is more lines of slapd.conf, read after the standard schemas: LockSchema, or one's own.
	Schema string
	// Copy begins with everything that another server holds, entryUUIDs and entryCSNs included, as a replica does
	// that hears nothing more.
	Copy *Server
	// Loose leaves out the overlays memberof and refint, as most servers do: no group follows a rename, and people
	// have no memberOf.
	Loose bool
	// Locks has a password policy with pwdLockout, without which pwdAccountLockedTime locks nobody.
	Locks bool
	// SizeLimit is that of the reader at the start; 0 for unlimited.
	SizeLimit int
}

// A Server is one running slapd with one suffix, a reader who may read everything and an administrator.
type Server struct {
	ldaptest.Editor

	dir       string
	port      int
	tlsPort   int
	cmd       *exec.Cmd
	exited    chan struct{}
	log       *os.File
	suffix    string
	sizeLimit int
}

// Start loads and starts a server, which is stopped when t ends. Without slapd on this machine the test fails.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	ldaptest.Install(t, "OpenLDAP's slapd", []string{"/usr/sbin/slapd"}, "slapd")
	dir, err := os.MkdirTemp("", "slapd") // t.TempDir is too long for the path of a Unix socket
	ldaptest.Check(t, "make a folder", err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{dir: dir, suffix: "dc=example,dc=org", sizeLimit: o.SizeLimit}
	s.SignIn = func(t testing.TB) *ldap.Conn { return s.bind(t, s.AdminDN()) }
	ldaptest.Check(t, "make certificates", ldaptest.Certify(dir, net.IPv4(127, 0, 0, 1)))
	for _, folder := range []string{"db", "run"} {
		ldaptest.Check(t, "make a folder", os.Mkdir(filepath.Join(dir, folder), 0o700))
	}
	ldaptest.Check(t, "write slapd.conf", os.WriteFile(s.path("slapd.conf"), s.config(o), 0o600))
	s.load(t, o)
	s.log, err = os.Create(s.path("log"))
	ldaptest.Check(t, "make a log", err)
	t.Cleanup(func() { _ = s.log.Close() })
	for try := 1; ; try++ { // another process may take the port in between
		s.port, s.tlsPort = ldaptest.FreePort(t), ldaptest.FreePort(t)
		if err = s.run(); err == nil {
			break
		}
		if try == 3 {
			t.Fatalf("start slapd: %v", err)
		}
	}
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// run starts slapd and waits until it accepts connections.
func (s *Server) run() error {
	s.cmd = exec.Command("/usr/sbin/slapd", "-d", "0", "-f", s.path("slapd.conf"),
		"-h", strings.Join([]string{s.URL(), s.LDAPS(), s.LDAPI()}, " "))
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		// Its own socket, and the last that it listens on: a port may be another server's, which took it in between.
		conn, err := net.Dial("unix", s.path("run/ldapi"))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("slapd ended: %s\n%s", s.cmd.ProcessState, log)
		case <-deadline:
			return fmt.Errorf("slapd does not listen: %w", err)
		case <-tick.C:
		}
	}
}

// Stop ends the server; all connections break. Run-time changes of limits and rights are lost, people are kept.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	s.signal(t, thaw)
	s.signal(t, syscall.SIGINT)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.signal(t, syscall.SIGKILL)
		<-s.exited
	}
}

// Start runs a stopped server again, on the same ports.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ldaptest.Check(t, "start slapd again", s.run())
}

// Kill ends the server at once, without a goodbye.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.exited
}

// Freeze makes the server hang: connections stand, nothing is answered.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, freeze)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !s.frozen(); { // a signal takes its time where the machine is busy
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("slapd does not stop")
		}
	}
}

// frozen reports whether no thread runs any more, as far as the system tells.
func (s *Server) frozen() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if _, state, found := bytes.Cut(stat, []byte(") ")); err == nil && found && state[0] != 'T' {
			return false
		}
	}
	return true
}

// Thaw ends a Freeze.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.signal(t, thaw) }

func (s *Server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Errorf("signal slapd: %v", err)
	}
}

// URL is the ldap:// address; StartTLS works there.
func (s *Server) URL() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.port) }

// LDAPS is the ldaps:// address.
func (s *Server) LDAPS() string { return fmt.Sprintf("ldaps://127.0.0.1:%d", s.tlsPort) }

// LDAPI is the address of the Unix socket. SASL EXTERNAL signs in as the reader there.
func (s *Server) LDAPI() string { return "ldapi://" + url.PathEscape(s.path("run/ldapi")) }

// CAFile is the authority that signed the server's certificate.
func (s *Server) CAFile() string { return s.path("ca.pem") }

// ClientCert and ClientKey sign in as the reader by SASL EXTERNAL over TLS.
func (s *Server) ClientCert() string { return s.path("client.pem") }

// ClientKey belongs to ClientCert.
func (s *Server) ClientKey() string { return s.path("client.key") }

// BaseDN is the suffix.
func (s *Server) BaseDN() string { return s.suffix }

// PeopleDN holds the people.
func (s *Server) PeopleDN() string { return "ou=people," + s.suffix }

// GroupsDN holds the groups.
func (s *Server) GroupsDN() string { return "ou=groups," + s.suffix }

// FormerDN is an empty place outside of PeopleDN.
func (s *Server) FormerDN() string { return "ou=former," + s.suffix }

// ReaderDN may read everything but passwords.
func (s *Server) ReaderDN() string { return "cn=reader," + s.suffix }

// LimitedDN may read like the reader, but only 500 entries, paged or not.
func (s *Server) LimitedDN() string { return "cn=limited," + s.suffix }

// AdminDN may write.
func (s *Server) AdminDN() string { return "cn=admin," + s.suffix }

// Password is everybody's.
func (s *Server) Password() string { return "correct horse" }

// Conn returns a connection signed in as the administrator; it is closed when t ends.
func (s *Server) Conn(t testing.TB) *ldap.Conn {
	t.Helper()
	conn := s.bind(t, s.AdminDN())
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *Server) bind(t testing.TB, dn string) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.URL())
	ldaptest.Check(t, "connect to slapd", err)
	ldaptest.Check(t, "sign in as "+dn, conn.Bind(dn, s.Password()))
	return conn
}

// Block is a source block of the config that reads this server as the reader, groups included; lines are added to it.
func (s *Server) Block(name string, lines ...string) string {
	return fmt.Sprintf("source \"ldap\" %q {\n  url = %q\n  bind_dn = %q\n  bind_password = %q\n  base_dn = %q\n"+
		"  filter = \"(objectClass=inetOrgPerson)\"\n  groups { base_dn = %q }\n  %s\n}\n",
		name, s.URL(), s.ReaderDN(), s.Password(), s.PeopleDN(), s.GroupsDN(), strings.Join(lines, "\n  "))
}

// config is the form of slapd.conf: changes through cn=config stay in memory, and a restart starts over.
func (s *Server) config(o Options) []byte {
	var b bytes.Buffer
	for _, schema := range []string{"core", "cosine", "nis", "inetorgperson"} {
		fmt.Fprintf(&b, "include /etc/ldap/schema/%s.schema\n", schema)
	}
	b.WriteString(o.Schema)
	b.WriteString("modulepath /usr/lib/ldap\n")
	for _, module := range []string{"back_mdb", "syncprov", "memberof", "refint", "ppolicy"} {
		fmt.Fprintf(&b, "moduleload %s.so\n", module)
	}
	size := max(64<<20, (o.People+o.Groups)*8<<10)
	fmt.Fprintf(&b, `
TLSCACertificateFile "%[1]s/ca.pem"
TLSCertificateFile "%[1]s/server.pem"
TLSCertificateKeyFile "%[1]s/server.key"
TLSVerifyClient allow
serverID 1
threads 4
loglevel none
timelimit unlimited
sizelimit size.soft=500 size.hard=500 size.unchecked=unlimited size.pr=1000 size.prtotal=unlimited
authz-regexp "^gidNumber=[0-9]+[+]uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth$" "cn=reader,%[2]s"
authz-regexp "^cn=client$" "cn=reader,%[2]s"

database config
rootdn "cn=config"
rootpw "%[3]s"

database mdb
suffix "%[2]s"
rootdn "cn=admin,%[2]s"
rootpw "%[3]s"
directory "%[1]s/db"
maxsize %[4]d
dbnosync
index objectClass eq
index entryUUID,entryCSN eq
index uid,cn,mail,employeeNumber eq
index member,memberUid eq
`, s.dir, s.suffix, s.Password(), size)
	for _, rule := range s.access(true) {
		fmt.Fprintf(&b, "access %s\n", rule)
	}
	for _, limit := range s.limits(o.SizeLimit) {
		fmt.Fprintf(&b, "limits %s\n", limit)
	}
	b.WriteString("\noverlay syncprov\nsyncprov-sessionlog 10000\n")
	if !o.Loose {
		fmt.Fprintf(&b, `
overlay memberof
memberof-refint true
overlay refint
refint_attributes member
refint_nothing "cn=nobody,%s"
`, s.suffix)
	}
	b.WriteString("overlay ppolicy\n")
	if o.Locks {
		fmt.Fprintf(&b, "ppolicy_default \"cn=policy,%s\"\n", s.suffix)
	}
	return b.Bytes()
}

// access are the rules of who may read what.
func (s *Server) access(reader bool) []string {
	may := "read"
	if !reader {
		may = "none"
	}
	return []string{
		"to attrs=userPassword by anonymous auth by * none",
		fmt.Sprintf(`to * by dn.exact="%s" %s by dn.exact="%s" read by * none`, s.ReaderDN(), may, s.LimitedDN()),
	}
}

// limits are the size limits of the reader and of the limited one.
func (s *Server) limits(size int) []string {
	reader := "size=unlimited size.pr=unlimited size.prtotal=unlimited"
	if size > 0 {
		reader = fmt.Sprintf("size.soft=%[1]d size.hard=%[1]d size.pr=%[1]d size.prtotal=%[1]d", size)
	}
	return []string{
		fmt.Sprintf(`dn.exact="%s" %s time=unlimited`, s.ReaderDN(), reader),
		fmt.Sprintf(`dn.exact="%s" size.soft=500 size.hard=500 size.pr=100 size.prtotal=500`, s.LimitedDN()),
	}
}
