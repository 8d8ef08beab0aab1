package guard

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Leaver is one account of one target that a pass would close.
type Leaver struct {
	Person    identity.PersonID
	Name      string
	Account   identity.AccountID
	UserName  string
	Cause     identity.Cause
	Container string
}

// A Cohort is a set of leavers of one target that share a cause and a container.
type Cohort struct {
	Cause     identity.Cause
	Container string
	Leavers   []Leaver // sorted by person and account
	Digest    string   // names exactly these leavers
	Reason    string   // why it is held
}

// A Verdict says which leavers go ahead.
type Verdict struct {
	Go   []Leaver
	Held []Cohort
}

// Judge decides over one target's leavers of a pass (R6). active is the target's number of linked active accounts, these leavers included;
// swept is how many were closed in the current window; approved tells whether an operator released this leaver. Approved leavers and
// emergencies go ahead and do not count. Where the rest is over the limit, the largest cohorts are held until what is left is within it.
func Judge(l Limits, target string, active, swept int, leavers []Leaver, approved func(Leaver) bool) Verdict {
	var v Verdict
	var counted []Leaver
	for _, leaver := range leavers {
		if leaver.Cause == identity.Emergency || approved(leaver) {
			v.Go = append(v.Go, leaver)
		} else {
			counted = append(counted, leaver)
		}
	}
	cohorts := group(target, counted)
	limit, name := l.allowed(active)
	left := max(0, limit-swept)
	total := len(counted)
	for _, c := range cohorts {
		if total <= left {
			v.Go = append(v.Go, c.Leavers...)
			continue
		}
		total -= len(c.Leavers)
		c.Reason = fmt.Sprintf("%d would be closed, now allowed: %d; %s is %d of %d active accounts, %d closed within the last %g h",
			len(counted), left, name, limit, active, swept, l.Window.Hours())
		v.Held = append(v.Held, c)
	}
	slices.SortFunc(v.Go, compare)
	return v
}

// allowed is the limit in accounts, and which setting makes it. A percentage of few accounts allows at least one, so that a small
// company's single leaver never waits; 0 allows none.
func (l Limits) allowed(active int) (int, string) {
	byPercent := int(l.MaxSweepPercent * float64(active) / 100)
	if l.MaxSweepPercent > 0 {
		byPercent = max(1, byPercent)
	}
	if byPercent < l.MaxSweepCount {
		return byPercent, fmt.Sprintf("max_sweep_percent = %g", l.MaxSweepPercent)
	}
	return l.MaxSweepCount, fmt.Sprintf("max_sweep_count = %d", l.MaxSweepCount)
}

// group makes cohorts, the largest first. An edited scope is one cohort wherever its people are (R14).
func group(target string, leavers []Leaver) []Cohort {
	type key struct {
		cause     identity.Cause
		container string
	}
	sets := map[key][]Leaver{}
	for _, leaver := range leavers {
		k := key{leaver.Cause, strings.ToLower(leaver.Container)}
		if leaver.Cause == identity.Rescoped {
			k.container = ""
		}
		sets[k] = append(sets[k], leaver)
	}
	cohorts := make([]Cohort, 0, len(sets))
	for k, set := range sets {
		slices.SortFunc(set, compare)
		c := Cohort{Cause: k.cause, Leavers: set, Digest: digest(target, k.cause, k.container, set)}
		if k.cause != identity.Rescoped {
			c.Container = set[0].Container
		}
		cohorts = append(cohorts, c)
	}
	slices.SortFunc(cohorts, func(a, b Cohort) int {
		return cmp.Or(-cmp.Compare(len(a.Leavers), len(b.Leavers)), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Container, b.Container))
	})
	return cohorts
}

func compare(a, b Leaver) int {
	return cmp.Or(strings.Compare(a.Person.String(), b.Person.String()), cmp.Compare(a.Account, b.Account))
}

func digest(target string, cause identity.Cause, container string, leavers []Leaver) string {
	parts := []string{"cohort", target, string(cause), container}
	for _, l := range leavers {
		parts = append(parts, l.Person.String(), string(l.Account))
	}
	return hash(parts)
}

func hash(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Protected reports whether userName fits one of the globs that name accounts never written (R5), and which one. A slash and a backslash
// are letters like any other in them: logins such as CORP\svc-1 and host/db-1 have them.
func (l Limits) Protected(userName string) (glob string, ok bool) {
	letters := strings.NewReplacer("/", "\x00", `\`, "\x01")
	name := letters.Replace(strings.ToLower(userName))
	for _, glob := range l.Protect {
		if fits, err := path.Match(letters.Replace(strings.ToLower(glob)), name); err == nil && fits {
			return glob, true
		}
	}
	return "", false
}

// A Shrink is a snapshot too small to believe (R2).
type Shrink struct {
	Digest string // names this source, these people and the number accepted before
	Reason string
}

// Shrunk judges the size of a complete snapshot against the last accepted one, and returns nil where it may be believed. people is a hash
// of who is in it.
func Shrunk(maxPercent float64, source string, accepted, count int, people uint64) *Shrink {
	switch {
	case count == 0:
		return &Shrink{
			Digest: hash([]string{"shrink", source, fmt.Sprint(accepted), "0"}),
			Reason: fmt.Sprintf("%s answered with nobody (%d before): a wrong base, filter or right, or an empty directory", source, accepted),
		}
	case float64(accepted-count)*100 > maxPercent*float64(accepted):
		return &Shrink{
			Digest: hash([]string{"shrink", source, fmt.Sprint(accepted), fmt.Sprint(count), fmt.Sprint(people)}),
			Reason: fmt.Sprintf("%s shrank from %d to %d people, more than max_shrink_percent = %g", source, accepted, count, maxPercent),
		}
	}
	return nil
}
