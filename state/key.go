package state

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A key is a sequence of components, each of which may hold any byte. A component is its length doubled, as a uvarint,
// and its bytes; no component is a prefix of another, so a sequence of components is a safe prefix for Range. A UUID in
// its canonical spelling, what most anchors and account identifiers are, is packed into 17 bytes: the mark 1, which no
// doubled length is, and its 16 bytes.
type key []byte

const uuidMark = 1

func makeKey(components ...string) key {
	n := 0
	for _, c := range components {
		n += len(c) + 2
	}
	k := make(key, 0, n)
	for _, c := range components {
		k = k.with(c)
	}
	return k
}

func (k key) with(component string) key {
	if id, ok := packUUID(component); ok {
		return append(append(k, uuidMark), id[:]...)
	}
	k = binary.AppendUvarint(k, uint64(len(component))<<1)
	return append(k, component...)
}

func (k key) withPerson(id identity.PersonID) key { return k.with(id.Directory).with(id.Anchor) }

// cut returns the first component and the rest.
func (k key) cut() (string, key, error) {
	head, n := binary.Uvarint(k)
	switch {
	case n <= 0:
		return "", nil, fmt.Errorf("%w: key %x ends early", ErrDamaged, []byte(k))
	case head == uuidMark:
		if len(k) < n+16 {
			return "", nil, fmt.Errorf("%w: key %x ends early", ErrDamaged, []byte(k))
		}
		return unpackUUID([16]byte(k[n : n+16])), k[n+16:], nil
	case head&1 != 0 || head>>1 > uint64(len(k)-n):
		return "", nil, fmt.Errorf("%w: key %x has a component of no length", ErrDamaged, []byte(k))
	}
	end := n + int(head>>1)
	return string(k[n:end]), k[end:], nil
}

// split reads a key of exactly len(into) components.
func (k key) split(into ...*string) error {
	rest := k
	for _, c := range into {
		var err error
		if *c, rest, err = rest.cut(); err != nil {
			return err
		}
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: key %x is too long", ErrDamaged, []byte(k))
	}
	return nil
}

func (k key) person() (id identity.PersonID, err error) {
	err = k.split(&id.Directory, &id.Anchor)
	return id, err
}

func makeNumber(n uint64) key { return binary.BigEndian.AppendUint64(nil, n) }

func (k key) number() (uint64, error) {
	if len(k) != 8 {
		return 0, fmt.Errorf("%w: %x is not a number", ErrDamaged, []byte(k))
	}
	return binary.BigEndian.Uint64(k), nil
}

const uuidText = 36 // 8-4-4-4-12

func isHyphen(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

func packUUID(s string) (id [16]byte, ok bool) {
	if len(s) != uuidText {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case isHyphen(i):
			if c != '-' {
				return id, false
			}
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f':
			digits[n] = c
			n++
		default:
			return id, false
		}
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

func unpackUUID(id [16]byte) string {
	var digits [32]byte
	hex.Encode(digits[:], id[:])
	var text [uuidText]byte
	n := 0
	for i := range text {
		if isHyphen(i) {
			text[i] = '-'
			continue
		}
		text[i] = digits[n]
		n++
	}
	return string(text[:])
}
