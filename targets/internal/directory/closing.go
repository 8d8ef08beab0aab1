package directory

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// closing is what closing takes beside refusing sign-in.
type closing struct {
	password bool     // set a random one
	expire   bool     // accountExpires
	stamp    string   // the attribute that says when it was closed, and by whom
	moveTo   string   // where leavers are kept; "" for where they are
	hide     bool     // from Exchange's address lists
	clear    []string // attributes that let somebody in elsewhere: keys, certificates
}

// The attributes of steps.
const (
	expires  = "accountExpires"
	hidden   = "msExchHideFromAddressLists"
	stamped  = "Closed by dirsweep on "
	nameStep = "move"
)

// writes is the argument that has an attribute written; "" for none.
func (c closing) writes(path string) string {
	switch {
	case c.stamp != "" && strings.EqualFold(path, c.stamp):
		return "stamp"
	case c.expire && strings.EqualFold(path, expires):
		return "expire"
	case c.hide && strings.EqualFold(path, hidden):
		return "hide"
	}
	return ""
}

// Closing implements targets.Pass.
func (p *pass) Closing() []targets.Step {
	var steps []targets.Step
	if p.domain {
		steps = append(steps, targets.Step{
			Name: "tickets", Revokes: true, Impossible: "Kerberos tickets, and sessions opened with them (files, remote " +
				"desktops), last until they end: 10 hours after sign-in, unless the domain's policy says otherwise",
		})
	} else {
		steps = append(steps, targets.Step{
			Name: "connections", Revokes: true, Impossible: "LDAP has no way to end a connection that somebody else is " +
				"signed in over: it lasts until it is closed",
		})
	}
	if p.closing.password {
		reset := func(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
			return "", p.resetPassword(ctx, s, id)
		}
		steps = append(steps, targets.Step{Name: "password", Do: p.changing(reset)})
	}
	if p.closing.expire {
		steps = append(steps, p.setting("expire", expires, isPast, func() []string { return []string{ticks(time.Now())} }))
	}
	if p.closing.hide {
		steps = append(steps, p.setting("hide", hidden, isTrue, func() []string { return []string{"TRUE"} }))
	}
	if p.closing.stamp != "" {
		steps = append(steps, p.setting("stamp", p.closing.stamp, isStamped, func() []string {
			return []string{stamped + time.Now().UTC().Format(time.DateOnly)}
		}))
	}
	if len(p.closing.clear) > 0 {
		steps = append(steps, targets.Step{Name: "clear", Left: p.looking(p.uncleared), Do: p.changing(p.clearAll)})
	}
	if p.closing.moveTo != "" {
		steps = append(steps, targets.Step{Name: nameStep, Left: p.looking(p.unmoved), Do: p.changing(p.moveAway)})
	}
	return steps
}

// changing makes the Do of a step.
func (p *pass) changing(
	do func(context.Context, *ldapclient.Session, identity.AccountID) (string, error),
) func(context.Context, identity.Account) (string, targets.Receipt, error) {
	return func(ctx context.Context, have identity.Account) (kept string, r targets.Receipt, err error) {
		err = p.with(ctx, func(s *ldapclient.Session) error {
			kept, err = do(ctx, s, have.ID)
			return err
		})
		return kept, r, err
	}
}

// looking makes the Left of a step.
func (p *pass) looking(
	left func(context.Context, *ldapclient.Session, identity.AccountID) (string, error),
) func(context.Context, identity.Account) (string, error) {
	return func(ctx context.Context, have identity.Account) (text string, err error) {
		err = p.with(ctx, func(s *ldapclient.Session) error {
			text, err = left(ctx, s, have.ID)
			return err
		})
		return text, err
	}
}

// setting is a step that gives an attribute a value, and keeps those that it had.
func (p *pass) setting(name, attribute string, done func([]string) bool, to func() []string) targets.Step {
	return targets.Step{
		Name: name,
		Left: p.looking(func(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
			entry, err := p.entry(ctx, s, id, attribute)
			if err != nil || done(valuesOf(entry, attribute)) {
				return "", err
			}
			return fmt.Sprintf("%s is %q", attribute, valuesOf(entry, attribute)), nil
		}),
		Do: p.changing(func(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
			entry, err := p.entry(ctx, s, id, attribute)
			if err != nil || done(valuesOf(entry, attribute)) {
				return "", err
			}
			request := ldap.NewModifyRequest(entry.DN, nil)
			request.Replace(attribute, to())
			kept := remembered(map[string][]string{attribute: encoded(entry, attribute)})
			if err := p.modify(ctx, s, request); err != nil {
				return kept, p.guarded(ctx, s, entry.DN, err)
			}
			return kept, nil
		}),
	}
}

func isTrue(values []string) bool { return len(values) == 1 && strings.EqualFold(values[0], "TRUE") }

func isStamped(values []string) bool { return len(values) > 0 && strings.HasPrefix(values[0], stamped) }

func isPast(values []string) bool {
	if len(values) != 1 {
		return false
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	now, _ := strconv.ParseInt(ticks(time.Now()), 10, 64)
	return err == nil && n > 0 && n <= now
}

// ticks are hundreds of nanoseconds since 1601 (MS-ADA1 2.2).
func ticks(at time.Time) string {
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	return strconv.FormatInt((at.Unix()+to1970)*perSecond, 10)
}

// uncleared names the attributes that still have a value.
func (p *pass) uncleared(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
	entry, err := p.entry(ctx, s, id, p.closing.clear...)
	if err != nil {
		return "", err
	}
	var left []string
	for _, attribute := range p.closing.clear {
		if len(valuesOf(entry, attribute)) > 0 {
			left = append(left, attribute)
		}
	}
	return strings.Join(left, ", "), nil
}

func (p *pass) clearAll(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
	entry, err := p.entry(ctx, s, id, p.closing.clear...)
	if err != nil {
		return "", err
	}
	request := ldap.NewModifyRequest(entry.DN, nil)
	had := map[string][]string{}
	for _, attribute := range p.closing.clear {
		if values := encoded(entry, attribute); len(values) > 0 {
			had[spelled(entry, attribute)] = values
			request.Delete(spelled(entry, attribute), nil)
		}
	}
	if len(had) == 0 {
		return "", nil
	}
	if err := p.modify(ctx, s, request); err != nil {
		return remembered(had), p.guarded(ctx, s, entry.DN, err)
	}
	return remembered(had), nil
}

// spelled is an attribute's name as the server spells it, its options included.
func spelled(entry *ldap.Entry, name string) string {
	want := ldapclient.ParseDescription(name)
	for _, attribute := range entry.Attributes {
		if have := ldapclient.ParseDescription(attribute.Name); have.Base == want.Base && !have.Tagged {
			return attribute.Name
		}
	}
	return name
}

// encoded are the values of an attribute in base64: keys and certificates are bytes.
func encoded(entry *ldap.Entry, name string) []string {
	list := []string{}
	for _, attribute := range entry.Attributes {
		if attribute.Name == spelled(entry, name) {
			for _, value := range attribute.ByteValues {
				list = append(list, base64.StdEncoding.EncodeToString(value))
			}
		}
	}
	return list
}

// mostKept bounds what a step keeps, in bytes: what is more is not given back.
const mostKept = 32 << 10

func remembered(values map[string][]string) string {
	text, err := json.Marshal(values)
	if err != nil || len(text) > mostKept {
		return ""
	}
	return string(text)
}

func (p *pass) unmoved(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
	entry, err := p.entry(ctx, s, id, p.id.name)
	if err != nil || ldapclient.Within(entry.DN, p.closing.moveTo) {
		return "", err
	}
	return "it is at " + entry.DN, nil
}

// moveAway moves an account to where leavers are kept. Where another one has its name there, it gets its login behind
// it.
func (p *pass) moveAway(ctx context.Context, s *ldapclient.Session, id identity.AccountID) (string, error) {
	entry, err := p.entry(ctx, s, id, p.id.name, p.login)
	if err != nil || ldapclient.Within(entry.DN, p.closing.moveTo) {
		return "", err
	}
	err = p.moveFree(ctx, s, entry, firstOf(entry.DN), p.closing.moveTo)
	if errors.Is(err, targets.ErrForbidden) {
		return "", fmt.Errorf("the right to delete the account, or what is below its container, is needed to move it; "+
			"it may be protected from accidental deletion: %w", p.guarded(ctx, s, entry.DN, err))
	}
	return entry.DN, err // it may have been moved, and nobody heard of it
}

// moveFree moves an entry, with the next free one of a few names that are always the same for it.
func (p *pass) moveFree(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, rdn, parent string) error {
	return p.followed(ctx, s, entry, func() error { return p.tryNames(ctx, s, entry, rdn, parent) })
}

func (p *pass) tryNames(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, rdn, parent string) error {
	err := p.move(ctx, s, entry, rdn, parent)
	for _, more := range []string{entry.GetEqualFoldAttributeValue(p.login), string(p.id.of(entry))} {
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) || more == "" {
			return err
		}
		err = p.move(ctx, s, entry, longer(rdn, more), parent)
	}
	return err
}

// longer puts more behind the value of a name, which domains limit to 64 characters.
func longer(rdn, more string) string {
	kind, value, _ := strings.Cut(rdn, "=")
	parsed, err := ldap.ParseDN(rdn)
	if err == nil && len(parsed.RDNs) == 1 && len(parsed.RDNs[0].Attributes) == 1 {
		value = parsed.RDNs[0].Attributes[0].Value
	}
	runes := []rune(value)
	more = " (" + more + ")"
	if most := 64 - len([]rune(more)); len(runes) > most {
		runes = runes[:max(most, 1)]
	}
	return kind + "=" + ldap.EscapeDN(string(runes)+more)
}

// reopen undoes what the steps of closing kept something of, where it is still as they left it.
func (p *pass) reopen(ctx context.Context, s *ldapclient.Session, id identity.AccountID, kept map[string]string) error {
	nothing := func(values []string) bool { return len(values) == 0 }
	for _, step := range []struct {
		name string
		left func(values []string) bool
	}{{"expire", isPast}, {"hide", isTrue}, {"stamp", isStamped}, {"clear", nothing}} {
		var values map[string][]string
		if kept[step.name] == "" || json.Unmarshal([]byte(kept[step.name]), &values) != nil {
			continue
		}
		entry, err := p.entry(ctx, s, id, slices.Sorted(maps.Keys(values))...)
		if err != nil {
			return err
		}
		request := ldap.NewModifyRequest(entry.DN, nil)
		for attribute, list := range values {
			if step.left(valuesOf(entry, attribute)) {
				request.Replace(attribute, decoded(list))
			}
		}
		if len(request.Changes) == 0 {
			continue // somebody has changed it since: it stays so
		}
		if err := p.modify(ctx, s, request); err != nil {
			return fmt.Errorf("undo %s: %w", step.name, classed(err))
		}
	}
	if kept[nameStep] == "" {
		return nil
	}
	return p.moveBack(ctx, s, id, kept[nameStep])
}

func decoded(list []string) []string {
	values := make([]string, 0, len(list))
	for _, text := range list {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			values = append(values, string(raw))
		}
	}
	return values
}

// moveBack moves an account to where it was before it was closed; to where new ones are made, where that place is gone.
func (p *pass) moveBack(ctx context.Context, s *ldapclient.Session, id identity.AccountID, was string) error {
	entry, err := p.entry(ctx, s, id, p.id.name, p.login)
	if err != nil || !ldapclient.Within(entry.DN, p.closing.moveTo) {
		return err // somebody moved it since: it stays there
	}
	parent := identity.ParentDN(was)
	if there, err := s.Read(ctx, parent, "1.1"); err != nil || there == nil {
		parent = p.bases[0]
	}
	return p.moveFree(ctx, s, entry, firstOf(was), parent)
}
