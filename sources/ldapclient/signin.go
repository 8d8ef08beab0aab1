package ldapclient

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
)

// A SignInError is a server's refusal to sign somebody in.
type SignInError struct {
	who string
	err error
}

func (e *SignInError) Error() string {
	text := fmt.Sprintf("sign in %s: %v", e.who, e.err)
	if advice := adviceOn(e.err); advice != "" {
		text += ": " + advice
	}
	return text
}

func (e *SignInError) Unwrap() error { return e.err }

// subCode is where a domain controller says why it refuses: a system error code of Windows (MS-ERREF 2.2), in
// hexadecimal.
var subCode = regexp.MustCompile(`\bdata ([0-9a-f]{1,8})\b`)

// adviceOn says what to do about a refusal to sign in, "" where the error says it.
func adviceOn(err error) string {
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return ""
	}
	if answer.ResultCode != ldap.LDAPResultInvalidCredentials {
		if answer.ResultCode == ldap.LDAPResultStrongAuthRequired {
			return "the server wants a protected connection (on a domain controller: LDAP signing): use ldaps://, or starttls = true"
		}
		if next := Hint(err); next != "" {
			return next
		}
		return "the server's log says what it wants"
	}
	code := ""
	if answer.Err != nil {
		if found := subCode.FindStringSubmatch(answer.Err.Error()); found != nil {
			code = found[1]
		}
	}
	switch code {
	case "525":
		return "the domain knows nobody by that name: check bind_dn"
	case "52e":
		return "the name or the password is wrong: check bind_dn and bind_password"
	case "530":
		return "the account may not sign in at this time: lift its logon hours"
	case "531":
		return "the account may not sign in from here: lift its list of workstations"
	case "532":
		return "the account's password has expired: set a new one, and let it not expire"
	case "533":
		return "the account is disabled: enable it"
	case "701":
		return "the account has expired: take its end date away"
	case "773":
		return "the account has to change its password first: set one, without that flag"
	case "80090346": // SEC_E_BAD_BINDINGS
		return "the controller wants channel binding: use ldaps:// with bind_dn and bind_password"
	case "775":
		return "the account is locked after too many wrong passwords: correct bind_password, then unlock it"
	}
	return "check bind_dn and bind_password"
}

// RefusedSignIn reports whether a server has refused the name or the password: trying again with the same ones changes
// nothing, and locks the account in the end.
func RefusedSignIn(err error) bool {
	var refused *SignInError
	var key *kerberos.RefusedError
	return errors.As(err, &refused) &&
		(ldap.IsErrorWithCode(refused.err, ldap.LDAPResultInvalidCredentials) || errors.As(refused.err, &key))
}

// The times after which a name and password that were refused are tried again: directories lock an account after some
// five or ten wrong passwords within half an hour.
const (
	firstAgain = 5 * time.Minute
	lastAgain  = 15 * time.Minute
)

// A gate keeps a refused name and password from being tried too often.
type gate struct {
	now   func() time.Time
	first sync.Mutex // held by whoever tries before anybody has signed in: one refusal is one for all

	mu      sync.Mutex // guards what follows
	proven  bool       // somebody has signed in since the last refusal
	refused error      // nil while nothing was
	until   time.Time  // when it may be tried again
	wait    time.Duration
}

// pass has signIn tried, unless that is known to be in vain for now.
func (g *gate) pass(signIn func() error) error {
	g.mu.Lock()
	proven := g.proven
	g.mu.Unlock()
	if !proven {
		g.first.Lock()
		defer g.first.Unlock()
	}
	if err := g.closed(); err != nil {
		return err
	}
	err := signIn()
	g.tried(err)
	return err
}

// closed is the refusal, while it is too early to try again.
func (g *gate) closed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.until.Sub(g.now()); g.refused != nil && wait > 0 && wait <= g.wait {
		return fmt.Errorf("%w (not tried again before %s)", g.refused, g.until.Format("15:04:05"))
	}
	return nil
}

// tried notes how signing in went.
func (g *gate) tried(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.refused, g.wait, g.proven = nil, 0, true
	case RefusedSignIn(err):
		g.proven = false
		g.wait = min(max(firstAgain, 2*g.wait), lastAgain)
		g.refused, g.until = err, g.now().Add(g.wait)
	}
}
