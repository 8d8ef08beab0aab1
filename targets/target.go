// Package targets is the contract between dirsweep and the applications that hold accounts. Each kind of target is one
// folder below this one, plus one line in targets/all; targettest is the suite that every kind passes.
package targets

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Target holds accounts. It repeats nothing but pages of a listing (apply.Session does) and decides nothing (plan
// does). Its methods, and those of its passes, are safe to call from several goroutines. Errors are of the classes
// below, wrapped with what was tried.
type Target interface {
	// Begin opens one pass: what is learned of the application in it (groups, which filters it understands) is
	// forgotten with it. It is cheap: it may ask what the application can do, and lists nothing. Passes may overlap.
	Begin(ctx context.Context) (Pass, error)
	// Close ends every connection. It is called once, when nothing else is under way.
	Close() error
}

// A Pass is one use of a target: a pass over everybody, or the closing of one leaver. Every method is safe to repeat.
// None of those that take sign-in away (Disable, Delete, what Closing names) needs a list of anything; groups are read
// when they are first asked for.
type Pass interface {
	Capabilities() identity.Capabilities
	// Accounts streams every account, inactive ones included, in any order. A sequence that ends without an error was
	// complete; anything less ends in an error (R2). Accounts carry the attributes of Need.Paths and, where asked,
	// entitlements.
	Accounts(ctx context.Context) iter.Seq2[identity.Account, error]
	// Account reads one account, less its entitlements; ErrNotFound where the application itself says that it has none
	// of that id.
	Account(ctx context.Context, id identity.AccountID) (identity.Account, error)
	// Entitlements returns account with the entitlements that it has now, or with EntitlementsUnknown where the
	// application shows nobody's. Those that account has already are what it is remembered to have: they are looked at
	// by themselves where a list says nothing. Where entitlements are neither mapped nor stripped it returns account as
	// it is. It may have to list the application's groups.
	Entitlements(ctx context.Context, account identity.Account) (identity.Account, error)
	// Find returns the accounts, less their entitlements, whose attribute equals value. attribute is "id", "userName",
	// "externalId" or a mapped path. An empty answer is believed only where the application is known to understand the
	// filter; otherwise Find looks through all accounts.
	Find(ctx context.Context, attribute, value string) ([]identity.Account, error)
	// Resolve names the application's own entitlements for those wanted, with their identifiers, in their order. What
	// it lacks, or has more than one of, is in missing, with the reason. Names are compared as the application does.
	Resolve(ctx context.Context, want []identity.Entitlement) (known []identity.Entitlement, missing []Missing, err error)
	// Create makes an account with its entitlements and returns it as the target holds it. ErrConflict where one with a
	// unique value of it exists. Where the account was made and its entitlements could not be given, it returns both
	// the account and the error.
	Create(ctx context.Context, want identity.Account) (identity.Account, Receipt, error)
	// Update writes delta, nothing else (R12), and returns the account as the application shows it then. An attribute
	// that the application refuses does not keep the others back: it is in Receipt.Refused. ErrConflict where another
	// account has a value that has to be unique.
	Update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, Receipt, error)
	// Enable makes the account active, after it has undone what the steps of its closing say in kept that they changed,
	// by their names; nil where none did. Whoever sees the account active takes all of it for undone. It is safe to
	// repeat, and does what it can where something is missing in kept, or of a step that is not there any more.
	Enable(ctx context.Context, have identity.Account, kept map[string]string) (Receipt, error)
	// Disable makes the account unusable and keeps it. Disabled already: no error. Gone: ErrNotFound.
	Disable(ctx context.Context, have identity.Account) (Receipt, error)
	// Closing are the steps that closing an account takes beside Disable, taking entitlements away and Delete, in the
	// order in which they run: after the first and before the others. It asks for nothing, and is the same for every
	// account; what one of them does not need, Left says of it.
	Closing() []Step
	// Delete removes the account. Gone already: ErrNotFound.
	Delete(ctx context.Context, have identity.Account) (Receipt, error)
}

// A Step is one thing that closing an account takes beside refusing sign-in, taking entitlements away and deleting:
// ending sessions, a random password, a move to where leavers are kept. It may move or rename the account's entry, and
// leaves its ID, its userName and its externalId as they are, and the account inactive. One that fails keeps no other
// from being taken, so that it needs none of them.
type Step struct {
	// Name is for people and for the books, and fixed: "sessions", "password", "move". No two steps of a kind have the
	// same.
	Name string
	// Revokes: it ends what somebody who is signed in already has (sessions, tokens, app passwords). Such steps are left
	// out where leaver { revoke = false }.
	Revokes bool
	// Impossible is why nothing can be done about it: "Kerberos tickets live for up to 10 h". Do and Left are nil then.
	// It is told in the evidence and keeps nothing open.
	Impossible string
	// Left reads what is left to do of it, "" where it is done: "the password is from before". It is asked before Do, and
	// after it (R8). nil where the application does not show it: then Do is called once and remembered; where it
	// returns no error it counts as done, and is told as sent and not provable. Gone: ErrNotFound.
	Left func(ctx context.Context, have identity.Account) (left string, err error)
	// Do does it, and is safe to repeat. kept is what Enable needs to undo it; "" for nothing, also for what is done
	// already. It comes with an error too, where the call may have had its effect all the same. It is on record in the
	// state and in the audit trail, so that it is nothing secret. Gone: ErrNotFound.
	Do func(ctx context.Context, have identity.Account) (kept string, r Receipt, err error)
}

// A Receipt is what the application said about a write that it took.
type Receipt struct {
	RequestID string    // the application's name for the call, for its own logs; "" where it gives none
	Refused   []Refusal // attributes that were left out, sorted by path
}

// A Refusal is one attribute that an application does not take, while it takes the rest of a change.
type Refusal struct {
	Path string // as in the delta
	Why  string // the application's words
}

// A Missing entitlement is wanted, and cannot be given.
type Missing struct {
	Entitlement identity.Entitlement
	Why         string // "the application has no group of that name"
}

// An Identifier is a Pass that can tell which account we are signed in as. That account is never closed (R5).
type Identifier interface {
	// Own asks for it. The zero Own is for one that the application does not tell, or that is none of its accounts.
	Own(ctx context.Context) (Own, error)
}

// An Own is the account that we are signed in as.
type Own struct {
	ID       identity.AccountID // "" where only the name is known
	UserName string
}

// A Dated target knows what the application's own clock says.
type Dated interface {
	// Date is what it said in its last answer, and when that came by this machine's clock; zero where it has not said.
	Date() (said, came time.Time)
}

// A Checker tells before the first pass whether a pass can work.
type Checker interface {
	// Check connects, signs in and tries each right that can be tried without changing an account: a write to one that
	// is not there may show whether writing is allowed. It returns what it saw and what it could not try, one line a
	// step, and the first failure.
	Check(ctx context.Context) ([]string, error)
}

// The classes of errors. Each error is of exactly one of them, but for a ThrottledError, which is ErrUnavailable too.
var (
	// ErrUnavailable: no answer, a cut connection, 5xx, a proxy's page: repeat later. Nothing is known of the account.
	ErrUnavailable = errors.New("the target is not available")
	// ErrConflict: the account, or one in its way, is not as was assumed (409, 412): read again.
	ErrConflict = errors.New("the target's account has changed")
	// ErrUnauthorized: our credentials are refused, everywhere.
	ErrUnauthorized = errors.New("the target refused our credentials")
	// ErrForbidden: this one record may not be read or written (an administrator's, a restricted one). Others are not
	// affected.
	ErrForbidden = errors.New("the target forbids it for this account")
	// ErrRejected: the application does not take this change, now or later; see RejectedError.
	ErrRejected = errors.New("the target rejected the change")
	// ErrNotFound: the application's own words about this one record. Not yet proof that it is gone (R8).
	ErrNotFound = errors.New("the target has no such account")
	// ErrIncomplete: a list did not come whole (R2).
	ErrIncomplete = errors.New("the list of accounts is incomplete")
)

// Classed reports whether an error is of one of the classes.
func Classed(err error) bool {
	return slices.ContainsFunc([]error{
		ErrUnavailable, ErrConflict, ErrUnauthorized, ErrForbidden, ErrRejected, ErrNotFound, ErrIncomplete,
	}, func(class error) bool { return errors.Is(err, class) })
}

// A RejectedError is of the class ErrRejected and names the attribute that the application does not take.
type RejectedError struct {
	Path string // as in the delta
	Err  error
}

func (e *RejectedError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap makes a RejectedError match ErrRejected as well as its cause.
func (e *RejectedError) Unwrap() []error { return []error{ErrRejected, e.Err} }

// A ThrottledError says that the target asked for a pause. It is of the class ErrUnavailable.
type ThrottledError struct {
	RetryAfter time.Duration // 0 where the target did not say how long
	Err        error         // what was tried
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("throttled, retry after %s: %v", e.RetryAfter.Round(time.Second), e.Err)
}

// Unwrap makes a ThrottledError match ErrUnavailable as well as its cause.
func (e *ThrottledError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// A Kind is one kind of target.
type Kind struct {
	Name   string // the first label of its block: target "scim" "wiki"
	Sample string // a complete target block in HCL, as `dirsweep sample KIND` prints it
	// Decode reads the kind's own part of a target block. It touches no network and opens no file but those that
	// expressions name.
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
	// Accepts reports, without the network, why path cannot be mapped on this kind ("" is fine). It is called for each
	// mapped path at check time.
	Accepts(path string) error
	// Required are the paths that must be mapped.
	Required() []string
	// Correlate are the attributes tried where the config names none, in order.
	Correlate() []string
	// Open makes the target. It touches no network: connections are made when they are first needed.
	Open(need Need) (Target, error)
}

// A Normaliser is a Spec of which values that are spelled differently may be the same: names of entries in a directory.
type Normaliser interface {
	// Normal is the one spelling of a value at a path. It is applied to what is mapped; accounts that are read have it.
	Normal(path string, v identity.Value) identity.Value
}

// Need is what a config wants of a target.
type Need struct {
	Paths        []string // mapped and correlated paths, sorted: what Account.Attributes is to carry
	Entitlements bool     // whether entitlements are mapped or stripped, and so have to be read
	// Pace waits until one more request may go out, and is called before each, whatever it is for. Its error says that
	// none may: it is returned as it is. nil for no limit.
	Pace func(ctx context.Context) error
	Log  hclog.Logger
}
