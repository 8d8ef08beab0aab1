// Package sources is the contract between dirsweep and the systems that are authoritative for people. Each kind of source is one folder
// below this one, plus one line in sources/all; sourcetest is the suite that every kind passes.
package sources

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Source reads the people of one authoritative system. Its methods may be called from several goroutines.
type Source interface {
	// People streams everyone in scope, in any order, once a pass. A sequence that ends without an error is a promise that it was
	// complete: every page read, no size or time limit hit, no referral left unfollowed, ctx not done. Anything less ends in an error (as
	// the last pair), and no plan is made from it (R2). An error that concerns one person only (a value that cannot be rendered) is a
	// *PersonError, does not end the sequence, and comes with whatever is known of that person.
	People(ctx context.Context) iter.Seq2[identity.Person, error]
	// Close ends every connection. It is called once, when nothing else is under way.
	Close() error
}

// A Finder can prove absence (R1). Kinds that can look one person up implement it; people of those that can't are never judged gone.
type Finder interface {
	// Find looks anchor up wherever it may be now, also outside of what People reads. An error means that the source gave no answer:
	// the person is then not a leaver. It is called once for each person that a complete snapshot lacks, and by `explain`.
	Find(ctx context.Context, anchor string) (Sighting, error)
}

// A Checker tells before the first pass whether a pass can work.
type Checker interface {
	// Check connects, signs in and tries each right that the source needs. It returns what it saw, one line a step, and the first failure.
	Check(ctx context.Context) ([]string, error)
}

// Where is the answer of a Finder.
type Where string

// The places where a person can be found.
const (
	InScope   Where = "in scope"  // People would return them
	Elsewhere Where = "elsewhere" // they exist outside of what People reads
	Tombstone Where = "tombstone" // the source says that they were deleted
	Gone      Where = "gone"      // the source knows nobody by that anchor
)

// A Sighting is what a source says of one anchor.
type Sighting struct {
	Where  Where
	Person identity.Person // where Where is InScope or Elsewhere: as People would return them
	Proof  string          // for evidence: what was asked, of whom, and the answer
	At     time.Time
}

// A PersonError is trouble with one person, not with the source.
type PersonError struct {
	ID  identity.PersonID // Anchor "" where even that is unknown
	DN  string
	Err error
}

func (e *PersonError) Error() string { return e.DN + ": " + e.Err.Error() }

func (e *PersonError) Unwrap() error { return e.Err }

// ErrIncomplete is wrapped by every error that says: what was read is only a part (R2).
var ErrIncomplete = errors.New("the list of people is incomplete")

// A Kind is one kind of source.
type Kind struct {
	Name   string // the first label of its block: source "ldap" "corp"
	Sample string // a complete source block in HCL, as `dirsweep sample KIND` prints it
	// Decode reads the kind's own part of a source block. It touches no network and opens no file but those that expressions name.
	Decode func(body hcl.Body, env Env) (Spec, hcl.Diagnostics)
}

// Env is what a kind's Decode may use.
type Env struct {
	Name string           // the block's second label
	Dir  string           // the config's folder: relative paths start here
	Eval *hcl.EvalContext // env(), file() and credential()
}

// A Spec is a decoded source block.
type Spec interface {
	// Attributes are the attribute names that this kind knows or the block declares, in their canonical spelling. An expression that
	// names any other is refused.
	Attributes() []string
	// CaseSensitive reports whether attribute names that differ in letter case are different attributes.
	CaseSensitive() bool
	// Open makes the source. It touches no network: connections are made when they are first needed.
	Open(need Need) (Source, error)
}

// Need is what a config wants of a source.
type Need struct {
	Attributes []string // canonical spelling, sorted: exactly those that expressions name
	Groups     bool     // whether any expression asks for groups
	Log        hclog.Logger
}
