package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// R16: a record that was edited and given the hash that fits it does not fit the record behind it.
func TestR16AForgedRecordBreaksTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	if _, err := trail.Append(t.Context(), audit.Record{Kind: audit.Sweep, Name: "alice"}, audit.Record{Kind: audit.Start}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := bytes.Cut(whole, []byte("\n"))
	body, _, ok := bytes.Cut(bytes.Replace(first, []byte("alice"), []byte("mallory"), 1), []byte(`,"hash":`))
	if !ok {
		t.Fatalf("no hash in %s", first)
	}
	body = append(body, '}')
	sum := sha256.Sum256(body)
	forged := append(body[:len(body)-1:len(body)-1], `,"hash":"`+hex.EncodeToString(sum[:])+`"}`...)
	if _, err := audit.ParseLine(forged); err != nil {
		t.Fatalf("by itself the forged record is one: %v", err)
	}
	if _, err := audit.Verify(bytes.NewReader(bytes.Join([][]byte{forged, rest}, []byte("\n"))), nil); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("verified with %v, want that it is broken", err)
	}
}
