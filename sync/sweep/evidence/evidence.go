// Package evidence keeps one file per leaver's case: why they were closed, which accounts they held, how each was
// proven closed and when, and the audit records that say so. A file is written when its case is closed, signed, and
// never written again; neither a release nor a rehire takes it away. Everything that it says of a case is derived from
// its records, so whoever checks it derives it again.
package evidence

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Evidence is one file. Times are UTC in RFC 3339, durations are seconds.
type Evidence struct {
	Format  int            `json:"format"` // 1
	Case    string         `json:"case"`   // CaseID
	Person  string         `json:"person"` // identity.PersonID as text
	Name    string         `json:"name"`
	DN      string         `json:"dn,omitempty"`
	Cause   identity.Cause `json:"cause"`
	Reason  string         `json:"reason,omitempty"` // of an emergency: what the operator said
	Proof   string         `json:"proof,omitempty"`  // of leaving: what the source was asked and answered
	Left    time.Time      `json:"left,omitzero"`    // when it happened by the directory's own clock; absent where that does not say
	Noticed time.Time      `json:"noticed"`          // when dirsweep saw it
	Closed  time.Time      `json:"closed,omitzero"`  // when the last account was done with; absent while the case is open
	// Accounts are sorted by target and account.
	Accounts []Account `json:"accounts"`
	// Records are lines of the audit trail, byte by byte, in its order. In a closed case the last is of audit.Case and
	// seals the others.
	Records   []json.RawMessage `json:"records"`
	Made      time.Time         `json:"made"`
	Key       []byte            `json:"key"`       // the public key, ed25519
	Signature []byte            `json:"signature"` // over the file on one line, as encoding/json writes it without escaping HTML, with this empty
}

// An Account is one account of the leaver, with its three instants (R19).
type Account struct {
	Target    string             `json:"target"`
	Account   identity.AccountID `json:"account"`
	UserName  string             `json:"userName"`
	Status    state.StepStatus   `json:"status"`
	Seen      string             `json:"seen,omitempty"`  // what the read-back saw: "inactive", "gone" or "hidden"
	Rule      string             `json:"rule,omitempty"`  // the config line that asks for it
	Left      time.Time          `json:"left,omitzero"`   // by the directory's own clock; absent where that does not say
	Noticed   time.Time          `json:"noticed"`         // or, of an account that was enabled again, when that was seen
	Closed    time.Time          `json:"closed,omitzero"` // when it was proven closed
	Took      float64            `json:"tookSeconds"`     // to Closed from Left, or from Noticed where Left is not known; 0 while it is not proven
	Ours      float64            `json:"oursSeconds"`     // to Closed from Noticed
	At        time.Time          `json:"at"`              // of the status
	Attempts  int                `json:"attempts"`        //
	Error     string             `json:"error,omitempty"` // of the last attempt, or what it waits for
	RequestID string             `json:"requestId,omitempty"`
	Steps     []audit.Step       `json:"steps,omitempty"` // what closing took beside, in the order in which it was done
}

// Withdrawn is the status of an account that was not closed because the person returned or was released before.
const Withdrawn state.StepStatus = "withdrawn"

// ErrInvalid says that a file does not prove what it claims.
var ErrInvalid = errors.New("the evidence does not hold")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// CaseID names a case for ever: when it was opened, and whose it is.
func CaseID(person identity.PersonID, opened time.Time) string {
	return opened.UTC().Format(openedLayout) + "-" + personHash(person.String())
}

const openedLayout = "20060102T150405.000000000Z"

func personHash(person string) string {
	sum := sha256.Sum256([]byte(person))
	return hex.EncodeToString(sum[:6])
}

// Withdraw ends a case whose person returned or was released: what was not closed by then is withdrawn.
func Withdraw(c state.Case, why string, now time.Time) state.Case {
	c.Steps = slices.Clone(c.Steps)
	for i := range c.Steps {
		if s := &c.Steps[i]; s.Status.Open() {
			s.Status, s.Error, s.At = Withdrawn, why, now
		}
	}
	c.Closed = now
	return c
}

// Record tells the audit trail how one account of a leaver stands: everything that their evidence says of it. It is of
// audit.Closed where the account was proven closed, else of audit.Leaver.
func Record(c state.Case, s state.Step) audit.Record {
	r := audit.Record{
		At: s.At, Kind: audit.Leaver, Case: CaseID(c.Person, c.Opened), Cause: string(c.Cause), Rule: s.Rule, Target: s.Target,
		Person: c.Person.String(), Name: c.Name, DN: c.DN, Account: string(s.Account), UserName: s.UserName, Proof: c.Proof, Reason: c.Reason,
		Outcome: string(s.Status), Attempts: s.Attempts, Error: s.Error, Seen: s.Seen,
	}
	if s.Status == state.StepProven {
		r.Kind = audit.Closed
	}
	for _, f := range s.Finishes {
		r.Steps = append(r.Steps, audit.Step{Name: f.Name, Outcome: string(f.Status), At: f.At.UTC(), Why: f.Why})
	}
	// A time of leaving that is not before the noticing is no word of the directory's: it was unknown, or the account
	// was enabled again.
	r.Noticed = cmp.Or(s.Noticed, c.Noticed, s.Left).UTC()
	if s.Left.Before(r.Noticed) && !s.Left.IsZero() {
		r.Left = s.Left.UTC()
	} else if s.Left.After(r.Noticed) {
		r.Noticed = s.Left.UTC()
	}
	return r
}

// derive makes what a file says of its records. sealed is the record that closed the case, the last of them; nil while
// it is open.
func derive(records []audit.Record) (e Evidence, sealed *audit.Record, err error) {
	if last := len(records) - 1; last >= 0 && records[last].Kind == audit.Case {
		sealed, records = &records[last], records[:last]
	}
	accounts := map[[2]string]Account{}
	for _, r := range records {
		if r.Case == "" {
			continue // a change, an order or a finding about the person
		}
		if r.Kind != audit.Leaver && r.Kind != audit.Closed || e.Case != "" && e.Case != r.Case {
			return e, nil, invalid("record %d is not of this case", r.Seq)
		}
		if proven := r.Outcome == string(state.StepProven); proven != (r.Kind == audit.Closed) {
			return e, nil, invalid("record %d says %s of an account that is %s", r.Seq, r.Kind, r.Outcome)
		}
		if i := slices.IndexFunc(r.Steps, isFailed); i >= 0 && r.Kind == audit.Closed {
			return e, nil, invalid("record %d says %s of an account whose step %s failed", r.Seq, r.Kind, r.Steps[i].Name)
		}
		left, noticed := e.Left, e.Noticed
		e = Evidence{
			Format: 1, Case: r.Case, Person: r.Person, Name: r.Name, DN: r.DN, Cause: identity.Cause(r.Cause), Reason: r.Reason, Proof: r.Proof,
			Left: earlier(left, r.Left), Noticed: earlier(noticed, r.Noticed),
		}
		accounts[[2]string{r.Target, r.Account}] = account(r)
	}
	if len(accounts) == 0 {
		return e, nil, invalid("no record tells of an account")
	}
	for _, a := range accounts {
		e.Accounts = append(e.Accounts, a)
		if sealed != nil && a.Status.Open() && a.Status != Withdrawn {
			return e, nil, invalid("the case is called closed, and %s on %s is %s", a.UserName, a.Target, a.Status)
		}
	}
	slices.SortFunc(e.Accounts, func(a, b Account) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Account, b.Account))
	})
	if sealed != nil {
		e.Closed = sealed.At
	}
	return e, sealed, nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func account(r audit.Record) Account {
	a := Account{
		Target: r.Target, Account: identity.AccountID(r.Account), UserName: r.UserName, Status: state.StepStatus(r.Outcome), Seen: r.Seen,
		Rule: r.Rule, Left: r.Left, Noticed: r.Noticed, At: r.At, Attempts: r.Attempts, Error: r.Error, RequestID: r.RequestID,
		Steps: r.Steps,
	}
	if r.Kind == audit.Closed {
		a.Closed = r.At
		a.Ours = seconds(a.Closed.Sub(a.Noticed))
		a.Took = a.Ours
		if !a.Left.IsZero() {
			a.Took = seconds(a.Closed.Sub(a.Left))
		}
	}
	return a
}

func isFailed(s audit.Step) bool { return s.Outcome == string(state.FinishFailed) }

// StepWords say how a closing step stands: "proven", "sent, not provable", "impossible: Kerberos tickets live for 10 h".
func StepWords(s audit.Step) string {
	words := s.Outcome
	if words == string(state.FinishSent) {
		words = "sent, not provable"
	}
	if s.Why != "" {
		words += ": " + s.Why
	}
	return words
}

// seconds has milliseconds, as many as a clock is worth.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// Words say how an account stands: "proven inactive", "sent, not provable".
func (a Account) Words() string {
	switch a.Status {
	case state.StepProven:
		return "proven " + a.Seen
	case state.StepUnprovable:
		return "sent, not provable"
	case state.StepReported:
		return "reported, left to you"
	case state.StepKept:
		return "kept by an operator"
	}
	return string(a.Status)
}

// Proven reports whether every account was proven closed.
func (e Evidence) Proven() bool {
	return !slices.ContainsFunc(e.Accounts, func(a Account) bool { return a.Status != state.StepProven })
}

// About reports whether who names the person: their anchor, with or without the directory, name, DN, or the user name
// of an account.
func (e Evidence) About(who string) bool {
	return audit.Record{Person: e.Person, Name: e.Name, DN: e.DN}.About(who) || slices.ContainsFunc(e.Accounts, func(a Account) bool {
		return audit.Record{UserName: a.UserName}.About(who)
	})
}

// PublicKey is the key that signed the file.
func (e Evidence) PublicKey() ed25519.PublicKey { return e.Key }

// Fingerprint names the key that signed the file, as the record that closes its case does.
func (e Evidence) Fingerprint() string { return fingerprint(e.Key) }

func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// encode is how a file is written, but for the space between tokens.
func encode(e Evidence) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode the evidence: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
