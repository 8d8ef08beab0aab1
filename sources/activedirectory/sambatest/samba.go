//go:build unix

// Package sambatest runs a real, private Samba domain controller for tests and benchmarks. It listens on a loopback
// address of its own, keeps everything in a folder of its own, and ends with the test.
package sambatest

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/sys/unix"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// Options shape a domain. The zero value is an empty one.
type Options struct {
	People  int  // user000001, user000002, … below PeopleDN
	Groups  int  // group001, …: person i is a member of group i modulo Groups (plus one)
	Blind   bool // the reader may not see deleted objects
	Tickets bool // the controller is a key distribution center as well, and there is a keytab of the reader
}

// The domain.
const (
	baseDN   = "DC=ad,DC=example,DC=test"
	realm    = "AD.EXAMPLE.TEST"
	password = "Passw0rd!dirsweep"
)

// A Server is one running domain controller, with a reader who may read everything and an administrator.
type Server struct {
	ldaptest.Editor

	dir      string
	host     string
	services string // of the controller
	cmd      *exec.Cmd
	exited   chan struct{}
	log      *os.File
}

//go:embed grant.py
var grant string

// Start makes a domain and runs its controller, which is stopped when t ends. Without Samba on this machine, or without
// the right to listen on its ports, the test fails.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	install(t)
	dir, err := os.MkdirTemp("", "samba") // t.TempDir is too long for the path of a Unix socket
	ldaptest.Check(t, "make a folder", err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{dir: dir, services: "ldap"}
	s.SignIn = s.signIn
	ldaptest.Output(t, "unpack the domain", "tar", "-C", dir, "-xf", provisioned(t))
	s.load(t, o)
	if o.Tickets {
		s.services = "ldap, kdc"
		ldaptest.Output(t, "name the service", "samba-tool", "spn", "add", "ldap/dc1.ad.example.test", "DC1$",
			"-s", s.conf(), "-H", s.database())
		s.ExportKeytab(t)
	}
	s.first(t)
	return s
}

// first runs a controller for the first time, until t ends.
func (s *Server) first(t testing.TB) {
	t.Helper()
	var err error
	s.log, err = os.Create(s.path("log"))
	ldaptest.Check(t, "make a log", err)
	t.Cleanup(func() { _ = s.log.Close() })
	for try := 1; ; try++ { // the ports are fixed, so that each has an address of its own
		s.host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254))
		if err = s.run(); err == nil {
			break
		}
		if try == 3 {
			t.Fatalf("start Samba: %v", err)
		}
	}
	t.Cleanup(func() { s.Stop(t) })
}

// Twin stops the controller, and runs it again beside another one of the same domain, which holds what it holds now and
// has a database, and update numbers, of its own. Nothing is replicated between the two.
func (s *Server) Twin(t testing.TB) *Server {
	t.Helper()
	s.Stop(t)
	dir, err := os.MkdirTemp("", "samba")
	ldaptest.Check(t, "make a folder", err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	twin := &Server{dir: dir, services: s.services}
	twin.SignIn = twin.signIn
	ldaptest.Output(t, "copy the controller", "cp", "-a", s.path("private"), s.path("state"), s.path("tls"), s.path("etc"), dir)
	for _, folder := range []string{"run", "cache", "lock"} {
		ldaptest.Check(t, "make a folder", os.MkdirAll(twin.path(folder), 0o755))
	}
	id := make([]byte, 16)
	binary.LittleEndian.PutUint64(id, rand.Uint64())
	script := twin.path("identify.ldif")
	ldif := fmt.Sprintf("dn: CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,%s\n"+
		"changetype: modify\nreplace: invocationId\ninvocationId:: %s\n", baseDN, base64.StdEncoding.EncodeToString(id))
	ldaptest.Check(t, "write LDIF", os.WriteFile(script, []byte(ldif), 0o600))
	twin.host = s.host
	ldaptest.Check(t, "configure", twin.configure())
	ldaptest.Output(t, "give the copy a database of its own", "ldbmodify", "-H", twin.database(), "--configfile="+twin.conf(),
		"--controls=relax:0", script)
	twin.first(t)
	s.Start(t)
	return twin
}

func install(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests need root: a domain controller listens on ports 389 and 636")
	}
	files := []string{"/usr/sbin/samba", "/usr/bin/samba-tool", "/usr/bin/ldbadd", "/usr/share/samba/setup/provision", "/usr/bin/kinit"}
	ldaptest.Install(t, "Samba", files, "samba", "samba-ad-dc", "samba-ad-provision", "samba-dsdb-modules",
		"samba-vfs-modules", "winbind", "ldb-tools", "python3-markdown", "python3-setproctitle", "krb5-user")
}

// provisioned is an archive of a domain that is as good as new. It takes some seconds to make, and is kept for later
// tests: one process makes it, others wait.
func provisioned(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	folder := filepath.Join(cache, "dirsweep-test")
	ldaptest.Check(t, "make a folder", os.MkdirAll(folder, 0o700))
	version := strings.TrimSpace(strings.TrimPrefix(ldaptest.Output(t, "ask for Samba's version", "samba", "--version"), "Version "))
	archive := filepath.Join(folder, "samba-"+version+"-1.tar")
	lock, err := os.OpenFile(archive+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	ldaptest.Check(t, "open a lock", err)
	defer lock.Close()
	ldaptest.Check(t, "take a lock", unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	dir, err := os.MkdirTemp("", "samba")
	ldaptest.Check(t, "make a folder", err)
	defer os.RemoveAll(dir)
	s := &Server{dir: dir, host: "127.0.0.2", services: "ldap"}
	ldaptest.Check(t, "configure", s.configure())
	ldaptest.Output(t, "provision a domain", "samba-tool", "domain", "provision", "-s", s.conf(), "--realm="+realm, "--domain=EXAMPLE",
		"--server-role=dc", "--adminpass="+password, "--dns-backend=NONE", "--host-name=dc1", "--host-ip="+s.host,
		"--backend-store=mdb", "--option=ldb:nosync = yes")
	ldaptest.Output(t, "set the password policy", "samba-tool", "domain", "passwordsettings", "set", "-s", s.conf(), "-H", s.database(),
		"--complexity=off", "--history-length=0", "--min-pwd-age=0", "--max-pwd-age=0", "--min-pwd-length=0")
	ldaptest.Output(t, "make the reader", "samba-tool", "user", "create", "dirsweep", password, "-s", s.conf(), "-H", s.database())
	var units bytes.Buffer
	for _, dn := range []string{s.PeopleDN(), s.GroupsDN(), s.FormerDN()} {
		fmt.Fprintf(&units, "dn: %s\nobjectClass: organizationalUnit\n\n", dn)
	}
	s.add(t, units.Bytes())
	ldaptest.Output(t, "pack the domain", "tar", "-C", dir, "--exclude=./run", "--exclude=./log*", "-cf", archive+".new", ".")
	ldaptest.Check(t, "keep the domain", os.Rename(archive+".new", archive))
	return archive
}

// load adds people and groups to the database.
func (s *Server) load(t testing.TB, o Options) {
	t.Helper()
	s.host = "127.0.0.2"
	ldaptest.Check(t, "configure", s.configure())
	if !o.Blind {
		script := s.path("grant.py")
		ldaptest.Check(t, "write a script", os.WriteFile(script, []byte(grant), 0o600))
		ldaptest.Output(t, "let the reader see deleted objects", "/usr/bin/python3", script, s.conf(), s.database(), baseDN, "dirsweep")
	}
	var people, groups bytes.Buffer
	for i := 1; i <= o.People; i++ {
		uid := UID(i)
		fmt.Fprintf(&people, "dn: %s\nobjectClass: user\nsAMAccountName: %s\nuserPrincipalName: %s@ad.example.test\n"+
			"givenName: First%d\nsn: Last%d\ndisplayName: First%d Last%d\nmail: %s@example.org\nemployeeNumber: %d\nuserAccountControl: 544\n\n",
			s.PersonDN(uid), uid, uid, i, i, i, i, uid, i)
	}
	for n := 1; n <= o.Groups; n++ {
		name := fmt.Sprintf("group%03d", n)
		fmt.Fprintf(&groups, "dn: %s\nobjectClass: group\nsAMAccountName: %s\n", s.GroupDN(name), name)
		for i := 1; i <= o.People; i++ {
			if i%o.Groups+1 == n {
				fmt.Fprintf(&groups, "member: %s\n", s.PersonDN(UID(i)))
			}
		}
		groups.WriteString("\n")
	}
	s.add(t, people.Bytes())
	s.add(t, groups.Bytes())
}

// add puts entries into the database itself, which is far faster than over LDAP.
func (s *Server) add(t testing.TB, ldif []byte) {
	t.Helper()
	if len(ldif) == 0 {
		return
	}
	file := s.path("add.ldif")
	ldaptest.Check(t, "write LDIF", os.WriteFile(file, ldif, 0o600))
	ldaptest.Output(t, "add entries", "ldbadd", "-H", s.database(), "-o", "batch_mode:1", "--configfile="+s.conf(), file)
}

// UID is the login of the person of number i.
func UID(i int) string { return ldaptest.UID(i) }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) conf() string { return s.path("etc/smb.conf") }

func (s *Server) database() string { return s.path("private/sam.ldb") }

// configure writes smb.conf, in which every path is in the server's own folder.
func (s *Server) configure() error {
	for _, folder := range []string{"private", "state", "cache", "run", "etc", "tls", "bind-dns"} {
		if err := os.MkdirAll(s.path(folder), 0o700); err != nil {
			return err
		}
	}
	if err := ldaptest.Certify(s.path("tls"), net.ParseIP(s.host)); err != nil {
		return err
	}
	return os.WriteFile(s.conf(), fmt.Appendf(nil, `[global]
	netbios name = DC1
	realm = %[3]s
	workgroup = EXAMPLE
	server role = active directory domain controller
	server services = %[4]s
	ldap server require strong auth = allow_sasl_over_tls
	interfaces = %[2]s/8
	bind interfaces only = yes
	private dir = %[1]s/private
	state directory = %[1]s/state
	cache directory = %[1]s/cache
	lock directory = %[1]s/run
	pid directory = %[1]s/run
	ncalrpc dir = %[1]s/run/ncalrpc
	binddns dir = %[1]s/bind-dns
	winbindd socket directory = %[1]s/run/winbindd
	ntp signd socket directory = %[1]s/run/ntp_signd
	nbt client socket address = %[2]s
	log file = %[1]s/log.samba
	tls enabled = yes
	tls keyfile = %[1]s/tls/server.key
	tls certfile = %[1]s/tls/server.pem
	tls cafile = %[1]s/tls/ca.pem
	disable netbios = yes
	load printers = no
	ldb:nosync = yes
[sysvol]
	path = %[1]s/state/sysvol
	read only = No
[netlogon]
	path = %[1]s/state/sysvol/ad.example.test/scripts
	read only = No
`, s.dir, s.host, realm, s.services), 0o600)
}

// run starts the controller and waits until it accepts connections.
func (s *Server) run() error {
	if err := s.configure(); err != nil {
		return err
	}
	s.cmd = exec.Command("samba", "--interactive", "--debug-stdout", "-s", s.conf())
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children end with it
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		conn, err := net.Dial("tcp", s.host+":636")
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("samba ended: %s\n%s", s.cmd.ProcessState, log)
		case <-deadline:
			return fmt.Errorf("samba does not listen: %w", err)
		case <-tick.C:
		}
	}
}

// Stop ends the controller; all connections break.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
	}
	s.end(t, syscall.SIGKILL)
	<-s.exited
}

// Start runs a stopped controller again, at the same address.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ldaptest.Check(t, "start Samba again", s.run())
}

// Save keeps the database of a stopped controller as it is now, and returns what puts it back: a controller that is
// restored from an image of itself, as no administrator should.
func (s *Server) Save(t testing.TB) (restore func()) {
	t.Helper()
	image := s.path("image.tar")
	ldaptest.Output(t, "keep the database", "tar", "-C", s.dir, "-cf", image, "private")
	return func() {
		t.Helper()
		ldaptest.Check(t, "remove the database", os.RemoveAll(s.path("private")))
		ldaptest.Output(t, "put the database back", "tar", "-C", s.dir, "-xf", image)
	}
}

// Keytab is a file with the reader's keys.
func (s *Server) Keytab() string { return s.path("dirsweep.keytab") }

// ExportKeytab writes the reader's keys, as they are now, into Keytab.
func (s *Server) ExportKeytab(t testing.TB) {
	t.Helper()
	if err := os.Remove(s.Keytab()); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ldaptest.Output(t, "export a keytab", "samba-tool", "domain", "exportkeytab", s.Keytab(),
		"--principal=dirsweep", "-s", s.conf())
}

// Tickets gets the reader a ticket by that key, as a job of the system's would, and names the file that holds it.
func (s *Server) Tickets(t testing.TB) string {
	t.Helper()
	conf, cache := s.path("krb5.conf"), s.path("krb5cc")
	ldaptest.Check(t, "configure Kerberos", os.WriteFile(conf, fmt.Appendf(nil, "[libdefaults]\ndefault_realm = %[1]s\n"+
		"udp_preference_limit = 1\n[realms]\n%[1]s = {\n kdc = %[2]s\n}\n", realm, s.host), 0o600))
	ldaptest.Output(t, "get a ticket", "env", "KRB5_CONFIG="+conf, "kinit", "-k", "-t", s.Keytab(),
		"-c", cache, "dirsweep@"+realm)
	return cache
}

// SetPassword gives the reader another password, and so other keys.
func (s *Server) SetPassword(t testing.TB, password string) {
	t.Helper()
	ldaptest.Output(t, "set a password", "samba-tool", "user", "setpassword", "dirsweep",
		"--newpassword="+password, "-s", s.conf(), "-H", s.database())
}

// Realm is that of the domain.
func (s *Server) Realm() string { return realm }

// Freeze makes the controller hang: connections stand, nothing is answered.
func (s *Server) Freeze(t testing.TB) { t.Helper(); s.end(t, syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.end(t, syscall.SIGCONT) }

// end sends a signal to the controller and all its children.
func (s *Server) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal Samba: %v", err)
	}
}

// URL is the ldaps:// address.
func (s *Server) URL() string { return "ldaps://" + s.host }

// CAFile names the authority that signed the controller's certificate.
func (s *Server) CAFile() string { return s.path("tls/ca.pem") }

// BaseDN is the domain.
func (s *Server) BaseDN() string { return baseDN }

// PeopleDN holds people.
func (s *Server) PeopleDN() string { return "OU=people," + baseDN }

// GroupsDN holds groups.
func (s *Server) GroupsDN() string { return "OU=groups," + baseDN }

// FormerDN holds whoever was moved away.
func (s *Server) FormerDN() string { return "OU=former," + baseDN }

// PersonDN is where a person is made.
func (s *Server) PersonDN(uid string) string { return "CN=" + ldap.EscapeDN(uid) + "," + s.PeopleDN() }

// GroupDN is where a group is made.
func (s *Server) GroupDN(name string) string { return "CN=" + ldap.EscapeDN(name) + "," + s.GroupsDN() }

// Reader is the name that the reader signs in by.
func (s *Server) Reader() string { return "dirsweep@ad.example.test" }

// Password is everybody's.
func (s *Server) Password() string { return password }

// Block is a source block that reads the domain as the reader; lines are added to it.
func (s *Server) Block(name string, lines ...string) string {
	return fmt.Sprintf("source \"active_directory\" %q {\n  %s\n}\n", name, strings.Join(append([]string{
		fmt.Sprintf("url           = %q", s.URL()),
		fmt.Sprintf("ca_file       = %q", s.CAFile()),
		fmt.Sprintf("bind_dn       = %q", s.Reader()),
		fmt.Sprintf("bind_password = %q", s.Password()),
		fmt.Sprintf("base_dn       = %q", s.PeopleDN()),
		fmt.Sprintf("groups { base_dn = %q }", s.GroupsDN()),
	}, lines...), "\n  "))
}
