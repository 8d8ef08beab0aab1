package identity

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Fingerprint is a 64-bit hash of everything about the person that a mapping can see: attributes, groups, DN and the
// kind's judgement of active. Equal people have equal fingerprints, in every process and on every platform.
func (p Person) Fingerprint() uint64 {
	h := newPrinter()
	h.text(p.Name, p.DN)
	h.bool(p.Active)
	h.num(uint64(len(p.Attributes)))
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		h.text(name)
		h.texts(p.Attributes[name])
	}
	h.num(uint64(len(p.Groups)))
	for _, g := range p.Groups {
		h.text(g.Name, g.DN)
	}
	h.texts(p.Unreadable)
	return h.sum()
}

// Fingerprint is a 64-bit hash of the attributes named by paths, the entitlements and the state of an account: what
// dirsweep manages of it, whatever else the target returns. The order of paths counts, pass them sorted; that of a
// list's elements does not.
func (a Account) Fingerprint(paths []string) uint64 {
	h := newPrinter()
	h.bool(a.Active)
	for _, path := range paths {
		h.text(path, string(a.Get(path).Unordered()))
	}
	h.num(uint64(len(a.Entitlements)))
	for _, e := range a.Entitlements {
		h.text(e.Kind, e.ID, e.Name)
	}
	return h.sum()
}

// printer hashes length-prefixed fields, so that no two different sequences of fields read alike. newPrinter makes one.
type printer struct {
	digest xxhash.Digest
	buf    [8]byte
}

func newPrinter() (h printer) {
	h.digest.Reset()
	return h
}

func (h *printer) num(n uint64) {
	binary.LittleEndian.PutUint64(h.buf[:], n)
	_, _ = h.digest.Write(h.buf[:])
}

func (h *printer) bool(b bool) {
	if b {
		h.num(1)
	} else {
		h.num(0)
	}
}

func (h *printer) text(fields ...string) {
	for _, s := range fields {
		h.num(uint64(len(s)))
		_, _ = h.digest.WriteString(s)
	}
}

func (h *printer) texts(list []string) {
	h.num(uint64(len(list)))
	h.text(list...)
}

func (h *printer) sum() uint64 {
	h.num(0)
	return h.digest.Sum64()
}
