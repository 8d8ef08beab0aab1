// Package demo shows the main job with nothing to set up: an LDAP directory and two SCIM applications in memory, on
// loopback, and the real engine, config and state file between them. People join, move and leave; the demo reads the
// applications itself to say whether all is right.
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
	Took    time.Duration `json:"-"`
	Wrong   []string      `json:"wrong"` // what the demo found by itself; empty where all is right
}

// MarshalJSON writes durations in seconds, as every command does.
func (s Summary) MarshalJSON() ([]byte, error) {
	type plain Summary
	return json.Marshal(struct {
		plain
		Took float64 `json:"tookSeconds"`
	}{plain(s), s.Took.Seconds()})
}

// Run plays the demo and prints what happens. With Once it returns ErrWrong unless the end state, read by the demo and
// not by the engine, is right; without, it goes on until ctx is done and then judges what there is.
func Run(ctx context.Context, o Options) error {
	if o.Once {
		return run(ctx, o, day, schedule{full: "@daily", window: "24h"})
	}
	return run(ctx, o, live, schedule{full: "@every 20s", window: "1m"})
}

// A play is what happens between a world's beginning and its end.
type play func(ctx context.Context, w *world, tell *teller, log hclog.Logger) (Summary, error)

func run(ctx context.Context, o Options, p play, plan schedule) error {
	began := time.Now()
	tell := newTeller(o)
	log := o.Log
	if !log.IsInfo() { // the demo tells by itself what a daemon logs: an application that is down is no news here
		log = hclog.NewNullLogger()
	}
	w, err := newWorld(ctx, plan, log)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	summary, err := p(ctx, w, tell, log)
	if o.Keep {
		summary.Folder = w.dir
		tell.event("config, state and audit trail are kept in %s", w.dir)
	}
	if err = errors.Join(err, w.close(o.Keep)); err != nil {
		return fmt.Errorf("demo: %w", err)
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
