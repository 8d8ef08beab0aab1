package sql

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/fxamacker/cbor/v2"
)

// A spool keeps the rows of one read in a temporary file that nobody else can read, so that the database is asked for
// no longer than it takes to read it, and nobody is handed out before the read is known to be whole. Memory holds eight
// bytes a row.
type spool struct {
	file    *os.File
	out     *bufio.Writer
	enc     *cbor.Encoder
	anchors []uint64 // hashes of the anchors there are, sorted by seal

	nameless int // rows without one
}

func newSpool(folder string) (*spool, error) {
	file, err := os.CreateTemp(folder, ".dirsweep-source-*")
	if err != nil {
		return nil, fmt.Errorf("make the source's temporary file: %w", err)
	}
	_ = os.Remove(file.Name()) // Windows refuses to remove an open file; close removes it there
	out := bufio.NewWriterSize(file, 1<<16)
	return &spool{file: file, out: out, enc: cbor.NewEncoder(out)}, nil
}

func (s *spool) close() {
	name := s.file.Name()
	_ = s.file.Close()
	_ = os.Remove(name)
}

func (s *spool) add(r *row) error {
	if err := s.enc.Encode(r); err != nil {
		return fmt.Errorf("write the source's temporary file: %w", err)
	}
	if r.Anchor == "" {
		s.nameless++
		return nil
	}
	s.anchors = append(s.anchors, hash(r.Anchor))
	return nil
}

// each goes through the rows in the order in which they came, from the file. Several may at once, when the last add
// has returned.
func (s *spool) each() iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		dec := cbor.NewDecoder(bufio.NewReaderSize(&from{s.file, 0}, 1<<18))
		for {
			var r row
			err := dec.Decode(&r)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the source's temporary file: %w", err))
				return
			}
			if !yield(&r, nil) {
				return
			}
		}
	}
}

// From reads a file from a place of its own.
type from struct {
	file io.ReaderAt
	at   int64
}

// Read implements io.Reader.
func (f *from) Read(into []byte) (int, error) {
	n, err := f.file.ReadAt(into, f.at)
	f.at += int64(n)
	return n, err
}

// seal writes everything out, and returns the hashes of those anchors that several rows bear.
func (s *spool) seal() (twice map[uint64]bool, err error) {
	if err := s.out.Flush(); err != nil {
		return nil, fmt.Errorf("write the source's temporary file: %w", err)
	}
	slices.Sort(s.anchors)
	twice = map[uint64]bool{}
	for i := 1; i < len(s.anchors); i++ {
		if s.anchors[i] == s.anchors[i-1] {
			twice[s.anchors[i]] = true
		}
	}
	return twice, nil
}

func hash(anchor string) uint64 { return xxhash.Sum64String(anchor) }
