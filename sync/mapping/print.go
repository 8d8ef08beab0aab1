package mapping

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// tokensPrint hashes the tokens of an expression's text, so that layout and comments do not count.
func tokensPrint(files map[string]*hcl.File, at hcl.Range) uint64 {
	file := files[at.Filename]
	if file == nil || !at.CanSliceBytes(file.Bytes) {
		return 0
	}
	tokens, _ := hclsyntax.LexExpression(at.SliceBytes(file.Bytes), at.Filename, at.Start)
	h := xxhash.New()
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment {
			continue
		}
		hashText(h, string(t.Bytes))
	}
	return h.Sum64()
}

// printOf combines the fingerprints of expressions with their paths, in the order of the paths.
func printOf(list ...*expression) uint64 {
	list = slices.DeleteFunc(slices.Clone(list), func(e *expression) bool { return e == nil })
	if len(list) == 0 {
		return 0
	}
	h := xxhash.New()
	for _, e := range list {
		hashText(h, e.path)
		hashNumber(h, e.print)
	}
	return h.Sum64()
}

// combine adds further fingerprints to one; those that are 0 change nothing.
func combine(print uint64, others ...uint64) uint64 {
	for i, other := range others {
		if other != 0 {
			h := xxhash.New()
			hashNumber(h, print)
			hashNumber(h, uint64(i))
			hashNumber(h, other)
			print = h.Sum64()
		}
	}
	return print
}

func hashText(h *xxhash.Digest, s string) {
	hashNumber(h, uint64(len(s)))
	_, _ = h.WriteString(s)
}

func hashNumber(h *xxhash.Digest, n uint64) {
	var buf [8]byte
	binary.LittleEndian.PutUint64(buf[:], n)
	_, _ = h.Write(buf[:])
}
