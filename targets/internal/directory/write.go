package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// modify sends one change.
func (t *target) modify(ctx context.Context, s *ldapclient.Session, request *ldap.ModifyRequest) error {
	return t.send(ctx, s, func() error { return s.Conn.Modify(request) })
}

// Create implements targets.Pass.
func (p *pass) Create(ctx context.Context, want identity.Account) (a identity.Account, r targets.Receipt, err error) {
	err = p.with(ctx, func(s *ldapclient.Session) error {
		a, r, err = p.create(ctx, s, want)
		return err
	})
	if err != nil {
		return a, r, fmt.Errorf("create %s: %w", want.UserName, err)
	}
	return a, r, nil
}

func (t *target) create(
	ctx context.Context, s *ldapclient.Session, want identity.Account,
) (a identity.Account, r targets.Receipt, err error) {
	if t.inPlace() {
		return a, r, fmt.Errorf("%w: accounts of this target are the people themselves, and this one has no entry below "+
			"base_dn", targets.ErrRejected)
	}
	if err := t.unique(ctx, s, "", t.texts(want.Attributes, want.UserName)); err != nil {
		return a, r, err
	}
	if err := t.deletedTwin(ctx, s, want); err != nil {
		return a, r, err
	}
	values := maps.Clone(want.Attributes)
	for {
		request, err := t.newEntry(ctx, s, want, values)
		if err != nil {
			return a, r, err
		}
		err = t.send(ctx, s, func() error { return s.Conn.Add(request) })
		if err == nil {
			a, err = t.made(ctx, s, request.DN)
			if err != nil || len(want.Entitlements) == 0 {
				return a, r, err
			}
			// From here on the account exists: it is returned with the error, if one comes.
			if err := t.regroup(ctx, s, a.ID, nil, want.Entitlements); err != nil {
				return a, r, err
			}
			a.Entitlements = slices.Clone(want.Entitlements)
			return a, r, nil
		}
		path := refusedPath(err, values)
		if path == "" || path == t.naming {
			return a, r, classed(err)
		}
		r.Refused = append(r.Refused, targets.Refusal{Path: path, Why: err.Error()})
		delete(values, path)
	}
}

// made is the account that was just made.
func (t *target) made(ctx context.Context, s *ldapclient.Session, dn string) (identity.Account, error) {
	entry, err := s.Read(ctx, dn, t.ask...)
	if err != nil {
		return identity.Account{}, err
	}
	if entry == nil {
		return identity.Account{}, fmt.Errorf("%w: %s was made, and cannot be seen: let the bind DN read it",
			targets.ErrUnavailable, dn)
	}
	a, err := t.account(entry)
	if t.need.Entitlements {
		a.Entitlements = []identity.Entitlement{}
	}
	return a, err
}

// newEntry is the request that makes an account.
func (t *target) newEntry(
	ctx context.Context, s *ldapclient.Session, want identity.Account, values map[string]identity.Value,
) (*ldap.AddRequest, error) {
	name := want.UserName
	if !strings.EqualFold(t.naming, t.login) {
		name = values[t.naming].Text()
	}
	if name == "" {
		return nil, fmt.Errorf("%w: it has no %s to be named by", targets.ErrRejected, t.naming)
	}
	parent := t.bases[0]
	if to := values[container].Text(); to != "" {
		switch why, err := t.noPlace(ctx, s, to); {
		case err != nil:
			return nil, err
		case why != "":
			return nil, &targets.RejectedError{Path: container, Err: errors.New(why)}
		}
		parent = to
	}
	request := ldap.NewAddRequest(t.naming+"="+ldap.EscapeDN(name)+","+parent, nil)
	request.Attribute("objectClass", t.classes)
	request.Attribute(t.naming, []string{name})
	if !strings.EqualFold(t.naming, t.login) {
		request.Attribute(t.login, []string{want.UserName})
	}
	if t.mark != "" && want.ExternalID != "" {
		request.Attribute(t.mark, []string{want.ExternalID})
	}
	for _, path := range slices.Sorted(maps.Keys(values)) {
		if list := textsOf(values[path]); len(list) > 0 && t.ordinary(path) {
			request.Attribute(path, list)
		}
	}
	return request, t.addDoors(ctx, s, request)
}

// addDoors has a new account open, and gives it a password where it is to have one.
func (t *target) addDoors(ctx context.Context, s *ldapclient.Session, request *ldap.AddRequest) error {
	const normalAccount = "512"
	if t.domain {
		request.Attribute("userAccountControl", []string{normalAccount})
		if t.change {
			request.Attribute("pwdLastSet", []string{"0"})
		}
	}
	if !t.initial {
		return nil
	}
	password, err := t.newPassword(ctx, s)
	if err != nil {
		return err
	}
	if t.domain {
		request.Attribute("unicodePwd", []string{quoted(password)})
	} else {
		request.Attribute("userPassword", []string{password})
	}
	return nil
}

// ordinary reports whether a mapped path is an attribute that is neither the login, the mark, the name nor the place.
func (t *target) ordinary(path string) bool {
	return path != container && path != "userName" && path != "externalId" && !strings.EqualFold(path, t.naming)
}

// textsOf are the values that a directory holds for one of ours.
func textsOf(v identity.Value) []string {
	switch list := v.Any().(type) {
	case nil:
		return nil
	case []any:
		var texts []string
		for _, item := range list {
			if inner, err := identity.NewValue(item); err == nil && inner != "" {
				texts = append(texts, ldapText(inner))
			}
		}
		return texts
	}
	return []string{ldapText(v)}
}

// ldapText spells booleans as directories do (RFC 4517, 3.3.3).
func ldapText(v identity.Value) string {
	if v == "true" || v == "false" {
		return strings.ToUpper(string(v))
	}
	return v.Text()
}

// Update implements targets.Pass.
func (p *pass) Update(
	ctx context.Context, have identity.Account, delta identity.Delta,
) (a identity.Account, r targets.Receipt, err error) {
	err = p.with(ctx, func(s *ldapclient.Session) error {
		r = targets.Receipt{}
		return p.update(ctx, s, have, delta, &r)
	})
	if err == nil {
		a, err = p.Account(ctx, have.ID)
	}
	if err == nil && len(delta.Withdraw)+len(delta.Grant) > 0 {
		a, err = p.Entitlements(ctx, a)
	} else {
		a.Entitlements, a.EntitlementsUnknown = have.Entitlements, have.EntitlementsUnknown
	}
	if err != nil {
		return identity.Account{}, r, fmt.Errorf("update %s: %w", have.UserName, err)
	}
	return a, r, nil
}

// update writes what is taken of a delta: the attributes, then the name and the place, then the groups.
func (t *target) update(
	ctx context.Context, s *ldapclient.Session, have identity.Account, delta identity.Delta, r *targets.Receipt,
) error {
	entry, err := t.entry(ctx, s, have.ID, t.ask...)
	if err != nil {
		return err
	}
	if err := t.unique(ctx, s, have.ID, t.changedTexts(delta)); err != nil {
		return err
	}
	var changes []change
	for _, c := range delta.Attributes {
		if attribute := t.attributeOf(c.Path); attribute != "" && !strings.EqualFold(attribute, t.naming) {
			changes = append(changes, changeOf(c.Path, attribute, valuesOf(entry, attribute), textsOf(c.After)))
		}
	}
	write := func() error {
		if err := t.write(ctx, s, entry.DN, changes, r); err != nil {
			return err
		}
		return t.place(ctx, s, entry, delta, r)
	}
	if t.renames(delta) {
		err = t.followed(ctx, s, entry, write)
	} else {
		err = write()
	}
	if err != nil {
		return err
	}
	return t.regroup(ctx, s, have.ID, delta.Withdraw, delta.Grant)
}

// attributeOf is the attribute behind a path; "" for the place.
func (t *target) attributeOf(path string) string {
	switch path {
	case container:
		return ""
	case "userName":
		return t.login
	case "externalId":
		return t.mark
	}
	return path
}

// A change is what becomes of one attribute.
type change struct {
	path, attribute string
	replace         bool // all values by add; else those that go and come one by one
	remove, add     []string
}

// changeOf leads from some values to others and writes no others: somebody else may add one at the same time.
func changeOf(path, attribute string, have, want []string) change {
	c := change{path: path, attribute: attribute}
	if len(want) <= 1 && len(have) <= 1 || len(want) == 0 {
		c.replace, c.add = true, want
		return c
	}
	for _, v := range have {
		if !slices.Contains(want, v) {
			c.remove = append(c.remove, v)
		}
	}
	for _, v := range want {
		if !slices.Contains(have, v) {
			c.add = append(c.add, v)
		}
	}
	return c
}

func (c change) into(request *ldap.ModifyRequest) {
	switch {
	case c.replace:
		request.Replace(c.attribute, c.add)
	default:
		if len(c.remove) > 0 {
			request.Delete(c.attribute, c.remove)
		}
		if len(c.add) > 0 {
			request.Add(c.attribute, c.add)
		}
	}
}

func (c change) nothing() bool { return !c.replace && len(c.remove)+len(c.add) == 0 }

// write sends changes in one request. Where that is refused, each goes alone, so that one does not hold the others
// back: what is refused then is told.
func (t *target) write(
	ctx context.Context, s *ldapclient.Session, dn string, changes []change, r *targets.Receipt,
) error {
	changes = slices.DeleteFunc(changes, change.nothing)
	if len(changes) == 0 {
		return nil
	}
	request := ldap.NewModifyRequest(dn, nil)
	for _, c := range changes {
		c.into(request)
	}
	err := t.modify(ctx, s, request)
	if err == nil || !ofOneAttribute(err) {
		return classed(err)
	}
	if len(changes) == 1 {
		if errors.Is(classed(err), targets.ErrConflict) {
			return classed(err)
		}
		r.Refused = append(r.Refused, targets.Refusal{Path: changes[0].path, Why: classed(err).Error()})
		return nil
	}
	for _, c := range changes {
		if err := t.write(ctx, s, dn, []change{c}, r); err != nil {
			return err
		}
	}
	slices.SortFunc(r.Refused, func(a, b targets.Refusal) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// ofOneAttribute reports whether another attribute of the same request may be to blame.
func ofOneAttribute(err error) bool {
	err = classed(err)
	return errors.Is(err, targets.ErrRejected) || errors.Is(err, targets.ErrForbidden) ||
		errors.Is(err, targets.ErrConflict)
}

// refusedPath is the mapped attribute that an answer names; "" where it names none.
func refusedPath(err error, values map[string]identity.Value) string {
	if !errors.Is(classed(err), targets.ErrRejected) {
		return ""
	}
	text := strings.ToLower(err.Error())
	for _, path := range slices.Sorted(maps.Keys(values)) {
		at := strings.Index(text, strings.ToLower(path))
		if at < 0 || path == container || path == "userName" || path == "externalId" {
			continue
		}
		end := at + len(path)
		before, after := at == 0 || !letter(text[at-1]), end == len(text) || !letter(text[end])
		if before && after {
			return path
		}
	}
	return ""
}

func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// place renames and moves an entry (RFC 4511, 4.9), and reads back where it is.
func (t *target) place(
	ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, delta identity.Delta, r *targets.Receipt,
) error {
	rdn, parent := firstOf(entry.DN), identity.ParentDN(entry.DN)
	named, moved := "", ""
	for _, c := range delta.Attributes {
		switch {
		case c.Path == container:
			moved = c.After.Text()
		case strings.EqualFold(t.attributeOf(c.Path), t.naming):
			named = c.After.Text()
			if named == "" {
				r.Refused = append(r.Refused, targets.Refusal{Path: c.Path, Why: "an entry is named by it, and cannot be without"})
				continue
			}
			rdn = t.naming + "=" + ldap.EscapeDN(named)
		}
	}
	if moved != "" {
		why, err := t.noPlace(ctx, s, moved)
		switch {
		case err != nil:
			return err
		case why != "":
			r.Refused = append(r.Refused, targets.Refusal{Path: container, Why: why})
		default:
			parent = moved
		}
	}
	if named == "" && ldapclient.SameDN(parent, identity.ParentDN(entry.DN)) {
		return nil
	}
	return t.move(ctx, s, entry, rdn, parent)
}

// noPlace says why nothing can be put below a DN; "" where something can.
func (t *target) noPlace(ctx context.Context, s *ldapclient.Session, dn string) (why string, err error) {
	if _, err := ldapclient.NormalDN(dn); err != nil {
		return fmt.Sprintf("%q is not a distinguished name", dn), nil //nolint:nilerr // the value is to blame
	}
	entry, err := s.Read(ctx, dn, "1.1")
	if errors.Is(classed(err), targets.ErrNotFound) || err == nil && entry == nil {
		return dn + " does not exist: make it, or map another place", nil
	}
	return "", classed(err)
}

// move gives an entry a name and a place, and looks where it is then: an answer of success is no proof.
func (t *target) move(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, rdn, parent string) error {
	superior := parent
	if ldapclient.SameDN(parent, identity.ParentDN(entry.DN)) {
		superior = ""
	}
	request := ldap.NewModifyDNRequest(entry.DN, rdn, true, superior)
	if err := t.send(ctx, s, func() error { return s.Conn.ModifyDN(request) }); err != nil {
		return classed(err)
	}
	now, err := t.entry(ctx, s, t.id.of(entry), t.id.name)
	if err != nil {
		return err
	}
	if want := rdn + "," + parent; !ldapclient.SameDN(now.DN, want) {
		return fmt.Errorf("%w: moved to %s, and read back at %s", targets.ErrConflict, want, now.DN)
	}
	return nil
}

// firstOf is the first component of a DN.
func firstOf(dn string) string {
	return strings.TrimRight(strings.TrimSuffix(dn, identity.ParentDN(dn)), ", ")
}

// Enable implements targets.Pass: what closing has changed is undone before the account is open.
func (p *pass) Enable(ctx context.Context, have identity.Account, kept map[string]string) (targets.Receipt, error) {
	err := p.with(ctx, func(s *ldapclient.Session) error { return p.reopen(ctx, s, have.ID, kept) })
	if err != nil {
		return targets.Receipt{}, fmt.Errorf("enable %s: %w", have.UserName, err)
	}
	return p.turn(ctx, have, "enable", func(d door) compute { return d.release })
}

// Disable implements targets.Pass.
func (p *pass) Disable(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	return p.turn(ctx, have, "disable", func(d door) compute { return d.shut })
}

// turn shuts or opens every door of an account.
func (p *pass) turn(
	ctx context.Context, have identity.Account, what string, to func(door) compute,
) (targets.Receipt, error) {
	err := p.with(ctx, func(s *ldapclient.Session) error {
		var troubles []error
		for _, d := range p.doors { // one that does not move keeps no other from it
			if err := p.swap(ctx, s, have.ID, d.attribute, to(d)); err != nil {
				troubles = append(troubles, fmt.Errorf("%s: %w", d.attribute, err))
			}
		}
		return errors.Join(troubles...)
	})
	if err != nil {
		return targets.Receipt{}, fmt.Errorf("%s %s: %w", what, have.UserName, err)
	}
	return targets.Receipt{}, nil
}

// swaps of one attribute are tried this often: somebody else may write it at the same time.
const swaps = 4

// swap computes an attribute's values of those just read, and writes them only where they still are: delete what was
// read, add what is to be, in one request. Nothing is computed of what was not read.
func (t *target) swap(
	ctx context.Context, s *ldapclient.Session, id identity.AccountID, attribute string, to compute,
) error {
	var last error
	for range swaps {
		entry, err := t.entry(ctx, s, id, attribute)
		if err != nil {
			return err
		}
		have := valuesOf(entry, attribute)
		want, err := to(have)
		if err != nil {
			return fmt.Errorf("%w: %w; nothing is written", targets.ErrRejected, err)
		}
		if slices.Equal(have, want) {
			return nil
		}
		request := ldap.NewModifyRequest(entry.DN, nil)
		if len(have) > 0 {
			request.Delete(attribute, have)
		}
		if len(want) > 0 {
			request.Add(attribute, want)
		}
		if last = t.modify(ctx, s, request); last == nil {
			return nil
		}
		if !errors.Is(classed(last), targets.ErrConflict) {
			return t.guarded(ctx, s, entry.DN, last)
		}
	}
	return classed(last)
}

// guarded says why an account of a domain refuses what others allow.
func (t *target) guarded(ctx context.Context, s *ldapclient.Session, dn string, err error) error {
	if !t.domain || !errors.Is(classed(err), targets.ErrForbidden) {
		return classed(err)
	}
	entry, readErr := s.Read(ctx, dn, "adminCount")
	if readErr != nil || entry == nil || entry.GetEqualFoldAttributeValue("adminCount") != "1" {
		return classed(err)
	}
	return fmt.Errorf(`AdminSDHolder protects it (adminCount is 1), and takes rights on it back within the hour: an `+
		`administrator has to do it, with Disable-ADAccount -Identity "%s": %w`, dn, classed(err))
}

// Delete implements targets.Pass.
func (p *pass) Delete(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	err := p.with(ctx, func(s *ldapclient.Session) error { return p.remove(ctx, s, have.ID) })
	if err != nil {
		return targets.Receipt{}, fmt.Errorf("delete %s: %w", have.UserName, err)
	}
	return targets.Receipt{}, nil
}

func (t *target) remove(ctx context.Context, s *ldapclient.Session, id identity.AccountID) error {
	if t.inPlace() {
		return fmt.Errorf("%w: accounts of this target are the people themselves: they are not deleted", targets.ErrRejected)
	}
	entry, err := t.entry(ctx, s, id, t.id.name, t.login)
	if err != nil {
		return err
	}
	return t.followed(ctx, s, entry, func() error { return t.removeEntry(ctx, s, entry) })
}

func (t *target) removeEntry(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry) error {
	err := t.drop(ctx, s, entry.DN)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNotAllowedOnNonLeaf) {
		if err = t.dropChildren(ctx, s, entry.DN); err == nil {
			err = t.drop(ctx, s, entry.DN)
		}
	}
	if t.domain && errors.Is(classed(err), targets.ErrForbidden) {
		return fmt.Errorf("it may be protected from accidental deletion: "+
			`Set-ADObject -Identity "%s" -ProtectedFromAccidentalDeletion:$false: %w`,
			entry.DN, t.guarded(ctx, s, entry.DN, err))
	}
	return classed(err)
}

func (t *target) drop(ctx context.Context, s *ldapclient.Session, dn string) error {
	return t.send(ctx, s, func() error { return s.Conn.Del(ldap.NewDelRequest(dn, nil)) })
}

// dropChildren deletes what is below an account, where the config names the classes of all of it; people, groups and
// units never.
func (t *target) dropChildren(ctx context.Context, s *ldapclient.Session, dn string) error {
	var below []string
	for entries, err := range s.Pages(ctx, subtree(dn, "(objectClass=*)", "objectClass"), t.bounds()) {
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if ldapclient.SameDN(entry.DN, dn) {
				continue
			}
			classes := entry.GetEqualFoldAttributeValues("objectClass")
			if !t.mayDrop(classes) {
				return fmt.Errorf("%w: %s is below it (%s), and delete_children names none of its classes: delete or move "+
					"that first", targets.ErrRejected, entry.DN, strings.Join(classes, ", "))
			}
			below = append(below, entry.DN)
		}
	}
	slices.SortFunc(below, func(a, b string) int { return strings.Count(b, ",") - strings.Count(a, ",") })
	for _, child := range below {
		if err := t.drop(ctx, s, child); err != nil {
			return fmt.Errorf("%s: %w", child, err)
		}
	}
	return nil
}

func (t *target) mayDrop(classes []string) bool {
	named := false
	for _, class := range classes {
		switch strings.ToLower(class) {
		case "user", "person", "inetorgperson", "group", "groupofnames", "groupofuniquenames", "posixgroup",
			"organizationalunit":
			return false
		}
		named = named || ldapclient.ContainsFold(t.children, class)
	}
	return named
}
