package sqlclient

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sync/identity"
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

// A Decoder reads arguments and keeps every mistake, each at its line.
type Decoder struct {
	Arguments   hcl.Attributes
	Eval        *hcl.EvalContext
	Dir         string // the config's folder: relative paths start here
	Diagnostics hcl.Diagnostics
	Missing     hcl.Range // where the mistake is that something is absent
}

// Access reads how to connect and sign in, and refuses what would send a password in the clear.
func (d *Decoder) Access() Access {
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

// Fail keeps a mistake at an argument, or at the block where it has none of that name.
func (d *Decoder) Fail(name, summary, detail string) { d.say(hcl.DiagError, name, summary, detail) }

// Warn keeps a warning, likewise.
func (d *Decoder) Warn(name, summary, detail string) { d.say(hcl.DiagWarning, name, summary, detail) }

func (d *Decoder) say(severity hcl.DiagnosticSeverity, name, summary, detail string) {
	diag := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: d.Missing.Ptr()}
	if attr := d.Arguments[name]; attr != nil {
		diag.Subject, diag.Context = attr.Expr.Range().Ptr(), attr.Range.Ptr()
	}
	d.Diagnostics = d.Diagnostics.Append(diag)
}

// Has reports whether the block has an argument.
func (d *Decoder) Has(name string) bool { return d.Arguments[name] != nil }

// Value evaluates an argument; ok is false where it is absent, null or wrong.
func (d *Decoder) Value(name string, want cty.Type) (v cty.Value, ok bool) {
	attr := d.Arguments[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := attr.Expr.Value(d.Eval)
	d.Diagnostics = d.Diagnostics.Extend(diags)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		d.Fail(name, "Wrong type", fmt.Sprintf("%s: %s.", name, err))
		return cty.NilVal, false
	}
	return v, true
}

// Text reads a text, without the space around it.
func (d *Decoder) Text(name, preset string) string {
	if v, ok := d.Value(name, cty.String); ok {
		return strings.TrimSpace(v.AsString())
	}
	return preset
}

// Texts reads a list of texts, or one text that stands for a list of one.
func (d *Decoder) Texts(name string) []string {
	attr := d.Arguments[name]
	if attr == nil {
		return nil
	}
	if v, diags := attr.Expr.Value(d.Eval); !diags.HasErrors() && v.Type() == cty.String {
		return []string{d.Text(name, "")}
	}
	v, ok := d.Value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var list []string
	for _, item := range v.AsValueSlice() {
		if !item.IsNull() && item.AsString() != "" {
			list = append(list, item.AsString())
		}
	}
	return list
}

// Flag reads true or false.
func (d *Decoder) Flag(name string, preset bool) bool {
	v, ok := d.Value(name, cty.Bool)
	if !ok {
		return preset
	}
	return v.True()
}

// Count reads a whole number.
func (d *Decoder) Count(name string, preset, least, most int) int {
	v, ok := d.Value(name, cty.Number)
	if !ok {
		return preset
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		d.Fail(name, "Number out of range", fmt.Sprintf("%s is a whole number from %d to %d.", name, least, most))
		return preset
	}
	return int(n)
}

// Duration reads a time span.
func (d *Decoder) Duration(name string, preset time.Duration) time.Duration {
	text := d.Text(name, "")
	if text == "" {
		return preset
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < time.Millisecond {
		d.Fail(name, "Not a duration", fmt.Sprintf(`%s is a time span such as "30s" or "2m".`, name))
		return preset
	}
	return span
}

// Path reads a file name; relative ones start at the config's folder.
func (d *Decoder) Path(name string) string {
	file := d.Text(name, "")
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(d.Dir, file)
}

// Secret reads a secret, and warns of one that is written into the config itself.
func (d *Decoder) Secret(name string) identity.Secret {
	v, ok := d.Value(name, cty.String)
	if !ok {
		return identity.Secret{}
	}
	expr := d.Arguments[name].Expr
	if _, diags := hcl.ExprCall(expr); diags.HasErrors() && len(expr.Variables()) == 0 && v.AsString() != "" {
		d.Warn(name, "A secret in the config", fmt.Sprintf(
			`Whoever may read the config can read it. Write %s = env("NAME"), file("path") or credential("name").`, name))
	}
	return identity.NewSecret(v.AsString())
}
