package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// TestR16ATrailThatIsTouchedStopsEverything changes the files under an open trail.
func TestR16ATrailThatIsTouchedStopsEverything(t *testing.T) {
	rewrite := func(path string, edit func([]byte) []byte) error {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, edit(b), 0o600)
		}
		return err
	}
	for name, c := range map[string]struct {
		touch   func(path string) error
		want    error
		reopens error // what the next start says: nil where the trail is whole again
	}{
		"removed":      {os.Remove, audit.ErrBroken, audit.ErrCut},
		"renamed away": {func(path string) error { return os.Rename(path, path+".away") }, audit.ErrBroken, audit.ErrCut},
		"emptied":      {func(path string) error { return os.Truncate(path, 0) }, audit.ErrCut, audit.ErrCut},
		"cut": {func(path string) error {
			return rewrite(path, func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] })
		}, audit.ErrCut, audit.ErrCut},
		"replaced by a copy": {func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path+".copy", b, 0o600), os.Rename(path+".copy", path))
		}, audit.ErrBroken, nil},
		"removed and made anew": {func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) }, audit.ErrBroken, audit.ErrCut},
		"appended to":           {func(path string) error { return rewrite(path, func(b []byte) []byte { return append(b, "{}\n"...) }) }, audit.ErrBroken, audit.ErrBroken},
		"a folder in its place": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, audit.ErrBroken, errAny},
	} {
		for _, first := range []string{"append", "verify"} {
			t.Run(name+", "+first, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.jsonl")
				trail := open(t, path, audit.Head{}, 0)
				head := add(t, trail, "a", "b")
				if err := trail.Check(); err != nil {
					t.Fatal(err)
				}
				if err := c.touch(path); err != nil {
					t.Fatal(err)
				}
				if first == "append" { // each of them notices by itself
					if err := add1(trail); !errors.Is(err, c.want) {
						t.Errorf("append: %v", err)
					}
				}
				if _, err := trail.Verify(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("verify: %v", err)
				}
				if err := trail.Check(); !errors.Is(err, c.want) {
					t.Errorf("check: %v", err)
				}
				if _, err := trail.Append(t.Context(), audit.Record{Kind: audit.Start}); !errors.Is(err, c.want) {
					t.Errorf("append: %v", err)
				}
				same(t, head, trail.Head())
				again, err := audit.Open(path, head, 0)
				if err == nil {
					err = errors.Join(add1(again), again.Close())
				}
				if !errors.Is(err, c.reopens) && !(errors.Is(c.reopens, errAny) && err != nil) {
					t.Errorf("opened again: %v, want %v", err, c.reopens)
				}
			})
		}
	}
}

var errAny = errors.New("any error")

func add1(trail *audit.Trail) error {
	_, err := trail.Append(context.Background(), audit.Record{Kind: audit.Start})
	return err
}

// TestR16WhatWasFoundStays: though the file is put back, nothing goes on until the trail is opened again.
func TestR16WhatWasFoundStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	head := add(t, trail, "a")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := trail.Check(); !errors.Is(err, audit.ErrBroken) {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := add1(trail); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("appended: %v", err)
	}
	again := open(t, path, head, 0)
	add(t, again, "b")
}

// TestR16OlderFilesAreLookedAtInTurn removes and cuts files that were rotated away.
func TestR16OlderFilesAreLookedAtInTurn(t *testing.T) {
	for name, touch := range map[string]func(path string) error{
		"removed": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			trail := open(t, path, audit.Head{}, 300)
			add(t, trail, strings.Split("abcdefgh", "")...)
			older, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit-*.jsonl"))
			if err != nil || len(older) < 3 {
				t.Fatalf("older files: %v, %v", older, err)
			}
			if err := touch(older[1]); err != nil {
				t.Fatal(err)
			}
			for range older {
				err = trail.Check()
			}
			if !errors.Is(err, audit.ErrBroken) && !errors.Is(err, audit.ErrCut) {
				t.Errorf("not noticed: %v", err)
			}
		})
	}
}
