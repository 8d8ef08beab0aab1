// Package targets is the contract between dirsweep and the applications that hold accounts. Each kind of target is one folder below this
// one, plus one line in targets/all; targettest is the suite that every kind passes.
package targets

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Target holds accounts. Every method is safe to repeat and to call from several goroutines. It decides nothing (plan does) and repeats
// no write (apply does); a listing may ask for one page again. Errors are of the classes below, wrapped with what was tried.
type Target interface {
	// Capabilities may ask the application, and is called once a pass before anything else.
	Capabilities(ctx context.Context) (identity.Capabilities, error)
	// Accounts streams every account, inactive ones included, in any order, once a full pass. A sequence that ends without an error
	// was complete; anything less ends in an error (R2). Accounts carry the attributes of Need.Paths and, where asked, entitlements.
	Accounts(ctx context.Context) iter.Seq2[identity.Account, error]
	// Account reads one account as Accounts would return it; ErrNotFound where the target says that it is gone.
	Account(ctx context.Context, id identity.AccountID) (identity.Account, error)
	// Find returns the accounts whose attribute equals value. attribute is "userName", "externalId" or a mapped path. An empty answer
	// is believed only where the target is known to understand the filter; otherwise Find looks through all accounts.
	Find(ctx context.Context, attribute, value string) ([]identity.Account, error)
	// Create makes an account with its entitlements and returns it as the target holds it. ErrConflict where one with a unique value of it
	// exists. Where the account was made and its entitlements could not be given, it returns both the account and the error.
	Create(ctx context.Context, want identity.Account) (identity.Account, error)
	// Update writes delta, nothing else (R12), and returns the account as the target now holds it.
	Update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, error)
	Enable(ctx context.Context, have identity.Account) error
	// Disable makes the account unusable and keeps it. Gone or disabled already: no error.
	Disable(ctx context.Context, have identity.Account) error
	// Revoke ends sessions, tokens and app passwords where there are any. Gone: no error.
	Revoke(ctx context.Context, have identity.Account) error
	// Delete removes the account. Gone already: no error.
	Delete(ctx context.Context, have identity.Account) error
	// Close ends every connection. It is called once, when nothing else is under way.
	Close() error
}

// A Checker tells before the first pass whether a pass can work.
type Checker interface {
	// Check connects, signs in and tries each right that can be tried without a write. It returns what it saw, one line a step, and the
	// first failure.
	Check(ctx context.Context) ([]string, error)
}

// The classes of errors.
var (
	ErrUnavailable  = errors.New("the target is not available")      // no answer, a cut connection, 5xx: repeat later
	ErrConflict     = errors.New("the target's account has changed") // 409, 412: read again
	ErrUnauthorized = errors.New("the target refused our credentials")
	ErrRejected     = errors.New("the target rejected the change") // give up this change and tell the operator
	ErrNotFound     = errors.New("the target has no such account")
	ErrIncomplete   = errors.New("the list of accounts is incomplete") // R2
)

// A ThrottledError says that the target asked for a pause. It is of the class ErrUnavailable.
type ThrottledError struct {
	RetryAfter time.Duration // 0 where the target did not say how long
	Err        error         // what was tried
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("throttled, retry after %s: %v", e.RetryAfter, e.Err)
}

// Unwrap makes a ThrottledError match ErrUnavailable as well as its cause.
func (e *ThrottledError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// A Kind is one kind of target.
type Kind struct {
	Name   string // the first label of its block: target "scim" "wiki"
	Sample string // a complete target block in HCL, as `dirsweep sample KIND` prints it
	// Decode reads the kind's own part of a target block. It touches no network and opens no file but those that expressions name.
	Decode func(body hcl.Body, env Env) (Spec, hcl.Diagnostics)
}

// Env is what a kind's Decode may use.
type Env struct {
	Name string           // the block's second label
	Dir  string           // the config's folder: relative paths start here
	Eval *hcl.EvalContext // env(), file() and credential()
}

// A Spec is a decoded target block.
type Spec interface {
	// Accepts reports, without the network, why path cannot be mapped on this kind ("" is fine). It is called for each mapped path at check time.
	Accepts(path string) error
	// Required are the paths that must be mapped.
	Required() []string
	// Correlate are the attributes tried where the config names none, in order.
	Correlate() []string
	// Open makes the target. It touches no network: connections are made when they are first needed.
	Open(need Need) (Target, error)
}

// Need is what a config wants of a target.
type Need struct {
	Paths        []string // mapped and correlated paths, sorted: what Account.Attributes is to carry
	Entitlements bool     // whether entitlements are mapped or stripped, and so have to be read
	// Pace waits until the target's rate limit allows one more request. It is called before each request of a listing; apply calls it
	// before each write.
	Pace func(ctx context.Context) error
	Log  hclog.Logger
}
