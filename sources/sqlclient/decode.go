package sqlclient

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources/arguments"
)

// defaultTimeout is how long one transaction may take.
const defaultTimeout = 30 * time.Second

// Arguments are those of Access, for the schema of a block.
func Arguments() []hcl.AttributeSchema {
	return []hcl.AttributeSchema{
		{Name: "driver", Required: true},
		{Name: "address", Required: true},
		{Name: "database"},
		{Name: "user", Required: true},
		{Name: "password"},
		{Name: "ca_file"},
		{Name: "cert_file"},
		{Name: "key_file"},
		{Name: "tls"},
		{Name: "timeout"},
	}
}

// A Decoder reads the arguments of a block that names a database.
type Decoder struct{ *arguments.Reader }

// Access reads how to connect and sign in, and refuses what would send a password in the clear.
func (d Decoder) Access() Access {
	a := Access{
		Address: d.Text("address", ""), Database: d.Text("database", ""), User: d.Text("user", ""),
		Password: d.Secret("password"), Timeout: d.Duration("timeout", defaultTimeout),
		caFile: d.Path("ca_file"), certFile: d.Path("cert_file"), keyFile: d.Path("key_file"), plain: !d.Flag("tls", true),
	}
	port := ""
	switch name := d.Text("driver", ""); name {
	case "postgresql":
		a.Driver, port = PostgreSQL, "5432"
		if a.Database == "" {
			d.Fail("database", "No database", `Write database = "hr": PostgreSQL lets nobody in without one.`)
		}
	case "mariadb", "mysql":
		a.Driver, port = MariaDB, "3306"
	default:
		d.Fail("driver", "Unknown driver", fmt.Sprintf(`%q is none of "postgresql", "mariadb" and "mysql". `+
			`Other databases are reached by a program of yours: see the kind "exec".`, name))
		return a
	}
	if a.User == "" {
		d.Fail("user", "Nobody to sign in as", `Write user = "dirsweep".`)
	}
	if !a.socket() {
		host, given, err := net.SplitHostPort(a.Address)
		if err != nil {
			host, given = strings.Trim(a.Address, "[]"), port
		}
		if _, bad := strconv.ParseUint(given, 10, 16); bad != nil || host == "" || strings.ContainsAny(host, "/@ ") {
			d.Fail("address", "Not an address",
				`An address is host:port, such as "db.example.org:5432", or the path of a Unix socket.`)
			return a
		}
		a.Address = net.JoinHostPort(host, given)
	}
	if a.plain && !a.loopback() {
		d.Fail("tls", "Unencrypted connection", fmt.Sprintf("%s is not on this machine: take tls = false away, "+
			"and name the server's authority in ca_file where this machine does not know it.", a.Address))
	}
	if (a.certFile == "") != (a.keyFile == "") {
		d.Fail("cert_file", "Half a client certificate", "cert_file and key_file go together.")
	}
	return a
}
