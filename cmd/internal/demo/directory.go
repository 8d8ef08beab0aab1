package demo

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// An attribute of an entry: its name in the schema's spelling, and its values.
type attribute struct {
	name   string
	values []string
}

// An entry is one object of the directory. It never changes: an edit puts another one in its place, so that a search
// under way keeps what it found.
type entry struct {
	dn         string
	key        string // the DN as it compares
	attributes []attribute
}

// get returns the values of an attribute, nil where there are none.
func (e *entry) get(name string) []string {
	for _, a := range e.attributes {
		if strings.EqualFold(a.name, name) {
			return a.values
		}
	}
	return nil
}

// with returns a copy of the entry that has values instead; none takes the attribute away.
func (e *entry) with(name string, values ...string) *entry {
	next := &entry{dn: e.dn, key: e.key}
	for _, a := range e.attributes {
		if !strings.EqualFold(a.name, name) {
			next.attributes = append(next.attributes, a)
		}
	}
	if len(values) > 0 {
		next.attributes = append(next.attributes, attribute{name, values})
	}
	return next
}

// directory is a tree of entries in memory, which gives each an entryUUID for life and keeps the members of groups true
// when people are renamed or deleted, as a server with referential integrity does.
type directory struct {
	mu      sync.RWMutex
	entries []*entry // in order of arrival
}

// foldDN makes DNs that mean the same entry equal. What is no DN stays as it is.
func foldDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	var parts []string
	for _, rdn := range parsed.RDNs {
		for _, a := range rdn.Attributes {
			parts = append(parts, strings.ToLower(a.Type)+"="+strings.ToLower(a.Value))
		}
	}
	return strings.Join(parts, ",")
}

// snapshot returns the entries at this moment.
func (d *directory) snapshot() []*entry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.entries)
}

// add makes an entry, and answers with its entryUUID.
func (d *directory) add(dn string, attributes ...attribute) string {
	id := uuid.NewString()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, &entry{dn: dn, key: foldDN(dn), attributes: append(attributes, attribute{"entryUUID", []string{id}})})
	return id
}

// edit replaces the entry at dn by what change makes of it.
func (d *directory) edit(dn string, change func(*entry) *entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.find(dn)
	if err != nil {
		return err
	}
	d.entries[i] = change(d.entries[i])
	return nil
}

// remove deletes the entry at dn, and takes it out of every group.
func (d *directory) remove(dn string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.find(dn)
	if err != nil {
		return err
	}
	key := d.entries[i].key
	d.entries = slices.Delete(d.entries, i, i+1)
	d.replaceMember(key, "")
	return nil
}

// rename gives the entry at dn, and whatever is below it, another place.
func (d *directory) rename(dn, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.find(dn); err != nil {
		return err
	}
	from := foldDN(dn)
	for i, e := range d.entries {
		if e.key != from && !strings.HasSuffix(e.key, ","+from) {
			continue
		}
		moved := *e
		moved.dn = e.dn[:len(e.dn)-len(dn)] + to
		moved.key = foldDN(moved.dn)
		d.entries[i] = &moved
		d.replaceMember(e.key, moved.dn)
	}
	return nil
}

func (d *directory) find(dn string) (int, error) {
	key := foldDN(dn)
	i := slices.IndexFunc(d.entries, func(e *entry) bool { return e.key == key })
	if i < 0 {
		return 0, fmt.Errorf("directory: no entry %s", dn)
	}
	return i, nil
}

// replaceMember puts dn ("" for nobody) where groups list the entry with this key.
func (d *directory) replaceMember(key, dn string) {
	for i, e := range d.entries {
		members := e.get("member")
		at := slices.IndexFunc(members, func(m string) bool { return foldDN(m) == key })
		if at < 0 {
			continue
		}
		members = slices.Clone(members)
		if dn == "" {
			members = slices.Delete(members, at, at+1)
		} else {
			members[at] = dn
		}
		d.entries[i] = e.with("member", members...)
	}
}

// search returns the entries in scope that match the filter, and false where there is no entry at base.
func (d *directory) search(base string, scope int64, match func(*entry) bool) (found []*entry, ok bool) {
	key := foldDN(base)
	for _, e := range d.snapshot() {
		_, parent, _ := strings.Cut(e.key, ",")
		below := strings.HasSuffix(e.key, ","+key)
		in := e.key == key
		ok = ok || in
		switch scope {
		case ldap.ScopeSingleLevel:
			in = below && parent == key
		case ldap.ScopeWholeSubtree:
			in = in || below
		}
		if in && match(e) {
			found = append(found, e)
		}
	}
	return found, ok
}
