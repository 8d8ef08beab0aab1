package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// An update brings a mirror up to date.
type update struct {
	s       *source
	session *ldapclient.Session
	m       *mirror
	members *membership     // as they were
	before  map[uuid]string // the DNs of entries that were forgotten
	after   map[uuid]string // the DNs of those that were read
	changed []uuid          // entries that have to be read again
	below   []string        // DNs below which everything has to be read again
	moved   []string        // DNs, normalised, of containers that are no longer there
}

// mostChanged is how many entries are read one by one before reading everything is the cheaper way.
const mostChanged = 2000

// ask asks the server what has changed, and takes it in.
func (u *update) ask(ctx context.Context, position sources.Currency) error {
	if !position.Covers(u.m.until) {
		return &rereadError{"the server knows less than it did, or is another one"}
	}
	_, unseen, err := u.s.seen(ctx, u.session)
	if err != nil {
		return err
	}
	if !slices.Equal(unseen, u.m.unseen) {
		return &rereadError{"other base DNs can be seen than before"}
	}
	found := &changes{now: map[uuid]string{}, ignored: u.s.ignored}
	if err := u.m.feed.since(ctx, u.session, u.m.until, found); err != nil {
		return err
	}
	return u.apply(ctx, found)
}

func (u *update) apply(ctx context.Context, found *changes) error {
	if found.tooMany() {
		return &rereadError{fmt.Sprintf("%d entries have changed", len(found.now)+len(found.gone))}
	}
	for _, id := range found.gone {
		if err := u.drop(id); err != nil {
			return err
		}
	}
	for id, dn := range found.now {
		u.sort(id, dn)
	}
	if err := u.clear(); err != nil {
		return err
	}
	return u.read(ctx)
}

// drop forgets an entry that is gone. It is looked for all the same, with what was below it: what is told may be of
// before.
func (u *update) drop(id uuid) error {
	if old, held := u.m.containers[id]; held {
		u.moved, u.below = append(u.moved, old), append(u.below, old)
		delete(u.m.containers, id)
	}
	u.changed = append(u.changed, id)
	for _, of := range []*entries{u.m.people, u.m.groups} {
		if err := u.forget(of, id); err != nil {
			return err
		}
	}
	return nil
}

// forget forgets an entry, where it is known.
func (u *update) forget(of *entries, id uuid) error {
	at, known := of.at[id]
	if !known {
		return nil
	}
	old, err := u.m.entry(at)
	if err != nil {
		return err
	}
	u.m.forget(of, id)
	u.before[id] = old.DN
	return nil
}

// unsettle notes the names that mean somebody else than before, or nobody.
func (u *update) unsettle() {
	now := u.s.now()
	for id, dn := range u.before {
		if u.after[id] != dn {
			u.m.unsettled[dn] = unsettled{since: now, next: now}
		}
	}
	for id, dn := range u.after {
		if u.before[id] != dn {
			u.m.unsettled[dn] = unsettled{since: now, next: now, came: true}
		}
	}
}

// settle reads again the groups that may have been mended without a word: those that list, or listed, a DN which means
// somebody else now, or nobody. That is done at once, and again after longer and longer times, as long as the server may
// take for it.
func (u *update) settle(ctx context.Context) error {
	m, now := u.m, u.s.now()
	if u.s.groups == nil {
		return nil
	}
	var due, came []string
	for _, dn := range slices.Sorted(maps.Keys(m.unsettled)) {
		one := m.unsettled[dn]
		if one.next.After(now) && !one.since.After(now) {
			continue
		}
		if due = append(due, dn); one.came {
			came = append(came, dn)
		}
		passed := max(0, now.Sub(one.since))
		if one.next = now.Add(max(time.Second, passed)); passed < m.feed.settles() {
			m.unsettled[dn] = one
		} else {
			delete(m.unsettled, dn)
		}
	}
	if len(due) == 0 {
		return nil
	}
	ids := map[uuid]bool{}
	for _, dn := range due {
		for _, n := range u.members.direct(ldapclient.DNKey(dn), nil) {
			ids[u.members.groups[n].uuid] = true
		}
	}
	maps.DeleteFunc(ids, func(id uuid, _ bool) bool { return u.after[id] != "" }) // it was just read
	if err := u.readGroups(ctx, slices.Collect(maps.Keys(ids))); err != nil {
		return err
	}
	if err := u.findListing(ctx, came); err != nil {
		return err
	}
	return m.findContainers(ctx, u.session, u.s.everywhere())
}

// findListing reads the groups again that list some DNs; all groups, where those are fewer: to look for a member makes a
// domain controller go through every member of a group.
func (u *update) findListing(ctx context.Context, dns []string) error {
	if len(dns) > len(u.m.groups.at) {
		return u.findGroups(ctx, "(objectClass=*)")
	}
	for some := range slices.Chunk(dns, atOnce) {
		var listing strings.Builder
		for _, dn := range some {
			listing.WriteString(u.s.groups.holds(member{dn: dn}))
		}
		if err := u.findGroups(ctx, "(|"+listing.String()+")"); err != nil {
			return err
		}
	}
	return nil
}

// sort finds out what the change of an entry asks for.
func (u *update) sort(id uuid, dn string) {
	old, held := u.m.containers[id]
	if normal, err := ldapclient.NormalDN(dn); held && (err != nil || normal != old) {
		u.moved, u.below = append(u.moved, old), append(u.below, dn, old) // its new name may be one of before
		delete(u.m.containers, id)
	}
	_, person := u.m.people.at[id]
	_, group := u.m.groups.at[id]
	inside := inAny(dn, u.s.everywhere())
	if !person && !group && inside && (!held || u.m.untold[id]) {
		u.below = append(u.below, dn) // it may be a container that came with people in it
	}
	delete(u.m.untold, id)
	if person || group || inside {
		u.changed = append(u.changed, id)
	}
}

// clear forgets what was below containers that are no longer there.
func (u *update) clear() error {
	if len(u.moved) == 0 {
		return nil
	}
	lost := func(dn string) bool {
		return slices.ContainsFunc(u.moved, func(old string) bool { return strings.HasSuffix(dn, ","+old) })
	}
	for _, of := range []*entries{u.m.people, u.m.groups} {
		var ids []uuid
		for entry, err := range u.m.each(of) {
			if err != nil {
				return err
			}
			if normal, err := ldapclient.NormalDN(entry.DN); err != nil || lost(normal) {
				id, _ := u.m.feed.id().uuidOf(entry)
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			if err := u.forget(of, id); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(u.m.containers, func(_ uuid, dn string) bool { return lost(dn) })
	return nil
}

// read reads again what has changed, and what is below containers that have come. Who does not come again is not there
// any more.
func (u *update) read(ctx context.Context) error {
	s, m := u.s, u.m
	for _, id := range u.changed {
		if err := u.forget(m.people, id); err != nil {
			return err
		}
	}
	ask := ldapclient.With(s.reader(ctx, u.session).ask, m.feed.id().name)
	for some := range slices.Chunk(u.changed, atOnce) {
		filter, err := m.feed.id().anyOf(some)
		if err != nil {
			return err
		}
		for _, base := range s.bases {
			if err := u.record(ctx, m.people, s.query(base, ask).And(filter)); err != nil {
				return err
			}
		}
	}
	for _, dn := range u.below {
		if s.covers(dn) {
			if err := u.record(ctx, m.people, s.query(dn, ask)); err != nil {
				return err
			}
		}
		if s.groups != nil && inAny(dn, s.groups.bases) {
			if err := u.record(ctx, m.groups, s.groups.query(dn)); err != nil {
				return err
			}
		}
	}
	if err := u.readGroups(ctx, u.changed); err != nil {
		return err
	}
	u.unsettle()
	return m.findContainers(ctx, u.session, s.everywhere())
}

// readGroups reads some groups again.
func (u *update) readGroups(ctx context.Context, ids []uuid) error {
	if u.s.groups == nil {
		return nil
	}
	for _, id := range ids {
		if err := u.forget(u.m.groups, id); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(ids, atOnce) {
		filter, err := u.m.feed.id().anyOf(some)
		if err != nil {
			return err
		}
		if err := u.findGroups(ctx, filter); err != nil {
			return err
		}
	}
	return nil
}

// findGroups reads the groups that fit a filter again.
func (u *update) findGroups(ctx context.Context, filter string) error {
	for _, base := range u.s.groups.bases {
		if err := u.record(ctx, u.m.groups, u.s.groups.query(base).And(filter)); err != nil {
			return err
		}
	}
	return nil
}

// atOnce is how many entries one search asks for.
const atOnce = 100

// record keeps what a search finds. A container may have gone again meanwhile.
func (u *update) record(ctx context.Context, in *entries, q ldapclient.Query) error {
	pages := u.session.Pages(ctx, q, u.s.bounds())
	if in == u.m.people {
		pages = u.s.pages(ctx, u.session, q)
	}
	for entries, err := range pages {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			id, err := u.m.record(in, entry)
			if err != nil {
				return err
			}
			u.after[id] = entry.DN
		}
	}
	return nil
}
