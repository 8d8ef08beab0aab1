package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/elimity-com/scim"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

const (
	eventPause  = 1500 * time.Millisecond // between one thing that happens and the next
	lookPause   = 50 * time.Millisecond   // between two looks at the applications
	settleLimit = 45 * time.Second        // a retry is due within 30 s of the first failure
	endLimit    = 5 * time.Second         // for what is under way when the demo is told to end
)

// show is a demo that goes on: the daemon runs by its own clock, things happen in the company, and the demo watches the
// applications.
type show struct {
	*world
	daemon  *daemon.Daemon
	tell    *teller
	summary Summary
	random  *rand.Rand
	events  int
}

// live runs the daemon until ctx is done.
func live(ctx context.Context, w *world, tell *teller, log hclog.Logger) (Summary, error) {
	s := &show{world: w, tell: tell, random: rand.New(rand.NewPCG(1, 2))}
	s.summary.People = len(w.company.people)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	d, err := daemon.Start(running, daemon.Options{Path: w.configPath(), Version: "demo", Log: log})
	if err != nil {
		return s.summary, err
	}
	s.daemon = d
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()

	tell.headline("A company of %d people, with an LDAP directory, a wiki and a chat; Ctrl-C ends it", companySize)
	tell.event("the daemon starts; nobody has an account yet")
	err = s.settle(ctx)
	for err == nil && ctx.Err() == nil {
		wait(ctx, eventPause)
		if err = s.next(); err == nil {
			err = s.settle(ctx)
		}
	}
	if ctx.Err() != nil {
		err = s.end(ctx)
	}
	stop()
	return s.summary, errors.Join(err, <-ended)
}

// next has something happen, in turn, to somebody.
func (s *show) next() error {
	rota := []func() error{
		s.join,
		func() error { return s.leave(s.anyone(), deleted) },
		s.marry,
		func() error { return s.leave(s.anyone(), disabled) },
		s.join,
		s.transfer,
		s.join,
		func() error { return s.leave(s.anyone(), movedOut) },
		s.trouble,
		s.join,
	}
	s.events++
	return rota[(s.events-1)%len(rota)]()
}

// anyone is somebody who works here. There always is somebody: as many join as leave.
func (s *show) anyone() *person {
	here := slices.DeleteFunc(s.company.everyone(), func(p *person) bool { return p.left })
	return here[s.random.IntN(len(here))]
}

func (s *show) join() error {
	p, err := s.company.hire()
	if err != nil {
		return err
	}
	s.summary.Joined++
	s.tell.event("%s joins %s", p.cn(), p.unit)
	return nil
}

func (s *show) marry() error {
	p := s.anyone()
	before := p.cn()
	_, surnames := s.company.names()
	err := s.company.marry(p, surnames[s.random.IntN(len(surnames))])
	s.summary.Moved++
	s.tell.event("%s is now %s", before, p.cn())
	return err
}

func (s *show) transfer() error {
	p := s.anyone()
	units := slices.DeleteFunc(s.company.units(), func(u string) bool { return u == p.unit })
	to := units[s.random.IntN(len(units))]
	s.summary.Moved++
	s.tell.event("%s moves from %s to %s", p.cn(), p.unit, to)
	return s.company.transfer(p, to)
}

func (s *show) leave(p *person, how wayOut) error {
	s.tell.event("%s leaves: %s", p.cn(), how)
	s.summary.note(p, how)
	return s.company.leave(p, how)
}

// trouble has an application fail while somebody leaves, or a leaver be let in again by hand.
func (s *show) trouble() error {
	if left, err := s.company.someoneWho(func(p *person) bool { return p.left }); err == nil && s.events%20 < 10 {
		s.tell.event("somebody enables the account of %s in the wiki again, by hand", left.cn())
		s.wiki.meddle(left.uid, func(attributes scim.ResourceAttributes) { attributes["active"] = true })
		return nil
	}
	p, err := s.company.pick(func(p *person) bool { return p.chats() })
	if err != nil {
		return err
	}
	s.tell.event("the chat goes down for three seconds")
	s.chat.setDown(true)
	time.AfterFunc(3*time.Second, func() { s.chat.setDown(false) })
	return s.leave(p, deleted)
}

// settle waits until the demo itself sees that everything is as the company means it, and tells how long that took.
func (s *show) settle(ctx context.Context) error {
	began := time.Now()
	open := s.summary.open()
	for {
		if err := s.summary.look(ctx, s.world); err != nil {
			return ignoreDone(ctx, err)
		}
		for _, c := range open {
			if c.Seen != 0 {
				s.tell.result(s.tell.good(fmt.Sprintf("the %s shows the account of %s closed, after %s", c.Application, c.Person, span(c.Seen))))
			}
		}
		open = s.summary.open()
		if !s.chat.isDown() {
			wrong, err := s.differences(ctx)
			if err != nil {
				return ignoreDone(ctx, err)
			}
			if len(wrong) == 0 {
				s.tell.result("both applications hold what they should, after " + span(time.Since(began)))
				return ignoreDone(ctx, s.summary.learn(ctx, s.daemon.Service()))
			}
		}
		if time.Since(began) > settleLimit {
			s.tell.result(s.tell.bad("the applications do not hold what they should after " + settleLimit.String()))
			return nil
		}
		if !wait(ctx, lookPause) {
			return nil
		}
	}
}

// end lets what is under way come to an end, and judges.
func (s *show) end(ctx context.Context) error {
	s.tell.event("the end: what is under way may still be done")
	s.chat.setDown(false)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	if err := s.settle(settling); err != nil {
		return err
	}
	return s.summary.audit(context.WithoutCancel(ctx), s.world, s.daemon.Service())
}

// ignoreDone drops an error that only says that the demo was told to end.
func ignoreDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// wait returns false where ctx is done first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
