package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/dirsweep/dirsweep/state"
)

// fill is how full a page is left when it is split: most records are written in the order of their keys, by a first
// pass.
const fill = 0.9

// A tx is one transaction. Its calls into bbolt are guarded one by one, so that fn may panic as it likes.
type tx struct {
	ctx      context.Context
	tx       *bbolt.Tx
	writable bool
	err      error // of a sequence that ended early; it fails the transaction
}

func (t *tx) run(fn func(state.Tx) error) error {
	defer func() { t.tx = nil }()
	if err := fn(t); err != nil {
		return err
	}
	return t.err
}

// Get returns the value of key.
func (t *tx) Get(table state.Table, key []byte) (value []byte, err error) {
	if t.tx == nil {
		return nil, state.ErrClosed
	}
	fault := guard(func() {
		bucket := t.tx.Bucket([]byte(table))
		if bucket == nil {
			return
		}
		if sealed := bucket.Get(key); sealed != nil {
			value, err = unseal(key, sealed)
		}
	})
	if fault != nil {
		return nil, fault
	}
	return value, err
}

// Range ends early when a record is damaged or the context is done; the transaction then fails.
func (t *tx) Range(table state.Table, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		if t.tx == nil {
			t.err = state.ErrClosed
			return
		}
		var cursor *bbolt.Cursor
		for n := 0; ; n++ {
			var k, sealed, v []byte
			var err error
			fault := guard(func() {
				if n > 0 {
					k, sealed = cursor.Next()
				} else if bucket := t.tx.Bucket([]byte(table)); bucket != nil {
					cursor = bucket.Cursor()
					k, sealed = cursor.Seek(prefix)
				}
				if k != nil && bytes.HasPrefix(k, prefix) {
					v, err = unseal(k, sealed)
				}
			})
			if n%256 == 0 && err == nil {
				err = t.ctx.Err()
			}
			if t.err = errors.Join(t.err, fault, err); t.err != nil || v == nil || !yield(k, v) {
				return
			}
		}
	}
}

// Put copies key and value.
func (t *tx) Put(table state.Table, key, value []byte) error {
	return t.write(table, func(bucket *bbolt.Bucket) error { return bucket.Put(key, seal(key, value)) })
}

// Delete removes key; where there is none, it does nothing.
func (t *tx) Delete(table state.Table, key []byte) error {
	return t.write(table, func(bucket *bbolt.Bucket) error { return bucket.Delete(key) })
}

func (t *tx) write(table state.Table, do func(*bbolt.Bucket) error) (err error) {
	switch {
	case t.tx == nil:
		return state.ErrClosed
	case !t.writable:
		return state.ErrReadOnly
	}
	fault := guard(func() {
		bucket := t.tx.Bucket([]byte(table))
		if bucket == nil {
			if bucket, err = t.tx.CreateBucket([]byte(table)); err != nil {
				return
			}
		}
		bucket.FillPercent = fill
		err = do(bucket)
	})
	return errors.Join(fault, err)
}

// A record is stored with its checksum behind it: CRC-32C of key and value, four bytes.
const sealSize = 4

func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, key), table, value)
}

func seal(key, value []byte) []byte {
	sealed := make([]byte, 0, len(value)+sealSize)
	sealed = append(sealed, value...)
	return binary.BigEndian.AppendUint32(sealed, checksum(key, value))
}

func unseal(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - sealSize
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(key, sealed[:n]) {
		return nil, fmt.Errorf("%w: the record %x does not match its checksum", state.ErrDamaged, key)
	}
	return sealed[:n:n], nil
}
