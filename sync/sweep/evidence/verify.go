package evidence

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// MaxFile bounds a file, in bytes (R18): records beyond it are in the trail alone.
const MaxFile = 16 << 20

// Verify checks a file by itself: that it reads as it was written; that its key signed it; that each record matches its
// hash, is about this person and in order; that none is missing of those that the closing record counts; and that all
// it says of the case is what its records say. It cannot see whether somebody made records and key anew: the key is
// known by its fingerprint, and the records are in the trail (Compare).
func Verify(r io.Reader) (Evidence, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return Evidence{}, err
	}
	if len(raw) > MaxFile {
		return Evidence{}, invalid("it has more than %d bytes", MaxFile)
	}
	e, err := parse(raw)
	if err == nil {
		err = e.check()
	}
	return e, err
}

// parse reads a file and makes sure that it is written in the one way in which dirsweep writes it, space between tokens
// aside. JSON has other ways to say the same, and ways to say one thing to a program and another to a reader, such as a
// key that is there twice.
func parse(raw []byte) (e Evidence, err error) {
	var plain bytes.Buffer
	if err := json.Compact(&plain, raw); err != nil {
		return e, invalid("it cannot be read: %w", err)
	}
	if err := json.Unmarshal(plain.Bytes(), &e); err != nil {
		return e, invalid("it cannot be read: %w", err)
	}
	if e.Format != 1 {
		return e, invalid("format %d is not known to this version", e.Format)
	}
	again, err := encode(e)
	if err != nil || !bytes.Equal(again, plain.Bytes()) {
		return e, invalid("it was edited: it does not read as it was written")
	}
	return e, nil
}

func (e Evidence) check() error {
	unsigned := e
	unsigned.Signature = []byte{}
	plain, err := encode(unsigned)
	if err != nil || len(e.Key) != ed25519.PublicKeySize || !ed25519.Verify(e.Key, plain, e.Signature) {
		return invalid("it was edited: its signature does not match")
	}
	records, err := e.parseRecords()
	if err != nil {
		return err
	}
	derived, sealed, err := derive(records)
	if err != nil {
		return err
	}
	if err := e.checkSeal(records, sealed); err != nil {
		return err
	}
	derived.Records, derived.Made, derived.Key, derived.Signature = e.Records, e.Made, e.Key, e.Signature
	return e.differs(derived)
}

func (e Evidence) parseRecords() ([]audit.Record, error) {
	var records []audit.Record
	var last uint64
	for _, raw := range e.Records {
		r, err := audit.ParseLine(raw)
		if err != nil {
			return nil, invalid("%w", err)
		}
		if r.Seq <= last {
			return nil, invalid("record %d is out of order", r.Seq)
		}
		if r.Person != e.Person {
			return nil, invalid("record %d is about somebody else", r.Seq)
		}
		records, last = append(records, r), r.Seq
	}
	return records, nil
}

// checkSeal compares the records with the one that closed the case, which counts them and hashes their hashes.
func (e Evidence) checkSeal(records []audit.Record, sealed *audit.Record) error {
	if sealed == nil {
		return nil // an open case; that it calls itself closed no record says
	}
	var hashes []string
	for _, r := range records[:len(records)-1] {
		hashes = append(hashes, r.Hash)
	}
	switch {
	case sealed.Case != e.Case:
		return invalid("it was closed as another case")
	case sealed.Count != len(hashes) || sealed.Digest != audit.HashOf(hashes):
		return invalid("records are missing or were changed: %d were counted when the case was closed, and it has %d", sealed.Count, len(hashes))
	case sealed.Key != fingerprint(e.Key):
		return invalid("it is signed by another key than the closing record names")
	}
	return nil
}

// differs names the first thing that the file says and its records do not.
func (e Evidence) differs(derived Evidence) error {
	said, told := fields(e), fields(derived)
	for i := range said {
		if said[i].value != told[i].value {
			return invalid("it says %s = %s, and its records say %s", said[i].name, said[i].value, told[i].value)
		}
	}
	if id := personHash(e.Person); len(e.Case) < len(id) || e.Case[len(e.Case)-len(id):] != id {
		return invalid("the case is not this person's")
	}
	return nil
}

type field struct{ name, value string }

// fields lists what a file says, as JSON.
func fields(e Evidence) []field {
	list := []field{}
	add := func(name string, value any) {
		raw, err := json.Marshal(value)
		if err != nil {
			raw = []byte(err.Error())
		}
		list = append(list, field{name, string(raw)})
	}
	add("case", e.Case)
	add("person", e.Person)
	add("name", e.Name)
	add("dn", e.DN)
	add("cause", e.Cause)
	add("reason", e.Reason)
	add("proof", e.Proof)
	add("left", e.Left)
	add("noticed", e.Noticed)
	add("closed", e.Closed)
	add("the number of accounts", len(e.Accounts))
	add("accounts", e.Accounts)
	return list
}

// A Comparison is what comparing a file with the trail showed.
type Comparison struct {
	Found   int           `json:"found"`   // records that the trail has too, byte by byte
	Removed int           `json:"removed"` // records that the trail no longer has: it was pruned or started over since
	Trail   audit.Summary `json:"trail"`
}

// Compare reads the trail at path, also while a daemon writes it, and checks that it is whole and has what the file has
// of it. ErrInvalid says that the file, as Verify returned it, has a record that the trail does not have, or lacks one
// of its case.
func Compare(ctx context.Context, e Evidence, path string) (c Comparison, err error) {
	records, err := e.parseRecords()
	if err != nil {
		return c, err
	}
	// The records of a closed case are counted by its last one. Of an open one, all that the trail has so far have to
	// be there.
	ofCase, last := []byte(fmt.Sprintf(`"case":%q`, e.Case)), records[len(records)-1]
	open := last.Kind != audit.Case
	wanted := map[uint64]audit.Record{}
	for _, r := range records {
		wanted[r.Seq] = r
	}
	var lacking uint64
	c.Trail, err = audit.Read(ctx, path, func(line []byte) error {
		seq, hash, err := audit.LinkOf(line)
		if err != nil {
			return err
		}
		if r, ok := wanted[seq]; ok && r.Hash == hash {
			delete(wanted, seq)
			c.Found++
		} else if open && seq < last.Seq && lacking == 0 && bytes.Contains(line, ofCase) {
			lacking = seq
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("the trail itself: %w", err)
	}
	for seq, r := range wanted {
		if seq >= c.Trail.First {
			return c, invalid("the trail has no such record %d (%s)", seq, r.Kind)
		}
		c.Removed++
	}
	if lacking > 0 {
		return c, invalid("the trail has record %d of this case, which is missing here", lacking)
	}
	return c, nil
}
