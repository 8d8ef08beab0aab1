package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/elimity-com/scim"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// script is one scripted day under way.
type script struct {
	*world
	instance *control.Instance
	service  *control.Service
	tell     *teller
	summary  Summary
}

// day plays one day: what happens in the directory, a pass, and a look at what came of it.
func day(ctx context.Context, w *world, tell *teller, log hclog.Logger) (Summary, error) {
	cfg, err := config.Load(w.configPath())
	if err != nil {
		return Summary{}, err
	}
	instance, err := control.Build(ctx, cfg, log)
	if err != nil {
		return Summary{}, err
	}
	s := &script{world: w, instance: instance, service: control.New(instance, control.Hooks{}), tell: tell}
	tell.headline("One day at a company of %d people, with an LDAP directory, a wiki and a chat", companySize)
	for _, scene := range []func(context.Context) error{s.morning, s.joiners, s.movers, s.leavers, s.meddling, s.outage, s.mistake, s.evening} {
		if err = scene(ctx); err != nil {
			break
		}
	}
	return s.summary, errors.Join(err, instance.Close())
}

// pass runs the engine once, and looks at the applications with the demo's own eyes.
func (s *script) pass(ctx context.Context, mode reconcile.Mode, want reconcile.Outcome) (reconcile.Report, error) {
	report, err := s.instance.Engine.Run(ctx, reconcile.Pass{Mode: mode})
	if err != nil {
		return report, err
	}
	s.tell.report(report)
	if got := report.Outcome(); got != want {
		return report, fmt.Errorf("a pass ends %q where %q was expected: %s", got, want, troubles(report))
	}
	if err := s.summary.look(ctx, s.world); err != nil {
		return report, err
	}
	return report, s.summary.learn(ctx, s.service)
}

func (s *script) morning(ctx context.Context) error {
	s.summary.People = len(s.company.people)
	s.tell.event("the first pass: nobody has an account yet, but for one in the wiki that somebody made by hand")
	report, err := s.pass(ctx, reconcile.Full, reconcile.Converged)
	for _, part := range report.Targets {
		s.summary.Orphans += part.Orphans
	}
	return err
}

func (s *script) joiners(ctx context.Context) error {
	for range 5 {
		p, err := s.company.hire()
		if err != nil {
			return err
		}
		s.summary.Joined++
		s.tell.event("%s joins %s", p.cn(), p.unit)
	}
	_, err := s.pass(ctx, reconcile.Delta, reconcile.Converged)
	return err
}

func (s *script) movers(ctx context.Context) error {
	moves := []struct {
		who  func(*person) bool
		what string
		move func(*person) error
	}{
		{func(p *person) bool { return p.chats() }, "marries, and has another name, login and mail", func(p *person) error { return s.company.marry(p, "Okonkwo") }},
		{func(p *person) bool { return p.unit == "finance" }, "moves from finance to support", func(p *person) error { return s.company.transfer(p, "support") }},
		{func(p *person) bool { return p.unit == "engineering" && p.given == "Uma" }, "goes on call", func(p *person) error {
			return s.company.regroup(p, "chat-engineering", "chat-oncall")
		}},
		{func(p *person) bool { return !p.chats() && p.unit == "support" && p.given != "Bruno" }, "may use the chat", func(p *person) error {
			return s.company.regroup(p, "staff", "chat-users")
		}},
	}
	for _, m := range moves {
		p, err := s.company.pick(m.who)
		if err != nil {
			return err
		}
		s.tell.event("%s %s", p.cn(), m.what)
		if err := m.move(p); err != nil {
			return err
		}
		s.summary.Moved++
	}
	_, err := s.pass(ctx, reconcile.Delta, reconcile.Converged)
	return err
}

// leave makes one person of a unit leave.
func (s *script) leave(unit string, how wayOut) error {
	p, err := s.company.pick(func(p *person) bool { return p.unit == unit })
	if err != nil {
		return err
	}
	s.tell.event("%s leaves: %s", p.cn(), how)
	s.summary.note(p, how)
	return s.company.leave(p, how)
}

func (s *script) leavers(ctx context.Context) error {
	for _, one := range []struct {
		unit string
		how  wayOut
	}{{"sales", deleted}, {"finance", disabled}, {"engineering", movedOut}} {
		if err := s.leave(one.unit, one.how); err != nil {
			return err
		}
	}
	_, err := s.pass(ctx, reconcile.Delta, reconcile.Converged)
	return err
}

// meddling has an administrator of the wiki give a leaver their account back.
func (s *script) meddling(ctx context.Context) error {
	p, err := s.company.someoneWho(func(p *person) bool { return p.left })
	if err != nil {
		return err
	}
	s.tell.event("somebody enables the account of %s in the wiki again, by hand", p.cn())
	if !s.wiki.meddle(p.uid, func(attributes scim.ResourceAttributes) { attributes["active"] = true }) {
		return fmt.Errorf("the wiki has no account of %s", p.uid)
	}
	_, err = s.pass(ctx, reconcile.Full, reconcile.Converged)
	return err
}

// outage has somebody leave while an application gives no answer.
func (s *script) outage(ctx context.Context) error {
	s.tell.event("the chat goes down")
	s.chat.setDown(true)
	if err := s.leave("engineering", deleted); err != nil {
		return err
	}
	if _, err := s.pass(ctx, reconcile.Delta, reconcile.Partial); err != nil {
		return err
	}
	if open := len(s.summary.open()); open != 1 {
		return fmt.Errorf("%d accounts of leavers are open while the chat is down, not 1", open)
	}
	s.tell.event("the chat is back")
	s.chat.setDown(false)
	_, err := s.pass(ctx, reconcile.Full, reconcile.Converged)
	return err
}

// mistake has somebody move a whole unit away, and notice.
func (s *script) mistake(ctx context.Context) error {
	const here, there = "ou=sales," + peopleDN, "ou=sales," + formerDN
	s.tell.event("by mistake, somebody moves all of sales out of the company")
	if err := s.company.directory.rename(here, there); err != nil {
		return err
	}
	before := s.wiki.written() + s.chat.written()
	report, err := s.pass(ctx, reconcile.Full, reconcile.Held)
	if err != nil {
		return err
	}
	for _, h := range report.Held {
		s.summary.Held = max(s.summary.Held, h.People())
	}
	if n := s.wiki.written() + s.chat.written() - before; n != 0 {
		return fmt.Errorf("the applications were written to %d times while everything should have been held", n)
	}
	s.tell.event("and puts them back")
	if err := s.company.directory.rename(there, here); err != nil {
		return err
	}
	_, err = s.pass(ctx, reconcile.Full, reconcile.Converged)
	return err
}

// evening looks at everything once more.
func (s *script) evening(ctx context.Context) error {
	return s.summary.audit(ctx, s.world, s.service)
}

// troubles says what went wrong in a pass.
func troubles(r reconcile.Report) string {
	var all []string
	for _, part := range append(r.Sources, r.Targets...) {
		if part.Err != "" {
			all = append(all, part.Name+": "+part.Err)
		}
	}
	for _, f := range r.Failures {
		all = append(all, fmt.Sprintf("%s: %s %s: %s", f.Change.Target, f.Change.Op, f.Change.UserName, f.Err))
	}
	for _, h := range r.Held {
		all = append(all, h.Target+": held: "+h.Reason)
	}
	if len(all) == 0 {
		return "no trouble was reported"
	}
	return fmt.Sprint(all)
}
