package control

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// The types below are the JSON that commands print with --json and that the control socket carries. Times are RFC 3339
// and missing where they do not apply; durations are seconds.

// A Report is what a pass found and did, or would do.
type Report struct {
	ID       string         `json:"id,omitempty"`
	Mode     string         `json:"mode,omitempty"`
	By       Origin         `json:"by"`
	Outcome  Outcome        `json:"outcome"` // of Facts
	Facts    Facts          `json:"facts"`   // of a plan: as they would be; else as the state tells them after the pass
	Started  time.Time      `json:"started,omitzero"`
	Ended    time.Time      `json:"ended,omitzero"`
	Digest   string         `json:"digest,omitempty"` // of the changes
	Counts   map[string]int `json:"counts"`           // by operation: of a plan, changes to make; else changes made
	Observed map[string]int `json:"observed"`         // by operation: changes that observe mode leaves out
	Changes  []Change       `json:"changes"`
	Held     []Hold         `json:"held"`
	Findings []Finding      `json:"findings"`
	Sources  []Part         `json:"sources"`
	Targets  []Part         `json:"targets"`
	Failures []Failure      `json:"failures"`
	Closed   []Closing      `json:"closed"`
	Open     []Open         `json:"open"`              // of a sweep: accounts that were not seen closed, and targets that could not be asked
	Refused  string         `json:"refused,omitempty"` // why nothing was done: the plan is not the one that was asked for
}

// An Origin is who answered, and from which config.
type Origin struct {
	Daemon       int    `json:"daemon,omitempty"` // the daemon's process id; 0 where the command itself did the work
	Config       string `json:"config"`
	ConfigDigest string `json:"configDigest"`
}

// A Change is one step on one account.
type Change struct {
	Op         string      `json:"op"`
	Step       string      `json:"step,omitempty"` // of the op finish: the closing step's name
	Target     string      `json:"target"`
	Person     string      `json:"person,omitempty"` // source/anchor
	Name       string      `json:"name"`
	Container  string      `json:"container,omitempty"`
	Account    string      `json:"account,omitempty"`
	UserName   string      `json:"userName,omitempty"`
	Cause      string      `json:"cause"`
	Rule       string      `json:"rule,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Grant      []string    `json:"grant,omitempty"`
	Withdraw   []string    `json:"withdraw,omitempty"`
	// GrantRule is the config line behind what is granted, WithdrawRule why the rest is taken away.
	GrantRule    string `json:"grantRule,omitempty"`
	WithdrawRule string `json:"withdrawRule,omitempty"`
}

// An Attribute is one attribute's value before and after; null is absent.
type Attribute struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// A Part is one source's or target's share of a pass.
type Part struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Error string `json:"error,omitempty"` // why it took no part
	Mode  string `json:"mode,omitempty"`  // of a target: "enforce" or "observe"
	At    string `json:"at,omitempty"`    // the config line
	// Unlisted is how many accounts a pass made that Changes does not list; the trail tells of each.
	Unlisted int `json:"unlisted,omitempty"`
	// Impossible are the closing steps of a target with leavers about which nothing can be done, with the reason.
	Impossible []string `json:"impossible,omitempty"`
}

// A Failure is a change that did not succeed.
type Failure struct {
	Change Change `json:"change"`
	Error  string `json:"error"`
}

// A Closing is one account of a leaver, proven closed.
type Closing struct {
	Person  string  `json:"person"`
	Name    string  `json:"name"`
	Target  string  `json:"target"`
	Seconds float64 `json:"seconds"` // from leaving to proven closed
}

// An Open is an account of somebody swept that was not seen closed, or a target that did not say which accounts they
// have.
type Open struct {
	Target   string `json:"target"`
	Account  string `json:"account,omitempty"` // missing where the target did not answer
	UserName string `json:"userName,omitempty"`
	Why      string `json:"why"` // and what to do about it
}

// A Hold is a part of a plan that waits for an operator.
type Hold struct {
	Digest    string       `json:"digest"`
	Kind      string       `json:"kind"`
	Target    string       `json:"target,omitempty"`
	Source    string       `json:"source,omitempty"`
	Cause     string       `json:"cause,omitempty"`
	Group     string       `json:"group,omitempty"`
	Container string       `json:"container,omitempty"`
	Anomaly   string       `json:"anomaly,omitempty"`   // what does not look right
	Attribute string       `json:"attribute,omitempty"` // that an edited mapping would change
	Reason    string       `json:"reason"`
	Closed    []string     `json:"closed,omitempty"` // who went by the same within the window
	Count     int          `json:"count"`            // accounts when it was made
	People    []HeldPerson `json:"people"`           // those who still wait or are kept, account by account
	More      int          `json:"more,omitempty"`   // people beside those, where not all are listed
	Since     time.Time    `json:"since,omitzero"`
	Approved  time.Time    `json:"approved,omitzero"`
	Rejected  time.Time    `json:"rejected,omitzero"`
	By        string       `json:"by,omitempty"` // who approved or rejected it
}

// Persons is how many people a hold is over: somebody may have an account in several targets.
func (h Hold) Persons() int {
	seen := map[HeldPerson]bool{}
	for _, p := range h.People {
		if p.Person != "" {
			p = HeldPerson{Person: p.Person}
		}
		seen[p] = true
	}
	return len(seen) + h.More
}

// sortHolds puts holds in the order of what they are over.
func sortHolds(list []Hold) []Hold {
	slices.SortStableFunc(list, func(a, b Hold) int {
		return cmp.Or(
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Anomaly, b.Anomaly), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Container, b.Container), cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Digest, b.Digest),
		)
	})
	return list
}

// named is how many people a hold in short names.
const named = 5

// short is a hold with the first few of its people.
func (h Hold) short() Hold {
	if all := h.Persons(); all > named {
		h.People = h.People[:min(named, len(h.People))]
		h.More = all - h.Persons()
	}
	return h
}

// Ruled is what became of a hold that was approved or rejected.
type Ruled struct {
	Hold     Hold         `json:"hold"`
	Released []HeldPerson `json:"released"`
	Kept     []HeldPerson `json:"kept"`
	Staying  []HeldPerson `json:"staying"` // no longer leaving
}

// A HeldPerson is one person of a hold.
type HeldPerson struct {
	Person   string `json:"person,omitempty"`
	Name     string `json:"name"`
	Target   string `json:"target,omitempty"`
	Account  string `json:"account,omitempty"`
	UserName string `json:"userName,omitempty"`
	Kept     bool   `json:"kept,omitempty"` // an operator rejected closing it
}

// A Finding is something to look at that dirsweep did not act on.
type Finding struct {
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Source  string    `json:"source,omitempty"`
	Target  string    `json:"target,omitempty"`
	Person  string    `json:"person,omitempty"`
	Account string    `json:"account,omitempty"`
	Detail  string    `json:"detail"`
	First   time.Time `json:"first,omitzero"`
}

// A Leaver is one case and its steps.
type Leaver struct {
	Person string    `json:"person"`
	Name   string    `json:"name"`
	DN     string    `json:"dn,omitempty"`
	Cause  string    `json:"cause"`
	Reason string    `json:"reason,omitempty"`
	Proof  string    `json:"proof,omitempty"`
	Left   time.Time `json:"left,omitzero"`
	Closed time.Time `json:"closed,omitzero"`
	Steps  []Step    `json:"steps"`
}

// A Step is one account of a leaver.
type Step struct {
	Target   string    `json:"target"`
	Account  string    `json:"account"`
	UserName string    `json:"userName,omitempty"`
	Status   string    `json:"status"` // "open", "held", "kept", "protected", "disputed", "unprovable", "reported", "proven"
	Open     bool      `json:"open"`   // it may still be open
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	Error    string    `json:"error,omitempty"`
	Seen     string    `json:"seen,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Delete   time.Time `json:"delete,omitzero"`
	Left     time.Time `json:"left,omitzero"` // when this account's clock began
}

// An Orphan is an account that nobody is linked to.
type Orphan struct {
	Target   string    `json:"target"`
	Account  string    `json:"account"`
	UserName string    `json:"userName"`
	Active   bool      `json:"active"`
	First    time.Time `json:"first,omitzero"`
}

// A Link joins a person and an account.
type Link struct {
	Person   string `json:"person"`
	Name     string `json:"name"`
	Target   string `json:"target"`
	Account  string `json:"account"`
	UserName string `json:"userName"`
	Active   bool   `json:"active"`
}

// Relinked says what became of a target's links.
type Relinked struct {
	Target    string `json:"target"`
	Same      int    `json:"same"`    // links whose account is there as before
	Moved     []Link `json:"moved"`   // links that lead to another account now
	Missing   []Link `json:"missing"` // links without an account that is surely theirs
	Forgotten int    `json:"forgotten"`
}

func viewLink(l state.Link) Link {
	return Link{
		Person: viewPerson(l.Person), Name: l.Name, Target: l.Target, Account: string(l.Account), UserName: l.UserName,
		Active: l.State == identity.LinkActive,
	}
}

// An Entry is what one source says of a person whom several describe.
type Entry struct {
	Source     string   `json:"source"`
	Entry      string   `json:"entry"` // its name there, or what the source knows it by
	Says       string   `json:"says"`
	Attributes []string `json:"attributes"` // those that count
}

func viewEntry(e reconcile.SourceEntry) Entry {
	return Entry{Source: e.Source, Entry: cmp.Or(e.DN, e.Anchor), Says: e.Says, Attributes: append([]string{}, e.Attributes...)}
}

// An Explanation says how one target stands to one person.
type Explanation struct {
	Person    string   `json:"person"`
	Name      string   `json:"name"`
	DN        string   `json:"dn,omitempty"`
	Where     string   `json:"where"`
	Next      string   `json:"next,omitempty"` // what the clock alone changes next, and when
	Entries   []Entry  `json:"entries,omitempty"`
	Target    string   `json:"target"`
	InScope   bool     `json:"inScope"`
	Because   string   `json:"because"`
	Manages   string   `json:"manages,omitempty"` // the line of manage, and its patterns
	Account   string   `json:"account,omitempty"`
	UserName  string   `json:"userName,omitempty"`
	Situation string   `json:"situation,omitempty"`
	Why       string   `json:"why,omitempty"`
	Changes   []Change `json:"changes"`
	// Impossible are the closing steps about which nothing can be done, with the reason.
	Impossible []string `json:"impossible,omitempty"`
	Held       string   `json:"held,omitempty"`
	History    []Event  `json:"history"`
}

// An Event is one audit record, shortened.
type Event struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Op      string    `json:"op,omitempty"`
	Step    string    `json:"step,omitempty"` // of the op finish
	Cause   string    `json:"cause,omitempty"`
	Rule    string    `json:"rule,omitempty"`
	Target  string    `json:"target,omitempty"`
	Outcome string    `json:"outcome,omitempty"`
	Error   string    `json:"error,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Note    string    `json:"note,omitempty"`
}

// ViewReport is the engine's report as operators see it. A plan's counts are what is to be done, a pass's what was
// done.
func ViewReport(r reconcile.Report, planned bool) Report {
	facts := factsOf(r)
	out := Report{
		ID: r.Run.ID, Mode: r.Run.Mode, Outcome: facts.Outcome(), Facts: facts, Started: r.Run.Started, Ended: r.Run.Ended,
		Digest: r.Plan.Digest, Counts: map[string]int{}, Observed: map[string]int{},
		Changes:  views(r.Plan.Changes, viewChange),
		Held:     sortHolds(views(r.Held, viewHold)),
		Findings: views(r.Findings, func(f identity.Finding) Finding { return viewFinding(state.Finding{Finding: f}) }),
		Sources:  views(r.Sources, viewPart),
		Targets:  views(r.Targets, viewTarget),
		Failures: views(r.Failures, func(f reconcile.Failure) Failure { return Failure{Change: viewChange(f.Change), Error: f.Err} }),
		Closed: views(r.Closed, func(c reconcile.Closing) Closing {
			return Closing{Person: viewPerson(c.Person), Name: c.Name, Target: c.Target, Seconds: c.Took.Seconds()}
		}),
	}
	out.Open = views(r.Open, func(o reconcile.Open) Open {
		return Open{Target: o.Target, Account: string(o.Account), UserName: o.UserName, Why: o.Why}
	})
	for op, n := range r.Run.Counts {
		if n > 0 {
			out.Counts[op] = n
		}
	}
	if planned {
		clear(out.Counts)
	}
	observed := map[string]bool{}
	for _, part := range r.Targets {
		if observed[part.Name] = part.Observe; part.Observe && part.Unlisted > 0 {
			out.Observed[string(identity.Create)] += part.Unlisted
		}
	}
	for _, c := range r.Plan.Changes {
		switch {
		case observed[c.Target]:
			out.Observed[string(c.Op)]++
		case planned:
			out.Counts[string(c.Op)]++
		}
	}
	return out
}

// views never returns nil, so that JSON has [] and not null.
func views[T, V any](list []T, view func(T) V) []V {
	out := make([]V, 0, len(list))
	for _, item := range list {
		out = append(out, view(item))
	}
	return out
}

func viewPerson(id identity.PersonID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func viewTarget(p reconcile.Part) Part {
	part := viewPart(p)
	part.Unlisted, part.Impossible = p.Unlisted, p.Impossible
	part.Mode = "enforce"
	if p.Observe {
		part.Mode = "observe"
	}
	return part
}

func viewPart(p reconcile.Part) Part { return Part{Name: p.Name, Count: p.Count, Error: p.Err} }

func viewChange(c identity.Change) Change {
	return Change{
		Op: string(c.Op), Step: c.Step, Target: c.Target, Person: viewPerson(c.Person), Name: c.Name, Container: c.Container,
		Account: string(c.Account), UserName: c.UserName, Cause: string(c.Cause), Rule: c.Rule,
		Attributes: views(c.Delta.Attributes, func(a identity.AttributeChange) Attribute {
			return Attribute{Path: a.Path, Before: viewValue(a.Before), After: viewValue(a.After)}
		}),
		Grant: identity.EntitlementNames(c.Delta.Grant), Withdraw: identity.EntitlementNames(c.Delta.Withdraw),
		GrantRule: c.GrantRule, WithdrawRule: c.WithdrawRule,
	}
}

func viewValue(v identity.Value) json.RawMessage {
	if v == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(v)
}

func viewHold(h identity.Hold) Hold {
	out := Hold{
		Digest: h.Digest, Kind: string(h.Kind), Target: h.Target, Source: h.Directory, Cause: string(h.Cause), Group: h.Group,
		Container: h.Container, Anomaly: h.Anomaly, Attribute: h.Attribute, Reason: h.Reason, Closed: h.Closed, Count: h.Count,
		Since: h.Since, By: h.Ruling.By, People: []HeldPerson{},
	}
	switch h.Ruling.What {
	case identity.Approved:
		out.Approved = h.Ruling.At
	case identity.Rejected:
		out.Rejected = h.Ruling.At
	}
	for _, m := range h.Members {
		p := viewMember(m)
		p.Kept = h.RulingOf(m).What == identity.Rejected
		out.People = append(out.People, p)
	}
	return out
}

func viewMember(m identity.Member) HeldPerson {
	return HeldPerson{Person: viewPerson(m.Person), Name: m.Name, Target: m.Target, Account: string(m.Account), UserName: m.UserName}
}

func viewRuled(r reconcile.Ruled) Ruled {
	return Ruled{
		Hold: viewHold(r.Hold), Released: views(r.Released, viewMember), Kept: views(r.Kept, viewMember), Staying: views(r.Staying, viewMember),
	}
}

func viewFinding(f state.Finding) Finding {
	return Finding{
		Kind: f.Kind, Subject: f.Subject, Source: f.Source, Target: f.Target, Person: viewPerson(f.Person),
		Account: string(f.Account), Detail: f.Detail, First: f.First,
	}
}

func viewCase(c state.Case) Leaver {
	return Leaver{
		Person: viewPerson(c.Person), Name: c.Name, DN: c.DN, Cause: string(c.Cause), Reason: c.Reason, Proof: c.Proof,
		Left: c.Left, Closed: c.Closed,
		Steps: views(c.Steps, func(s state.Step) Step {
			return Step{
				Target: s.Target, Account: string(s.Account), UserName: s.UserName, Status: string(s.Status), Open: s.Status.Open(), Attempts: s.Attempts,
				Next: s.Next, Error: s.Error, Seen: s.Seen, At: s.At, Delete: s.Delete, Left: s.Left,
			}
		}),
	}
}

func viewOrphan(o state.Unlinked) Orphan {
	return Orphan{Target: o.Target, Account: string(o.Account), UserName: o.UserName, Active: o.Active, First: o.First}
}

func viewExplanation(e reconcile.Explanation) Explanation {
	return Explanation{
		Person: viewPerson(e.Person), Name: e.Name, DN: e.DN, Where: e.Where, Next: e.Next, Entries: viewEntries(e.Entries),
		Target: e.Target, InScope: e.InScope, Because: e.Because, Manages: e.Manages,
		Account: string(e.Account), UserName: e.UserName, Situation: string(e.Situation), Why: e.Why, Held: e.Held,
		Changes: views(e.Changes, viewChange), Impossible: e.Impossible, History: views(e.History, viewEvent),
	}
}

func viewEntries(list []reconcile.SourceEntry) []Entry {
	if len(list) == 0 {
		return nil
	}
	return views(list, viewEntry)
}

func viewEvent(r audit.Record) Event {
	return Event{
		At: r.At, Kind: string(r.Kind), Op: r.Op, Step: r.Step, Cause: r.Cause, Rule: r.Rule, Target: r.Target, Outcome: r.Outcome, Error: r.Error,
		Actor: r.Actor, Note: r.Note,
	}
}

func viewRun(r state.Run) Run {
	return Run{
		ID: r.ID, Mode: r.Mode, Started: r.Started, Ended: r.Ended, People: r.People, Counts: maps.Clone(r.Counts),
		Held: r.Held, Failed: r.Failed, Findings: r.Findings, Problems: slices.Clone(r.Problems),
	}
}
