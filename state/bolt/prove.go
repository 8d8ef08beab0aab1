package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/dirsweep/dirsweep/state"
)

// The file format, as bbolt writes it in the byte order of the machine: pages, each with a header of 16 bytes (its own
// number, flags, how many elements, how many pages it overflows into), then elements of 16 bytes, then their keys and
// values without a gap. Pages 0 and 1 are the metas of the last two commits; the one with the higher transaction that
// matches its checksum counts.
const (
	headerSize = 16
	metaSize   = 64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01 // flag of a leaf's element whose value is a bucket: its root page and a sequence

	magic      = 0xED0CDAED
	version    = 2
	noFreelist = 1<<64 - 1
	maxDepth   = 32 // of the tree of pages
)

// prove reads f whole and reports the first thing that bbolt would not have written, so that bbolt can map it without
// harm: every page that can be reached is read once and is sound, its keys are in order, every record matches its
// checksum, and every other page is on the list of free ones. No change of a byte that counts goes unseen.
func prove(f *os.File) error {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err == nil {
		p := prover{ctx: context.Background(), file: f, size: info.Size()}
		err = p.run()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", state.ErrDamaged, err)
	}
	return nil
}

type prover struct {
	ctx      context.Context
	file     io.ReaderAt
	size     int64
	pageSize uint64
	meta     meta
	seen     []byte // by page number: one of the marks below
	buf      [maxDepth + 1][]byte
}

const (
	used = 1 + iota
	free
)

type meta struct{ pageSize, root, freelist, end, transaction uint64 } // end is the number of pages

func (p *prover) run() error {
	if err := p.findMeta(); err != nil {
		return err
	}
	if p.meta.end < 2 || p.meta.end > uint64(p.size)/p.pageSize {
		return fmt.Errorf("it has %d bytes where %d pages of %d are due: it was cut off", p.size, p.meta.end, p.pageSize)
	}
	if err := p.tree(); err != nil {
		return err
	}
	if p.meta.freelist == noFreelist {
		return errors.New("it has no list of free pages")
	}
	if err := p.freelist(); err != nil {
		return err
	}
	for id, mark := range p.seen {
		if mark == 0 {
			return fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return nil
}

// tree proves every page that can be reached from the root.
func (p *prover) tree() error {
	p.seen = make([]byte, p.meta.end)
	p.seen[0], p.seen[1] = used, used
	return p.page(p.meta.root, 0, true, nil, nil)
}

// findMeta looks for the second meta at every page size there may be, as the first one, which tells, may be the damaged
// one.
func (p *prover) findMeta() error {
	found := false
	for _, at := range []int64{0, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16} {
		var b [headerSize + metaSize]byte
		if _, err := p.file.ReadAt(b[:], at); err != nil {
			break
		}
		m, ok := parseMeta(b[headerSize:])
		if !ok || at != 0 && uint64(at) != m.pageSize || found && m.pageSize != p.pageSize {
			continue
		}
		if !found || m.transaction > p.meta.transaction {
			found, p.meta, p.pageSize = true, m, m.pageSize
		}
	}
	if !found {
		return fmt.Errorf("it has %d bytes and does not begin as a state does", p.size)
	}
	return nil
}

func parseMeta(b []byte) (m meta, ok bool) {
	order := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	if order.Uint32(b) != magic || order.Uint32(b[4:]) != version || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return m, false
	}
	m = meta{
		pageSize: uint64(order.Uint32(b[8:])), root: order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]), end: order.Uint64(b[40:]), transaction: order.Uint64(b[48:]),
	}
	return m, m.pageSize >= 1<<10 && m.pageSize <= 1<<16 && m.pageSize&(m.pageSize-1) == 0
}

// load reads page id with what it overflows into, and marks it used.
func (p *prover) load(id uint64, depth int) ([]byte, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	if id < 2 || id >= p.meta.end || depth > maxDepth {
		return nil, fmt.Errorf("page %d cannot be part of the tree", id)
	}
	var header [headerSize]byte
	if _, err := p.file.ReadAt(header[:], int64(id*p.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(header[12:]))
	if binary.NativeEndian.Uint64(header[:]) != id || overflow >= p.meta.end-id {
		return nil, fmt.Errorf("page %d is not what it says", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.seen[i] != 0 {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		p.seen[i] = used
	}
	n := int((overflow + 1) * p.pageSize)
	if cap(p.buf[depth]) < n {
		p.buf[depth] = make([]byte, n)
	}
	b := p.buf[depth][:n]
	if _, err := p.file.ReadAt(b, int64(id*p.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// page proves page id and all below it. Its keys are at least low, and less than high unless that is nil. In the root
// bucket every element is a table.
func (p *prover) page(id uint64, depth int, root bool, low, high []byte) error {
	b, err := p.load(id, depth)
	if err == nil {
		err = p.elements(b, depth, root, low, high)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// An element is one of a page's: of a branch, the page below; of a leaf, a record.
type element struct {
	flags      uint32
	key, value []byte
	page       uint64
}

func (p *prover) elements(b []byte, depth int, root bool, low, high []byte) error {
	kind, all, err := parse(b)
	if err != nil {
		return err
	}
	if kind == branchPage && len(all) == 0 {
		return errors.New("a branch without pages")
	}
	for i, e := range all {
		next := high
		if i+1 < len(all) {
			next = all[i+1].key
		}
		if bytes.Compare(e.key, low) < 0 || next != nil && bytes.Compare(e.key, next) >= 0 {
			return fmt.Errorf("key %x is out of order", e.key)
		}
		switch {
		case kind == branchPage:
			err = p.page(e.page, depth+1, root, e.key, next)
		case root:
			err = p.table(e, depth)
		case e.flags != 0:
			err = fmt.Errorf("a table within a table at key %x", e.key)
		default:
			_, err = unseal(e.key, e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parse takes a page apart. What it returns shares b.
func parse(b []byte) (kind uint16, all []element, err error) {
	order := binary.NativeEndian
	if len(b) < headerSize {
		return 0, nil, errors.New("it ends early")
	}
	kind, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if kind != branchPage && kind != leafPage {
		return 0, nil, fmt.Errorf("a page of kind %#x in the tree", kind)
	}
	end := uint64(headerSize + 16*count)
	if end > uint64(len(b)) {
		return 0, nil, errors.New("more elements than it can hold")
	}
	all = make([]element, count)
	for i := range all {
		at := headerSize + 16*i
		head := b[at : at+16]
		e := element{}
		var pos, keySize, valueSize uint64
		if kind == branchPage {
			pos, keySize, e.page = uint64(order.Uint32(head)), uint64(order.Uint32(head[4:])), order.Uint64(head[8:])
		} else {
			e.flags, pos = order.Uint32(head), uint64(order.Uint32(head[4:]))
			keySize, valueSize = uint64(order.Uint32(head[8:])), uint64(order.Uint32(head[12:]))
		}
		start := end
		if end = start + keySize + valueSize; uint64(at)+pos != start || end > uint64(len(b)) || keySize == 0 {
			return 0, nil, fmt.Errorf("element %d is out of place", i)
		}
		e.key, e.value = b[start:start+keySize], b[start+keySize:end]
		all[i] = e
	}
	return kind, all, nil
}

// table proves a bucket: a small one is a page within its own record.
func (p *prover) table(e element, depth int) error {
	if e.flags != bucketElement || len(e.value) < 16 {
		return fmt.Errorf("%q is not a table", e.key)
	}
	root := binary.NativeEndian.Uint64(e.value)
	var err error
	if root == 0 {
		err = p.inline(e.value[16:])
	} else {
		err = p.page(root, depth+1, false, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("table %q: %w", e.key, err)
	}
	return nil
}

func (p *prover) inline(b []byte) error {
	kind, all, err := parse(b)
	if err != nil {
		return err
	}
	used := headerSize
	for _, e := range all {
		used += 16 + len(e.key) + len(e.value)
	}
	if kind != leafPage || used != len(b) {
		return errors.New("its page is not as long as its record")
	}
	return p.elements(b, maxDepth, false, nil, nil)
}

func (p *prover) freelist() error {
	b, err := p.load(p.meta.freelist, 0)
	if err != nil {
		return fmt.Errorf("the list of free pages: %w", err)
	}
	order := binary.NativeEndian
	count, at := uint64(order.Uint16(b[10:])), headerSize
	if count == 0xFFFF {
		count, at = order.Uint64(b[headerSize:]), headerSize+8
	}
	if order.Uint16(b[8:]) != freelistPage || count > uint64(len(b)-at)/8 {
		return errors.New("the list of free pages is none")
	}
	for i := range int(count) {
		id := order.Uint64(b[at+8*i:])
		if id >= p.meta.end || p.seen[id] != 0 {
			return fmt.Errorf("page %d is free and used", id)
		}
		p.seen[id] = free
	}
	return nil
}
