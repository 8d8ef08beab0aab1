package mapping_test

import (
	"slices"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// R14: whoever does not meet a part of `active` that was there before an edit left by that, and not by the edit.
func TestR14ConditionsOutliveAnEdit(t *testing.T) {
	compiled := func(active string) *mapping.Source {
		t.Helper()
		exprs, files := parse(t, "active = "+active)
		s, diags := mapping.CompileSource(
			mapping.SourceExpressions{Active: exprs["active"]},
			mapping.Schema{Attributes: []string{"employeeType", "nsAccountLock", "title"}}, mapping.Env{Files: files},
		)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return s
	}
	const asked, chief = `!is_true(person.nsAccountLock) && person.employeeType == "staff"`, ` && person.title != "Boss"`
	before := compiled(asked)
	locked := map[string][]string{"nsAccountLock": {"TRUE"}, "employeeType": {"staff"}, "title": {"Boss"}}
	former := map[string][]string{"employeeType": {"former"}, "title": {"Boss"}}
	boss := map[string][]string{"employeeType": {"staff"}, "title": {"Boss"}}
	for _, c := range []struct {
		name, active string
		person       map[string][]string
		old          bool // one of the conditions that are not met was there before
		names        [][]string
	}{
		{"nothing edited", asked, locked, true, [][]string{{"nsAccountLock"}}},
		{"a part added", asked + chief, former, true, [][]string{{"employeeType"}, {"title"}}},
		{"only by the part added", asked + chief, boss, false, [][]string{{"title"}}},
		{
			"in another order, in brackets",
			`(person.title != "Boss") && (person.employeeType == "staff" && !is_true(person.nsAccountLock))`,
			locked, true,
			[][]string{{"title"}, {"nsAccountLock"}},
		},
		{"spelled otherwise", `person.employeeType != "former"`, former, false, [][]string{{"employeeType"}}},
		{"one of two is enough", `!is_true(person.nsAccountLock) || person.employeeType == "staff"`, boss, false, nil},
		{
			"neither is, but it is another question", `person.employeeType == "staff" || person.title == "Chief"`,
			former, false,
			[][]string{{"employeeType", "title"}},
		},
		{"a group may be out of sight", `member_of("staff") && person.title != "Chief"`, boss, false, nil},
		{"the kind tells on its own", `person.active && person.title != "Chief"`, boss, false, nil},
		{
			"what cannot be told", `person.title * 1 > 2 && person.employeeType == "staff"`,
			former, true,
			[][]string{{"employeeType"}},
		},
	} {
		unmet := compiled(c.active).Unmet(identity.Person{Attributes: c.person}, noon())
		old, names := false, [][]string(nil)
		for _, one := range unmet {
			was := func(b mapping.Condition) bool { return b.Print == one.Print }
			old = old || slices.ContainsFunc(before.Conditions(), was)
			names = append(names, one.Names())
			if one.At != "config.hcl:1" {
				t.Errorf("%s: it is at %q", c.name, one.At)
			}
		}
		if old != c.old || !slices.EqualFunc(names, c.names, slices.Equal) {
			t.Errorf("%s: asked before %t, want %t; of %q, want %q", c.name, old, c.old, names, c.names)
		}
	}
}
