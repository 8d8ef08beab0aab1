package directory

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// An entryReader makes a Person of a directory entry. It learns how a server spells attribute names, and is used
// by one goroutine.
type entryReader struct {
	source  string
	anchor  anchor
	name    string               // the attribute of Person.Name, in lower case
	wanted  map[string]string    // lower case -> the spelling that expressions use
	binary  map[string]bool      // lower case
	judges  map[string]judgement // lower case
	ask     []string             // the attributes to ask for
	spelled map[string]field     // by a server's spelling
	carried map[string]*int      // how many entries carried each attribute, by the spelling that Need or the schema uses
	domain  bool                 // users of Active Directory: userAccountControl is mandatory
	own     account              // whom the source signs in as
	now     time.Time
}

// An account is an entry that somebody signs in with, by either of its names; "" where one is not known.
type account struct{ dn, anchor string }

// A field is what an attribute, as a server spells its name, is good for.
type field struct {
	ldapclient.Description
	key     string // of Person.Attributes, "" where expressions do not name it
	use     use
	anchor  bool
	name    bool
	judge   judgement
	label   string // of judge: the attribute as the schema spells it
	binary  bool
	carried *int // nil where nobody counts it
}

// A use is what an attribute is needed for beside expressions, names and judgements.
type use uint8

const (
	useNone use = iota
	useLogin
	useNumber   // gidNumber, of the primary group (RFC 2307)
	useRelative // primaryGroupID (MS-ADA3 2.111)
	useSID
	useControl // userAccountControl
	useClass
	useChanged
	useSequence // entryCSN: when the entry was changed, more finely (slapd's operational attribute; draft-ietf-ldup-model)
)

func uses() map[string]use {
	return map[string]use{
		"uid": useLogin, "gidnumber": useNumber, "primarygroupid": useRelative, "objectsid": useSID, "useraccountcontrol": useControl,
		"objectclass": useClass, "modifytimestamp": useChanged, "whenchanged": useChanged, "entrycsn": useSequence,
	}
}

// maxSpellings bounds what is remembered of a server that invents attribute names.
const maxSpellings = 1 << 12

func (b block) entryReader(name string, need []string, now time.Time) *entryReader {
	r := &entryReader{
		source: name, anchor: b.anchor, name: strings.ToLower(b.name), now: now, wanted: make(map[string]string), binary: ldapclient.Binaries(),
		judges: judgements(), spelled: make(map[string]field), carried: make(map[string]*int), domain: b.anchor.directory(),
	}
	asked := make(map[string]bool)
	ask := func(attributes ...string) {
		for _, attribute := range attributes {
			if lower := strings.ToLower(attribute); !asked[lower] {
				asked[lower] = true
				r.ask = append(r.ask, attribute)
			}
		}
	}
	for _, attribute := range need {
		r.wanted[strings.ToLower(attribute)] = attribute
		r.carried[attribute] = new(int)
		ask(attribute)
	}
	ask(b.anchor.name, b.name)
	if b.groups != nil {
		ask("uid", "gidNumber", "primaryGroupID", "objectSid")
	}
	if b.anchor.directory() {
		ask("whenChanged")
	} else {
		ask("modifyTimestamp")
	}
	for _, attribute := range ldapclient.Vocabulary() {
		if lower := strings.ToLower(attribute); r.judges[lower] != nil {
			ask(attribute)
			if r.wanted[lower] == "" {
				r.carried[attribute] = new(int)
			}
		}
	}
	return r
}

// serves tells the reader what kind of server the entries come from.
func (r *entryReader) serves(about ldapclient.Server) {
	if i := slices.Index(r.ask, "modifyTimestamp"); i >= 0 && about.OpenLDAP {
		r.ask[i] = "entryCSN"
	}
	if r.domain = (r.domain || about.Directory) && !about.LightWeight; r.domain && !slices.Contains(r.ask, "objectClass") {
		r.ask = append(r.ask, "objectClass")
	}
}

func (r *entryReader) field(name string) field {
	if f, ok := r.spelled[name]; ok {
		return f
	}
	f := field{Description: ldapclient.ParseDescription(name)}
	f.key = r.wanted[strings.ToLower(name)] // an option that an expression names
	if f.key != "" && f.Tagged {
		f.Tagged = false
	} else if f.key == "" {
		f.key = r.wanted[f.Base]
	}
	f.binary = f.Description.Binary || r.binary[f.Base]
	f.carried = r.carried[f.key]
	if !f.Tagged {
		f.anchor = f.Base == strings.ToLower(r.anchor.name)
		f.name = f.Base == r.name
		f.use = uses()[f.Base]
		f.judge = r.judges[f.Base]
	}
	if f.judge != nil {
		f.label = ldapclient.Spelling(f.Base)
		if f.carried == nil {
			f.carried = r.carried[f.label]
		}
	}
	if len(r.spelled) < maxSpellings {
		r.spelled[name] = f
	}
	return f
}

// A decoded entry is a person and what else is needed of their entry.
type decoded struct {
	identity.Person
	logins  []string
	member  member
	control bool // userAccountControl could be read
	contact bool // of Active Directory: no user, and so without userAccountControl
	trouble error
	unsure  error // of a judgement: it counts where no other one says no
}

// person makes a person of an entry that came whole. A *sources.PersonError concerns this person only; any other error
// ends the reading.
func (r *entryReader) person(entry *ldap.Entry) (decoded, error) {
	who := decoded{Person: identity.Person{
		ID: identity.PersonID{Directory: r.source}, Source: r.source, DN: ldapclient.Readable(entry.DN),
		Attributes: make(identity.Attributes, len(r.wanted)),
	}}
	who.Inactive = setAside(who.DN)
	var tagged map[string]*ldap.EntryAttribute
	for _, attr := range entry.Attributes {
		f := r.field(attr.Name)
		if f.Partial {
			return who, &ldapclient.IncompleteError{Reason: "values of " + entry.DN + ": " + attr.Name + " are not all"}
		}
		if len(attr.Values) == 0 {
			continue
		}
		if f.Tagged {
			if _, again := tagged[f.key]; f.key != "" && !again {
				if tagged == nil {
					tagged = make(map[string]*ldap.EntryAttribute)
				}
				tagged[f.key] = attr
			}
			continue
		}
		r.note(&who, f, attr)
		r.keep(&who, f, attr)
	}
	for key, attr := range tagged { // another language is better than none
		if _, ok := who.Attributes[key]; !ok && !slices.Contains(who.Unreadable, key) {
			r.keep(&who, r.field(attr.Name), attr)
		}
	}
	slices.Sort(who.Unreadable)
	return who, r.finish(&who)
}

// finish settles what the attributes together say.
func (r *entryReader) finish(who *decoded) error {
	if who.Name == "" {
		who.Name = firstValue(who.DN)
	}
	who.member.dn, who.member.logins = who.DN, who.logins
	switch {
	case r.own.anchor != "":
		who.Own = who.ID.Anchor == r.own.anchor
	case r.own.dn != "":
		who.Own = ldapclient.SameDN(who.DN, r.own.dn)
	}
	if r.domain && !who.control && !who.contact {
		who.unsure = errors.Join(
			who.unsure,
			fmt.Errorf("%s cannot be read, and every user has one: let the bind DN read it", domainUser),
		)
	}
	switch {
	case who.Inactive != "": // whatever the time
		who.Ends, who.EndsBy = time.Time{}, ""
	case !who.Ends.IsZero() && !r.now.Before(who.Ends):
		who.Inactive = who.EndsBy + " has passed"
	}
	if who.Inactive == "" {
		who.trouble = errors.Join(who.trouble, who.unsure) // any one reason to be inactive is enough
	}
	who.Active = who.Inactive == ""
	if who.ID.Anchor == "" && who.trouble == nil {
		who.trouble = fmt.Errorf("the entry has no %s that the bind DN may read", r.anchor.name)
	}
	if who.trouble != nil {
		return &sources.PersonError{ID: who.ID, DN: who.DN, Err: who.trouble}
	}
	return nil
}

// note takes from an attribute what the source itself needs of it.
func (r *entryReader) note(who *decoded, f field, attr *ldap.EntryAttribute) {
	if f.name {
		who.Name = strings.ToValidUTF8(attr.Values[0], "\uFFFD")
	}
	if f.judge != nil {
		r.judge(who, f, attr.Values)
	}
	if f.anchor {
		text, err := r.anchor.only(attr.ByteValues)
		if err != nil {
			who.trouble = errors.Join(who.trouble, err)
		}
		who.ID.Anchor = text
	}
	switch f.use {
	case useLogin:
		who.logins = attr.Values
	case useNumber:
		who.member.number = attr.Values[0]
	case useRelative:
		who.member.relative = attr.Values[0]
	case useSID:
		who.member.sid, _ = ldapclient.SIDText(attr.ByteValues[0])
	case useControl:
		who.control = true
	case useClass:
		who.contact = slices.ContainsFunc(attr.Values, func(class string) bool { return strings.EqualFold(class, "contact") })
	case useChanged:
		if changed, err := ber.ParseGeneralizedTime([]byte(attr.Values[0])); err == nil && who.Changed.IsZero() {
			who.Changed = changed.UTC()
		}
	case useSequence:
		text, _, _ := strings.Cut(attr.Values[0], "#")
		if changed, err := ber.ParseGeneralizedTime([]byte(text)); err == nil {
			who.Changed = changed.UTC()
		}
	case useNone:
	}
}

func (r *entryReader) judge(who *decoded, f field, values []string) {
	for _, value := range values {
		says, err := f.judge(value)
		if err != nil {
			who.unsure = errors.Join(who.unsure, fmt.Errorf("%s %w", f.label, err))
		}
		if says.inactive != "" && who.Inactive == "" {
			who.Inactive = strings.ToValidUTF8(f.label+" "+says.inactive, "\uFFFD")
		}
		if !says.ends.IsZero() && (who.Ends.IsZero() || says.ends.Before(who.Ends)) {
			who.Ends, who.EndsBy = says.ends, f.label
		}
	}
}

// keep adds an attribute that expressions name to the person: binary values in base64. One value that is no text
// makes the whole attribute unreadable, since the others would read as all that there are.
func (r *entryReader) keep(who *decoded, f field, attr *ldap.EntryAttribute) {
	if f.carried != nil && len(who.Attributes[f.key]) == 0 {
		*f.carried++
	}
	if f.key == "" {
		return
	}
	values := attr.Values
	for i, value := range values {
		switch {
		case f.binary:
			values[i] = base64.StdEncoding.EncodeToString(attr.ByteValues[i])
		case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
			delete(who.Attributes, f.key)
			if !slices.Contains(who.Unreadable, f.key) {
				who.Unreadable = append(who.Unreadable, f.key)
			}
			return
		}
	}
	if !slices.Contains(who.Unreadable, f.key) {
		who.Attributes[f.key] = append(who.Attributes[f.key], values...)
	}
}

// firstValue is the value of a DN's first component, for messages.
func firstValue(dn string) string {
	first := strings.TrimSuffix(dn, identity.ParentDN(dn))
	_, value, _ := strings.Cut(strings.TrimRight(first, ", "), "=")
	return value
}
