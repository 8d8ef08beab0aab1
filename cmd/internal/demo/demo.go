// Package demo shows the main job with nothing to set up: an LDAP directory and two SCIM applications in memory, on loopback, and the real
// engine, config and state file between them. People join, move and leave; the demo reads the applications itself to say whether all is right.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options say how to play.
type Options struct {
	Once  bool // one scripted day, instead of going on until ctx is done
	JSON  bool // print the summary alone, as JSON
	Keep  bool // leave the folder with config, state and audit trail
	Color bool
	Out   io.Writer
	Log   hclog.Logger
}

// ErrWrong says that the applications, read by the demo itself, do not hold what they should.
var ErrWrong = errors.New("the applications do not hold what they should")

// Summary is what happened.
type Summary struct {
	Folder  string        `json:"folder,omitempty"` // where it is kept
	People  int           `json:"people"`
	Joined  int           `json:"joined"`
	Moved   int           `json:"moved"`
	Left    int           `json:"left"`
	Closed  []*Closing    `json:"closed"`
	Orphans int           `json:"orphans"`
	Held    int           `json:"held"`     // people of whom a hold kept something from being done
	Records int           `json:"records"`  // of the audit trail, verified
	Files   int           `json:"evidence"` // files of leavers, verified
	Took    time.Duration `json:"took_ns"`
	Wrong   []string      `json:"wrong"` // what the demo found by itself; empty where all is right
}

// A Closing is one account of a leaver.
type Closing struct {
	Person      string        `json:"person"`
	How         string        `json:"how"` // they left
	Application string        `json:"application"`
	Proven      time.Duration `json:"proven_ns"` // from leaving, as the engine learned of it, to its read-back
	Seen        time.Duration `json:"seen_ns"`   // from the change in the directory to the demo's own reading of a closed account; 0 until then

	account string // externalId
	since   time.Time
}

// Run plays the demo and prints what happens. With Once it returns ErrWrong unless the end state, read by the demo and not by the engine, is
// right; without, it goes on until ctx is done and then judges what there is.
func Run(ctx context.Context, o Options) error {
	began := time.Now()
	tell := newTeller(o)
	play, plan := live, schedule{full: "@every 20s", window: "10s"}
	if o.Once {
		play, plan = day, schedule{full: "@daily", window: "24h"}
	}
	w, err := newWorld(ctx, plan, o.Log)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	summary, err := play(ctx, w, tell, o.Log)
	err = errors.Join(err, w.close(o.Keep))
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if o.Keep {
		summary.Folder = w.dir
	}
	summary.Took = time.Since(began)
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		err = enc.Encode(summary)
	} else {
		tell.summary(summary)
	}
	if err == nil && len(summary.Wrong) > 0 {
		err = ErrWrong
	}
	return err
}

// note enters somebody who leaves into the summary, with the accounts they are to lose. It is called just before they go.
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

// open is how many accounts of leavers the demo has not yet seen closed.
func (s *Summary) open() (n int) {
	for _, c := range s.Closed {
		if c.Seen == 0 {
			n++
		}
	}
	return n
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
