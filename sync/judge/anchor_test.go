package judge_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/judge"
)

func TestAlike(t *testing.T) {
	const uuid = "3b1c0f52-5e0e-103f-9d2a-6d3f3f0f2a11"
	for _, c := range []struct {
		anchor, text string
		alike        bool
	}{
		{uuid, "aaaaaaaa-5e0e-103f-9d2a-6d3f3f0f2a11", true},
		{uuid, "hand", false},
		{uuid, "3b1c0f525e0e103f9d2a6d3f3f0f2a11", false},
		{uuid, "", false},
		{"10042", "7", true},
		{"10042", "e10042", false},
		{"alice", "bob", true},
		{"alice", "bob.smith", false},
	} {
		if got := judge.Alike(c.anchor, c.text); got != c.alike {
			t.Errorf("%q beside %q: %t", c.text, c.anchor, got)
		}
	}
}
