// Package sql is the target kind for accounts in PostgreSQL and MariaDB: an application's table of users, PostgreSQL's
// login roles, and MariaDB's accounts. Other databases are reached by the kind exec.
package sql

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

//go:embed sample.hcl
var sample string

// Kind is the target kind "sql".
func Kind() targets.Kind { return targets.Kind{Name: "sql", Sample: sample, Decode: decode} }

// The profiles: databases whose own accounts are the accounts.
const (
	rolesProfile    = "postgresql_roles"
	accountsProfile = "mariadb_accounts"
)

// A spec is a decoded block.
type spec struct {
	sqlclient.Access

	profile string // "" for a table
	table   table
	deletes bool
	// keepPassword: of PostgreSQL's roles, closing leaves the password.
	keepPassword bool
	hosts        []string // of MariaDB's accounts
	plugin       string   // by which new ones of MariaDB's sign in; "" for a password that nobody knows
}

func schema() []hcl.AttributeSchema {
	list := sqlclient.Arguments()
	for _, name := range []string{
		"profile", "table", "key", "columns", "allow_delete", "remove_password", "hosts", "authentication",
	} {
		list = append(list, hcl.AttributeSchema{Name: name})
	}
	return list
}

func decode(body hcl.Body, env targets.Env) (targets.Spec, hcl.Diagnostics) {
	read, blocks := arguments.Read(body, &hcl.BodySchema{
		Attributes: schema(),
		Blocks: []hcl.BlockHeaderSchema{
			{Type: "active"},
			{Type: "entitlements"},
			{Type: "statement", LabelNames: []string{"operation"}},
			{Type: "closing", LabelNames: []string{"name"}},
		},
	}, env.Eval, env.Dir)
	d := &decoder{sqlclient.Decoder{Reader: read}}
	s := &spec{Access: d.Access(), deletes: d.Flag("allow_delete", false)}
	if s.Driver == "" {
		return s, d.Diagnostics
	}
	switch s.profile = d.Text("profile", ""); {
	case s.profile == "":
		d.table(s, blocks)
	case s.profile == rolesProfile && s.Driver == sqlclient.PostgreSQL:
		d.only(blocks, "remove_password")
		s.keepPassword = !d.Flag("remove_password", true)
	case s.profile == accountsProfile && s.Driver == sqlclient.MariaDB:
		d.only(blocks, "hosts", "authentication")
		d.accounts(s)
	case s.profile == rolesProfile, s.profile == accountsProfile:
		d.Fail("profile", "The wrong driver", fmt.Sprintf("%s is not for driver = %q.", s.profile, s.Driver))
	default:
		d.Fail("profile", fmt.Sprintf("No profile %q", s.profile),
			fmt.Sprintf("There are %q and %q. For a table of users leave profile out.", rolesProfile, accountsProfile))
	}
	return s, d.Diagnostics
}

// A decoder reads the kind's own part of a block.
type decoder struct{ sqlclient.Decoder }

// only refuses the arguments and blocks that belong to another way of keeping accounts.
func (d *decoder) only(blocks hcl.Blocks, own ...string) {
	for _, name := range []string{"table", "key", "columns", "remove_password", "hosts", "authentication"} {
		if d.Has(name) && !slices.Contains(own, name) {
			d.Fail(name, "Unused argument", "It is not for this profile: take it away.")
		}
	}
	for _, block := range blocks {
		d.at(block.DefRange, "Unused block", "A profile knows its statements itself: take the block away.")
	}
}

func (d *decoder) at(where hcl.Range, summary, detail string) {
	d.Diagnostics = d.Diagnostics.Append(&hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &where,
	})
}

var pluginName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func (d *decoder) accounts(s *spec) {
	s.hosts, s.plugin = d.Texts("hosts"), d.Text("authentication", "")
	if s.plugin != "" && !pluginName.MatchString(s.plugin) {
		d.Fail("authentication", "Not a plugin", `It is the name of an authentication plugin, such as "pam" or "gssapi".`)
	}
}

// pathName is what a path of this kind looks like, so that statements can name it.
var pathName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are names that statements have for something else.
func reserved() []string { return []string{"id", "active", "entitlement", "entitlement_name"} }

// table reads how an application keeps its users.
func (d *decoder) table(s *spec, blocks hcl.Blocks) {
	for _, name := range []string{"remove_password", "hosts", "authentication"} {
		if d.Has(name) {
			d.Fail(name, "Unused argument", "It is for a profile: take it away.")
		}
	}
	t := table{driver: s.Driver, deletes: s.deletes, columns: map[string]string{}, statements: map[string][]statement{}}
	t.key = d.Text("key", "")
	switch from := strings.TrimRight(d.Text("table", ""), "; \t\r\n"); {
	case from == "":
		d.Fail("table", "No table",
			`Write table = "users" (or a SELECT that shows the accounts), or profile = "postgresql_roles".`)
		return
	case strings.HasPrefix(strings.ToUpper(from), "SELECT"), strings.HasPrefix(strings.ToUpper(from), "WITH"):
		found, err := compile(s.Driver, from)
		if err != nil || len(found.parameters) > 0 {
			d.Fail("table", "Not a query over all accounts", fmt.Sprintf("It is one SELECT without parameters (%v).", err))
		}
		t.from = "(" + found.query + "\n) AS accounts"
	default:
		t.from, t.writable = quote(s.Driver, from), true
	}
	if t.key == "" {
		d.Fail("key", "No key", `Write key = "id": the column that names a row for life.`)
	}
	if v, ok := d.Value("columns", cty.Map(cty.String)); ok {
		for path, column := range v.AsValueMap() {
			if !pathName.MatchString(path) || slices.Contains(reserved(), path) {
				d.Fail("columns", "Not a name",
					fmt.Sprintf("%q: a name is letters and digits, and none of %s.", path, strings.Join(reserved(), ", ")))
				continue
			}
			if !column.IsNull() {
				t.columns[path] = column.AsString()
			}
		}
	}
	if t.columns["userName"] == "" {
		d.Fail("columns", "No column for userName", `Write columns = { userName = "login" }.`)
	}
	d.blocks(&t, blocks)
	s.table = t
}

func (d *decoder) blocks(t *table, blocks hcl.Blocks) {
	for _, block := range blocks {
		switch block.Type {
		case "active":
			if t.active.column != "" {
				d.at(block.DefRange, "A second active block", "One is enough.")
				continue
			}
			d.active(t, block)
		case "entitlements":
			if t.roles != nil {
				d.at(block.DefRange, "A second entitlements block", "One is enough.")
				continue
			}
			d.entitlements(t, block)
		case "statement":
			d.statement(t, block)
		case "closing":
			d.closing(t, block)
		}
	}
	if t.active.column == "" {
		d.Fail("active", "No active block", `Write active { column = "enabled" }: the column that says who may sign in.`)
	}
	for _, op := range []string{opCreate, opUpdate, opEnable, opDisable} {
		if !t.writable && t.from != "" && len(t.statements[op]) == 0 {
			d.Fail("table", "A query cannot be written to", fmt.Sprintf("Write a block statement %q.", op))
		}
	}
	if !t.writable && t.deletes && len(t.statements[opDelete]) == 0 {
		d.Fail("allow_delete", "A query cannot be written to", `Write a block statement "delete".`)
	}
}

// inner is a decoder of a block inside.
func (d *decoder) inner(block *hcl.Block, names ...string) *decoder {
	schema := &hcl.BodySchema{}
	for _, name := range names {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{
			Name:     strings.TrimSuffix(name, "*"),
			Required: strings.HasSuffix(name, "*"),
		})
	}
	return &decoder{sqlclient.Decoder{Reader: d.Inner(block.Body, schema)}}
}

func (d *decoder) active(t *table, block *hcl.Block) {
	in := d.inner(block, "column*", "on", "off")
	t.active = door{column: in.Text("column", ""), on: in.scalar("on", true), off: in.scalar("off", false)}
	if fmt.Sprint(t.active.on) == fmt.Sprint(t.active.off) {
		in.Fail("off", "On is off", "on and off are different values of the column.")
	}
	d.Diagnostics = d.Diagnostics.Extend(in.Diagnostics)
}

// scalar reads a truth value, or anything else as text.
func (d *decoder) scalar(name string, preset any) any {
	if !d.Has(name) {
		return preset
	}
	v, diags := d.Arguments[name].Expr.Value(d.Eval)
	if !diags.HasErrors() && !v.IsNull() && v.Type() == cty.Bool {
		return v.True()
	}
	return d.Text(name, "")
}

func (d *decoder) entitlements(t *table, block *hcl.Block) {
	in := d.inner(block, "table*", "account*", "entitlement*", "of*", "key*", "name*", "kind")
	t.roles = &memberships{
		table: in.Text("table", ""), account: in.Text("account", ""), entitlement: in.Text("entitlement", ""),
		of: in.Text("of", ""), key: in.Text("key", ""), name: in.Text("name", ""), kind: in.Text("kind", "role"),
	}
	d.Diagnostics = d.Diagnostics.Extend(in.Diagnostics)
}

// statement reads a block that replaces one of our statements.
func (d *decoder) statement(t *table, block *hcl.Block) {
	op := block.Labels[0]
	known := []string{opCreate, opUpdate, opEnable, opDisable, opDelete, opGrant, opWithdraw}
	if !slices.Contains(known, op) {
		d.at(block.LabelRanges[0], "Unknown operation", fmt.Sprintf("%q is none of %s.", op, strings.Join(known, ", ")))
		return
	}
	in := d.inner(block, "sql*", "rows")
	names := t.names()
	if op == opGrant || op == opWithdraw {
		names = append(names, "entitlement", "entitlement_name")
	}
	if s, ok := in.sql("sql", t, names); ok {
		s.least, s.most = in.rows(1, 1)
		t.statements[op] = append(t.statements[op], s)
		in.bounded(op, s)
	}
	d.Diagnostics = d.Diagnostics.Extend(in.Diagnostics)
}

// bounded refuses a statement about one account that does not say which.
func (d *decoder) bounded(op string, s statement) {
	if op != opCreate && !slices.Contains(s.parameters, "id") {
		d.Fail("sql", "A statement about everybody", "It does not name :id, and so would do the same to whoever it is for.")
	}
}

// names are the parameters that a statement may have.
func (t *table) names() []string {
	return append([]string{"id", "active"}, slices.Sorted(maps.Keys(t.columns))...)
}

func (d *decoder) closing(t *table, block *hcl.Block) {
	in := d.inner(block, "sql*", "rows", "left", "revokes")
	c := closingStep{name: block.Labels[0], revokes: in.Flag("revokes", true)}
	if slices.ContainsFunc(t.steps, func(other closingStep) bool { return other.name == c.name }) || c.name == "" {
		d.at(block.LabelRanges[0], "A name twice", "Each closing block has a name of its own.")
	}
	var ok bool
	if c.do, ok = in.sql("sql", t, t.names()); ok {
		c.do.least, c.do.most = in.rows(0, 1000)
		in.bounded(opDisable, c.do)
	}
	if in.Has("left") {
		if left, fine := in.sql("left", t, t.names()); fine {
			c.left = &left
		}
	}
	t.steps = append(t.steps, c)
	d.Diagnostics = d.Diagnostics.Extend(in.Diagnostics)
}

func (d *decoder) sql(name string, t *table, parameters []string) (statement, bool) {
	s, err := compile(t.driver, d.Text(name, ""))
	if err != nil {
		d.Fail(name, "Not a statement", err.Error()+".")
		return s, false
	}
	for _, p := range s.parameters {
		if !slices.Contains(parameters, p) {
			d.Fail(name, "Unknown parameter", fmt.Sprintf(":%s is none of :%s.", p, strings.Join(parameters, ", :")))
			return s, false
		}
	}
	return s, true
}

var rowsRange = regexp.MustCompile(`^(\d{1,9})(?:-(\d{1,9}))?$`)

// rows reads how many rows a statement may touch: a number, or a range such as "0-20".
func (d *decoder) rows(least, most int64) (int64, int64) {
	text := d.Text("rows", "")
	if text == "" {
		return least, most
	}
	found := rowsRange.FindStringSubmatch(text)
	if found == nil {
		d.Fail("rows", "Not a number of rows", `Write rows = 1, or a range: rows = "0-20".`)
		return least, most
	}
	least, _ = strconv.ParseInt(found[1], 10, 64)
	most = least
	if found[2] != "" {
		most, _ = strconv.ParseInt(found[2], 10, 64)
	}
	if most < least {
		d.Fail("rows", "Not a number of rows", "A range begins with the smaller number.")
	}
	return least, most
}

// Accepts implements targets.Spec.
func (s *spec) Accepts(path string) error {
	switch {
	case path == "active":
		return errors.New("active is not mapped: dirsweep decides it")
	case path == "id":
		return errors.New("id belongs to the database and cannot be written")
	case s.profile != "":
		return acceptsProfile(s.profile, path)
	case s.table.columns[path] == "":
		return fmt.Errorf("%s has no column: name one in columns, which has %s", path, strings.Join(s.table.paths(), ", "))
	case s.table.columns[path] == s.table.key && path != "userName" && path != "externalId":
		return fmt.Errorf("%s is the key and cannot be written", path)
	}
	return nil
}

func acceptsProfile(profile, path string) error {
	paths := []string{"userName"}
	if profile == rolesProfile {
		paths = rolePaths()
	}
	if !slices.Contains(paths, path) {
		return fmt.Errorf("%s is not among what %s has: %s", path, profile, strings.Join(paths, ", "))
	}
	return nil
}

// Required implements targets.Spec.
func (s *spec) Required() []string { return []string{"userName"} }

// Correlate implements targets.Spec.
func (s *spec) Correlate() []string {
	if s.profile == "" && s.table.columns["externalId"] != "" {
		return []string{"externalId", "userName"}
	}
	return []string{"userName"}
}

// Normal implements targets.Normaliser: MariaDB's truth values are numbers, and dates have one spelling.
func (s *spec) Normal(path string, v identity.Value) identity.Value {
	switch {
	case s.profile == rolesProfile && path == validUntil:
		return normalUntil(v)
	case s.profile == "" && s.Driver == sqlclient.MariaDB && v == "true":
		return "1"
	case s.profile == "" && s.Driver == sqlclient.MariaDB && v == "false":
		return "0"
	}
	return v
}

// Open implements targets.Spec.
func (s *spec) Open(need targets.Need) (targets.Target, error) {
	client, err := s.Access.Open(need.Pace)
	if err != nil {
		return nil, err
	}
	t := &target{need: need, client: client}
	switch s.profile {
	case rolesProfile:
		t.application = &roles{deletes: s.deletes, keepPassword: s.keepPassword}
	case accountsProfile:
		t.application = &accounts{deletes: s.deletes, hosts: s.hosts, plugin: s.plugin}
	default:
		t.application = &s.table
	}
	return t, nil
}
