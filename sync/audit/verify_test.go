package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// written returns the bytes of a trail of n records, and its head.
func written(t testing.TB, n int) ([]byte, audit.Head) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	var records []audit.Record
	for i := range n {
		r := full()
		r.Name = fmt.Sprint("person ", i)
		records = append(records, r)
	}
	head, err := trail.Append(t.Context(), records...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, head
}

// reporter is what *testing.T and *rapid.T share.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// wantFound verifies b, which is damaged, in that line unless it is 0.
func wantFound(t reporter, what string, b []byte, head *audit.Head, line int) {
	t.Helper()
	_, err := audit.Verify(bytes.NewReader(b), head)
	if !errors.Is(err, audit.ErrBroken) && !errors.Is(err, audit.ErrCut) {
		t.Errorf("%s: not found: %v", what, err)
	}
	var at *audit.LineError
	if line > 0 && (!errors.As(err, &at) || at.Line != line) {
		t.Errorf("%s: %v, want line %d", what, err, line)
	}
}

func TestR16AuditVerifyFindsCutEditReorder(t *testing.T) {
	const n = 5
	whole, head := written(t, n)
	summary, err := audit.Verify(bytes.NewReader(whole), &head)
	if err != nil {
		t.Fatal(err)
	}
	same(t, audit.Summary{Records: n, First: 1, From: day, To: day, Head: head}, summary)
	lines := slices.Collect(bytes.Lines(whole))
	join := func(lines ...[]byte) []byte { return bytes.Join(lines, nil) }

	t.Run("every byte", func(t *testing.T) {
		for i := range whole {
			line := bytes.Count(whole[:i], []byte("\n")) + 1
			for _, c := range []byte{whole[i] ^ 1, '\n', '"'} {
				if c != whole[i] {
					b := slices.Clone(whole)
					b[i] = c
					wantFound(t, fmt.Sprintf("byte %d is %q", i, c), b, nil, line)
				}
			}
			wantFound(t, fmt.Sprintf("byte %d removed", i), slices.Delete(slices.Clone(whole), i, i+1), nil, line)
		}
	})
	t.Run("every cut", func(t *testing.T) {
		for i := range whole {
			wantFound(t, fmt.Sprintf("cut at %d", i), whole[:i], &head, 0)
		}
	})
	t.Run("every line removed", func(t *testing.T) {
		for i := range lines {
			wantFound(t, fmt.Sprintf("line %d removed", i+1), join(slices.Delete(slices.Clone(lines), i, i+1)...), &head, 0)
		}
	})
	t.Run("every line repeated", func(t *testing.T) {
		for i := range lines {
			wantFound(t, fmt.Sprintf("line %d twice", i+1), join(slices.Insert(slices.Clone(lines), i, lines[i])...), nil, i+2)
		}
	})
	t.Run("every two lines swapped", func(t *testing.T) {
		for i := range lines {
			for j := range i {
				swapped := slices.Clone(lines)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				wantFound(t, fmt.Sprintf("lines %d and %d swapped", j+1, i+1), join(swapped...), nil, 0)
			}
		}
	})
	t.Run("a record of another trail", func(t *testing.T) {
		other, _ := written(t, 3)
		foreign := slices.Collect(bytes.Lines(other))
		mixed := slices.Clone(lines)
		mixed[1] = foreign[2]
		wantFound(t, "a foreign record", join(mixed...), nil, 2)
	})
	t.Run("a trail made up afresh", func(t *testing.T) {
		other, _ := written(t, n+1)
		b := bytes.Replace(other, []byte("person 0"), []byte("person X"), 1)
		wantFound(t, "an edited one", b, nil, 1)
		fresh := filepath.Join(t.TempDir(), "audit.jsonl")
		trail := open(t, fresh, audit.Head{}, 0)
		add(t, trail, "a", "b", "c", "d", "e", "f", "g")
		forged, err := os.ReadFile(fresh)
		if err != nil {
			t.Fatal(err)
		}
		wantFound(t, "one that holds together", forged, &head, n)
	})
}

func TestVerifyFindsAnyDamage(t *testing.T) {
	whole, head := written(t, 20)
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, len(whole)-1).Draw(t, "from")
		to := rapid.IntRange(from, min(len(whole), from+700)).Draw(t, "to")
		insert := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 20),
			rapid.Custom(func(t *rapid.T) []byte {
				a := rapid.IntRange(0, len(whole)-1).Draw(t, "a")
				return whole[a:rapid.IntRange(a, min(len(whole), a+700)).Draw(t, "b")]
			}),
		).Draw(t, "insert")
		b := slices.Concat(whole[:from], insert, whole[to:])
		if bytes.HasPrefix(b, whole) {
			return // only longer: a torn line, or nothing at all
		}
		wantFound(t, "damage", b, &head, 0)
	})
}

func FuzzVerify(f *testing.F) {
	whole, head := written(f, 3)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte("{\"seq\":1,\"prev\":\"\",\"hash\":\"\"}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		summary, err := audit.Verify(bytes.NewReader(b), &head)
		if err == nil && !bytes.HasPrefix(b, whole) {
			t.Errorf("accepted: %+v", summary)
		}
		if _, err := audit.Verify(bytes.NewReader(b), nil); err == nil && len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
			t.Error("a torn line was accepted")
		}
		for line := range bytes.Lines(b) {
			_, _ = audit.ParseLine(line)
		}
	})
}
