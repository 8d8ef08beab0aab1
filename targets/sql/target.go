package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// An application is one way of keeping accounts in a database. It is asked within transactions that it neither begins
// nor ends. Accounts are without entitlements. Its errors are of the classes of package targets, or sqlclient's.
type application interface {
	capabilities() identity.Capabilities
	// list calls yield with every account, and alive with whatever comes from the server.
	list(ctx context.Context, tx *sql.Tx, alive func(), yield func(identity.Account) error) error
	// read is ErrNotFound where there is none of that id.
	read(ctx context.Context, tx *sql.Tx, id identity.AccountID) (identity.Account, error)
	find(ctx context.Context, tx *sql.Tx, attribute, value string) ([]identity.Account, error)
	// create makes an active account.
	create(ctx context.Context, tx *sql.Tx, want identity.Account) error
	update(
		ctx context.Context, tx *sql.Tx, have identity.Account, changes []identity.AttributeChange,
	) ([]targets.Refusal, error)
	disable(ctx context.Context, tx *sql.Tx, have identity.Account) error
	// enable undoes what the closing steps kept, too.
	enable(ctx context.Context, tx *sql.Tx, have identity.Account, kept map[string]string) error
	remove(ctx context.Context, tx *sql.Tx, have identity.Account) error
	// entitlements are all that there are, and of those each account's; one account's where id is not "".
	entitlements(ctx context.Context, tx *sql.Tx) ([]identity.Entitlement, error)
	holders(ctx context.Context, tx *sql.Tx, id identity.AccountID) (map[identity.AccountID][]identity.Entitlement, error)
	// grant and withdraw leave alone what is so already.
	grant(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error
	withdraw(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error
	closing() []step
	own(ctx context.Context, tx *sql.Tx) (targets.Own, error)
	// check says what it sees, and returns the rights that are missing.
	check(
		ctx context.Context, client *sqlclient.Client, say func(format string, args ...any),
	) (lacking []string, err error)
}

// A step is a closing step within a transaction.
type step struct {
	targets.Step // Do and Left are filled in

	do   func(ctx context.Context, tx *sql.Tx, have identity.Account) (kept string, err error)
	left func(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error)
}

// A target is one opened block.
type target struct {
	application

	need   targets.Need
	client *sqlclient.Client
}

// A pass is one use of the target. It remembers nothing: a database answers fast.
type pass struct{ *target }

var (
	_ targets.Target     = (*target)(nil)
	_ targets.Checker    = (*target)(nil)
	_ targets.Pass       = (*pass)(nil)
	_ targets.Identifier = (*pass)(nil)
)

// Begin asks for nothing.
func (t *target) Begin(context.Context) (targets.Pass, error) { return &pass{t}, nil }

// Close implements targets.Target.
func (t *target) Close() error { return t.client.Close() }

// reading runs f where nothing can be written, on a connection that has written nothing.
func (t *target) reading(ctx context.Context, what string, f func(ctx context.Context, tx *sql.Tx) error) error {
	return said(what, classed(t.client.Read(ctx, f), true))
}

// writing runs f in one transaction, with the account as it is within it.
func (t *target) writing(
	ctx context.Context, what string, id identity.AccountID, f func(context.Context, *sql.Tx, identity.Account) error,
) error {
	return said(what, classed(t.client.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		have, err := t.read(ctx, tx, id)
		if err != nil {
			return err
		}
		return f(ctx, tx, have)
	}), false))
}

func said(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Capabilities implements targets.Pass.
func (p *pass) Capabilities() identity.Capabilities { return p.capabilities() }

// errStopped ends a list whose reader wants no more.
var errStopped = errors.New("the reader has stopped")

// Accounts implements targets.Pass.
func (p *pass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		err := p.client.Stream(ctx, func(ctx context.Context, tx *sql.Tx, alive func()) error {
			var holders map[identity.AccountID][]identity.Entitlement
			if p.need.Entitlements {
				var err error
				if holders, err = p.holders(ctx, tx, ""); err != nil {
					return err
				}
			}
			return p.list(ctx, tx, alive, func(a identity.Account) error {
				a = p.shown(a)
				if p.need.Entitlements {
					a.Entitlements = identity.SortedEntitlements(holders[a.ID])
				}
				if !yield(a, nil) {
					return errStopped
				}
				alive()
				return nil
			})
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(identity.Account{}, said("list accounts", classed(err, true)))
		}
	}
}

// shown is an account with what is asked for of its attributes.
func (t *target) shown(a identity.Account) identity.Account {
	maps.DeleteFunc(a.Attributes, func(path string, _ identity.Value) bool { return !slices.Contains(t.need.Paths, path) })
	return a
}

// Account implements targets.Pass.
func (p *pass) Account(ctx context.Context, id identity.AccountID) (a identity.Account, err error) {
	err = p.reading(ctx, "read "+string(id), func(ctx context.Context, tx *sql.Tx) (err error) {
		a, err = p.read(ctx, tx, id)
		return err
	})
	return p.shown(a), err
}

// Entitlements implements targets.Pass.
func (p *pass) Entitlements(ctx context.Context, a identity.Account) (identity.Account, error) {
	if !p.need.Entitlements {
		return a, nil
	}
	err := p.reading(ctx, "read what "+a.UserName+" has", func(ctx context.Context, tx *sql.Tx) error {
		held, err := p.holders(ctx, tx, a.ID)
		a.Entitlements = identity.SortedEntitlements(held[a.ID])
		return err
	})
	return a, err
}

// Find implements targets.Pass.
func (p *pass) Find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	if value == "" {
		return nil, nil
	}
	err = p.reading(ctx, "find by "+attribute, func(ctx context.Context, tx *sql.Tx) (err error) {
		found, err = p.find(ctx, tx, attribute, value)
		return err
	})
	for i, a := range found {
		found[i] = p.shown(a)
	}
	return found, err
}

// Resolve implements targets.Pass.
func (p *pass) Resolve(
	ctx context.Context, want []identity.Entitlement,
) (known []identity.Entitlement, missing []targets.Missing, err error) {
	if len(want) == 0 {
		return nil, nil, nil
	}
	err = p.reading(ctx, "read what can be granted", func(ctx context.Context, tx *sql.Tx) (err error) {
		known, missing, err = p.resolve(ctx, tx, want)
		return err
	})
	return known, missing, err
}

func (t *target) resolve(
	ctx context.Context, tx *sql.Tx, want []identity.Entitlement,
) (known []identity.Entitlement, missing []targets.Missing, err error) {
	all, err := t.entitlements(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range want {
		var same, exact []identity.Entitlement
		for _, k := range all {
			if e.Same(k) {
				same = append(same, k)
				if k.Name == e.Name {
					exact = append(exact, k)
				}
			}
		}
		if len(exact) == 1 {
			same = exact
		}
		switch len(same) {
		case 0:
			missing = append(missing, targets.Missing{Entitlement: e, Why: "the database has none of that name"})
		case 1:
			known = append(known, same[0])
		default:
			why := fmt.Sprintf("the database has %d of that name", len(same))
			missing = append(missing, targets.Missing{Entitlement: e, Why: why})
		}
	}
	return known, missing, nil
}

// Create implements targets.Pass. Account and entitlements are made in one transaction, or not at all.
func (p *pass) Create(ctx context.Context, want identity.Account) (identity.Account, targets.Receipt, error) {
	err := p.client.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		there, err := p.find(ctx, tx, "userName", want.UserName)
		if err != nil {
			return err
		}
		if len(there) > 0 {
			return fmt.Errorf("%w: there is an account %s already", targets.ErrConflict, there[0].UserName)
		}
		if err := p.create(ctx, tx, want); err != nil {
			return err
		}
		if len(want.Entitlements) == 0 {
			return nil
		}
		made, err := only(p.find(ctx, tx, "userName", want.UserName))
		if err != nil {
			return err
		}
		return p.entitle(ctx, tx, made, want.Entitlements, nil)
	})
	if err != nil {
		return identity.Account{}, targets.Receipt{}, said("create "+want.UserName, classed(err, false))
	}
	var made identity.Account
	err = p.reading(ctx, "read "+want.UserName, func(ctx context.Context, tx *sql.Tx) (err error) {
		if made, err = only(p.find(ctx, tx, "userName", want.UserName)); err != nil || !p.need.Entitlements {
			return err
		}
		held, err := p.holders(ctx, tx, made.ID)
		made.Entitlements = identity.SortedEntitlements(held[made.ID])
		return err
	})
	return p.shown(made), targets.Receipt{}, err
}

// only is the account that was just made.
func only(found []identity.Account, err error) (identity.Account, error) {
	switch {
	case err != nil:
		return identity.Account{}, err
	case len(found) == 0:
		return identity.Account{}, fmt.Errorf("%w: the server took the statement, and there is no such account",
			targets.ErrRejected)
	case len(found) > 1:
		return identity.Account{}, fmt.Errorf("%w: there are %d of that name", targets.ErrConflict, len(found))
	}
	return found[0], nil
}

// entitle grants and withdraws. What is to go and is not there has gone.
func (t *target) entitle(
	ctx context.Context, tx *sql.Tx, have identity.Account, grant, withdraw []identity.Entitlement,
) error {
	known, missing, err := t.resolve(ctx, tx, grant)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: grant %s: %s", targets.ErrRejected, missing[0].Entitlement, missing[0].Why)
	}
	held, err := t.holders(ctx, tx, have.ID)
	if err != nil {
		return err
	}
	for _, e := range known {
		if identity.HasEntitlement(held[have.ID], e) {
			continue
		}
		if err := t.grant(ctx, tx, have, e); err != nil {
			return fmt.Errorf("grant %s: %w", e, err)
		}
	}
	for _, e := range held[have.ID] {
		if !identity.HasEntitlement(withdraw, e) {
			continue
		}
		if err := t.withdraw(ctx, tx, have, e); err != nil {
			return fmt.Errorf("withdraw %s: %w", e, err)
		}
	}
	return nil
}

// Update implements targets.Pass: one transaction for all of it.
func (p *pass) Update(
	ctx context.Context, have identity.Account, delta identity.Delta,
) (identity.Account, targets.Receipt, error) {
	var r targets.Receipt
	err := p.writing(ctx, "update "+have.UserName, have.ID,
		func(ctx context.Context, tx *sql.Tx, now identity.Account) (err error) {
			if len(delta.Attributes) > 0 {
				if r.Refused, err = p.update(ctx, tx, now, delta.Attributes); err != nil {
					return err
				}
			}
			if len(delta.Grant)+len(delta.Withdraw) == 0 {
				return nil
			}
			return p.entitle(ctx, tx, now, delta.Grant, delta.Withdraw)
		})
	if err != nil {
		return identity.Account{}, targets.Receipt{}, err
	}
	after, err := p.Account(ctx, have.ID)
	if err == nil {
		after, err = p.Entitlements(ctx, after)
	}
	return after, r, err
}

// Enable implements targets.Pass.
func (p *pass) Enable(ctx context.Context, have identity.Account, kept map[string]string) (targets.Receipt, error) {
	err := p.writing(ctx, "enable "+have.UserName, have.ID,
		func(ctx context.Context, tx *sql.Tx, now identity.Account) error {
			return p.enable(ctx, tx, now, kept)
		})
	if err == nil {
		err = p.seen(ctx, have, true)
	}
	return targets.Receipt{}, err
}

// Disable implements targets.Pass.
func (p *pass) Disable(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	err := p.writing(ctx, "disable "+have.UserName, have.ID,
		func(ctx context.Context, tx *sql.Tx, now identity.Account) error {
			return p.disable(ctx, tx, now)
		})
	if err == nil {
		err = p.seen(ctx, have, false)
	}
	return targets.Receipt{}, err
}

// seen reads an account on another connection than the one that wrote: a statement may return success and do nothing.
func (p *pass) seen(ctx context.Context, have identity.Account, active bool) error {
	now, err := p.Account(ctx, have.ID)
	if err != nil || now.Active == active {
		return err
	}
	state := "not active"
	if now.Active {
		state = strings.TrimSpace("still active " + now.ActiveShown)
	}
	return fmt.Errorf("%w: the server took the statement, and %s is %s", targets.ErrRejected, have.UserName, state)
}

// Delete implements targets.Pass.
func (p *pass) Delete(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	if !p.capabilities().Delete {
		return targets.Receipt{}, fmt.Errorf("%w: delete %s: the config does not say allow_delete = true",
			targets.ErrRejected, have.UserName)
	}
	err := p.writing(ctx, "delete "+have.UserName, have.ID,
		func(ctx context.Context, tx *sql.Tx, now identity.Account) error {
			return p.remove(ctx, tx, now)
		})
	if err != nil {
		return targets.Receipt{}, err
	}
	if _, err = p.Account(ctx, have.ID); errors.Is(err, targets.ErrNotFound) {
		return targets.Receipt{}, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: the server took the statement, and %s is still there", targets.ErrRejected, have.UserName)
	}
	return targets.Receipt{}, err
}

// Closing implements targets.Pass.
func (p *pass) Closing() []targets.Step {
	var list []targets.Step
	for _, s := range p.closing() {
		if s.do != nil {
			s.Do = func(ctx context.Context, have identity.Account) (kept string, r targets.Receipt, err error) {
				err = p.writing(ctx, s.Name+" of "+have.UserName, have.ID,
					func(ctx context.Context, tx *sql.Tx, now identity.Account) (err error) {
						kept, err = s.do(ctx, tx, now)
						return err
					})
				return kept, r, err
			}
		}
		if s.left != nil {
			s.Left = func(ctx context.Context, have identity.Account) (left string, err error) {
				err = p.reading(ctx, s.Name+" of "+have.UserName, func(ctx context.Context, tx *sql.Tx) error {
					now, err := p.read(ctx, tx, have.ID)
					if err == nil {
						left, err = s.left(ctx, tx, now)
					}
					return err
				})
				return left, err
			}
		}
		list = append(list, s.Step)
	}
	return list
}

// Own implements targets.Identifier.
func (p *pass) Own(ctx context.Context) (own targets.Own, err error) {
	err = p.reading(ctx, "ask who we are", func(ctx context.Context, tx *sql.Tx) (err error) {
		own, err = p.own(ctx, tx)
		return err
	})
	return own, err
}

// Check implements targets.Checker.
func (t *target) Check(ctx context.Context) ([]string, error) {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	err := t.reading(ctx, "sign in", func(context.Context, *sql.Tx) error { return nil })
	if err != nil {
		return lines, err
	}
	say("signed in: %s", t.client.Who())
	lacking, err := t.check(ctx, t.client, say)
	if err != nil {
		return lines, classed(err, true)
	}
	if len(lacking) > 0 {
		return lines, fmt.Errorf("%w: missing: %s", targets.ErrForbidden, strings.Join(lacking, "; "))
	}
	return lines, nil
}
