package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A checkup is what Check has found out.
type checkup struct {
	*pass
	lines   []string
	lacking []string // rights that are missing
	sample  *ldap.Entry
}

func (c *checkup) say(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

// Check implements targets.Checker. Rights are tried with changes that no server makes: taking a value away that is not
// there is refused for that reason where writing is allowed, and for lack of the right where it is not.
func (t *target) Check(ctx context.Context) ([]string, error) {
	c := &checkup{pass: &pass{target: t}}
	err := t.with(ctx, func(s *ldapclient.Session) error {
		c.lines, c.lacking = nil, nil
		c.say("%s: connected with %s, signed in %s", s.URL, s.TLS, t.Who())
		type step = func(context.Context, *ldapclient.Session) error
		for _, step := range []step{c.schema, c.accounts, c.rights, c.groupRights} {
			if err := step(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(c.lacking) > 0 {
		err = fmt.Errorf("%w: the bind DN lacks the right to %s", targets.ErrForbidden, strings.Join(c.lacking, "; to "))
	}
	return c.lines, err
}

// schema sees that the attributes by which accounts are disabled exist.
func (c *checkup) schema(ctx context.Context, s *ldapclient.Session) error {
	if about := s.Known(ctx); c.domain != about.Directory {
		c.say("warning: this kind is for %s, and the server says that it is none", map[bool]string{
			true: "domain controllers", false: `directories other than Active Directory; use target "active_directory"`,
		}[c.domain])
	}
	names := slices.Clone(c.closing.clear)
	for _, d := range c.doors {
		names = append(names, d.attribute)
	}
	if c.closing.hide {
		names = append(names, hidden)
	}
	for _, name := range names {
		defined, err := s.Defines(ctx, name)
		if err != nil {
			return err
		}
		if !defined {
			return fmt.Errorf("%w: the server's schema does not know %s: load what brings it (ppolicy for "+
				"pwdAccountLockedTime), or take another profile", targets.ErrRejected, name)
		}
	}
	return nil
}

// accounts counts those that a pass would see, and those that it never touches.
func (c *checkup) accounts(ctx context.Context, s *ldapclient.Session) error {
	var own, guarded []string
	for _, base := range c.places() {
		entry, err := s.Read(ctx, base, "1.1")
		if err != nil || entry == nil {
			return errors.Join(unseen(targets.ErrRejected, base), err)
		}
		n := 0
		for entries, err := range s.Pages(ctx, subtree(base, c.filter, append(c.ask, "adminCount")...), c.bounds()) {
			if err != nil {
				return err
			}
			for _, entry := range entries {
				if c.untouchable(entry) != "" {
					own = append(own, entry.DN)
					continue
				}
				if _, err := c.account(entry); err != nil {
					return fmt.Errorf("%w: %w", targets.ErrRejected, err)
				}
				if entry.GetEqualFoldAttributeValue("adminCount") == "1" {
					guarded = append(guarded, entry.DN)
				} else if c.sample == nil {
					c.sample = entry
				}
				n++
			}
		}
		c.say("%s: %d accounts", base, n)
	}
	if len(own) > 0 {
		c.say("never touched, as the domain's own or a machine's: %s", few(own))
	}
	if len(guarded) > 0 {
		c.say("warning: AdminSDHolder protects these (adminCount is 1), and takes rights on them back within the hour; "+
			"when they leave, an administrator has to close them: %s", few(guarded))
	}
	return nil
}

// few names the first of a list.
func few(list []string) string {
	const most = 10
	if len(list) > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// rights tries to write each attribute that a pass may write, on one account.
func (c *checkup) rights(ctx context.Context, s *ldapclient.Session) error {
	if c.sample == nil {
		c.say("no account is there to try rights on: what may be written is not known")
		return nil
	}
	for _, attribute := range c.written() {
		request := ldap.NewModifyRequest(c.sample.DN, nil)
		request.Delete(attribute, []string{absent(attribute)})
		if err := c.try(ctx, s, request, "write "+attribute); err != nil {
			return err
		}
	}
	if c.domain && (c.closing.password || c.initial) {
		request := ldap.NewModifyRequest(c.sample.DN, nil)
		request.Replace("unicodePwd", []string{"x"}) // which is no password, and refused
		if err := c.try(ctx, s, request, "reset passwords"); err != nil {
			return err
		}
	}
	c.say("rights tried on %s with changes that no server makes: %s", c.sample.DN, strings.Join(c.written(), ", "))
	c.say("not tried: making, moving and deleting entries")
	return nil
}

// written are the attributes that a pass may write, each once.
func (c *checkup) written() []string {
	var list []string
	add := func(name string) {
		if name != "" && !ldapclient.ContainsFold(list, name) && !strings.EqualFold(name, c.naming) {
			list = append(list, name)
		}
	}
	for _, d := range c.doors {
		add(d.attribute)
	}
	for _, path := range c.need.Paths {
		if attribute := c.attributeOf(path); !c.inPlace() || attribute != c.mark {
			add(attribute)
		}
	}
	add(c.closing.stamp)
	for _, name := range c.closing.clear {
		add(name)
	}
	if c.closing.expire {
		add(expires)
	}
	if c.closing.hide {
		add(hidden)
	}
	return list
}

// absent is a value that no entry has, in the form that an attribute wants.
func absent(attribute string) string {
	switch strings.ToLower(attribute) {
	case "useraccountcontrol", "accountexpires", "shadowexpire", "uidnumber", "gidnumber":
		return "1"
	case "nsaccountlock", "logindisabled", "msexchhidefromaddresslists":
		return "FALSE"
	case "pwdaccountlockedtime":
		return "19700101000000Z"
	case "sambaacctflags":
		return "[?          ]"
	}
	return "dirsweep-check"
}

// try notes the right that is missing where a change is refused for that.
func (c *checkup) try(ctx context.Context, s *ldapclient.Session, request *ldap.ModifyRequest, right string) error {
	err := s.Do(ctx, func() error { return s.Conn.Modify(request) })
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		c.lacking = append(c.lacking, right)
		return nil
	case errors.Is(classed(err), targets.ErrUnavailable):
		return err
	case err == nil:
		c.say("warning: %s took away a value that was not there", s.URL)
	}
	return nil
}

// groupRights counts the groups, and tries to take somebody out of one who is not in it.
func (c *checkup) groupRights(ctx context.Context, s *ldapclient.Session) error {
	if !c.need.Entitlements {
		return nil
	}
	r, err := c.readRoster(ctx, s)
	if err != nil {
		return err
	}
	c.say("groups: %d", len(r.groups))
	if r.unknowns {
		c.say("warning: the groups do not show their members to the bind DN: what is taken away cannot be proven")
	}
	if c.sample == nil || len(r.groups) == 0 {
		return nil
	}
	in := r.entitle(identity.Account{UserName: c.sample.GetEqualFoldAttributeValue(c.login)}, c.sample).Entitlements
	for _, e := range r.groups {
		if identity.HasEntitlement(in, e) {
			continue
		}
		group, why, err := c.group(ctx, s, e)
		if err != nil || why != "" {
			return err
		}
		attribute, value := c.memberOf(c.sample, group)
		request := ldap.NewModifyRequest(group.DN, nil)
		request.Delete(attribute, []string{value})
		return c.try(ctx, s, request, fmt.Sprintf("write %s of groups (tried on %s)", attribute, group.DN))
	}
	return nil
}
