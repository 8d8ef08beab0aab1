package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// texts are the values of an account by attribute in lower case, its login among them.
func (t *target) texts(values map[string]identity.Value, login string) map[string][]string {
	list := map[string][]string{}
	for path, v := range values {
		if attribute := t.attributeOf(path); attribute != "" {
			list[strings.ToLower(attribute)] = textsOf(v)
		}
	}
	if login != "" {
		list[strings.ToLower(t.login)] = []string{login}
	}
	return list
}

// changedTexts are those that a change gives an account.
func (t *target) changedTexts(delta identity.Delta) map[string][]string {
	values := map[string]identity.Value{}
	for _, c := range delta.Attributes {
		values[c.Path] = c.After
	}
	return t.texts(values, "")
}

// unique refuses values that somebody else has already and that only one may have: servers see to some of them in one
// domain, and to none in one container. self is the account that may have them, "" for a new one.
func (t *target) unique(
	ctx context.Context, s *ldapclient.Session, self identity.AccountID, values map[string][]string,
) error {
	single := []string{strings.ToLower(t.login)}
	if t.domain {
		single = []string{"userprincipalname", "mail", "proxyaddresses"}
	}
	var filters []string
	for _, attribute := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(single, attribute) {
			continue
		}
		for _, value := range values[attribute] {
			filters = append(filters, equal(attribute, value))
			if attribute == "mail" {
				filters = append(filters, equal("proxyAddresses", "smtp:"+value))
			}
		}
	}
	if len(filters) == 0 {
		return nil
	}
	q := subtree("", anyOf(filters...), append([]string{t.id.name, "objectSid"}, single...)...)
	type search = func(context.Context, *ldapclient.Session, ldapclient.Query) ([]*ldap.Entry, error)
	for _, search := range []search{t.searchForest, t.searchPlaces} {
		found, err := search(ctx, s, q)
		if err != nil {
			return err
		}
		for _, entry := range found {
			if id := t.id.of(entry); id != self || id == "" {
				return fmt.Errorf("%w: %s has one of %s already, which only one account may have", targets.ErrConflict, entry.DN,
					strings.Join(filters, " "))
			}
		}
	}
	return nil
}

func (t *target) searchPlaces(
	ctx context.Context, s *ldapclient.Session, q ldapclient.Query,
) (found []*ldap.Entry, err error) {
	places := t.places() // elsewhere in such a directory a name may be somebody else's, or the person's own
	if t.domain {
		places = t.roots(ctx, s)
	}
	for _, place := range places {
		q.Base = place
		result, err := s.Search(ctx, q, 0, nil)
		if err != nil {
			return nil, err
		}
		found = append(found, result.Entries...)
	}
	return found, nil
}

// searchForest asks the Global Catalog of the same controller (MS-ADTS 3.1.1.3.1.10), which knows the names of all
// domains. Where it has none, nobody beyond the domain is found.
func (t *target) searchForest(ctx context.Context, s *ldapclient.Session, q ldapclient.Query) ([]*ldap.Entry, error) {
	address := catalogOf(s.URL)
	if !t.domain || address == "" {
		return nil, nil
	}
	catalog, err := t.pool.Dial(ctx, address)
	if err != nil {
		if unreachable := (*ldapclient.UnreachableError)(nil); errors.As(err, &unreachable) && ctx.Err() == nil {
			return nil, nil
		}
		return nil, err
	}
	defer catalog.Close()
	result, err := catalog.Search(ctx, q, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("global catalog: %w", err)
	}
	return result.Entries, nil
}

// catalogOf is the URL of the Global Catalog beside a controller's; "" where that has a port of its own.
func catalogOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Port() != "" && u.Port() != "389" && u.Port() != "636" {
		return ""
	}
	port := "3268"
	if u.Scheme == "ldaps" {
		port = "3269"
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}

// deletedTwin refuses to make somebody's account anew while the deleted one can be brought back: another would have
// another identifier, and none of its rights.
func (t *target) deletedTwin(ctx context.Context, s *ldapclient.Session, want identity.Account) error {
	if !t.domain || t.recreate || t.mark == "" || want.ExternalID == "" {
		return nil
	}
	q := subtree(t.root(ctx, s), "(&(isDeleted=TRUE)"+equal(t.mark, want.ExternalID)+")", t.id.name, "isRecycled")
	q.Controls = []ldap.Control{ldap.NewControlMicrosoftShowDeleted()}
	result, err := s.Search(ctx, q, 0, nil)
	if err != nil {
		return err
	}
	for _, deleted := range result.Entries {
		if !strings.EqualFold(deleted.GetEqualFoldAttributeValue("isRecycled"), "TRUE") {
			id := string(t.id.of(deleted))
			return fmt.Errorf("%w: their account was deleted, and another one would have none of its rights: %s; or set "+
				"recreate_deleted = true", targets.ErrRejected, restorable(deleted, id))
		}
	}
	return nil
}
