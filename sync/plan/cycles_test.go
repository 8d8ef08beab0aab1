package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/plan"
)

func TestR09CyclesAreFound(t *testing.T) {
	for _, c := range []struct {
		name    string
		renames []plan.Rename
		want    [][]int
	}{
		{"nobody", nil, nil},
		{"one after the other", []plan.Rename{{"a", "b"}, {"b", "c"}, {"c", "d"}}, nil},
		{"swapped", []plan.Rename{{"a", "b"}, {"b", "a"}}, [][]int{{0, 1}}},
		{"swapped in other letters", []plan.Rename{{"Alice", "BOB"}, {"bob", "alice"}}, [][]int{{0, 1}}},
		{"a ring of three, and one who waits for it", []plan.Rename{{"x", "c"}, {"c", "a"}, {"a", "b"}, {"b", "c"}}, [][]int{{1, 2, 3}}},
		{"two rings", []plan.Rename{{"a", "b"}, {"p", "q"}, {"b", "a"}, {"q", "p"}}, [][]int{{0, 2}, {1, 3}}},
		{
			"two rings, the later one entered first",
			[]plan.Rename{{"x", "p"}, {"a", "b"}, {"b", "a"}, {"p", "q"}, {"q", "p"}},
			[][]int{{1, 2}, {3, 4}},
		},
		{"only the spelling changes", []plan.Rename{{"ann", "Ann"}}, nil},
		{"entered from its middle", []plan.Rename{{"b", "c"}, {"c", "a"}, {"a", "b"}}, [][]int{{0, 1, 2}}},
	} {
		if diff := cmp.Diff(c.want, plan.Cycles(c.renames)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
