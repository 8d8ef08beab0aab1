// Package correlate finds out which unlinked account is whose. It is pure.
package correlate

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Matcher fits unlinked people to the unlinked accounts of one target: first every account is added, then every
// person, then Result settles who gets what. It keeps identifiers and attribute values, no accounts.
type Matcher struct {
	attributes []string
	index      []map[string][]int // by attribute: value → accounts
	accounts   []account
	claims     []claim
}

type account struct {
	id         identity.AccountID
	userName   string
	externalID string
	fitted     *identity.PersonID
}

type claim struct {
	person  identity.PersonID
	rank    int // index of the attribute that matched
	account int
	rivals  []int // all accounts that matched, where there is more than one
	foreign bool  // the account carries another person's externalId
}

// A Match is what correlation says of one account, or of one person where Account is empty.
type Match struct {
	Situation identity.Situation // Unlinked: exactly one person fits; Disputed; Unmatched: an orphan
	Account   identity.AccountID
	UserName  string
	Person    identity.PersonID   // of an Unlinked match
	People    []identity.PersonID // of a Disputed one: everyone concerned, sorted; nothing may be written for them
	By        string              // the attribute that decided
	Fitted    *identity.PersonID  // whom the account fitted when it was there before; nil where it was not
	Why       string              // of a Disputed one
}

// New returns a matcher that tries attributes in this order.
func New(attributes []string) *Matcher {
	m := &Matcher{attributes: attributes}
	for range attributes {
		m.index = append(m.index, map[string][]int{})
	}
	return m
}

// Len is the number of accounts added.
func (m *Matcher) Len() int { return len(m.accounts) }

// Account adds one unlinked account. fitted is whom it fitted when it was there before, zero for nobody; nil where it
// was not.
func (m *Matcher) Account(a identity.Account, fitted *identity.PersonID) {
	n := len(m.accounts)
	m.accounts = append(m.accounts, account{a.ID, a.UserName, a.ExternalID, fitted})
	for i, attribute := range m.attributes {
		for _, key := range Keys(attribute, a) {
			if !slices.Contains(m.index[i][key], n) {
				m.index[i][key] = append(m.index[i][key], n)
			}
		}
	}
}

// Person adds one unlinked person by the account that the mapping wants for them. The first attribute that finds any
// account decides.
func (m *Matcher) Person(id identity.PersonID, want identity.Account) {
	for rank, attribute := range m.attributes {
		var found []int
		for _, key := range Keys(attribute, want) {
			for _, n := range m.index[rank][key] {
				if !slices.Contains(found, n) {
					found = append(found, n)
				}
			}
		}
		if len(found) == 0 {
			continue
		}
		c := claim{person: id, rank: rank, account: found[0]}
		if len(found) > 1 {
			c.rivals = found
		}
		marked := m.accounts[found[0]].externalID
		c.foreign = attribute != "externalId" && marked != "" && marked != want.ExternalID
		m.claims = append(m.claims, c)
		return
	}
}

// Result settles the claims, sorted by account and person. The strongest claim on an account wins, the earlier
// attribute being stronger; two equally strong ones, a person with several candidates, an account marked as another's,
// and one that was there before its person bore the matching value are disputed. An externalId is who somebody is, and
// is borne from the first.
func (m *Matcher) Result() []Match {
	byAccount := make([][]claim, len(m.accounts))
	for _, c := range m.claims {
		byAccount[c.account] = append(byAccount[c.account], c)
		for _, n := range c.rivals {
			if n != c.account {
				byAccount[n] = append(byAccount[n], c)
			}
		}
	}
	var out []Match
	for n, a := range m.accounts {
		match := Match{Situation: identity.Unmatched, Account: a.id, UserName: a.userName, Fitted: a.fitted}
		if claims := byAccount[n]; len(claims) > 0 {
			m.settle(&match, claims)
		}
		out = append(out, match)
	}
	slices.SortFunc(out, func(a, b Match) int { return cmp.Compare(a.Account, b.Account) })
	return out
}

func (m *Matcher) settle(match *Match, claims []claim) {
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.person.String(), b.person.String()))
	})
	best := claims[0]
	match.By = m.attributes[best.rank]
	var why string
	switch {
	case len(claims) > 1 && claims[1].rank == best.rank:
		why = "several people fit it by " + match.By
	case best.rivals != nil:
		why = "several accounts fit one person by " + match.By
	case best.foreign:
		why = "its externalId says that it is another person's, though " + match.By + " fits"
	case match.Fitted != nil && *match.Fitted != best.person && match.By != "externalId":
		why = "it was there before " + best.person.String() + " had this " + match.By + ": it may be a predecessor's"
	}
	if why == "" {
		match.Situation, match.Person = identity.Unlinked, best.person
		claims = claims[1:]
		if len(claims) == 0 {
			return
		}
	} else {
		match.Situation, match.Why = identity.Disputed, why
	}
	for _, c := range claims {
		match.People = append(match.People, c.person)
	}
	slices.SortFunc(match.People, func(a, b identity.PersonID) int { return strings.Compare(a.String(), b.String()) })
	match.People = slices.Compact(match.People)
}

// Keys are the values of an account's attribute as correlation compares them: letter case ignored unless the attribute
// is an identifier (RFC 7643 §2.2: userName is not caseExact, externalId is).
func Keys(attribute string, a identity.Account) []string {
	keys := Values(attribute, a)
	if attribute != "externalId" && attribute != "id" {
		for i, s := range keys {
			keys[i] = strings.ToLower(s)
		}
	}
	return keys
}

// Values are the texts and numbers that an attribute holds: every value of a list, the "value" of an object.
func Values(attribute string, a identity.Account) (out []string) {
	value := a.Get(attribute).Any()
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			item = object["value"]
		}
		if n, ok := item.(json.Number); ok {
			item = n.String()
		}
		if s, ok := item.(string); ok && strings.TrimSpace(s) != "" {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}
