// Package sqlclient reaches PostgreSQL and MariaDB (or MySQL) servers: what the kinds share that read people from a
// database and that keep accounts in one. The drivers are imported nowhere else.
package sqlclient

import (
	"crypto/tls"
	"database/sql/driver"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dirsweep/dirsweep/sources/certificates"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Driver is one of the two families of servers.
type Driver string

// The drivers. MySQL speaks MariaDB's protocol: its "mysql" in the config is MariaDB.
const (
	PostgreSQL Driver = "postgresql"
	MariaDB    Driver = "mariadb"
)

// Access is how to reach a database and sign in.
type Access struct {
	Driver   Driver
	Address  string // host:port, or the path of a Unix socket: for PostgreSQL the folder that holds it
	Database string // "" for none, which only MariaDB knows
	User     string
	Password identity.Secret
	Timeout  time.Duration // of one transaction, of one row of a long answer, and of waiting for a lock

	caFile   string
	certFile string
	keyFile  string
	plain    bool // no TLS: loopback and Unix sockets only
}

// connecting is how long a server has to accept a connection and to let us sign in.
const connecting = 10 * time.Second

// Who names server, database and identity, for messages.
func (a Access) Who() string {
	if a.Database == "" {
		return fmt.Sprintf("%s as %s", a.Address, a.User)
	}
	return fmt.Sprintf("%s, database %s, as %s", a.Address, a.Database, a.User)
}

// socket reports whether the address is a path.
func (a Access) socket() bool { return strings.HasPrefix(a.Address, "/") }

// loopback reports whether what is sent stays on this machine.
func (a Access) loopback() bool {
	host, _, err := net.SplitHostPort(a.Address)
	ip := net.ParseIP(host)
	return a.socket() || err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// connector reads the certificate files, and connects nowhere.
func (a Access) connector() (driver.Connector, error) {
	config, err := a.tlsConfig()
	if err != nil {
		return nil, err
	}
	if a.Driver == PostgreSQL {
		return a.postgresql(config)
	}
	return a.mariadb(config)
}

// postgresql overrides all that pgx takes from the environment: a PGSERVICE or a PGOPTIONS is none of our config.
func (a Access) postgresql(secured *tls.Config) (driver.Connector, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 user=none database=none password=none sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("the environment's PG variables: %w", err)
	}
	config.Fallbacks, config.ValidateConnect, config.AfterConnect, config.OAuthTokenProvider = nil, nil, nil, nil
	config.Host, config.Port = a.Address, 5432
	if !a.socket() {
		host, port, err := net.SplitHostPort(a.Address)
		if err != nil {
			return nil, fmt.Errorf("address: %w", err)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("address: %q is no port", port)
		}
		config.Host, config.Port = host, uint16(number)
	} else if port, ok := socketPort(a.Address); ok {
		config.Port = port
	}
	config.Database, config.User, config.Password = a.Database, a.User, a.Password.Reveal()
	config.TLSConfig = secured
	config.ConnectTimeout = connecting
	config.RuntimeParams = map[string]string{
		"application_name": "dirsweep", "timezone": "UTC", "datestyle": "ISO", "bytea_output": "hex",
		"lock_timeout": strconv.FormatInt(a.Timeout.Milliseconds(), 10),
	}
	// Nothing is left prepared, so that a pooler in front may hand each transaction to another connection.
	config.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	return stdlib.GetConnector(*config), nil
}

// socketPort is the port of the only server that listens in a folder: its socket is .s.PGSQL.PORT.
func socketPort(folder string) (port uint16, ok bool) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, false
	}
	for _, entry := range entries {
		number, found := strings.CutPrefix(entry.Name(), ".s.PGSQL.")
		n, err := strconv.ParseUint(number, 10, 16)
		if !found || err != nil {
			continue
		}
		if ok {
			return 0, false
		}
		port, ok = uint16(n), true
	}
	return port, ok
}

func (a Access) mariadb(secured *tls.Config) (driver.Connector, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", a.Address
	if a.socket() {
		config.Net = "unix"
	}
	config.DBName, config.User, config.Passwd = a.Database, a.User, a.Password.Reveal()
	config.TLS = secured
	config.Timeout = connecting
	config.ParseTime, config.Loc = true, time.UTC
	// Rows that are found, as in PostgreSQL, rather than rows that become another: an update to what is there already
	// touches its row.
	config.ClientFoundRows = true
	config.Logger = &mysql.NopLogger{}
	seconds := strconv.Itoa(max(1, int(a.Timeout.Seconds())))
	config.Params = map[string]string{
		"lock_wait_timeout": seconds, "innodb_lock_wait_timeout": seconds, "time_zone": "'+00:00'",
		// Strict: else a value that does not fit is cut, and a word that is no number is 0. All of it is said, so that
		// statements mean the same on every server: QUOTE needs backslashes to escape.
		"sql_mode": "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	}
	return mysql.NewConnector(config)
}

// tlsConfig reads the certificate files when a client is opened; nil for none.
func (a Access) tlsConfig() (*tls.Config, error) {
	if a.plain || a.socket() {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	return certificates.Files{CA: a.caFile, Cert: a.certFile, Key: a.keyFile}.Config(host)
}
