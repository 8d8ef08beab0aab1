package demo

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

const (
	sourceName = "company" // in the config
	suffix     = "dc=example,dc=org"
	peopleDN   = "ou=people," + suffix
	formerDN   = "ou=former," + suffix // beside what dirsweep reads: who is moved there has left
	groupsDN   = "ou=groups," + suffix
	readerDN   = "cn=dirsweep," + suffix
)

// person is somebody of the company, as the demo means them to be. The directory and the applications are compared with
// it.
type person struct {
	id             string // entryUUID
	uid            string
	given, surname string
	unit           string
	groups         []string // sorted
	left           bool
}

func (p person) cn() string   { return p.given + " " + p.surname }
func (p person) mail() string { return p.uid + "@example.org" }
func (p person) dn() string   { return "uid=" + p.uid + ",ou=" + p.unit + "," + peopleDN }

// channels are those of the person's groups that are channels of the chat.
func (p person) channels() []string {
	return slices.DeleteFunc(slices.Clone(p.groups), func(g string) bool { return !strings.HasPrefix(g, "chat-") || g == "chat-users" })
}

// chats reports whether the person may use the chat.
func (p person) chats() bool { return slices.Contains(p.groups, "chat-users") }

// company is the truth of the demo: who works there. Each of its methods changes the directory the way an HR system or
// an administrator would. It is used by one goroutine at a time.
type company struct {
	directory *directory
	people    map[string]*person // by id; those who left stay
	hired     int
}

// newCompany founds a company with so many people in the directory.
func newCompany(d *directory, size int) (*company, error) {
	c := &company{directory: d, people: map[string]*person{}}
	d.add(suffix, attribute{"objectClass", []string{"top", "domain"}}, attribute{"dc", []string{"example"}})
	d.add(readerDN, attribute{"objectClass", []string{"applicationProcess"}}, attribute{"cn", []string{"dirsweep"}})
	for _, dn := range []string{peopleDN, formerDN, groupsDN} {
		c.unit(dn)
	}
	for _, u := range c.units() {
		c.unit("ou=" + u + "," + peopleDN)
	}
	for _, g := range c.groupNames() {
		d.add("cn="+g+","+groupsDN, attribute{"objectClass", []string{"groupOfNames"}}, attribute{"cn", []string{g}}, attribute{"member", []string{readerDN}})
	}
	for range size {
		if _, err := c.hire(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *company) unit(dn string) {
	name, _, _ := strings.Cut(strings.TrimPrefix(dn, "ou="), ",")
	c.directory.add(dn, attribute{"objectClass", []string{"organizationalUnit"}}, attribute{"ou", []string{name}})
}

func (c *company) units() []string { return []string{"engineering", "finance", "sales", "support"} }

// groupNames are the groups of the directory: who may use the chat, its channels, and one that no application asks for.
func (c *company) groupNames() []string {
	return append([]string{"chat-users", "staff"}, c.channels()...)
}

func (c *company) channels() []string {
	return []string{"chat-engineering", "chat-general", "chat-oncall", "chat-support"}
}

func (c *company) names() (given, surnames []string) {
	return strings.Fields("Ada Bruno Carla Dmitri Elif Fatou Goran Hana Ines Jörg Kofi Lena Mateo Nadia Omar Petra Quentin Rosa Sven Tomás Uma Viktor Wanda Ximena Yusuf Zoë"),
		strings.Fields("Andersen Bianchi Costa Dubois Eriksson Ferrari Günther Haddad Ivanova Jansen Kaya Lindqvist Moreau Novák Okafor Pereira Quispe Rossi Silva Tanaka Ueda Varga Weber Xu Yılmaz Zieliński")
}

// hire makes the next person, in a unit and groups that follow from how many there were before.
func (c *company) hire() (*person, error) {
	given, surnames := c.names()
	n := c.hired
	c.hired++
	units := c.units()
	p := &person{
		given: given[n%len(given)], surname: surnames[(n+n/len(given))%len(surnames)],
		unit: units[n%len(units)], groups: []string{"staff"},
	}
	p.uid = c.login(p.given, p.surname)
	if n%2 == 0 { // engineering and sales
		p.groups = append(p.groups, "chat-general", "chat-users")
	}
	if p.unit == "engineering" {
		p.groups = append(p.groups, "chat-engineering")
	}
	slices.Sort(p.groups)
	p.id = c.directory.add(p.dn(),
		attribute{"objectClass", []string{"top", "person", "organizationalPerson", "inetOrgPerson"}},
		attribute{"uid", []string{p.uid}}, attribute{"cn", []string{p.cn()}}, attribute{"givenName", []string{p.given}},
		attribute{"sn", []string{p.surname}}, attribute{"mail", []string{p.mail()}}, attribute{"ou", []string{p.unit}},
		attribute{"employeeNumber", []string{strconv.Itoa(10000 + n)}})
	c.people[p.id] = p
	for _, g := range p.groups {
		if err := c.enter(p, g); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// login is the first of ada.weber, ada.weber2, … that nobody has or had.
func (c *company) login(given, surname string) string {
	plain := transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	base, _, err := transform.String(plain, strings.ToLower(given+"."+surname))
	if err != nil {
		base = strings.ToLower(given + "." + surname)
	}
	base = strings.NewReplacer("ı", "i", "ø", "o", "ł", "l").Replace(base)
	taken := func(uid string) bool {
		for _, p := range c.people {
			if p.uid == uid {
				return true
			}
		}
		return false
	}
	uid := base
	for n := 2; taken(uid); n++ {
		uid = base + strconv.Itoa(n)
	}
	return uid
}

// enter puts a person into a group, exit takes them out.
func (c *company) enter(p *person, group string) error {
	return c.directory.edit("cn="+group+","+groupsDN, func(e *entry) *entry {
		return e.with("member", append(slices.Clone(e.get("member")), p.dn())...)
	})
}

func (c *company) exit(p *person, group string) error {
	return c.directory.edit("cn="+group+","+groupsDN, func(e *entry) *entry {
		return e.with("member", slices.DeleteFunc(slices.Clone(e.get("member")), func(dn string) bool { return foldDN(dn) == foldDN(p.dn()) })...)
	})
}

// marry gives a person another surname, and with it another login, mail and DN.
func (c *company) marry(p *person, surname string) error {
	before := p.dn()
	p.surname = surname
	p.uid = c.login(p.given, surname)
	if err := c.directory.rename(before, p.dn()); err != nil {
		return err
	}
	return c.directory.edit(p.dn(), func(e *entry) *entry {
		return e.with("uid", p.uid).with("sn", p.surname).with("cn", p.cn()).with("mail", p.mail())
	})
}

// transfer moves a person to another unit.
func (c *company) transfer(p *person, unit string) error {
	before := p.dn()
	p.unit = unit
	if err := c.directory.rename(before, p.dn()); err != nil {
		return err
	}
	return c.directory.edit(p.dn(), func(e *entry) *entry { return e.with("ou", unit) })
}

// regroup takes a person out of one group and puts them into another.
func (c *company) regroup(p *person, from, to string) error {
	if err := c.exit(p, from); err != nil {
		return err
	}
	if err := c.enter(p, to); err != nil {
		return err
	}
	p.groups = append(slices.DeleteFunc(p.groups, func(g string) bool { return g == from }), to)
	slices.Sort(p.groups)
	return nil
}

// A wayOut is how the directory tells that somebody has left.
type wayOut string

const (
	deleted  wayOut = "deleted"
	disabled wayOut = "disabled"
	movedOut wayOut = "moved to " + formerDN
)

// leave makes a person leave.
func (c *company) leave(p *person, how wayOut) error {
	p.left = true
	switch how {
	case deleted:
		return c.directory.remove(p.dn())
	case movedOut:
		return c.directory.rename(p.dn(), "uid="+p.uid+","+formerDN)
	}
	return c.directory.edit(p.dn(), func(e *entry) *entry { return e.with("nsAccountLock", "TRUE") })
}

// everyone returns all who ever worked here, by login.
func (c *company) everyone() []*person {
	return slices.SortedFunc(maps.Values(c.people), func(a, b *person) int { return strings.Compare(a.uid, b.uid) })
}

// pick returns the first person by login that fits and still works here.
func (c *company) pick(fits func(*person) bool) (*person, error) {
	return c.someoneWho(func(p *person) bool { return !p.left && fits(p) })
}

func (c *company) someoneWho(fits func(*person) bool) (*person, error) {
	for _, p := range c.everyone() {
		if fits(p) {
			return p, nil
		}
	}
	return nil, errors.New("the company has nobody who fits")
}
