package ldapclient

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
	last  string     // the URL of the one that answered last
	away  map[string]absence
}

// An absence is since when a server could not be reached, and why.
type absence struct {
	since time.Time
	why   string
}

// inOrder are the URLs of the servers in the order to try them: the one that answered last first, since another may
// know less than it did, and those that could not be reached within the last minute after all others. The error says
// that DNS names none.
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
	slices.SortStableFunc(urls, func(a, b string) int { return cmp.Compare(s.turn(a), s.turn(b)) })
	return urls, nil
}

// turn says whether a server comes first (0), in its order (1), or after all others (2); s.mu is held.
func (s *servers) turn(url string) int {
	switch away, ok := s.away[url]; {
	case ok && s.now().Sub(away.since) < resting:
		return 2
	case url == s.last:
		return 0
	}
	return 1
}

// missing are the servers that could not be reached when they were last tried: by URL, why.
func (s *servers) missing() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string]string{}
	for url, away := range s.away {
		if slices.Contains(s.urls, url) || slices.Contains(s.found, url) {
			list[url] = strings.TrimPrefix(away.why, url+": ")
		}
	}
	return list
}

// met notes whether a server could be reached.
func (s *servers) met(url string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unreachable := (*UnreachableError)(nil); !errors.As(err, &unreachable) {
		if delete(s.away, url); err == nil {
			s.last = url
		}
		return
	}
	if s.away == nil {
		s.away = map[string]absence{}
	}
	s.away[url] = absence{s.now(), err.Error()}
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
	return nil, &UnreachableError{fmt.Errorf("DNS names no domain controller of %s (%s): %s; check this machine's DNS servers, "+
		"or name the controllers in url", s.domain, strings.Join(names, ", "), strings.Join(troubles, "; "))}
}
