// Package identity is the vocabulary that every part of dirsweep speaks: people, accounts, links between them, and
// changes. It holds data and the rules of comparing it, does no I/O and imports nothing of ours.
package identity

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A PersonID names one human for life: the directory that is authoritative for them, and the anchor by which it knows
// them whatever their login, name, mail or place in the tree becomes (objectGUID, entryUUID, an employee number).
// Several sources may read one directory: the same anchor in another of them is the same person (R3).
type PersonID struct {
	Directory string // the domain's SID, the suffix entry's UUID, or what the config declares; else the source's name
	Anchor    string // canonical text; binary anchors are rendered by the source kind
}

// String returns "directory/anchor".
func (id PersonID) String() string { return id.Directory + "/" + id.Anchor }

// IsZero reports whether id names nobody.
func (id PersonID) IsZero() bool { return id == PersonID{} }

// ParsePersonID reads what String wrote.
func ParsePersonID(s string) (PersonID, error) {
	directory, anchor, ok := strings.Cut(s, "/")
	if !ok || directory == "" || anchor == "" {
		return PersonID{}, fmt.Errorf("%q is not directory/anchor", s)
	}
	return PersonID{Directory: directory, Anchor: anchor}, nil
}

// Attributes are a directory entry's values by attribute name, spelled as the config spells them. Every value is text:
// a source renders binary ones (base64, or the canonical text form of a GUID or SID used as anchor).
type Attributes map[string][]string

// A Group is a group that a person belongs to, directly or through other groups.
type Group struct {
	Name string // what people call it: the entry's cn
	DN   string // its distinguished name, or another unambiguous name where the source has no DNs
}

// A Person is one human as one source describes them now.
type Person struct {
	ID         PersonID
	Source     string     // the source that read them: its name in the config
	Name       string     // short, for messages: the login where there is one
	DN         string     // where the entry is now
	Active     bool       // the kind's own judgement; a config's `active` expression overrides it
	Inactive   string     // why that judgement says no: "nsAccountLock is TRUE"; "" where it says yes
	Attributes Attributes // exactly those that the config names, absent ones missing
	// Unreadable are those of them whose value is there and cannot be read as text, sorted. They are missing from
	// Attributes and yet not absent: what depends on one is neither written nor cleared.
	Unreadable []string
	Unread     []string  // those of Unreadable that are not known because their source was not read, sorted
	Groups     []Group   // nested ones included, sorted by DN, without duplicates
	Own        bool      // the account that the source itself signs in as: never to be closed (R5)
	Changed    time.Time // when the entry was last changed, by the directory's own clock; zero where it does not say (R19)
	// Ends is when the person's time is over by their own entry, past or to come, and EndsBy the attribute that says so:
	// "accountExpires". Zero for never, and where something else in the entry has them inactive anyway (R13).
	Ends   time.Time
	EndsBy string
	// Begins is when they come, of somebody who is not active before by their own entry, and BeginsBy what says so. Zero
	// where nothing does.
	Begins   time.Time
	BeginsBy string
	// Parts are the entries that a joined person is made of, the one that has most to say first; nil of somebody who is
	// one entry of one source. From is of which source each attribute is then.
	Parts []Part
	From  map[string]string
}

// A Part is one entry of one source: what a person is made of whom several sources describe.
type Part struct {
	Source string `cbor:"1,keyasint"`           // its name in the config
	Anchor string `cbor:"2,keyasint"`           // by which that source knows the entry
	DN     string `cbor:"3,keyasint,omitempty"` // where it is there
	Says   string `cbor:"4,keyasint,omitempty"` // what it says: "active", "not active: status is terminated"; not remembered
	Human  uint64 `cbor:"5,keyasint,omitempty"` // a hash of what tells humans apart who are given one key; 0 for none
	Over   bool   `cbor:"-"`                    // it says that they are not active; not remembered
}

// Container is the place in the tree that holds the person: the DN less its first component, or "" where there is none.
// Leavers are grouped by it.
func (p Person) Container() string { return ParentDN(p.DN) }

// ParentDN returns dn less its first component. A comma escaped by a backslash does not separate components.
func ParentDN(dn string) string {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return strings.TrimLeft(dn[i+1:], " ")
		}
	}
	return ""
}

// An AccountID is the target's own, immutable identifier of an account.
type AccountID string

// An Account is what a target holds, or should hold, for one person.
type Account struct {
	ID           AccountID        // "" in an account that is only wanted
	UserName     string           // how people recognise it: the login
	ExternalID   string           // the mark a provisioning client leaves: the person's anchor, unless the config maps another value
	Active       bool             //
	Attributes   map[string]Value // by path, as the config spells it (userName and externalId included where they are mapped); absent ones missing
	Entitlements []Entitlement    // sorted, without duplicates; nil where the config does not map them, or they were not asked for
	Version      string           // ETag, where the target has one
	// EntitlementsUnknown: the application shows nobody's entitlements, so that what was granted is remembered, and
	// what is taken away is sent and cannot be proven.
	EntitlementsUnknown bool
	// ActiveShown is what the application shows where it tells neither true nor false: "the number 2"; such an account
	// counts as active.
	ActiveShown string
	// Unlisted is why no list of accounts has it, where the target knows of one that was read by itself: "it is at
	// ou=elsewhere,dc=example,dc=org, which is not below base_dn"; "" for one that lists have.
	Unlisted string
	// Withheld are mapped paths, "entitlements" among them, that have no value to write now; of an account that is only
	// wanted, sorted by path. Absence from Attributes then does not ask for clearing.
	Withheld []Withheld
}

// Withheld is a mapped path that is left as it is, and why.
type Withheld struct {
	Path   string
	Reason string // one clause, without values: "config.hcl:33: mail of bob is not UTF-8 text"
}

// Withholds reports whether path is to be left as it is.
func (a Account) Withholds(path string) bool {
	return slices.ContainsFunc(a.Withheld, func(w Withheld) bool { return w.Path == path })
}

// Get returns the value at path, whether it is mapped or one of the account's own fields.
func (a Account) Get(path string) Value {
	if v, ok := a.Attributes[path]; ok {
		return v
	}
	switch path {
	case "id":
		return Text(string(a.ID))
	case "userName":
		return Text(a.UserName)
	case "externalId":
		return Text(a.ExternalID)
	}
	return ""
}

// A LinkState tells what dirsweep last knew of a linked account.
type LinkState uint8

// The states of a link.
const (
	LinkActive   LinkState = iota // enabled when last seen
	LinkDisabled                  // seen inactive
	LinkDeleted                   // seen gone
)

func (s LinkState) String() string {
	switch s {
	case LinkDisabled:
		return "disabled"
	case LinkDeleted:
		return "deleted"
	default:
		return "active"
	}
}

// Capabilities say what a target can do; plan and sweep leave out the steps it cannot.
type Capabilities struct {
	Disable      bool // an account can be made inactive and kept
	Delete       bool
	Entitlements bool
	Update       bool
	// Places: lists hold the accounts of certain places alone. One that they lack may be elsewhere (Account.Unlisted): that
	// they lack it proves nothing.
	Places bool
}

// Situation is what correlation says of one account or person.
type Situation string

// The situations.
const (
	Linked    Situation = "linked"    // remembered: this account is this person's
	Unlinked  Situation = "unlinked"  // not remembered, and exactly one person fits
	Unmatched Situation = "unmatched" // an orphan account: nobody fits
	Disputed  Situation = "disputed"  // more than one fits, or it belongs to another person
	Missing   Situation = "missing"   // remembered, but the target no longer holds it
)

// Finding is something an operator should know that dirsweep will not, or could not, act on.
type Finding struct {
	Kind    string   // a short fixed word: "disputed", "orphan", "unproven", "drift", …
	Subject string   // what it is about, for people: "wiki: alice"
	Source  string   // where it concerns one
	Target  string   // where it concerns one
	Person  PersonID // where it concerns one
	Account AccountID
	Detail  string // one sentence: what was seen, and what to do about it
}

// SortFindings orders findings so that equal sets read the same.
func SortFindings(fs []Finding) {
	slices.SortFunc(fs, func(a, b Finding) int {
		return strings.Compare(a.sortKey(), b.sortKey())
	})
}

func (f Finding) sortKey() string {
	return strings.Join([]string{f.Kind, f.Target, f.Source, f.Subject, f.Person.String(), string(f.Account), f.Detail}, "\x00")
}
