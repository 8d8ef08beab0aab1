package directory

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func gather(
	seq iter.Seq2[identity.Person, error],
) (people []identity.Person, personal []*sources.PersonError, err error) {
	for p, e := range seq {
		var one *sources.PersonError
		switch {
		case errors.As(e, &one):
			personal = append(personal, one)
		case e != nil:
			err = e
		default:
			people = append(people, p)
		}
	}
	return people, personal, err
}

// parse decodes the body of a source block.
func parse(t testing.TB, text string) (sources.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return plain().decode(file.Body, sources.Env{Name: "corp", Dir: t.TempDir()})
}

// plain is the dialect of the tests.
func plain() Dialect { return Dialect{Kind: "ldap", Anchor: "entryUUID"} }

// open makes a source of the lines of a block.
func open(t testing.TB, need sources.Need, lines ...string) *source {
	t.Helper()
	spec, diags := parse(t, joined(lines))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if need.Log == nil {
		need.Log = hclog.NewNullLogger()
	}
	opened, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened.(*source)
}

// everyone reads a source to its end; personal errors are counted, not returned.
func everyone(t testing.TB, s sources.Source) (people []identity.Person, personal []*sources.PersonError, err error) {
	t.Helper()
	return gather(s.People(t.Context()))
}

func joined(lines []string) string { return strings.Join(lines, "\n") }
