// Package exec is the target kind for home-grown applications: a program of the administrator's that reads requests and
// writes answers, one JSON object a line (docs/targets/exec.md). It is given values on its standard input alone, and
// nothing that it says about what it did is believed: accounts are read back through it.
package exec

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A Program is how the program is run.
type Program struct {
	Command      []string          // the program and its arguments; no shell sees them
	Folder       string            // where a relative program is
	Directory    string            // where it runs
	Environment  map[string]string // beside PATH, the language and the time zone
	Timeout      time.Duration     // of an answer, and of each line of a list
	StartTimeout time.Duration     // until it has said hello
	Parallel     int               // how many run at once, beside the one that lists
}

// What is left out of a config.
const (
	defaultTimeout      = 30 * time.Second
	defaultStartTimeout = 10 * time.Second
	defaultParallel     = 2
)

type target struct {
	need     targets.Need
	log      hclog.Logger
	programs *programs
	deleting sync.Mutex // what is gone is compared before and after
}

// A pass is one use of the target, with what is learned in it of groups and of how accounts are found.
type pass struct {
	*target
	hello  *Hello
	groups groupList
	finds  finding
}

var (
	_ targets.Target     = (*target)(nil)
	_ targets.Checker    = (*target)(nil)
	_ targets.Pass       = (*pass)(nil)
	_ targets.Identifier = (*pass)(nil)
)

// Open makes the target. It starts nothing: that is done when something is first asked.
func Open(p Program, need targets.Need) (targets.Target, error) {
	if need.Log == nil || len(p.Command) == 0 {
		return nil, errors.New("a logger and a command are needed")
	}
	return &target{need: need, log: need.Log, programs: newPrograms(p, need.Log)}, nil
}

// Begin asks the program what it can do, once for each time it is started.
func (t *target) Begin(ctx context.Context) (targets.Pass, error) {
	hello, err := t.programs.about(ctx)
	if err == nil {
		err = hello.readable()
	}
	if err != nil {
		return nil, fmt.Errorf("asking what the program can do: %w", err)
	}
	return &pass{target: t, hello: hello}, nil
}

func (t *target) Close() error {
	t.programs.close()
	return nil
}

func (p *pass) Capabilities() identity.Capabilities {
	return identity.Capabilities{
		Disable: p.hello.has(opDisable), Delete: p.hello.has(opDelete), Update: p.hello.has(opUpdate),
		Entitlements: p.hello.has(opGroups, opGrant, opWithdraw),
	}
}

// Own is what the program's hello says.
func (p *pass) Own(context.Context) (targets.Own, error) {
	if p.hello.Own == nil {
		return targets.Own{}, nil
	}
	return targets.Own{ID: p.hello.Own.ID, UserName: p.hello.Own.UserName}, nil
}

// one asks for what has one answer.
func (t *target) one(ctx context.Context, r request) (a answer, err error) {
	if err := t.pace(ctx); err != nil {
		return a, err
	}
	err = t.programs.ask(ctx, t.programs.calls, r, func(got answer) (bool, error) {
		a = got
		return true, nil
	})
	return a, err
}

// errStop ends a list early, for want of interest.
var errStop = errors.New("the rest is not wanted")

// list asks for a list and gives each to take; it is whole where no error is returned.
func (t *target) list(ctx context.Context, r request, take func(answer) error) error {
	if err := t.pace(ctx); err != nil {
		return err
	}
	n := 0
	return t.programs.ask(ctx, t.programs.lists, r, func(a answer) (bool, error) {
		switch {
		case !a.End:
			n++
			return false, take(a)
		case a.Count == nil || *a.Count != n:
			return true, fmt.Errorf("%w: %d came of what the program counts as %s", targets.ErrIncomplete, n, counted(a.Count))
		}
		return true, nil
	})
}

func counted(n *int) string {
	if n == nil {
		return "nothing (its last line has no count)"
	}
	return fmt.Sprint(*n)
}

func (t *target) pace(ctx context.Context) error {
	if t.need.Pace == nil {
		return ctx.Err()
	}
	return t.need.Pace(ctx)
}

func (p *pass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		err := p.everyone(ctx, opAccounts, func(a identity.Account) error {
			if !yield(a, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(identity.Account{}, fmt.Errorf("list accounts: %w", err))
		}
	}
}

// everyone gives take every account, with its entitlements where they are needed.
func (p *pass) everyone(ctx context.Context, op string, take func(identity.Account) error) error {
	var known groupNames
	if p.need.Entitlements {
		var err error
		if known, err = p.groups.names(ctx, p); err != nil {
			return fmt.Errorf("list groups: %w", err)
		}
	}
	seen := map[identity.AccountID]bool{}
	err := p.list(ctx, request{Op: op}, func(got answer) error {
		a, err := p.shown(got)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
		case seen[a.ID]:
			return fmt.Errorf("%w: the account %s (%s) came twice", targets.ErrIncomplete, a.UserName, a.ID)
		}
		seen[a.ID] = true
		if p.need.Entitlements {
			a = known.entitle(a, got.Account.Groups)
		}
		return take(a)
	})
	if errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("%w: %s", targets.ErrIncomplete, err) // no list is not found: of which account would that be said?
	}
	return err
}

// shown is the account that an answer shows.
func (p *pass) shown(got answer) (identity.Account, error) {
	if got.Account == nil {
		return identity.Account{}, errors.New("the program answered without an account")
	}
	a, err := got.Account.account(p.need.Paths)
	if err == nil {
		p.finds.remember(a)
	}
	return a, err
}

func (p *pass) Account(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	a, _, err := p.read(ctx, id)
	if err != nil {
		return identity.Account{}, fmt.Errorf("read account %s: %w", plain(string(id), 80), err)
	}
	return a, nil
}

// read returns an account, less its entitlements, and the identifiers of its groups.
func (p *pass) read(ctx context.Context, id identity.AccountID) (a identity.Account, groups *[]string, err error) {
	if id == "" {
		return a, nil, fmt.Errorf("%w: no id", targets.ErrNotFound)
	}
	got, err := p.one(ctx, request{Op: opAccount, Account: &asked{ID: id}})
	if err != nil {
		return a, nil, err
	}
	if a, err = p.shown(got); err != nil {
		return a, nil, fmt.Errorf("%w: %w", targets.ErrRejected, err)
	}
	if a.ID != id {
		return a, nil, fmt.Errorf("%w: asked for the account %q, the program answered with %q", targets.ErrRejected, id, a.ID)
	}
	return a, got.Account.Groups, nil
}

func (p *pass) Create(ctx context.Context, want identity.Account) (identity.Account, targets.Receipt, error) {
	a, receipt, err := p.create(ctx, want)
	if err != nil {
		err = fmt.Errorf("create %s: %w", plain(want.UserName, 80), err)
	}
	return a, receipt, err
}

func (p *pass) create(
	ctx context.Context, want identity.Account,
) (a identity.Account, receipt targets.Receipt, err error) {
	if err := p.can(opCreate); err != nil {
		return a, receipt, err
	}
	if err := plainIdentity(want); err != nil {
		return a, receipt, err
	}
	set, refused := p.takes(want.Attributes)
	receipt.Refused = refused
	got, more, err := p.less(ctx, set, func(set map[string]identity.Value) request {
		r := request{Op: opCreate, Account: &asked{UserName: want.UserName, Attributes: rawValues(set)}}
		if p.hello.keeps("externalId") {
			r.Account.ExternalID = want.ExternalID
		}
		return r
	})
	receipt.Refused, receipt.RequestID = sorted(append(receipt.Refused, more...)), plain(got.Receipt, 80)
	if errors.Is(err, targets.ErrNotFound) {
		err = fmt.Errorf("%w: %s", targets.ErrRejected, err)
	}
	if err != nil {
		return a, receipt, err
	}
	if a, err = p.shown(got); err != nil {
		return identity.Account{}, receipt, fmt.Errorf("%w: created, but %w", targets.ErrUnavailable, err)
	}
	if p.need.Entitlements {
		a.Entitlements = []identity.Entitlement{}
	}
	// From here on the account exists: it is returned with the error, if one comes.
	there, _, err := p.read(ctx, a.ID)
	if err != nil {
		return a, receipt, fmt.Errorf("created; reading it: %w", err)
	}
	there.Entitlements = a.Entitlements
	if len(want.Entitlements) == 0 {
		return there, receipt, nil
	}
	if _, err := p.regroup(ctx, there.ID, want.Entitlements, nil); err != nil {
		return there, receipt, err
	}
	there, err = p.Entitlements(ctx, there)
	return there, receipt, err
}

func (p *pass) Update(
	ctx context.Context, have identity.Account, delta identity.Delta,
) (identity.Account, targets.Receipt, error) {
	a, receipt, err := p.update(ctx, have, delta)
	if err != nil {
		return identity.Account{}, receipt, fmt.Errorf("update %s: %w", plain(have.UserName, 80), err)
	}
	return a, receipt, nil
}

func (p *pass) update(
	ctx context.Context, have identity.Account, delta identity.Delta,
) (a identity.Account, receipt targets.Receipt, err error) {
	if len(delta.Attributes) > 0 {
		if receipt, err = p.write(ctx, have, delta.Attributes); err != nil {
			return a, receipt, err
		}
	}
	id, err := p.regroup(ctx, have.ID, delta.Grant, delta.Withdraw)
	if receipt.RequestID == "" {
		receipt.RequestID = id
	}
	if err != nil {
		return a, receipt, err
	}
	if a, _, err = p.read(ctx, have.ID); err != nil {
		return a, receipt, err
	}
	if len(delta.Withdraw)+len(delta.Grant) > 0 {
		a, err = p.Entitlements(ctx, a)
		return a, receipt, err
	}
	a.Entitlements, a.EntitlementsUnknown = have.Entitlements, have.EntitlementsUnknown
	return a, receipt, nil
}

// write changes attributes.
func (p *pass) write(
	ctx context.Context, have identity.Account, changes []identity.AttributeChange,
) (receipt targets.Receipt, err error) {
	if err := p.can(opUpdate); err != nil {
		return receipt, err
	}
	values := map[string]identity.Value{}
	for _, c := range changes {
		values[c.Path] = c.After
	}
	set, refused := p.takes(values)
	if len(set) == 0 {
		return targets.Receipt{Refused: refused}, nil
	}
	got, more, err := p.less(ctx, set, func(set map[string]identity.Value) request {
		return request{Op: opUpdate, Account: of(have), Set: set}
	})
	return targets.Receipt{RequestID: plain(got.Receipt, 80), Refused: sorted(append(refused, more...))}, err
}

// less asks for something with values, and again without those that the program refuses by name.
func (p *pass) less(
	ctx context.Context, set map[string]identity.Value, ask func(map[string]identity.Value) request,
) (got answer, refused []targets.Refusal, err error) {
	for {
		got, err = p.one(ctx, ask(set))
		var no *targets.RejectedError
		if !errors.As(err, &no) {
			return got, refused, err
		}
		if _, sent := set[no.Path]; !sent || no.Path == "userName" {
			return got, refused, err
		}
		refused = append(refused, targets.Refusal{Path: no.Path, Why: no.Err.Error()})
		delete(set, no.Path)
		if len(set) == 0 && ask(nil).Op == opUpdate {
			return answer{}, refused, nil
		}
	}
}

// takes are the values that the program can be given; the others are refused.
func (p *pass) takes(values map[string]identity.Value) (set map[string]identity.Value, refused []targets.Refusal) {
	set = map[string]identity.Value{}
	for path, v := range values {
		switch {
		case !p.hello.keeps(path):
			why := "the program does not keep it: its hello does not name it"
			refused = append(refused, targets.Refusal{Path: path, Why: why})
		case strings.Contains(string(v), `\u0000`):
			why := "the value holds a NUL character, which programs take for its end"
			refused = append(refused, targets.Refusal{Path: path, Why: why})
		default:
			set[path] = v
		}
	}
	return set, sorted(refused)
}

func sorted(list []targets.Refusal) []targets.Refusal {
	slices.SortFunc(list, func(a, b targets.Refusal) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// plainIdentity refuses a name or a mark that a program would take for another.
func plainIdentity(want identity.Account) error {
	for path, text := range map[string]string{"userName": want.UserName, "externalId": want.ExternalID} {
		if unprintable(text) {
			return &targets.RejectedError{Path: path, Err: errors.New("it holds a control character, such as NUL")}
		}
	}
	return nil
}

func of(a identity.Account) *asked { return &asked{ID: a.ID, UserName: a.UserName} }

// can says that the program has an operation.
func (p *pass) can(op string) error {
	if p.hello.has(op) {
		return nil
	}
	return fmt.Errorf("%w: the program has no operation %s", targets.ErrRejected, op)
}

func (p *pass) Enable(ctx context.Context, have identity.Account, kept map[string]string) (targets.Receipt, error) {
	return p.do(ctx, request{Op: opEnable, Account: of(have), Kept: kept})
}

func (p *pass) Disable(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	return p.do(ctx, request{Op: opDisable, Account: of(have)})
}

// do has something done to an account. Where that is busy, what is in use of it is ended first, by the steps that the
// program has for it.
func (p *pass) do(ctx context.Context, r request) (receipt targets.Receipt, err error) {
	fail := func(err error) (targets.Receipt, error) {
		return receipt, fmt.Errorf("%s %s: %w", r.Op, plain(r.Account.UserName, 80), err)
	}
	if err := p.can(r.Op); err != nil {
		return fail(err)
	}
	if r.Account.ID == "" {
		return fail(fmt.Errorf("%w: no id", targets.ErrRejected))
	}
	got, err := p.one(ctx, r)
	if errors.Is(err, errBusy) && r.Op != opEnable {
		for _, step := range p.hello.Steps {
			if step.Revokes && err != nil {
				_, _ = p.one(ctx, request{Op: opStep, Step: step.Name, Account: r.Account}) // whether it helped shows below
			}
		}
		got, err = p.one(ctx, r)
	}
	receipt.RequestID = plain(got.Receipt, 80)
	if err != nil {
		return fail(err)
	}
	return receipt, nil
}

// Closing are the steps that the program's hello names.
func (p *pass) Closing() (steps []targets.Step) {
	for _, named := range p.hello.Steps {
		step := targets.Step{Name: named.Name, Revokes: named.Revokes, Do: func(
			ctx context.Context, have identity.Account,
		) (string, targets.Receipt, error) {
			got, err := p.one(ctx, request{Op: opStep, Step: named.Name, Account: of(have)})
			return got.Kept, targets.Receipt{RequestID: plain(got.Receipt, 80)}, err
		}}
		if named.Readable {
			step.Left = func(ctx context.Context, have identity.Account) (string, error) {
				got, err := p.one(ctx, request{Op: opLeft, Step: named.Name, Account: of(have)})
				return plain(got.Left, 200), err
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// Delete removes the account, and sees that no other goes with it: a program that takes more than it was asked for is
// used no more. It is not how sign-in is refused, so that it may list accounts.
func (p *pass) Delete(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	p.deleting.Lock()
	defer p.deleting.Unlock()
	before, err := p.names(ctx)
	if err != nil {
		return targets.Receipt{}, fmt.Errorf("delete %s: list accounts before: %w", plain(have.UserName, 80), unlisted(err))
	}
	receipt, err := p.do(ctx, request{Op: opDelete, Account: of(have)})
	if errors.Is(err, targets.ErrNotFound) {
		return receipt, err // there was nothing that could have gone
	}
	after, failed := p.names(ctx)
	if failed != nil {
		failed = fmt.Errorf("delete %s: list accounts after: %w", plain(have.UserName, 80), unlisted(failed))
		return receipt, errors.Join(err, failed)
	}
	delete(before, have.ID)
	for id := range after {
		delete(before, id)
	}
	var lost []string
	for id, name := range before {
		if _, _, err := p.read(ctx, id); errors.Is(err, targets.ErrNotFound) {
			lost = append(lost, fmt.Sprintf("%s (%s)", plain(name, 80), plain(string(id), 80)))
		}
	}
	if len(lost) == 0 {
		return receipt, err
	}
	slices.Sort(lost)
	why := fmt.Errorf("deleting %s took more than was asked for: %s went too; the program is used no more: "+
		"bring them back, mend it, then restart dirsweep",
		plain(have.UserName, 80), strings.Join(lost[:min(len(lost), 10)], ", "))
	p.log.Error("quarantined", "error", why)
	p.programs.stop(why)
	return receipt, fmt.Errorf("%w: %w", targets.ErrRejected, why)
}

// names are the accounts that there are.
func (p *pass) names(ctx context.Context) (map[identity.AccountID]string, error) {
	all := map[identity.AccountID]string{}
	err := p.list(ctx, request{Op: opAccounts}, func(got answer) error {
		if got.Account == nil || got.Account.ID == "" {
			return fmt.Errorf("%w: a line without an account", targets.ErrIncomplete)
		}
		all[got.Account.ID] = got.Account.UserName
		return nil
	})
	return all, err
}

// unlisted is a list's error as one of a change: that it is not whole says nothing of the account.
func unlisted(err error) error {
	if errors.Is(err, targets.ErrNotFound) || errors.Is(err, targets.ErrIncomplete) {
		return fmt.Errorf("%w: %s", targets.ErrUnavailable, err)
	}
	return err
}
