// Package sqltest runs real, private PostgreSQL and MariaDB servers for tests. Each listens on loopback and on a Unix
// socket, keeps everything in a folder of its own, runs as an unprivileged user, and ends with the test.
package sqltest

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// The administrator of every server.
const (
	Admin    = "admin"
	Password = "correct horse"
)

// A Server is one running database server. Tests of one binary may share it: each makes a database of its own.
type Server struct {
	// Driver is "postgresql" or "mariadb", as in the config.
	Driver string

	dialect   dialect
	dir       string
	port      int
	cmd       *exec.Cmd
	exited    chan struct{}
	log       *os.File
	databases atomic.Int64
}

// A dialect is what the two servers differ in.
type dialect interface {
	// prepare fills dir/db with the files of an empty server.
	prepare(t testing.TB, s *Server)
	command(s *Server) *exec.Cmd
	socket(s *Server) string
	open(s *Server, address, database, user, password string) (*sql.DB, error)
	stop() syscall.Signal
}

// PostgreSQL starts an empty server of PostgreSQL, which is stopped when t ends. Without one on this machine the test
// fails.
func PostgreSQL(t testing.TB) *Server { t.Helper(); return start(t, "postgresql", &postgresql{}) }

// MariaDB starts an empty server of MariaDB, which is stopped when t ends. Without one on this machine the test fails.
func MariaDB(t testing.TB) *Server { t.Helper(); return start(t, "mariadb", &mariadb{}) }

func start(t testing.TB, driver string, d dialect) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "sql") // t.TempDir is too long for the path of a Unix socket
	ldaptest.Check(t, "make a folder", err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{Driver: driver, dialect: d, dir: dir}
	ldaptest.Check(t, "make certificates", ldaptest.Certify(dir, net.IPv4(127, 0, 0, 1)))
	ldaptest.Check(t, "make a folder", os.Mkdir(s.path("run"), 0o700))
	s.give(t)
	d.prepare(t, s)
	s.log, err = os.Create(s.path("log"))
	ldaptest.Check(t, "make a log", err)
	t.Cleanup(func() { _ = s.log.Close() })
	for try := 1; ; try++ { // another process may take the port in between
		s.port = ldaptest.FreePort(t)
		if err = s.run(); err == nil {
			break
		}
		if try == 3 {
			t.Fatalf("start %s: %v", driver, err)
		}
	}
	t.Cleanup(func() {
		s.thaw()
		s.Kill(t)
	})
	return s
}

// run starts the server and waits until it lets the administrator in.
func (s *Server) run() error {
	s.cmd = s.dialect.command(s)
	unprivileged(s.cmd)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.exited = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // which is the server's parent, as the system sees it, and has to live as long
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	db, err := s.dialect.open(s, s.Socket(), "", Admin, Password)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		if err = db.Ping(); err == nil {
			return nil
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("the server ended: %s\n%s", s.cmd.ProcessState, log)
		case <-deadline:
			s.signal(syscall.SIGKILL)
			<-s.exited
			return fmt.Errorf("the server lets nobody in: %w", err)
		case <-tick.C:
		}
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// Address is host and port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Socket is the path of the Unix socket, as address takes it in the config: PostgreSQL's is the folder that holds it.
func (s *Server) Socket() string { return s.dialect.socket(s) }

// CAFile is the authority that signed the server's certificate, which is for 127.0.0.1 and localhost.
func (s *Server) CAFile() string { return s.path("ca.pem") }

// Database makes an empty database and returns its name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("db%d", s.databases.Add(1))
	s.Exec(t, "", "CREATE DATABASE "+name)
	return name
}

// Open signs in as anybody, with a pool of connections that is closed when t ends. database is "" for the first one
// there is (PostgreSQL), or none (MariaDB). It connects when it is first used.
func (s *Server) Open(t testing.TB, database, user, password string) *sql.DB {
	t.Helper()
	db, err := s.dialect.open(s, s.Address(), database, user, password)
	ldaptest.Check(t, "open "+database, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs statements as the administrator.
func (s *Server) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	db, err := s.dialect.open(s, s.Address(), database, Admin, Password)
	ldaptest.Check(t, "open "+database, err)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Query returns the rows of a query by the administrator, as text; NULL is "NULL".
func (s *Server) Query(t testing.TB, database, query string, args ...any) [][]string {
	t.Helper()
	db, err := s.dialect.open(s, s.Address(), database, Admin, Password)
	ldaptest.Check(t, "open "+database, err)
	defer db.Close()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	ldaptest.Check(t, "read columns", err)
	var list [][]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		ldaptest.Check(t, "read a row", rows.Scan(into...))
		row := make([]string, len(columns))
		for i, cell := range cells {
			if row[i] = cell.String; !cell.Valid {
				row[i] = "NULL"
			}
		}
		list = append(list, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}

// Stop ends the server in good order; all connections break.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.signal(s.dialect.stop())
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.Kill(t)
	}
}

// Start runs a stopped server again, on the same port.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ldaptest.Check(t, "start the server again", s.run())
}

// Kill ends the server at once, without a goodbye.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
	default:
		s.signal(syscall.SIGKILL)
		<-s.exited
	}
}

func (s *Server) signal(sig os.Signal) { _ = s.cmd.Process.Signal(sig) }

// find is the path of a server's program; without it the test fails.
func find(t testing.TB, server, name string, folders ...string) string {
	t.Helper()
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, name))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("these tests need %s: run packaging/scripts/test-needs", server)
	}
	return found
}
