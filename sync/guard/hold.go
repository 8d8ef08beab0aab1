package guard

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A cohort are leavers that are held together.
type cohort struct {
	directory string
	target    string
	cause     identity.Cause
	group     string
	container string
	anomaly   string
	reason    string
	closed    []string
	leavers   []identity.Leaver
}

// because says by what they leave.
func (c cohort) because() string {
	if c.group != "" {
		return fmt.Sprintf("%s: they are no longer in group %s", c.cause, c.group)
	}
	return string(c.cause)
}

// maxNames is how many of those closed already a hold names.
const maxNames = 50

// hold makes a hold of a cohort.
func (d *decider) hold(c cohort) {
	h := identity.Hold{
		Kind: d.kind, Directory: c.directory, Target: c.target, Cause: c.cause, Group: c.group, Container: c.container, Anomaly: c.anomaly,
		Reason: c.reason, Closed: c.closed[:min(len(c.closed), maxNames)], Count: len(c.leavers), Since: d.Now,
	}
	for _, l := range c.leavers {
		h.Members = append(h.Members, memberOf(l))
	}
	if c.anomaly != "" && d.kind == identity.HoldCohort {
		h.Kind = identity.HoldAnomaly
	}
	slices.SortFunc(h.Members, identity.Member.Compare)
	if of := h.Members[0].Target; !slices.ContainsFunc(h.Members, func(m identity.Member) bool { return m.Target != of }) {
		h.Target = of
	}
	h.Digest = Digest(h)
	for _, l := range c.leavers {
		d.out.Held = append(d.out.Held, Waiting{l, h.Digest, memberOf(l)})
	}
	d.out.Holds = append(d.out.Holds, h)
}

func memberOf(l identity.Leaver) identity.Member {
	return identity.Member{
		Person: l.Person, Name: l.Name, Target: l.Target, Account: l.Account, UserName: l.UserName, Cause: l.Cause, Strength: l.Strength,
	}
}

// Digest names a hold exactly: 64 bits in hex over what it is, when it was made and who its members are.
func Digest(h identity.Hold) string {
	parts := []string{
		string(h.Kind), h.Directory, h.Target, string(h.Cause), strings.ToLower(h.Group), strings.ToLower(h.Container), h.Anomaly, h.Attribute,
		strconv.FormatInt(h.Since.UnixNano(), 10), strconv.FormatUint(h.Mapping, 16), strconv.Itoa(h.Count),
	}
	for _, m := range h.Members {
		parts = append(parts, m.Target, m.Person.String(), string(m.Account))
	}
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// atAnySize reports whether whoever leaves by cause is held whatever their number.
func atAnySize(cause identity.Cause) bool {
	return cause == identity.ConfigEdited || cause == identity.BeforeUs
}

// groups is a set of cohorts that become one hold each, by key.
type groups map[string]cohort

func (g groups) add(key string, c cohort, l identity.Leaver) {
	if old, ok := g[key]; ok {
		c = old
	}
	c.leavers = append(c.leavers, l)
	g[key] = c
}

func (d *decider) holdAll(g groups) {
	for _, c := range g {
		d.hold(c)
	}
}

// compare orders leavers by target, person and account.
func compare(a, b identity.Leaver) int {
	return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Person.Directory, b.Person.Directory),
		cmp.Compare(a.Person.Anchor, b.Person.Anchor), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Cause, b.Cause))
}
