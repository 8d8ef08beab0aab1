package bolt

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

const peopleCount = 100_000

// company writes a person with one link a hundred thousand times, as a first pass does.
func company(b *testing.B, l *state.Ledger) {
	b.Helper()
	for from := 0; from < peopleCount; from += 1000 {
		err := l.Update(b.Context(), func(w *state.Writer) error {
			for i := from; i < from+1000; i++ {
				name := fmt.Sprintf("user%06d", i)
				id := identity.PersonID{Directory: "corp", Anchor: uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name)).String()}
				person := state.Person{
					ID: id, Name: name, DN: "uid=" + name + ",ou=people,dc=example,dc=org", Print: 1 << 63, Program: 1 << 63, Active: true,
					Scope: []string{"wiki"},
				}
				link := state.Link{
					Target: "wiki", Person: id, Account: identity.AccountID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()),
					UserName: name, Name: name, Container: "ou=people,dc=example,dc=org", Created: true,
					PersonPrint: 1 << 63, Want: 1 << 63, Have: 1 << 63, Mapping: 1 << 63, ScopePrint: 1 << 63,
				}
				if err := w.PutPerson(person); err != nil {
					return err
				}
				if err := w.PutLink(link); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLedger(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	store, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	l := state.NewLedger(store)
	perPerson := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*peopleCount), "ns/person")
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			company(b, l)
		}
		perPerson(b)
		var size countingWriter
		if err := l.Backup(b.Context(), &size); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/peopleCount, "B/person")
	})
	b.Run("links", func(b *testing.B) {
		for b.Loop() {
			err := l.View(b.Context(), func(r *state.Reader) error {
				n := 0
				for _, err := range r.Links("wiki") {
					if err != nil {
						return err
					}
					n++
				}
				if n != peopleCount {
					b.Errorf("%d links", n)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		perPerson(b)
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := l.Verify(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		perPerson(b)
	})
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := Open(path, Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		perPerson(b)
	})
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}

func BenchmarkUpdate(b *testing.B) {
	store, err := Open(filepath.Join(b.TempDir(), "state.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	one := func() error {
		return store.Update(b.Context(), func(tx state.Tx) error { return tx.Put("t", []byte("k"), bytes.Repeat([]byte("v"), 100)) })
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if err := one(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sixteen at once", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
