// Package ldapclient is what the kinds of both sides share that speak LDAP version 3 (RFC 4511): finding a server and
// signing in, whole searches, distinguished names, and reading the arguments of a block that say how.
package ldapclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Pool is the servers of one directory, and the connections to them that are not in use. Its methods are safe to call
// from several goroutines.
type Pool struct {
	Access  Access
	name    string // for the log
	log     hclog.Logger
	servers *servers
	gate    *gate
	idle    chan *Session

	// Pace waits until one more request may go out, and is called before each; nil for no limit. Its error says that none
	// may: it is returned as it is.
	Pace func(context.Context) error
}

// NewPool makes one. It touches no network.
func NewPool(a Access, name string, log hclog.Logger) *Pool {
	return &Pool{
		Access: a, name: name, log: log, idle: make(chan *Session, maxIdle), gate: &gate{now: time.Now},
		servers: &servers{
			urls: a.URLs, domain: a.domain, site: a.site, startTLS: a.startTLS, resolver: net.DefaultResolver, now: time.Now,
		},
	}
}

// Missing are the servers that could not be reached when they were last tried: by URL, why.
func (p *Pool) Missing() map[string]string { return p.servers.missing() }

// Prefer has the server of a URL asked first, while it can be reached. Connections to others would be used before it.
func (p *Pool) Prefer(url string) {
	p.servers.met(url, nil)
	p.Close()
}

// URLs are those of the servers in the order to try them.
func (p *Pool) URLs(ctx context.Context) ([]string, error) { return p.servers.inOrder(ctx) }

// Close ends the connections that are not in use.
func (p *Pool) Close() {
	for {
		select {
		case session := <-p.idle:
			session.Close()
		default:
			return
		}
	}
}

// maxIdle connections are kept between look-ups.
const maxIdle = 4

// ErrStopped: the consumer of a sequence wants no more.
var ErrStopped = errors.New("stopped by the consumer")

// Anywhere reads from one server after the other until one has answered. One that has begun to hand people out has to
// finish; and what is wrong with another than the server itself would be wrong with the next one as well.
func (p *Pool) Anywhere(ctx context.Context, from func(url string) (begun bool, err error)) error {
	urls, err := p.servers.inOrder(ctx)
	if err != nil {
		return err
	}
	var troubles []error
	for _, url := range urls {
		begun, err := from(url)
		p.servers.met(url, err)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil || errors.Is(err, ErrStopped) {
			return err
		}
		troubles = append(troubles, err)
		var unreachable *UnreachableError
		if begun || !errors.As(err, &unreachable) || ctx.Err() != nil {
			break
		}
		p.log.Warn("the directory server is not available", "name", p.name, "url", url, "error", err)
	}
	return together(troubles)
}

// Ask runs fn on an idle connection or a new one, at the first server that can be reached, and keeps the
// connection if it still stands. fn may run more than once: an idle connection may have died unseen.
func (p *Pool) Ask(ctx context.Context, fn func(*Session) error) error {
	var unreachable *UnreachableError
	for kept := true; kept; {
		select {
		case session := <-p.idle:
			err := fn(session)
			p.keep(session)
			if !errors.As(err, &unreachable) || ctx.Err() != nil {
				return err
			}
		default:
			kept = false
		}
	}
	return p.Anywhere(ctx, func(url string) (bool, error) {
		session, err := p.Dial(ctx, url)
		if err == nil {
			err = fn(session)
			p.keep(session)
		}
		return false, err
	})
}

// Dial connects to one server and signs in, unless the name or the password has just been refused.
func (p *Pool) Dial(ctx context.Context, url string) (session *Session, err error) {
	if p.Pace != nil {
		if err := p.Pace(ctx); err != nil {
			return nil, err
		}
	}
	err = p.gate.pass(func() error {
		session, err = p.Access.dial(ctx, url)
		return err
	})
	if err == nil {
		session.pace = p.Pace
	}
	return session, err
}

// SignsIn tries a name and a password of somebody else on the server of a URL. The error says that nothing is known.
func (p *Pool) SignsIn(ctx context.Context, url, dn, password string) (bool, error) {
	if p.Pace != nil {
		if err := p.Pace(ctx); err != nil {
			return false, err
		}
	}
	theirs := p.Access
	theirs.Bind, theirs.BindDN, theirs.Password = BindSimple, dn, identity.NewSecret(password)
	session, err := theirs.dial(ctx, url)
	if err == nil {
		session.Close()
		return true, nil
	}
	if refused := (*SignInError)(nil); errors.As(err, &refused) {
		return false, nil
	}
	return false, err
}

// together joins what each server had to say, in one line.
func together(troubles []error) error {
	joined := troubles[0]
	for _, trouble := range troubles[1:] {
		joined = fmt.Errorf("%w; %w", joined, trouble)
	}
	return joined
}

func (p *Pool) keep(session *Session) {
	if session.Usable() {
		select {
		case p.idle <- session:
			return
		default:
		}
	}
	session.Close()
}

// compile checks that a filter can be sent.
func compile(filter string) error {
	_, err := ldap.CompileFilter(filter)
	return err
}
