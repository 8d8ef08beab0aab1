package memory

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// A node is the root of a treap that is never changed: put and remove return a new root and share what they did not
// touch. Its priorities are hashes of the keys, so equal contents make equal trees. The nil node is the empty tree.
type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
}

func (n *node) get(key []byte) []byte {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value
		}
	}
	return nil
}

func (n *node) put(key, value []byte) *node {
	if n == nil {
		return &node{key: key, value: value, priority: xxhash.Sum64(key)}
	}
	out := *n
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		out.left = n.left.put(key, value)
		if up := out.left; up.priority > out.priority {
			out.left, up.right = up.right, &out
			return up
		}
	case c > 0:
		out.right = n.right.put(key, value)
		if up := out.right; up.priority > out.priority {
			out.right, up.left = up.left, &out
			return up
		}
	default:
		out.value = value
	}
	return &out
}

func (n *node) remove(key []byte) *node {
	if n == nil {
		return nil
	}
	out := *n
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		out.left = n.left.remove(key)
	case c > 0:
		out.right = n.right.remove(key)
	default:
		return join(n.left, n.right)
	}
	return &out
}

// join makes one tree of two, every key of a being less than any of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		out := *a
		out.right = join(a.right, b)
		return &out
	}
	out := *b
	out.left = join(a, b.left)
	return &out
}

// ascend goes through the keys with that prefix until yield returns false, and reports whether it never did.
func (n *node) ascend(prefix []byte, yield func(key, value []byte) bool) bool {
	if n == nil {
		return true
	}
	has := bytes.HasPrefix(n.key, prefix)
	if bytes.Compare(n.key, prefix) >= 0 && !n.left.ascend(prefix, yield) {
		return false
	}
	if has && !yield(n.key, n.value) {
		return false
	}
	if (has || bytes.Compare(n.key, prefix) < 0) && !n.right.ascend(prefix, yield) {
		return false
	}
	return true
}
