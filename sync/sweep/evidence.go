package sweep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Evidence is one leaver's file: why they were swept, which accounts they held, how each was proven closed and when, and every audit record about
// them. Anyone can check it without dirsweep's state (Verify), and against the trail, whose records carry the same hashes.
type Evidence struct {
	Format   int                 `json:"format"` // 1
	Person   string              `json:"person"`
	Name     string              `json:"name"`
	DN       string              `json:"dn,omitempty"`
	Cause    identity.Cause      `json:"cause"`
	Reason   string              `json:"reason,omitempty"` // of an emergency: what the operator said
	Proof    string              `json:"proof"`            // of leaving: what the source was asked and answered
	Left     time.Time           `json:"left"`
	Closed   *time.Time          `json:"closed,omitempty"` // when the last account was proven closed; absent while the case is open
	Accounts []EvidenceOfAccount `json:"accounts"`
	Records  []audit.Record      `json:"records"` // of this person, in order
	Made     time.Time           `json:"made"`
	Digest   string              `json:"digest"` // SHA-256 in hex of the file's canonical JSON with an empty digest
}

// EvidenceOfAccount is one account of the leaver.
type EvidenceOfAccount struct {
	Target   string             `json:"target"`
	Account  identity.AccountID `json:"account"`
	UserName string             `json:"userName"`
	Status   state.StepStatus   `json:"status"`
	Seen     string             `json:"seen,omitempty"` // what the read-back saw: "inactive" or "gone"
	At       time.Time          `json:"at"`             // of the status
	Took     string             `json:"took,omitempty"` // from leaving to proven closed (R19)
	Attempts int                `json:"attempts"`
	Error    string             `json:"error,omitempty"` // of the last attempt, while it is open
}

// NewEvidence makes a leaver's file of their case and their audit records.
func NewEvidence(c state.Case, records []audit.Record, now time.Time) (Evidence, error) {
	e := Evidence{
		Format: 1, Person: c.Person.String(), Name: c.Name, DN: c.DN, Cause: c.Cause, Reason: c.Reason, Proof: c.Proof, Left: c.Left.UTC(),
		Records: records, Made: now.UTC(), Accounts: []EvidenceOfAccount{},
	}
	if !c.Closed.IsZero() {
		at := c.Closed.UTC()
		e.Closed = &at
	}
	for _, s := range c.Steps {
		a := EvidenceOfAccount{
			Target: s.Target, Account: s.Account, UserName: s.UserName, Status: s.Status, Seen: s.Seen, At: s.At.UTC(), Attempts: s.Attempts, Error: s.Error,
		}
		if s.Status == state.StepProven {
			a.Took = s.Took().Round(time.Millisecond).String()
		}
		e.Accounts = append(e.Accounts, a)
	}
	var err error
	e.Digest, err = e.digest()
	return e, err
}

func (e Evidence) digest() (string, error) {
	e.Digest = ""
	raw, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode the evidence: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// writes checks that raw is how e is written, spaces between tokens aside. JSON has other ways to say the same, and ways to say one thing
// to a program and another to a reader, such as a key that is there twice.
func (e Evidence) writes(raw []byte) error {
	want, err := json.Marshal(e)
	var plain, got bytes.Buffer
	if err == nil {
		err = json.Compact(&plain, raw)
	}
	if json.HTMLEscape(&got, plain.Bytes()); err != nil || !bytes.Equal(got.Bytes(), want) {
		return fmt.Errorf("%w: it was edited: it does not read as it was written", ErrEvidence)
	}
	return nil
}

// maxEvidence bounds a file, in bytes (R18).
const maxEvidence = 64 << 20

// ErrEvidence says that a file does not prove what it claims.
var ErrEvidence = errors.New("the evidence does not hold")

// VerifyEvidence checks a leaver's file by itself: its digest, the hash of each of its records, their order, that all are about this person, and
// that each account called proven has a record of having been seen closed.
func VerifyEvidence(r io.Reader) (Evidence, error) {
	var e Evidence
	raw, err := io.ReadAll(io.LimitReader(r, maxEvidence))
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		return e, fmt.Errorf("%w: it cannot be read: %w", ErrEvidence, err)
	}
	if e.Format != 1 {
		return e, fmt.Errorf("%w: format %d is not known to this version", ErrEvidence, e.Format)
	}
	if want, err := e.digest(); err != nil || want != e.Digest {
		return e, fmt.Errorf("%w: it was edited: its digest is %s, it says %s", ErrEvidence, want, e.Digest)
	}
	if err := e.writes(raw); err != nil {
		return e, err
	}
	proven := map[string]bool{}
	var last uint64
	for _, rec := range e.Records {
		if err := rec.Check(); err != nil {
			return e, fmt.Errorf("%w: %w", ErrEvidence, err)
		}
		if rec.Seq <= last || rec.Person != e.Person {
			return e, fmt.Errorf("%w: record %d is out of order or about somebody else", ErrEvidence, rec.Seq)
		}
		last = rec.Seq
		if rec.Kind == audit.Closed {
			proven[rec.Target+"/"+rec.Account] = true
		}
	}
	for _, a := range e.Accounts {
		if a.Status == state.StepProven && !proven[a.Target+"/"+string(a.Account)] {
			return e, fmt.Errorf("%w: no record proves that %s was closed on %s", ErrEvidence, a.UserName, a.Target)
		}
	}
	return e, nil
}
