package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A target is one opened block.
type target struct {
	*spec
	need targets.Need
	pool *ldapclient.Pool
	ask  []string // the attributes of an account

	mu        sync.Mutex // guards what follows
	preferred bool       // the server that writes are made on was chosen
	wrote     string     // the URL of the server that took the last write
	wroteAt   time.Time
	said      time.Time // what the directory's clock said last
	came      time.Time // and when
}

// A pass is one use of the target.
type pass struct {
	*target

	mu     sync.Mutex // guards what follows
	hidden *bool      // whether groups hide their members; nil until asked
}

var (
	_ targets.Target     = (*target)(nil)
	_ targets.Checker    = (*target)(nil)
	_ targets.Dated      = (*target)(nil)
	_ targets.Pass       = (*pass)(nil)
	_ targets.Identifier = (*pass)(nil)
)

// replicated is how long a server may lack what was written on another (MS-ADTS 3.1.1.1.14: within a site seconds,
// between sites at least 15 minutes).
const replicated = 15 * time.Minute

// Begin signs in where no connection stands, and asks the directory for its time.
func (t *target) Begin(ctx context.Context) (targets.Pass, error) {
	err := t.with(ctx, func(s *ldapclient.Session) error {
		if !t.domain {
			return nil
		}
		dse, err := s.Read(ctx, "", "currentTime")
		if err != nil || dse == nil {
			return err
		}
		if said, err := ber.ParseGeneralizedTime([]byte(dse.GetEqualFoldAttributeValue("currentTime"))); err == nil {
			t.mu.Lock()
			t.said, t.came = said, time.Now()
			t.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &pass{target: t}, nil
}

// with runs fn on a signed-in connection; its error is of a class. fn may run more than once, unless it has written.
func (t *target) with(ctx context.Context, fn func(*ldapclient.Session) error) error {
	t.prefer(ctx)
	return classed(t.pool.Ask(ctx, fn))
}

// send sends one write, and remembers the server: others may know of it later.
func (t *target) send(ctx context.Context, s *ldapclient.Session, write func() error) error {
	err := s.Do(ctx, write)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrote, t.wroteAt = s.URL, time.Now()
	return written(err)
}

// notYet reports whether what a server lacks may only not have come to it yet.
func (t *target) notYet(s *ldapclient.Session) (elsewhere string, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrote, t.wrote != "" && t.wrote != s.URL && time.Since(t.wroteAt) < replicated
}

// prefer has the controller asked first that is the PDC emulator (MS-ADTS 6.1.5.3), once: password changes go there
// first, and what was written there is read there. Where that is not told, whoever connects next says so.
func (t *target) prefer(ctx context.Context) {
	t.mu.Lock()
	chosen := t.preferred
	t.preferred = true
	t.mu.Unlock()
	if chosen || !t.domain {
		return
	}
	urls, err := t.pool.URLs(ctx)
	if err != nil || len(urls) < 2 {
		return
	}
	var host string
	err = t.pool.Ask(ctx, func(s *ldapclient.Session) error {
		host = t.emulator(ctx, s)
		return nil
	})
	if err != nil || host == "" {
		return
	}
	for _, url := range urls {
		_, rest, _ := strings.Cut(url, "://")
		if name, _, _ := strings.Cut(rest, ":"); strings.EqualFold(strings.TrimSuffix(name, "/"), host) {
			t.pool.Prefer(url)
		}
	}
}

// emulator is the host name of the PDC emulator; "" where it is not told.
func (t *target) emulator(ctx context.Context, s *ldapclient.Session) string {
	dn := t.root(ctx, s)
	for _, attribute := range []string{"fSMORoleOwner", "", "dNSHostName"} {
		if attribute == "" {
			dn = identity.ParentDN(dn) // of the settings, the server
			continue
		}
		entry, err := s.Read(ctx, dn, attribute)
		if err != nil || entry == nil {
			return ""
		}
		dn = entry.GetEqualFoldAttributeValue(attribute)
	}
	return dn
}

// root is the naming context that holds the accounts; the first base where the server tells of none.
func (t *target) root(ctx context.Context, s *ldapclient.Session) string {
	if found := ldapclient.Suffixes(s.Known(ctx).Contexts, t.bases[:1]); len(found) > 0 {
		return found[len(found)-1]
	}
	return t.bases[0]
}

// Capabilities implements targets.Pass.
func (p *pass) Capabilities() identity.Capabilities {
	return identity.Capabilities{
		Disable: true, Delete: !p.inPlace(), Entitlements: p.groups != nil, Update: true, Places: true,
	}
}

// Accounts implements targets.Pass.
func (p *pass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		p.prefer(ctx)
		err := p.pool.Anywhere(ctx, func(url string) (begun bool, err error) {
			return begun, p.list(ctx, url, func(a identity.Account) bool {
				begun = true
				return yield(a, nil)
			})
		})
		if err == nil || errors.Is(err, ldapclient.ErrStopped) {
			return
		}
		if cause := context.Cause(ctx); cause != nil {
			yield(identity.Account{}, fmt.Errorf("list accounts: %w", cause))
			return
		}
		yield(identity.Account{}, fmt.Errorf("list accounts: %w", unlisted(err)))
	}
}

// list reads everybody from one server.
func (p *pass) list(ctx context.Context, url string, yield func(identity.Account) bool) error {
	s, err := p.pool.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer s.Close()
	if elsewhere, yes := p.notYet(s); yes {
		return fmt.Errorf("%w: %s may not know yet what was written on %s", targets.ErrIncomplete, s.URL, elsewhere)
	}
	var roster *roster
	if p.need.Entitlements {
		if roster, err = p.readRoster(ctx, s); err != nil {
			return err
		}
	}
	for _, base := range p.places() {
		entry, err := s.Read(ctx, base, "1.1")
		if err != nil {
			return fmt.Errorf("%w: %s: %w", targets.ErrIncomplete, base, err)
		}
		if entry == nil { // some servers answer with success and nobody below a base that is not there
			return unseen(targets.ErrIncomplete, base)
		}
		for entries, err := range s.Pages(ctx, subtree(base, p.filter, p.ask...), p.bounds()) {
			if err != nil {
				return err
			}
			for _, entry := range entries {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if p.untouchable(entry) != "" {
					continue
				}
				a, err := p.account(entry)
				if err != nil {
					return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
				}
				if roster != nil {
					a = roster.entitle(a, entry)
				}
				if !yield(a) {
					return ldapclient.ErrStopped
				}
			}
		}
	}
	return nil
}

// unseen is the error of a base below which nothing can be read.
func unseen(class error, base string) error {
	return fmt.Errorf("%w: %s cannot be seen: it does not exist, or the bind DN may not see it", class, base)
}

// account is what an entry says of its account, without entitlements.
func (t *target) account(entry *ldap.Entry) (identity.Account, error) {
	a := identity.Account{ID: t.id.of(entry), Attributes: map[string]identity.Value{}}
	if a.ID == "" {
		return a, fmt.Errorf("%s shows no %s: let the bind DN read it, or set id", entry.DN, t.id.name)
	}
	a.UserName = entry.GetEqualFoldAttributeValue(t.login)
	switch {
	case t.inPlace():
		a.ExternalID = string(a.ID)
	case t.mark != "":
		a.ExternalID = entry.GetEqualFoldAttributeValue(t.mark)
	}
	a.Active, a.ActiveShown = t.open(entry)
	for _, path := range t.need.Paths {
		if v := t.value(entry, path, a); v != "" {
			a.Attributes[path] = v
		}
	}
	return a, nil
}

// open reports whether an entry lets somebody sign in, by any of its doors. One that cannot be read may be open.
func (t *target) open(entry *ldap.Entry) (open bool, shown string) {
	for _, door := range t.doors {
		closed, err := door.closed(entry.GetEqualFoldAttributeValues(door.attribute))
		switch {
		case err != nil:
			return true, door.attribute + " " + err.Error()
		case !closed:
			open = true
		}
	}
	return open, ""
}

// value is what an entry has at a mapped path.
func (t *target) value(entry *ldap.Entry, path string, a identity.Account) identity.Value {
	switch path {
	case "userName":
		return identity.Text(a.UserName)
	case "externalId":
		return identity.Text(a.ExternalID)
	case container:
		return t.Normal(container, identity.Text(identity.ParentDN(entry.DN)))
	}
	values := slices.DeleteFunc(slices.Clone(valuesOf(entry, path)), func(v string) bool { return !utf8.ValidString(v) })
	if len(values) == 1 {
		return identity.Text(values[0])
	}
	return identity.Texts(values...)
}

// valuesOf are those of an attribute, whatever options the server's spelling has.
func valuesOf(entry *ldap.Entry, name string) []string {
	want := ldapclient.ParseDescription(name)
	for _, attribute := range entry.Attributes {
		have := ldapclient.ParseDescription(attribute.Name)
		if strings.EqualFold(attribute.Name, name) || have.Base == want.Base && !have.Tagged && !want.Tagged {
			return attribute.Values
		}
	}
	return nil
}

// Bits of userAccountControl (MS-ADTS 2.2.16).
const (
	accountDisable = 0x2
	machines       = 0x800 | 0x1000 | 0x2000 // trusts between domains, workstations, domain controllers
)

// lowest is the least relative identifier that is not the domain's own (MS-SAMR 3.1.5.9.2).
const lowest = 1000

// judgedBy are the attributes that untouchable looks at.
func judgedBy() []string {
	return []string{"objectSid", "isCriticalSystemObject", "objectClass", "userAccountControl"}
}

// untouchable says why an entry of a domain is no account of a person, whatever its filter; "" for one that may be.
func (t *target) untouchable(entry *ldap.Entry) string {
	if !t.domain {
		return ""
	}
	flags, err := strconv.ParseInt(entry.GetEqualFoldAttributeValue("userAccountControl"), 10, 64)
	if err == nil && flags&machines != 0 {
		return "it is a machine's, or of a trust"
	}
	if strings.EqualFold(entry.GetEqualFoldAttributeValue("isCriticalSystemObject"), "TRUE") {
		return "it is one of the domain's own objects (isCriticalSystemObject)"
	}
	for _, class := range entry.GetEqualFoldAttributeValues("objectClass") {
		switch strings.ToLower(class) {
		case "computer", "msds-managedserviceaccount", "msds-groupmanagedserviceaccount",
			"msds-delegatedmanagedserviceaccount":
			return "it is a " + class
		}
	}
	_, relative, err := sidOf(entry)
	if err == nil && relative < lowest {
		return fmt.Sprintf("its relative identifier is %d, and below %d are the domain's own", relative, lowest)
	}
	return ""
}

// sidOf takes an entry's objectSid apart: the domain's, and the relative identifier in it.
func sidOf(entry *ldap.Entry) (domain string, relative uint64, err error) {
	sid, err := ldapclient.SIDText(entry.GetEqualFoldRawAttributeValue("objectSid"))
	if err != nil {
		return "", 0, err
	}
	cut := strings.LastIndexByte(sid, '-')
	relative, err = strconv.ParseUint(sid[cut+1:], 10, 32)
	return sid[:cut], relative, err
}

// identified reports whether an entry of a domain shows whose it is.
func identified(entry *ldap.Entry) bool {
	_, _, err := sidOf(entry)
	return err == nil
}

// Own implements targets.Identifier.
func (p *pass) Own(ctx context.Context) (own targets.Own, err error) {
	err = p.with(ctx, func(s *ldapclient.Session) error {
		own = targets.Own{}
		entry := s.Own(ctx, p.Access, []string{p.root(ctx, s)}, p.id.name, p.login)
		if entry != nil && p.id.of(entry) != "" {
			own = targets.Own{ID: p.id.of(entry), UserName: entry.GetEqualFoldAttributeValue(p.login)}
		}
		return nil
	})
	return own, err
}

// Date is what the directory's clock said last.
func (t *target) Date() (said, came time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said, t.came
}

// Close implements targets.Target.
func (t *target) Close() error {
	t.pool.Close()
	return nil
}
