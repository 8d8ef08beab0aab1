// Package statetest is the suite that every state.Store passes.
package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/state"
)

// A Suite tells Run how to make stores.
type Suite struct {
	// New returns an empty store, which the suite closes.
	New func(t *testing.T) state.Store
	// Restore opens what Backup wrote.
	Restore func(t *testing.T, backup []byte) state.Store
}

// Run runs every test of the suite.
func Run(t *testing.T, s Suite) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, state.Store, Suite)
	}{
		{"what is put is got", testPutGet},
		{"keys are in order", testOrder},
		{"a prefix bounds a range", testPrefix},
		{"a range may end early", testRangeEnds},
		{"any byte may be in a key", testAnyByte},
		{"bad keys are refused", testBadKeys},
		{"an update is all or nothing", testAtomic},
		{"an update sees its own writes", testOwnWrites},
		{"a panic rolls back", testPanic},
		{"a view cannot write", testReadOnly},
		{"a view is a snapshot", testSnapshot},
		{"updates are serialised", testConcurrent},
		{"a failing update spoils no other", testConcurrentFailure},
		{"a context ends transactions", testContext},
		{"a closed store says so", testClosed},
		{"a backup is a store", testBackup},
		{"buffers stay the caller's", testBuffers},
		{"the ledger keeps every record", testRecords},
		{"the ledger knows what is due", testDue},
		{"the ledger knows who turns by the clock", testTurns},
		{"the ledger knows who is gone", testTombstones},
		{"people and links are listed by source and target", testLists},
		{"a link is one to one", testLinked},
		{"active links are counted", testCount},
		{"intents are numbered and settled", testIntents},
		{"findings keep their age", testFindings},
		{"orphans keep their age", testOrphans},
		{"five hundred runs are kept", testRuns},
		{"what went ahead counts within a window", testSpent},
		{"members of a hold", testHolds},
		{"the first name of an account", testFirstName},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := s.New(t)
			test.run(t, store, s)
			if err := store.Close(); err != nil {
				t.Error("close:", err)
			}
		})
	}
}

const table state.Table = "test"

var errStop = errors.New("stop")

func put(t *testing.T, s state.Store, pairs ...string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx state.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Put(table, []byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal("update:", err)
	}
}

// Dump returns everything in one table, as key=value.
func Dump(ctx context.Context, s state.Store, table state.Table, prefix string) (out []string, err error) {
	err = s.View(ctx, func(tx state.Tx) error {
		out = dumpTx(tx, table, prefix)
		return nil
	})
	return out, err
}

func dumpTx(tx state.Tx, table state.Table, prefix string) (out []string) {
	for k, v := range tx.Range(table, []byte(prefix)) {
		out = append(out, string(k)+"="+string(v))
	}
	return out
}

func wantDump(t *testing.T, s state.Store, prefix string, want ...string) {
	t.Helper()
	got, err := Dump(t.Context(), s, table, prefix)
	if err != nil {
		t.Fatal("view:", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
	}
}

func testPutGet(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1", "b", "")
	put(t, s, "a", "2")
	err := s.View(t.Context(), func(tx state.Tx) error {
		for key, want := range map[string][]byte{"a": []byte("2"), "b": {}, "c": nil} {
			if got, err := tx.Get(table, []byte(key)); err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%s: got %q (nil: %t), %v; want %q", key, got, got == nil, err, want)
			}
		}
		if got, err := tx.Get("nowhere", []byte("a")); got != nil || err != nil {
			t.Errorf("a table that is not there: %q, %v", got, err)
		}
		for range tx.Range("nowhere", nil) {
			t.Error("a table that is not there has a key")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx state.Tx) error {
		return errors.Join(tx.Delete(table, []byte("a")), tx.Delete(table, []byte("never")), tx.Delete("nowhere", []byte("a")))
	})
	if err != nil {
		t.Fatal("delete:", err)
	}
	wantDump(t, s, "", "b=")
	if err := s.Verify(t.Context()); err != nil {
		t.Error("verify:", err)
	}
}

func testOrder(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "b", "", "\xff", "", "a", "", "ab", "", "\x00", "", "aa", "")
	wantDump(t, s, "", "\x00=", "a=", "aa=", "ab=", "b=", "\xff=")
}

func testPrefix(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1", "ab", "2", "ab\x00", "3", "ab\xff", "4", "ac", "5", "b", "6")
	wantDump(t, s, "ab", "ab=2", "ab\x00=3", "ab\xff=4")
	wantDump(t, s, "ab\xff", "ab\xff=4")
	wantDump(t, s, "abc")
	wantDump(t, s, "z")
}

func testRangeEnds(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "", "b", "", "c", "")
	err := s.View(t.Context(), func(tx state.Tx) error {
		n := 0
		for range tx.Range(table, nil) {
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("ended after %d", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testAnyByte(t *testing.T, s state.Store, _ Suite) {
	var want []string
	err := s.Update(t.Context(), func(tx state.Tx) error {
		want = nil
		for i := range 256 {
			k := []byte{byte(i), 0, byte(i)}
			want = append(want, string(k)+"="+string(k))
			if err := tx.Put(table, k, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantDump(t, s, "", want...)
}

func testBadKeys(t *testing.T, s state.Store, _ Suite) {
	for _, size := range []int{0, state.MaxKey + 1} {
		err := s.Update(t.Context(), func(tx state.Tx) error { return tx.Put(table, make([]byte, size), nil) })
		if err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
	}
	if err := s.Update(t.Context(), func(tx state.Tx) error { return tx.Put(table, make([]byte, state.MaxKey), nil) }); err != nil {
		t.Errorf("a key of %d bytes: %v", state.MaxKey, err)
	}
}

func testAtomic(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1", "b", "1")
	err := s.Update(t.Context(), func(tx state.Tx) error {
		if err := errors.Join(tx.Put(table, []byte("a"), []byte("2")), tx.Delete(table, []byte("b")), tx.Put("new", []byte("c"), nil)); err != nil {
			return err
		}
		return errStop
	})
	if !errors.Is(err, errStop) {
		t.Errorf("got %v, want fn's error", err)
	}
	wantDump(t, s, "", "a=1", "b=1")
}

func testOwnWrites(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1", "b", "1")
	err := s.Update(t.Context(), func(tx state.Tx) error {
		if err := errors.Join(tx.Put(table, []byte("c"), []byte("2")), tx.Delete(table, []byte("b"))); err != nil {
			return err
		}
		if diff := cmp.Diff([]string{"a=1", "c=2"}, dumpTx(tx, table, "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		got, err := tx.Get(table, []byte("b"))
		if got != nil {
			t.Errorf("a deleted key has %q", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testPanic(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1")
	func() {
		defer func() {
			if r := recover(); r != errStop {
				t.Errorf("recovered %v, want fn's panic", r)
			}
		}()
		_ = s.Update(t.Context(), func(tx state.Tx) error {
			_ = tx.Put(table, []byte("a"), []byte("2"))
			panic(errStop)
		})
	}()
	put(t, s, "b", "1")
	wantDump(t, s, "", "a=1", "b=1")
}

func testReadOnly(t *testing.T, s state.Store, _ Suite) {
	err := s.View(t.Context(), func(tx state.Tx) error {
		if err := tx.Put(table, []byte("a"), nil); !errors.Is(err, state.ErrReadOnly) {
			t.Errorf("put: %v", err)
		}
		if err := tx.Delete(table, []byte("a")); !errors.Is(err, state.ErrReadOnly) {
			t.Errorf("delete: %v", err)
		}
		return errStop
	})
	if !errors.Is(err, errStop) {
		t.Errorf("got %v, want fn's error", err)
	}
}

func testSnapshot(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1", "b", "1")
	begun, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		<-begun
		put(t, s, "a", "2", "c", "2")
	}()
	err := s.View(t.Context(), func(tx state.Tx) error {
		close(begun)
		<-written
		if diff := cmp.Diff([]string{"a=1", "b=1"}, dumpTx(tx, table, "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantDump(t, s, "", "a=2", "b=1", "c=2")
}

// add makes the number at key one greater.
func add(tx state.Tx, key string) error {
	v, err := tx.Get(table, []byte(key))
	if err != nil {
		return err
	}
	n := 0
	if v != nil {
		if _, err := fmt.Sscan(string(v), &n); err != nil {
			return err
		}
	}
	return tx.Put(table, []byte(key), fmt.Append(nil, n+1))
}

func testConcurrent(t *testing.T, s state.Store, _ Suite) {
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.Update(t.Context(), func(tx state.Tx) error { return errors.Join(add(tx, "a"), add(tx, "b")) }); err != nil {
					t.Error(err)
				}
				err := s.View(t.Context(), func(tx state.Tx) error {
					a, _ := tx.Get(table, []byte("a"))
					b, _ := tx.Get(table, []byte("b"))
					if !bytes.Equal(a, b) {
						t.Errorf("half an update was seen: %s, %s", a, b)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantDump(t, s, "", fmt.Sprint("a=", writers*each), fmt.Sprint("b=", writers*each))
}

func testConcurrentFailure(t *testing.T, s state.Store, _ Suite) {
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				err := s.Update(t.Context(), func(tx state.Tx) error {
					if err := add(tx, "a"); err != nil || w%2 == 0 {
						return err
					}
					return errStop
				})
				if want := w%2 != 0; errors.Is(err, errStop) != want || !want && err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	wantDump(t, s, "", fmt.Sprint("a=", writers/2*each))
}

func testContext(t *testing.T, s state.Store, _ Suite) {
	put(t, s, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	err := s.View(ctx, func(tx state.Tx) error {
		cancel()
		for range tx.Range(table, nil) {
			t.Error("a sequence went on")
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a view that was cancelled: %v", err)
	}
	never := func(state.Tx) error { t.Error("fn ran"); return nil }
	for name, err := range map[string]error{"view": s.View(ctx, never), "update": s.Update(ctx, never), "backup": s.Backup(ctx, &bytes.Buffer{})} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testClosed(t *testing.T, s state.Store, _ Suite) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	never := func(state.Tx) error { t.Error("fn ran"); return nil }
	for name, err := range map[string]error{
		"view": s.View(t.Context(), never), "update": s.Update(t.Context(), never),
		"backup": s.Backup(t.Context(), &bytes.Buffer{}), "verify": s.Verify(t.Context()),
	} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testBackup(t *testing.T, s state.Store, suite Suite) {
	put(t, s, "a", "1", "b", "")
	var backup bytes.Buffer
	if err := s.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2")
	restored := suite.Restore(t, backup.Bytes())
	wantDump(t, restored, "", "a=1", "b=")
	put(t, restored, "c", "3")
	if err := errors.Join(restored.Verify(t.Context()), restored.Close()); err != nil {
		t.Error(err)
	}
	wantDump(t, s, "", "a=2", "b=")
}

func testBuffers(t *testing.T, s state.Store, _ Suite) {
	k, v := []byte("a"), []byte("1")
	err := s.Update(t.Context(), func(tx state.Tx) error {
		copy(k, "a")
		copy(v, "1")
		err := tx.Put(table, k, v)
		copy(k, "x")
		copy(v, "x")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantDump(t, s, "", "a=1")
}
