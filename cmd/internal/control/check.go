package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// A Check is what trying one source or target out has shown.
type Check struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	At     string   `json:"at"`              // the config line
	Steps  []string `json:"steps"`           // what was seen, one line a step
	Doubts []string `json:"doubts"`          // what works, and is probably not what is meant
	Error  string   `json:"error,omitempty"` // the first failure
}

// CheckAll tries every source and target of cfg out, all at once, then reads the people and says what the config would
// make of them. It needs no state and changes no account. The answers are in the config's order, sources first.
func CheckAll(ctx context.Context, cfg *config.Config, log hclog.Logger) ([]Check, error) {
	p, err := open(cfg, Use{}, nil, log)
	if err != nil {
		return nil, err
	}
	var checks []Check
	var tries []func() ([]string, error)
	for i, s := range cfg.Sources {
		checks = append(checks, Check{Name: s.Name, Kind: s.Kind, At: s.At})
		tries = append(tries, trySource(ctx, p.sources[i].Source))
	}
	for i, t := range cfg.Targets {
		checks = append(checks, Check{Name: t.Name, Kind: t.Kind, At: t.At})
		session := p.targets[i].Session
		tries = append(tries, func() ([]string, error) { return session.Check(ctx) })
	}
	var all sync.WaitGroup
	for i, try := range tries {
		all.Go(func() {
			steps, err := try()
			checks[i].Steps, checks[i].Doubts = append([]string{}, steps...), []string{}
			if err != nil {
				checks[i].Error = err.Error()
			}
		})
	}
	all.Wait()
	for i, s := range cfg.Sources {
		if checks[i].Error != "" {
			continue
		}
		if err := census(ctx, cfg, s, p.sources[i].Source, checks, i); err != nil {
			checks[i].Error = err.Error()
		}
	}
	return checks, p.close()
}

func trySource(ctx context.Context, s sources.Source) func() ([]string, error) {
	c, ok := s.(sources.Checker)
	if !ok {
		return untried
	}
	return func() ([]string, error) { return c.Check(ctx) }
}

func untried() ([]string, error) { return []string{"this kind has no check"}, nil }

// A count of the people of one source, by what the config asks of them.
type count struct {
	people, active, unreadable int
	have                       map[string]int // by attribute that expressions name
	members                    map[string]int // by group that expressions name
}

// A share is what one target's expressions make of the people.
type share struct {
	scope, failed int
	why           error // of the first that failed
}

// census reads everybody of a source, and adds to the checks of it and of the targets that read it what the config
// would make of them.
func census(ctx context.Context, cfg *config.Config, s config.Source, source sources.Source, checks []Check, at int) error {
	readers := map[int]*share{}
	c := count{have: map[string]int{}, members: map[string]int{}}
	for _, name := range s.Need.Attributes {
		c.have[name] = 0
	}
	groups := s.Mapping.Groups().Names
	for i, t := range cfg.Targets {
		if slices.Contains(t.Sources, s.Name) {
			readers[i] = &share{}
			groups = append(groups, t.Mapping.Groups().Names...)
		}
	}
	for _, name := range groups {
		c.members[name] = 0
	}
	for p, err := range source.People(ctx) {
		if trouble := (*sources.PersonError)(nil); errors.As(err, &trouble) {
			c.unreadable++
			continue
		}
		if err != nil {
			return err
		}
		active, err := s.Mapping.Active(p)
		p.Active = active && err == nil
		c.add(&p)
		for i, share := range readers {
			share.add(cfg.Targets[i].Mapping, p)
		}
	}
	checks[at].Steps = append(checks[at].Steps, fmt.Sprintf("people: %d, of them active: %d", c.people, c.active))
	checks[at].Doubts = append(checks[at].Doubts, c.doubts()...)
	if c.people == 0 {
		return errors.New("nobody at all fits: check base_dn, filter and what the account that signs in may read")
	}
	for i, share := range readers {
		share.tell(&checks[len(cfg.Sources)+i], s.Name, c.active)
	}
	return nil
}

func (c *count) add(p *identity.Person) {
	c.people++
	if p.Active {
		c.active++
	}
	for name := range c.have {
		if len(p.Attributes[name]) > 0 {
			c.have[name]++
		}
	}
	for name := range c.members {
		if mapping.MemberOf(p, name) {
			c.members[name]++
		}
	}
}

func (c *count) doubts() (list []string) {
	if c.people > 0 && c.active == 0 {
		list = append(list, "nobody is active: every account would be closed; check `active`")
	}
	for _, name := range slices.Sorted(maps.Keys(c.have)) {
		if c.people > 0 && c.have[name] == 0 {
			list = append(list, fmt.Sprintf("none of %d people has %s, which the config names: a mistyped attribute, or one that may not be read", c.people, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.members)) {
		if c.people > 0 && c.members[name] == 0 {
			list = append(list, fmt.Sprintf("none of %d people is in the group %q, which the config names", c.people, name))
		}
	}
	if c.unreadable > 0 {
		list = append(list, fmt.Sprintf("%d entries cannot be read as people", c.unreadable))
	}
	return list
}

func (s *share) add(m *mapping.Target, p identity.Person) {
	in, err := m.InScope(p, time.Now())
	if err == nil && in && p.Active {
		s.scope++
		_, err = m.Account(p, mapping.Logins{})
	}
	if err != nil {
		s.failed++
		if s.why == nil {
			s.why = err
		}
	}
}

// tell says on a target's check what became of a source's people.
func (s *share) tell(check *Check, source string, active int) {
	check.Steps = append(check.Steps, fmt.Sprintf("in scope: %d of %d active people of %s", s.scope, active, source))
	if s.scope == 0 && active > 0 && s.failed == 0 {
		check.Doubts = append(check.Doubts, "nobody of "+source+" is in scope")
	}
	if s.failed > 0 {
		check.Doubts = append(check.Doubts, fmt.Sprintf("the mapping fails for %d of %d: %v", s.failed, max(s.scope, s.failed), s.why))
	}
	if s.failed > 0 && s.failed >= s.scope && check.Error == "" {
		check.Error = "the mapping fails for everybody in scope: " + s.why.Error()
	}
}
