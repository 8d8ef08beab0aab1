package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/go-ldap/ldap/v3"
)

// Neighbours are people who were found somewhere, by where. Each is looked for again before anybody relies on them; but to
// ask for one is quick, and to ask for anybody makes Active Directory and Samba look at everybody.
type neighbours struct {
	mu   sync.Mutex
	last map[string]string // by where: an anchor
}

// mostNeighbours bounds what is remembered.
const mostNeighbours = 10_000

func (n *neighbours) at(place string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[place]
}

func (n *neighbours) met(place, anchor string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil || len(n.last) >= mostNeighbours {
		n.last = map[string]string{}
	}
	n.last[place] = anchor
}

// first returns the anchor of somebody below base whom People reads, "" where there is nobody.
func (s *source) first(ctx context.Context, session *ldapclient.Session, base string, scope int) (string, error) {
	place := fmt.Sprint(scope, " ", base)
	if anchor := s.neighbours.at(place); anchor != "" {
		if one, err := s.anchor.filter(anchor); err == nil {
			if found, err := s.anybody(ctx, session, base, scope, one); err == nil && found == anchor {
				return anchor, nil
			}
		}
	}
	anchor, err := s.anybody(ctx, session, base, scope, "("+s.anchor.name+"=*)")
	if err == nil && anchor != "" {
		s.neighbours.met(place, anchor)
	}
	return anchor, err
}

// anybody returns the anchor of somebody below base whom People reads and who fits a filter, "" where there is nobody.
func (s *source) anybody(ctx context.Context, session *ldapclient.Session, base string, scope int, filter string) (string, error) {
	q := s.query(base, []string{s.anchor.name}).And(filter)
	q.Scope = scope
	result, err := session.Search(ctx, q, 1, nil)
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return "", err
	}
	if result == nil || len(result.Entries) == 0 {
		return "", nil
	}
	name, err := s.anchorOf(result.Entries[0])
	if err != nil {
		return "", nil //nolint:nilerr // an entry without a usable anchor is no witness
	}
	return name, nil
}

func (s *source) anchorOf(entry *ldap.Entry) (string, error) {
	raw := entry.GetEqualFoldRawAttributeValue(s.anchor.name)
	if len(raw) == 0 {
		return "", errors.New("no anchor")
	}
	return s.anchor.render(raw)
}
