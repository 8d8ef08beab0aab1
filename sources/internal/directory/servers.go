package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// The times of choosing a server.
const (
	resting  = time.Minute      // that one which could not be reached is asked after the others
	lookedUp = 10 * time.Minute // that what DNS says is kept
)

// A resolver looks services up (RFC 2782), as *net.Resolver does.
type resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Servers are those that may be asked, and which of them could not be reached of late.
type servers struct {
	urls     []string // in the order to try them; nil where DNS names them
	domain   string   // whose controllers DNS names; "" where urls are given
	site     string   // the domain's site whose controllers come first; "" for none
	startTLS bool
	resolver resolver
	now      func() time.Time

	mu    sync.Mutex // guards what follows
	found []string   // what DNS said last
	asked time.Time  // when
	since map[string]time.Time
}

// inOrder are the URLs of the servers in the order to try them: one that could not be reached within the last minute comes
// after the others. The error says that DNS names none.
func (s *servers) inOrder(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := s.urls
	if s.domain != "" {
		if now := s.now(); s.found == nil || now.Sub(s.asked) >= lookedUp || now.Before(s.asked) {
			found, err := s.lookUp(ctx)
			if err != nil && s.found == nil {
				return nil, err
			}
			if err == nil { // what is known goes on being good while DNS is away
				s.found, s.asked = found, now
			}
		}
		urls = s.found
	}
	urls = slices.Clone(urls)
	slices.SortStableFunc(urls, func(a, b string) int { return cmp.Compare(s.rests(a), s.rests(b)) })
	return urls, nil
}

// rests is 1 while a server could not be reached of late; s.mu is held.
func (s *servers) rests(url string) int {
	if since, ok := s.since[url]; ok && s.now().Sub(since) < resting {
		return 1
	}
	return 0
}

// met notes whether a server could be reached.
func (s *servers) met(url string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unreachable := (*unreachableError)(nil); !errors.As(err, &unreachable) {
		delete(s.since, url)
		return
	}
	if s.since == nil {
		s.since = map[string]time.Time{}
	}
	s.since[url] = s.now()
}

// lookUp asks DNS for the domain's controllers (MS-ADTS 6.3.2.3): those of the site first, and in the order that DNS
// prefers; s.mu is held. A controller has a name in its domain: another's, with whatever certificate, is not asked.
func (s *servers) lookUp(ctx context.Context) (urls []string, err error) {
	names := []string{"_ldap._tcp.dc._msdcs." + s.domain}
	if s.site != "" {
		names = slices.Insert(names, 0, "_ldap._tcp."+s.site+"._sites.dc._msdcs."+s.domain)
	}
	scheme := "ldaps://"
	if s.startTLS {
		scheme = "ldap://"
	}
	var troubles, elsewhere []string
	for _, name := range names {
		_, records, err := s.resolver.LookupSRV(ctx, "", "", name)
		if err != nil {
			troubles = append(troubles, err.Error())
		}
		for _, record := range records {
			host := strings.ToLower(strings.TrimSuffix(record.Target, "."))
			switch url := scheme + host; {
			case !strings.HasSuffix(host, "."+strings.ToLower(s.domain)):
				elsewhere = append(elsewhere, host)
			case !slices.Contains(urls, url):
				urls = append(urls, url)
			}
		}
	}
	if len(urls) > 0 {
		return urls, nil
	}
	if len(elsewhere) > 0 {
		troubles = append(troubles, "the names "+strings.Join(elsewhere, ", ")+" are not in the domain")
	}
	if len(troubles) == 0 {
		troubles = append(troubles, "no records")
	}
	return nil, &unreachableError{fmt.Errorf("DNS names no domain controller of %s (%s): %s; check this machine's DNS servers, "+
		"or name the controllers in url", s.domain, strings.Join(names, ", "), strings.Join(troubles, "; "))}
}
