package sqltest

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

type postgresql struct{ postgres string }

func (p *postgresql) prepare(t testing.TB, s *Server) {
	t.Helper()
	folder := "/usr/lib/postgresql/*/bin"
	p.postgres = find(t, "PostgreSQL", "postgres", folder)
	secret := s.path("password")
	ldaptest.Check(t, "write a password", os.WriteFile(secret, []byte(Password), 0o600))
	s.give(t)
	initdb := exec.Command(find(t, "PostgreSQL", "initdb", folder), "--pgdata="+s.path("db"), "--no-sync",
		"--username="+Admin, "--pwfile="+secret, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
	unprivileged(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("make a database: %v\n%s", err, out)
	}
}

func (p *postgresql) command(s *Server) *exec.Cmd {
	args := []string{"-D", s.path("db")}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=" + s.path("run"),
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=50",
		"ssl=on", "ssl_cert_file=" + s.path("server.pem"), "ssl_key_file=" + s.path("server.key"), "ssl_ca_file=" + s.path("ca.pem"),
	} {
		args = append(args, "-c", setting)
	}
	return exec.Command(p.postgres, args...)
}

func (p *postgresql) socket(s *Server) string { return s.path("run") }

func (p *postgresql) stop() syscall.Signal { return syscall.SIGINT }

func (p *postgresql) open(s *Server, address, database, user, password string) (*sql.DB, error) {
	if database == "" {
		database = "postgres"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", host, s.port, user, database))
	if err != nil {
		return nil, err
	}
	config.Password = password
	return stdlib.OpenDB(*config), nil
}
