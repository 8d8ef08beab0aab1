// Package sweep closes leavers: it proves absence, runs the steps on each target, reads back, and keeps the case open
// until every account is proven closed.
package sweep

import "time"

// An Action is what becomes of a leaver's account.
type Action string

// The actions.
const (
	ActionDisable Action = "disable"
	ActionDelete  Action = "delete"
	ActionReport  Action = "report"
)

// A Policy is a target's `leaver` block.
type Policy struct {
	Action      Action
	Revoke      bool          // also the closing steps that end what somebody who is signed in has
	Strip       bool          // take every entitlement away
	DeleteAfter time.Duration // grace between the proven disable and the delete; 0 for never
}

// Closing is the policy of an account that is closed all the same: an order is one where leavers are only reported.
func (p Policy) Closing() Policy {
	if p.Action == ActionReport {
		p.Action = ActionDisable
	}
	return p
}

// Default is the policy of a target without a `leaver` block: disable, revoke, and strip where entitlements are mapped.
func Default(entitlements bool) Policy {
	return Policy{Action: ActionDisable, Revoke: true, Strip: entitlements}
}
