package roster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// A Spool keeps a pass's people and accounts in a temporary file, so that memory holds an offset of each and no
// attributes. The file is readable by nobody else and, where the system allows, has no name. It is safe for concurrent
// use.
type Spool struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	size int64
	enc  cbor.EncMode
	dec  cbor.DecMode
}

// maxItems bounds the lists of one person or account.
const maxItems = 1 << 24

// NewSpool makes a spool in a folder, "" for the system's. The caller closes it.
func NewSpool(dir string) (*Spool, error) {
	// What a source or a target calls text may be no UTF-8, and a group may have any number of members.
	dec, err := cbor.DecOptions{
		UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: maxItems,
		MaxMapPairs: maxItems,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("make the pass's temporary file: %w", err)
	}
	// Without it seconds are all that is kept of a time.
	enc, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		return nil, fmt.Errorf("make the pass's temporary file: %w", err)
	}
	file, err := os.CreateTemp(dir, ".dirsweep-pass-*")
	if err != nil {
		return nil, fmt.Errorf("make the pass's temporary file: %w", err)
	}
	// Windows refuses to remove an open file; Close removes it there.
	_ = os.Remove(file.Name())
	return &Spool{file: file, w: bufio.NewWriterSize(file, 1<<16), enc: enc, dec: dec}, nil
}

// Add appends v and returns where it is.
func (s *Spool) Add(v any) (int64, error) {
	raw, err := s.enc.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("encode for the temporary file: %w", err)
	}
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(raw)))
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.size
	_, err = s.w.Write(head[:])
	if err == nil {
		_, err = s.w.Write(raw)
	}
	if err != nil {
		return 0, fmt.Errorf("write the temporary file: %w", err)
	}
	s.size += int64(len(head) + len(raw))
	return at, nil
}

// Get reads into v what was added at at.
func (s *Spool) Get(at int64, v any) error {
	s.mu.Lock()
	err := s.w.Flush()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write the temporary file: %w", err)
	}
	var head [4]byte
	if _, err := s.file.ReadAt(head[:], at); err != nil {
		return fmt.Errorf("read the temporary file: %w", err)
	}
	raw := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := s.file.ReadAt(raw, at+int64(len(head))); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the temporary file: %w", err)
	}
	if err := s.dec.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("decode from the temporary file: %w", err)
	}
	return nil
}

// Close forgets everything.
func (s *Spool) Close() {
	name := s.file.Name()
	_ = s.file.Close()
	_ = os.Remove(name)
}
