package sqltest

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

type mariadb struct{ mariadbd string }

// prepare does what mariadb-install-db does, without the tables for help and its test database.
func (m *mariadb) prepare(t testing.TB, s *Server) {
	t.Helper()
	m.mariadbd = find(t, "MariaDB", "mariadbd", "/usr/sbin", "/usr/local/sbin")
	ldaptest.Check(t, "make a folder", os.Mkdir(s.path("db"), 0o700))
	setUp := fmt.Sprintf("CREATE USER IF NOT EXISTS %[1]s@'%%' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO %[1]s@'%%' WITH GRANT OPTION;\n"+
		"INSERT IGNORE INTO mysql.proxies_priv (Host, User, With_grant) VALUES ('%%', '%[1]s', 1);\nFLUSH PRIVILEGES;\n", Admin, Password)
	ldaptest.Check(t, "write SQL", os.WriteFile(s.path("init.sql"), []byte(setUp), 0o600))
	s.give(t)
	script := []byte("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{"mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql"} {
		var found []byte
		for _, folder := range []string{"/usr/share/mysql", "/usr/share/mariadb"} {
			if text, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
				found = text
			}
		}
		if found == nil {
			t.Fatalf("these tests need MariaDB's %s: run packaging/scripts/test-needs", name)
		}
		script = append(append(script, found...), '\n')
	}
	bootstrap := exec.Command(m.mariadbd, append(m.settings(s), "--bootstrap", "--log-warnings=0")...)
	unprivileged(bootstrap)
	bootstrap.Stdin = bytes.NewReader(script)
	if out, err := bootstrap.CombinedOutput(); err != nil {
		t.Fatalf("make a database: %v\n%s", err, out)
	}
}

// settings are those that the files of a database depend on, and those that make it fast.
func (m *mariadb) settings(s *Server) []string {
	return []string{
		"--no-defaults", "--datadir=" + s.path("db"), "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M",
		"--innodb-data-file-path=ibdata1:10M:autoextend", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0",
		"--skip-log-bin", "--skip-name-resolve",
		"--tmpdir=" + s.path("run"), // a server that starts removes the temporary tables of every other one from /tmp
	}
}

func (m *mariadb) command(s *Server) *exec.Cmd {
	return exec.Command(m.mariadbd, append(m.settings(s), "--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.port),
		"--socket="+m.socket(s), "--pid-file="+s.path("run/pid"), "--init-file="+s.path("init.sql"), "--event-scheduler=on",
		"--ssl-ca="+s.path("ca.pem"), "--ssl-cert="+s.path("server.pem"), "--ssl-key="+s.path("server.key"))...)
}

func (m *mariadb) socket(s *Server) string { return s.path("run/sock") }

func (m *mariadb) stop() syscall.Signal { return syscall.SIGTERM }

func (m *mariadb) open(_ *Server, address, database, user, password string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName, config.User, config.Passwd = "tcp", address, database, user, password
	if strings.HasPrefix(address, "/") {
		config.Net = "unix"
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
