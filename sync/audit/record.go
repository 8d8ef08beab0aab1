// Package audit keeps the trail of everything that dirsweep wrote, decided or was told (R16): lines of JSON, each with
// a hash over itself and the one before, so that a cut, an edit or another order is found by anyone who has the file
// and its head.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Kind is what a record tells of.
type Kind string

// The kinds of records.
const (
	Change   Kind = "change"  // something was written to a target, or was tried
	Hold     Kind = "hold"    // the guard held a part of a plan
	Approve  Kind = "approve" // an operator released a hold
	Reject   Kind = "reject"
	Sweep    Kind = "sweep" // an operator ordered a person closed
	Release  Kind = "release"
	Link     Kind = "link" // an operator said whose an account is
	Unlink   Kind = "unlink"
	Relink   Kind = "relink" // an operator had a target's accounts found anew
	Forget   Kind = "forget" // an operator had a target forgotten
	Config   Kind = "config" // a config was taken or refused
	Start    Kind = "start"
	Restored Kind = "restored" // the state was put back to an older one; Count is how many records it does not know of
	Stop     Kind = "stop"
	Finding  Kind = "finding"
	Leaver   Kind = "leaver" // a leaver's account: the record says how it stands, as Outcome (open, held, reported …)
	Closed   Kind = "closed" // a leaver's account was proven closed
	Case     Kind = "case"   // a leaver's case was closed; Count and Digest are over the records that its evidence holds
	Pass     Kind = "pass"   // a pass ended

	Repair  Kind = "repair"  // of the trail: a last line that was never acknowledged was cut off
	Restart Kind = "restart" // of the trail: an operator set a broken one aside, with the records up to Upto
	Prune   Kind = "prune"   // of the trail: its oldest records, up to Upto, were removed
)

// The outcomes of a change.
const (
	Done         = "done"
	Failed       = "failed"
	FoundDone    = "found done"     // after a crash: the target shows that the change had been made
	FoundNotDone = "found not done" // after a crash: it had not
)

// Values are attribute values by path.
type Values map[string]identity.Value

// MarshalJSON writes the values as the JSON that they are, absent ones as null.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make(map[string]json.RawMessage, len(v))
	for path, value := range v {
		if value == "" {
			value = "null"
		}
		out[path] = json.RawMessage(value)
	}
	return encode(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Values) UnmarshalJSON(b []byte) error {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*v = make(Values, len(in))
	for path, raw := range in {
		value, err := identity.ParseValue(raw)
		if err != nil {
			return err
		}
		(*v)[path] = value
	}
	return nil
}

// A Record is one line of at most MaxRecord bytes. Append fills in Seq, Epoch, Prev and Hash, and At where it is zero;
// what is too long it replaces by its length and its hash (R18).
type Record struct {
	Seq       uint64    `json:"seq"` // 1 for the first, without a gap
	At        time.Time `json:"at"`
	Kind      Kind      `json:"kind"`
	Epoch     uint64    `json:"epoch,omitempty"` // which process wrote it, as the state counts them (Trail.Begin)
	Pass      string    `json:"pass,omitempty"`
	Case      string    `json:"case,omitempty"` // of Leaver, Closed and Case: which leaver's case
	Op        string    `json:"op,omitempty"`
	Step      string    `json:"step,omitempty"` // of the op finish: the closing step's name
	Cause     string    `json:"cause,omitempty"`
	Rule      string    `json:"rule,omitempty"` // the config line or rule that asked for it
	Source    string    `json:"source,omitempty"`
	Target    string    `json:"target,omitempty"`
	Person    string    `json:"person,omitempty"` // identity.PersonID as text
	Name      string    `json:"name,omitempty"`
	DN        string    `json:"dn,omitempty"`
	Account   string    `json:"account,omitempty"`
	UserName  string    `json:"userName,omitempty"`
	Proof     string    `json:"proof,omitempty"`   // of leaving: what the source was asked and answered
	Reason    string    `json:"reason,omitempty"`  // what the operator said who ordered it
	Left      time.Time `json:"left,omitzero"`     // when it happened by the directory's own clock, where that says so
	Noticed   time.Time `json:"noticed,omitzero"`  // when dirsweep saw it
	Before    Values    `json:"before,omitempty"`  // of what changed only
	After     Values    `json:"after,omitempty"`   //
	Outcome   string    `json:"outcome,omitempty"` // of Leaver and Closed: the account's status
	Attempts  int       `json:"attempts,omitempty"`
	Error     string    `json:"error,omitempty"`
	RequestID string    `json:"requestId,omitempty"` // the target's, where it names one
	Seen      string    `json:"seen,omitempty"`      // what the read-back saw
	Actor     string    `json:"actor,omitempty"`     // who ordered it, where that was a human
	Note      string    `json:"note,omitempty"`
	Steps     []Step    `json:"steps,omitempty"`     // of Leaver and Closed: the account's closing steps, as they stand
	Upto      uint64    `json:"upto,omitempty"`      // of Prune and Restart: the last record that is no longer here
	Count     int       `json:"count,omitempty"`     // of Case and Restored: how many records; of Prune: how many files
	Digest    string    `json:"digest,omitempty"`    // of Case: HashOf its records; of Prune and Restart: the hash of the record Upto
	Key       string    `json:"key,omitempty"`       // of Case: the fingerprint of the key that signs its evidence
	Shortened string    `json:"shortened,omitempty"` // what was left out because the record would have been too large
	Prev      string    `json:"prev"`                // the hash of the record before, "" in the first
	Hash      string    `json:"hash,omitempty"`      // SHA-256 in hex over the line without this member
}

// A Step is how one of the application's own closing steps stands on a leaver's account.
type Step struct {
	Name    string    `json:"name"`
	Outcome string    `json:"outcome"` // a state.FinishStatus: "proven", "sent", "impossible" or "failed"
	At      time.Time `json:"at"`      // of Outcome
	Why     string    `json:"why,omitempty"`
}

// About reports whether who names the person of the record: their identity or anchor, name, DN, or the user name of the
// account; letter case does not count.
func (r Record) About(who string) bool {
	_, anchor, _ := strings.Cut(r.Person, "/")
	return who != "" && slices.ContainsFunc([]string{r.Person, anchor, r.Name, r.DN, r.UserName}, func(s string) bool { return strings.EqualFold(s, who) })
}

// HashOf is SHA-256 in hex over hashes, each followed by a newline.
func HashOf(hashes []string) string {
	return digest([]byte(strings.Join(hashes, "\n") + "\n"))
}

// A Head names the last record of a trail. Kept elsewhere, it shows that the trail was not cut.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// Errors of trails.
var (
	// ErrCut: records that were there are missing at the end.
	ErrCut = errors.New("the audit trail has been cut")
	// ErrBroken: a record was edited, removed, repeated or moved.
	ErrBroken = errors.New("the audit trail is broken")
)

const (
	hashOpen = `,"hash":"`
	prevOpen = `,"prev":"`
	closing  = `"}`
	hashSize = 2 * sha256.Size
)

// seal returns the record's line, newline included, and its hash.
func seal(r Record) (line []byte, hash string, err error) {
	r.Hash = ""
	body, err := encode(r)
	if err != nil {
		return nil, "", fmt.Errorf("write record %d: %w", r.Seq, err)
	}
	hash = digest(body)
	return append(body[:len(body)-1], hashOpen+hash+closing+"\n"...), hash, nil
}

// Check reports whether the record still matches its hash.
func (r Record) Check() error {
	_, hash, err := seal(r)
	if err == nil && hash != r.Hash {
		err = fmt.Errorf("%w: record %d does not match its hash", ErrBroken, r.Seq)
	}
	return err
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// ParseLine reads one line, without its newline, and checks its own hash, not the chain.
func ParseLine(line []byte) (Record, error) {
	if _, err := parseLink(line); err != nil {
		return Record{}, err
	}
	var r Record
	err := decode(line, &r)
	return r, err
}

// LinkOf reads a line's Seq and Hash, and checks the hash; it decodes nothing else.
func LinkOf(line []byte) (seq uint64, hash string, err error) {
	l, err := parseLink(line)
	return l.seq, l.hash, err
}

func decode(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

// A link is what chains one record to the one before.
type link struct {
	seq        uint64
	prev, hash string
}

// parseLink takes a link from its fixed places in a line, seq first, prev and hash last, and checks the hash: nothing
// else has to be decoded to follow the chain.
func parseLink(line []byte) (l link, err error) {
	bad := fmt.Errorf("%w: not a record", ErrBroken)
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	number, _, comma := bytes.Cut(rest, []byte(","))
	if !ok || !comma {
		return l, bad
	}
	if l.seq, err = strconv.ParseUint(string(number), 10, 64); err != nil {
		return l, bad
	}
	end := len(line) - len(hashOpen) - hashSize - len(closing)
	if end < 0 || !bytes.HasPrefix(line[end:], []byte(hashOpen)) || !bytes.HasSuffix(line, []byte(closing)) {
		return l, bad
	}
	l.hash = string(line[len(line)-len(closing)-hashSize : len(line)-len(closing)])
	at := bytes.LastIndex(line[:end], []byte(prevOpen))
	if at < 0 || !bytes.HasSuffix(line[:end], []byte(`"`)) || end-at-len(prevOpen) < 1 {
		return l, bad
	}
	l.prev = string(line[at+len(prevOpen) : end-1])
	body := append(bytes.Clone(line[:end]), '}')
	if digest(body) != l.hash {
		return l, fmt.Errorf("%w: record %d does not match its hash", ErrBroken, l.seq)
	}
	return l, nil
}
