package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// A Closing is one account of a leaver.
type Closing struct {
	Person      string        `json:"person"`
	How         string        `json:"how"` // they left
	Application string        `json:"application"`
	Proven      time.Duration `json:"-"` // from leaving, as the engine learned of it, to its read-back
	Seen        time.Duration `json:"-"` // from the change in the directory to the demo's own reading of a closed account; 0 until then

	account string // externalId
	since   time.Time
}

// MarshalJSON writes durations in seconds, as every command does.
func (c Closing) MarshalJSON() ([]byte, error) {
	type plain Closing
	return json.Marshal(struct {
		plain
		Proven float64 `json:"provenSeconds"`
		Seen   float64 `json:"seenSeconds"`
	}{plain(c), c.Proven.Seconds(), c.Seen.Seconds()})
}

// note enters somebody who leaves into the summary, with the accounts they are to lose. It is called just before they
// go.
func (s *Summary) note(p *person, how wayOut) {
	s.Left++
	applications := []string{"wiki"}
	if p.chats() {
		applications = append(applications, "chat")
	}
	for _, a := range applications {
		s.Closed = append(s.Closed, &Closing{Person: p.uid, How: string(how), Application: a, account: p.id, since: time.Now()})
	}
}

// look reads the accounts of leavers that the demo has not yet seen closed, over plain HTTP.
func (s *Summary) look(ctx context.Context, w *world) error {
	for _, c := range s.Closed {
		if c.Seen != 0 {
			continue
		}
		closed, err := w.closed(ctx, c.Application, c.account)
		if err != nil {
			return err
		}
		if closed {
			c.Seen = time.Since(c.since)
		}
	}
	return nil
}

// open are the accounts of leavers that the demo has not yet seen closed.
func (s *Summary) open() (list []*Closing) {
	for _, c := range s.Closed {
		if c.Seen == 0 {
			list = append(list, c)
		}
	}
	return list
}

// closed reports whether an application shows no active account with this mark. One that gives no answer shows nothing.
func (w *world) closed(ctx context.Context, application, externalID string) (bool, error) {
	a := w.wiki
	if application == "chat" {
		a = w.chat
	}
	if a.isDown() {
		return false, nil
	}
	r := readerOf(a)
	defer r.close()
	found, err := r.byExternalID(ctx, externalID)
	if err != nil {
		return false, fmt.Errorf("read the %s: %w", application, err)
	}
	for _, account := range found {
		if account.Active {
			return false, nil
		}
	}
	return true, nil
}

// learn asks dirsweep how long it took to prove accounts closed, where that is not known yet. It is asked soon: a
// leaver who is let in again by hand has another clock.
func (s *Summary) learn(ctx context.Context, service *control.Service) error {
	var leavers []control.Leaver
	if err := service.Call(ctx, control.CmdLeavers, control.Request{All: true}, &leavers); err != nil {
		return err
	}
	for _, c := range s.Closed {
		for _, l := range leavers {
			i := slices.IndexFunc(l.Steps, func(step control.Step) bool { return step.Target == c.Application && step.Status == "proven" })
			if l.Person == sourceName+"/"+c.account && i >= 0 && c.Proven == 0 {
				c.Proven = l.Steps[i].At.Sub(l.Steps[i].Left)
			}
		}
	}
	return nil
}

// audit ends a demo: it compares the applications with the company, and has the audit trail and every leaver's evidence
// verified.
func (s *Summary) audit(ctx context.Context, w *world, service *control.Service) error {
	var err error
	if s.Wrong, err = w.differences(ctx); err != nil {
		return err
	}
	if err := s.look(ctx, w); err != nil {
		return err
	}
	if err := s.learn(ctx, service); err != nil {
		return err
	}
	for _, c := range s.Closed {
		if c.Seen == 0 || c.Proven == 0 {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s: the account of %s is not proven closed", c.Application, c.Person))
		}
	}
	var trail audit.Summary
	if err := service.Call(ctx, control.CmdAudit, control.Request{}, &trail); err != nil {
		return err
	}
	s.Records = trail.Records
	for _, p := range w.company.everyone() {
		if !p.left {
			continue
		}
		if err := verifyEvidence(ctx, service, p); err != nil {
			return fmt.Errorf("evidence of %s: %w", p.uid, err)
		}
		s.Files++
	}
	return nil
}

// verifyEvidence makes a leaver's file and checks it as an auditor would, from its bytes alone.
func verifyEvidence(ctx context.Context, service *control.Service, p *person) error {
	var raw []byte
	if err := service.Call(ctx, control.CmdEvidence, control.Request{Person: sourceName + "/" + p.id}, &raw); err != nil {
		return err
	}
	checked, err := evidence.Verify(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if checked.Closed.IsZero() {
		return fmt.Errorf("the case is not closed")
	}
	return nil
}
