package scim

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

//go:embed sample.hcl
var sample string

// Kind is the target kind "scim".
func Kind() targets.Kind { return targets.Kind{Name: "scim", Sample: sample, Decode: decode} }

// A spec is a decoded block.
type spec struct {
	name        string
	url         string
	auth        rest.Auth
	caFile      string
	profile     profile
	pageSize    int
	timeout     time.Duration
	userType    string
	allowDelete bool
	tlsInsecure bool
}

// block is the shape of the kind's part of a target block. Expressions are kept, so that mistakes are told at their
// place.
type block struct {
	URL         hcl.Expression `hcl:"url"`
	BearerToken hcl.Expression `hcl:"bearer_token,optional"`
	CertFile    hcl.Expression `hcl:"cert_file,optional"`
	KeyFile     hcl.Expression `hcl:"key_file,optional"`
	CAFile      hcl.Expression `hcl:"ca_file,optional"`
	Profile     hcl.Expression `hcl:"profile,optional"`
	PageSize    hcl.Expression `hcl:"page_size,optional"`
	Timeout     hcl.Expression `hcl:"timeout,optional"`
	UserType    hcl.Expression `hcl:"user_type,optional"`
	AllowDelete hcl.Expression `hcl:"allow_delete,optional"`
	TLSInsecure hcl.Expression `hcl:"tls_insecure,optional"`
	Basic       *basicBlock    `hcl:"basic,block"`
	OAuth       *oauthBlock    `hcl:"oauth,block"`
}

type basicBlock struct {
	Username hcl.Expression `hcl:"username"`
	Password hcl.Expression `hcl:"password"`
}

type oauthBlock struct {
	TokenURL     hcl.Expression `hcl:"token_url"`
	ClientID     hcl.Expression `hcl:"client_id"`
	ClientSecret hcl.Expression `hcl:"client_secret"`
	Scopes       hcl.Expression `hcl:"scopes,optional"`
}

func decode(body hcl.Body, env targets.Env) (targets.Spec, hcl.Diagnostics) {
	var b block
	d := decoder{arguments.Decode(body, &b, env.Eval, env.Dir)}
	if d.Diagnostics.HasErrors() {
		return nil, d.Diagnostics
	}
	s := &spec{
		name: env.Name, url: d.Text(b.URL), caFile: d.Path(b.CAFile), userType: d.Text(b.UserType),
		auth: rest.Auth{Bearer: d.secret(b.BearerToken, "bearer_token"), CertFile: d.Path(b.CertFile), KeyFile: d.Path(b.KeyFile)},
	}
	d.Value(b.AllowDelete, cty.Bool, &s.allowDelete)
	d.Value(b.TLSInsecure, cty.Bool, &s.tlsInsecure)
	d.Value(b.PageSize, cty.Number, &s.pageSize)
	if s.pageSize < 0 || s.pageSize > 10_000 {
		d.Fail(b.PageSize, "page_size out of range", "A page holds 1 to 10000 accounts.")
	}
	if text := d.Text(b.Timeout); text != "" {
		var err error
		if s.timeout, err = time.ParseDuration(text); err != nil || s.timeout <= 0 {
			d.Fail(b.Timeout, "Not a duration", `A timeout is written like "30s".`)
		}
	}
	d.profile(b.Profile, s)
	d.auth(&b, s)
	if !d.Require(b.URL, "url") {
		return s, d.Diagnostics
	}
	base, err := rest.CheckURL(s.url)
	switch {
	case err != nil:
		d.Fail(b.URL, "Address not accepted", err.Error()+".")
	case s.tlsInsecure && !rest.Loopback(base.Hostname()):
		d.Fail(b.TLSInsecure, "tls_insecure refused", "Only loopback may go unverified. Name the issuer's certificate in ca_file.")
	case s.tlsInsecure:
		d.Warn(b.TLSInsecure, "TLS is not verified", "Whoever answers at "+base.Host+" gets the credentials.")
	}
	return s, d.Diagnostics
}

func (d decoder) profile(e hcl.Expression, s *spec) {
	name := d.Text(e)
	if name == "" {
		return
	}
	var names []string
	for _, p := range profiles() {
		if p.name == name {
			s.profile = p
			return
		}
		names = append(names, p.name)
	}
	detail := "Known profiles: " + strings.Join(names, ", ") + "."
	if near := nearest(name, names); near != "" {
		detail = fmt.Sprintf("Did you mean %q? %s", near, detail)
	}
	d.Fail(e, fmt.Sprintf("No profile %q", name), detail)
}

// nearest is the name that was probably meant; "" where none is near.
func nearest(given string, names []string) string {
	distance := func(name string) int { return levenshtein.Distance(strings.ToLower(given), strings.ToLower(name), nil) }
	near := slices.MinFunc(names, func(a, b string) int { return distance(a) - distance(b) })
	if distance(near) > 3 {
		return ""
	}
	return near
}

func (d decoder) auth(b *block, s *spec) {
	ways := 0
	if !arguments.Absent(b.BearerToken) {
		ways++
	}
	if b.Basic != nil {
		ways++
		d.Require(b.Basic.Username, "username")
		d.Require(b.Basic.Password, "password")
		s.auth.Basic = &rest.Basic{Username: d.Text(b.Basic.Username), Password: d.secret(b.Basic.Password, "password")}
	}
	if b.OAuth != nil {
		ways++
		s.auth.OAuth = &rest.OAuth{
			TokenURL: d.Text(b.OAuth.TokenURL), ClientID: d.Text(b.OAuth.ClientID), ClientSecret: d.secret(b.OAuth.ClientSecret, "client_secret"),
		}
		d.Value(b.OAuth.Scopes, cty.List(cty.String), &s.auth.OAuth.Scopes)
		d.Require(b.OAuth.ClientID, "client_id")
		d.Require(b.OAuth.ClientSecret, "client_secret")
		if !d.Require(b.OAuth.TokenURL, "token_url") {
			return
		}
		if _, err := rest.CheckURL(s.auth.OAuth.TokenURL); err != nil {
			d.Fail(b.OAuth.TokenURL, "Address not accepted", err.Error()+".")
		}
	}
	switch {
	case ways > 1:
		d.Fail(b.URL, "More than one way to sign in", "Give one of bearer_token, basic and oauth.")
	case ways == 0 && s.auth.CertFile == "":
		d.Fail(b.URL, "No way to sign in", "Give bearer_token, basic, oauth, or cert_file with key_file.")
	}
	if (s.auth.CertFile == "") != (s.auth.KeyFile == "") {
		d.Fail(b.URL, "Half a client certificate", "cert_file and key_file go together.")
	}
}

func (s *spec) Accepts(name string) error {
	p, err := parsePath(name)
	if err != nil {
		return err
	}
	if p.schema != "" {
		return nil
	}
	switch p.attr {
	case "active":
		return errors.New("active is not mapped: dirsweep decides it")
	case "id", "meta", "schemas", "groups":
		return fmt.Errorf("%s belongs to the application and can't be written", p.attr)
	case "password":
		return errors.New("a password can't be read back, so it can't be kept true")
	}
	return known(p)
}

// coreUser are the attributes of a User (RFC 7643 §4.1 and §3.1) that can be mapped; what is not among them needs its
// extension's URN.
func coreUser() []string {
	return []string{
		"addresses", "displayName", "emails", "entitlements", "externalId", "ims", "locale", "name", "nickName", "phoneNumbers", "photos",
		"preferredLanguage", "profileUrl", "roles", "timezone", "title", "userName", "userType", "x509Certificates",
	}
}

// coreName are the parts of a User's name.
func coreName() []string {
	return []string{"familyName", "formatted", "givenName", "honorificPrefix", "honorificSuffix", "middleName"}
}

// known refuses a name that no SCIM application knows.
func known(p path) error {
	names, given := coreUser(), p.attr
	if p.attr == "name" && p.sub != "" {
		names, given = coreName(), p.sub
	}
	if slices.Contains(names, given) {
		return nil
	}
	near := nearest(given, names)
	if near != "" {
		near = fmt.Sprintf(" Did you mean %q?", near)
	}
	return fmt.Errorf("%q is no attribute of a SCIM user (RFC 7643); an extension's is written with its URN.%s", given, near)
}

func (s *spec) Required() []string {
	return append([]string{"userName"}, s.profile.required...)
}

func (s *spec) Correlate() []string { return []string{"externalId", "userName"} }

func (s *spec) Open(need targets.Need) (targets.Target, error) {
	t := &target{spec: s, profile: s.profile, need: need, paths: make(map[string]path, len(need.Paths)), log: need.Log}
	for _, name := range need.Paths {
		p, err := parsePath(name)
		if err != nil {
			return nil, err
		}
		t.paths[name] = p
	}
	media := "application/scim+json"
	accept := media + ", application/json;q=0.9"
	if s.profile.json {
		media, accept = "application/json", "application/json"
	}
	var err error
	t.rest, err = rest.New(rest.Options{
		URL: s.url, Auth: s.auth, CAFile: s.caFile, TLSInsecure: s.tlsInsecure, Timeout: s.timeout,
		UserAgent: "dirsweep", Accept: accept, ContentType: media, Pace: need.Pace, Fault: readFault, Log: need.Log,
	})
	if err != nil {
		return nil, err
	}
	if t.log == nil {
		return nil, errors.New("a logger is needed")
	}
	return t, nil
}

// A decoder reads the arguments of this kind.
type decoder struct{ *arguments.Expressions }

// secret reads a secret, and says so where it stands in the file itself.
func (d decoder) secret(e hcl.Expression, name string) identity.Secret {
	text := strings.TrimSpace(d.Text(e))
	if arguments.Absent(e) {
		return identity.Secret{}
	}
	if _, diags := e.Value(nil); !diags.HasErrors() {
		d.Warn(e, "A secret in the config file", name+" is better kept outside: env(), file() or credential().")
	}
	if text == "" && !d.Diagnostics.HasErrors() {
		d.Fail(e, "An empty secret", name+" is empty.")
	}
	return identity.NewSecret(text)
}
