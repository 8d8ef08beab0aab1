package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// The protocol: docs/targets/exec.md is its contract, with an example of each message.
const (
	// Version is the protocol's version that is spoken here.
	Version = 1
	// MaxLine is how many bytes a line may have, its end included.
	MaxLine = 1 << 20
)

// The operations. Those that show accounts have to be there: what cannot be read cannot be proven.
const (
	opHello    = "hello"
	opAccounts = "accounts"
	opAccount  = "account"
	opFind     = "find"
	opGroups   = "groups"
	opCreate   = "create"
	opUpdate   = "update"
	opEnable   = "enable"
	opDisable  = "disable"
	opDelete   = "delete"
	opGrant    = "grant"
	opWithdraw = "withdraw"
	opStep     = "step"
	opLeft     = "left"
)

// operations are those that a program may name in its hello.
func operations() []string {
	return []string{
		opAccounts, opAccount, opFind, opGroups, opCreate, opUpdate, opEnable, opDisable, opDelete, opGrant, opWithdraw,
	}
}

// A request is one line to the program.
type request struct {
	ID        int64                     `json:"id"`
	Op        string                    `json:"op"`
	Version   int                       `json:"version,omitempty"`   // of hello
	Account   *asked                    `json:"account,omitempty"`   // which one; of create what it is to be
	Set       map[string]identity.Value `json:"-"`                   // of update, "" to clear
	SetJSON   map[string]any            `json:"set,omitempty"`       // the same, as it is sent
	Attribute string                    `json:"attribute,omitempty"` // of find
	Value     string                    `json:"value,omitempty"`     // of find
	Group     string                    `json:"group,omitempty"`     // of grant and withdraw, its id
	Step      string                    `json:"step,omitempty"`      // of step and left, its name
	Kept      map[string]string         `json:"kept,omitempty"`      // of enable, by the names of steps
}

// An asked account is one that the program is asked about.
type asked struct {
	ID         identity.AccountID         `json:"id,omitempty"`
	UserName   string                     `json:"userName,omitempty"`
	ExternalID string                     `json:"externalId,omitempty"`
	Attributes map[string]json.RawMessage `json:"attributes,omitempty"`
}

// An answer is one line of the program.
type answer struct {
	ID         int64   `json:"id"`
	Hello      *Hello  `json:"hello"`
	Account    *shown  `json:"account"`
	Group      *group  `json:"group"`
	End        bool    `json:"end"`   // of a list
	Count      *int    `json:"count"` // of a list, how long it was
	Left       string  `json:"left"`
	Kept       string  `json:"kept"`
	Receipt    string  `json:"receipt"` // the application's own name for what it did
	Error      string  `json:"error"`   // its class
	Message    string  `json:"message"`
	Attribute  string  `json:"attribute"`
	RetryAfter float64 `json:"retry_after"` // in seconds
}

// A Hello is what a program says of itself.
type Hello struct {
	Version    int      `json:"version"`
	Name       string   `json:"name"`       // of the application, for people
	Operations []string `json:"operations"` // that it has
	Attributes []string `json:"attributes"` // that it keeps beside userName; externalId is one where it keeps that
	Steps      []Step   `json:"steps"`      // that closing an account takes beside disabling it
	Own        *Own     `json:"own"`        // the account that the program itself signs in as
}

// A Step is one of a program's closing steps (targets.Step).
type Step struct {
	Name     string `json:"name"`
	Revokes  bool   `json:"revokes"`  // it ends what somebody who is signed in has
	Readable bool   `json:"readable"` // the program can tell what is left to do of it
}

// Own names an account.
type Own struct {
	ID       identity.AccountID `json:"id"`
	UserName string             `json:"userName"`
}

// A shown account is one as the program shows it.
type shown struct {
	ID         identity.AccountID         `json:"id"`
	UserName   string                     `json:"userName"`
	ExternalID string                     `json:"externalId"`
	Active     json.RawMessage            `json:"active"`
	Attributes map[string]json.RawMessage `json:"attributes"`
	Groups     *[]string                  `json:"groups"` // identifiers; nil where the program does not show them
}

// A group is one entitlement that the program can give.
type group struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Kind string `json:"kind"`
}

func (h *Hello) has(ops ...string) bool {
	return !slices.ContainsFunc(ops, func(op string) bool { return !slices.Contains(h.Operations, op) })
}

func (h *Hello) keeps(attribute string) bool {
	return attribute == "userName" || slices.Contains(h.Attributes, attribute)
}

// check says what is wrong with a hello.
func (h *Hello) check() error {
	if h.Version != Version {
		return fmt.Errorf("it speaks version %d of the protocol, and dirsweep version %d", h.Version, Version)
	}
	for _, op := range h.Operations {
		if !slices.Contains(operations(), op) {
			return fmt.Errorf("its hello names the operation %q; there are: %s", op, strings.Join(operations(), ", "))
		}
	}
	named := map[string]bool{}
	for _, step := range h.Steps {
		if step.Name == "" || named[step.Name] {
			return fmt.Errorf("its hello has two closing steps named %q, or one without a name", step.Name)
		}
		named[step.Name] = true
	}
	return nil
}

// readable says why what is asked of the program could not be proven, nil where it can.
func (h *Hello) readable() error {
	if h.has(opAccounts, opAccount) {
		return nil
	}
	return fmt.Errorf("%w: the program cannot show accounts (its hello lacks the operation accounts or account), "+
		"so that nothing it says could be proven: give it both, see docs/targets/exec.md", targets.ErrRejected)
}

// line is a request as it is sent, its end included.
func (r request) line() ([]byte, error) {
	r.SetJSON = nil
	for path, v := range r.Set {
		if r.SetJSON == nil {
			r.SetJSON = map[string]any{}
		}
		r.SetJSON[path] = v.Any() // nil clears
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", targets.ErrRejected, err)
	}
	if b.Len() > MaxLine {
		return nil, fmt.Errorf("%w: a request of %d bytes; a line holds %d", targets.ErrRejected, b.Len(), MaxLine)
	}
	return b.Bytes(), nil
}

// parseAnswer reads one line. What it does not know is refused: a misspelled word would be taken for an absent one.
func parseAnswer(line []byte) (a answer, err error) {
	if !utf8.Valid(line) {
		return a, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return a, fmt.Errorf("it is no answer: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("more follows the answer on its line")
	}
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return a, errors.New("it is no JSON object")
	}
	return a, nil
}

// errBusy: something of the account is in use, and has to end first.
var errBusy = errors.New("something of it is in use")

// fault is an answer's error, nil where it has none. message is what is told of it.
func (a answer) fault(message string) error {
	if a.Error == "" {
		return nil
	}
	said := errors.New(message)
	if message == "" {
		said = errors.New(a.Error)
	}
	class := map[string]error{
		"not_found": targets.ErrNotFound, "conflict": targets.ErrConflict, "forbidden": targets.ErrForbidden,
		"unauthorized": targets.ErrUnauthorized, "unavailable": targets.ErrUnavailable, "rejected": targets.ErrRejected,
	}[a.Error]
	switch {
	case a.Error == "throttled":
		return &targets.ThrottledError{RetryAfter: wait(a.RetryAfter), Err: said}
	case a.Error == "busy":
		return fmt.Errorf("%w: %w: %w", targets.ErrUnavailable, errBusy, said)
	case a.Error == "rejected" && a.Attribute != "":
		return &targets.RejectedError{Path: a.Attribute, Err: said}
	case class == nil:
		return fmt.Errorf("%w: an error of no known class, %q: %w", targets.ErrUnavailable, plain(a.Error, 40), said)
	}
	return fmt.Errorf("%w: %w", class, said)
}

// longestWait bounds the pause that a program may ask for.
const longestWait = time.Hour

func wait(seconds float64) time.Duration {
	if !(seconds > 0) {
		return 0
	}
	return time.Duration(min(math.Ceil(seconds), longestWait.Seconds())) * time.Second
}

// account makes an account of what the program showed, with values at paths alone. Its entitlements are left out.
func (s *shown) account(paths []string) (a identity.Account, err error) {
	a = identity.Account{ID: s.ID, UserName: s.UserName, ExternalID: s.ExternalID}
	a.Attributes = make(map[string]identity.Value, len(paths))
	switch {
	case a.ID == "":
		return a, fmt.Errorf("the account %q has no id", plain(a.UserName, 80))
	case a.UserName == "":
		return a, fmt.Errorf("the account of id %q has no userName", plain(string(a.ID), 80))
	case slices.ContainsFunc([]string{string(a.ID), a.UserName, a.ExternalID}, unprintable):
		return a, fmt.Errorf("id, userName or externalId of %q holds a control character", plain(a.UserName, 80))
	}
	a.Active, a.ActiveShown = active(s.Active)
	for _, path := range paths {
		var v identity.Value
		switch path {
		case "userName":
			v = identity.Text(s.UserName)
		case "externalId":
			v = identity.Text(s.ExternalID)
		default:
			raw, ok := s.Attributes[path]
			if !ok {
				continue
			}
			if v, err = identity.ParseValue(raw); err != nil {
				return a, fmt.Errorf("%s of %q: %w", path, a.UserName, err)
			}
		}
		if v != "" {
			a.Attributes[path] = v
		}
	}
	return a, nil
}

// active reads whether an account is: only false says that it is not.
func active(raw json.RawMessage) (is bool, odd string) {
	switch text := strings.TrimSpace(string(raw)); text {
	case "true":
		return true, ""
	case "false":
		return false, ""
	case "", "null":
		return true, "nothing"
	default:
		return true, plain(text, 40)
	}
}

func unprintable(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// plain is outside text as a log, a finding or a terminal can take it: one line, printable, of at most so many
// characters.
func plain(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
