package directory

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A uuid is the identifier that a directory itself gives to an entry, for life: entryUUID (RFC 4530), objectGUID
// (MS-ADTS 3.1.1.1.4).
type uuid [16]byte

func (id uuid) String() string {
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// parseUUID reads the text of one.
func parseUUID(text string) (id uuid, ok bool) {
	digits := strings.ReplaceAll(text, "-", "")
	n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))]))
	return id, err == nil && n == len(id) && len(digits) == 2*len(id)
}

// uuidOf reads an entry's from the attribute that holds it; false where it shows none.
func (a anchor) uuidOf(entry *ldap.Entry) (id uuid, ok bool) {
	text, err := a.render(entry.GetEqualFoldRawAttributeValue(a.name))
	if err != nil {
		return id, false
	}
	return parseUUID(text)
}

// spell writes an identifier as the attribute holds it: 389 Directory Server has dashes in other places.
func (a anchor) spell(id uuid) string {
	if !strings.EqualFold(a.name, "nsUniqueId") {
		return id.String()
	}
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:16] + "-" + text[16:24] + "-" + text[24:]
}

// anyOf is the filter of the entries with some identifiers.
func (a anchor) anyOf(ids []uuid) (string, error) {
	var b strings.Builder
	for _, id := range ids {
		one, err := a.filter(a.spell(id))
		if err != nil {
			return "", err
		}
		b.WriteString(one)
	}
	return "(|" + b.String() + ")", nil
}

// A mirror is what this process last read of a directory, entry by entry as the server sent them, in a temporary file
// that nobody else can read; memory holds an identifier and a place of each.
type mirror struct {
	url   string           // of the server that it was read from
	feed  feed             // of that server's changes
	until sources.Currency // the position of the feed before it was asked last

	unseen []string // the base DNs that could not be seen

	people, groups *entries
	containers     map[uuid]string // the DNs, normalised, of the entries that hold people or groups, as far up as the bases
	parents        map[string]bool // the DNs of such entries that are not among them yet
	untold         map[uuid]bool   // of those, which came to hold somebody without a word: they may hold others

	// unsettled are DNs that mean somebody else than before, or nobody. OpenLDAP's overlays refint and memberof put the
	// new name into groups, or take the old one out, in their own time, and tell nobody.
	unsettled map[string]unsettled

	folder  string // of the file
	file    *os.File
	out     *bufio.Writer
	size    int64 // of the file
	garbage int64 // of it: entries that are no more, or have changed since
	spare   int64 // how much garbage is no reason to write the file anew
}

// An unsettled DN is one whose groups are read again.
type unsettled struct {
	since, next time.Time
	came        bool // somebody has it who had not: groups may list it that did not
}

// Entries are some of a mirror's.
type entries struct {
	at      map[uuid]place
	changed bool // since somebody looked
}

// A place is where an entry is in the file.
type place struct {
	at   int64
	size int32
}

// newMirror makes an empty one in a folder, "" for the system's. The caller closes it.
func newMirror(folder, url string, f feed) (*mirror, error) {
	m := &mirror{
		url: url, feed: f, people: &entries{at: map[uuid]place{}}, groups: &entries{at: map[uuid]place{}},
		containers: map[uuid]string{}, parents: map[string]bool{}, untold: map[uuid]bool{}, unsettled: map[string]unsettled{},
		folder: folder, spare: spare,
	}
	return m, m.create()
}

// create begins an empty file.
func (m *mirror) create() error {
	file, err := os.CreateTemp(m.folder, ".dirsweep-source-*")
	if err != nil {
		return fmt.Errorf("make the source's temporary file: %w", err)
	}
	_ = os.Remove(file.Name()) // Windows refuses to remove an open file; discard removes it there
	m.file, m.out, m.size, m.garbage = file, bufio.NewWriterSize(file, 1<<16), 0, 0
	return nil
}

func (m *mirror) close() {
	m.feed.close()
	discard(m.file)
}

func discard(file *os.File) {
	name := file.Name()
	_ = file.Close()
	_ = os.Remove(name)
}

// identify tells which entry one is.
func (m *mirror) identify(entry *ldap.Entry) (uuid, error) {
	id, ok := m.feed.id().uuidOf(entry)
	if !ok {
		return id, &rereadError{"the entry " + ldapclient.Readable(entry.DN) + " shows no " + m.feed.id().name}
	}
	return id, nil
}

// record keeps an entry of a read. An entry that cannot be told from others cannot be followed.
func (m *mirror) record(in *entries, entry *ldap.Entry) (uuid, error) {
	id, err := m.identify(entry)
	if err != nil {
		return id, err
	}
	if parent := identity.ParentDN(entry.DN); parent != "" {
		m.parents[parent] = true
	}
	return id, m.put(in, id, entry)
}

// put keeps an entry, in place of what was known of it.
func (m *mirror) put(in *entries, id uuid, entry *ldap.Entry) error {
	raw := appendEntry(nil, entry)
	if len(raw) > maxEntry {
		return fmt.Errorf("the entry %s has more than %d bytes", entry.DN, maxEntry)
	}
	if _, err := m.out.Write(raw); err != nil {
		return fmt.Errorf("write the source's temporary file: %w", err)
	}
	m.forget(in, id)
	in.at[id], in.changed = place{m.size, int32(len(raw))}, true
	m.size += int64(len(raw))
	return nil
}

// entry is what is kept of one.
func (m *mirror) entry(p place) (*ldap.Entry, error) {
	raw := make([]byte, p.size)
	err := m.out.Flush()
	if err == nil {
		_, err = m.file.ReadAt(raw, p.at)
	}
	var entry *ldap.Entry
	if err == nil {
		entry, err = readEntry(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("the source's temporary file: %w", err)
	}
	return entry, nil
}

// forget forgets an entry, where it is known.
func (m *mirror) forget(in *entries, id uuid) {
	if old, known := in.at[id]; known {
		m.garbage += int64(old.size)
		in.changed = true
		delete(in.at, id)
	}
}

// maxEntry bounds what is kept of one entry: a group of half a million members fits.
const maxEntry = 1 << 26

// spare is how much of a file may be garbage, however small the rest.
const spare = 16 << 20

// compact writes the file anew where most of it is garbage, as a large group leaves it that changes often (R18).
func (m *mirror) compact() error {
	if m.garbage <= max(m.spare, m.size/2) {
		return nil
	}
	old := *m
	if err := old.out.Flush(); err != nil {
		return fmt.Errorf("write the source's temporary file: %w", err)
	}
	if err := m.create(); err != nil {
		return err
	}
	defer discard(old.file)
	for _, of := range []*entries{m.people, m.groups} {
		for kept, err := range old.stored(of) {
			if err == nil {
				_, err = m.out.Write(kept.raw)
			}
			if err != nil {
				return fmt.Errorf("write the source's temporary file anew: %w", err)
			}
			of.at[kept.id] = place{m.size, int32(len(kept.raw))}
			m.size += int64(len(kept.raw))
		}
	}
	return nil
}

// A stored entry is one as it is in the file; raw is valid until the next one.
type stored struct {
	id  uuid
	raw []byte
}

// stored goes through entries in the order in which they came, from the file. They may get other places meanwhile.
func (m *mirror) stored(of *entries) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		type held struct {
			place
			id uuid
		}
		all := make([]held, 0, len(of.at))
		for id, p := range of.at {
			all = append(all, held{p, id})
		}
		slices.SortFunc(all, func(a, b held) int { return cmp.Compare(a.at, b.at) })
		in := bufio.NewReaderSize(io.NewSectionReader(m.file, 0, m.size), 1<<18)
		var at int64
		var raw []byte
		for _, one := range all {
			_, err := in.Discard(int(one.at - at))
			if err == nil {
				raw = slices.Grow(raw[:0], int(one.size))[:one.size]
				_, err = io.ReadFull(in, raw)
			}
			if err != nil {
				yield(stored{}, fmt.Errorf("read the source's temporary file: %w", err))
				return
			}
			at = one.at + int64(one.size)
			if !yield(stored{one.id, raw}, nil) {
				return
			}
		}
	}
}

// each goes through entries in the order in which they came.
func (m *mirror) each(of *entries) iter.Seq2[*ldap.Entry, error] {
	return func(yield func(*ldap.Entry, error) bool) {
		if err := m.out.Flush(); err != nil {
			yield(nil, fmt.Errorf("write the source's temporary file: %w", err))
			return
		}
		for kept, err := range m.stored(of) {
			var entry *ldap.Entry
			if err == nil {
				entry, err = readEntry(kept.raw)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

// holders are the DNs, normalised, of everything that an entry is below, up to the first of bases.
func holders(dn string, bases []string) (list []string) {
	for above := identity.ParentDN(dn); above != ""; above = identity.ParentDN(above) {
		if !inAny(above, bases) {
			return list
		}
		if normal, err := ldapclient.NormalDN(above); err == nil {
			list = append(list, normal)
		}
	}
	return list
}

// mostContainers bounds what is kept of the containers of people and groups.
const mostContainers = 20_000

// findContainers asks which entries hold what was read since it was last asked.
func (m *mirror) findContainers(ctx context.Context, session *ldapclient.Session, bases []string) error {
	known := map[string]bool{}
	for _, dn := range m.containers {
		known[dn] = true
	}
	for parent := range m.parents {
		for _, dn := range holders("x=x,"+parent, bases) {
			if known[dn] {
				continue
			}
			known[dn] = true
			entry, err := session.Read(ctx, dn, m.feed.id().name)
			if err != nil {
				return err
			}
			if entry == nil {
				return &rereadError{dn + ", which holds people or groups, cannot be seen"}
			}
			id, err := m.identify(entry)
			if err != nil {
				return err
			}
			switch old, known := m.containers[id]; {
			case !known:
				m.untold[id] = true
			case old != dn: // who is in it was read where it was
				return &rereadError{old + " is " + dn + " by now, without a word"}
			}
			m.containers[id] = dn
		}
	}
	if clear(m.parents); len(m.containers) > mostContainers {
		return &rereadError{"people are in too many containers to follow them all"}
	}
	return nil
}

// appendEntry writes an entry: its DN, and each attribute with its values, each text after its length.
func appendEntry(to []byte, entry *ldap.Entry) []byte {
	text := func(s string) { to = append(binary.AppendUvarint(to, uint64(len(s))), s...) }
	text(entry.DN)
	to = binary.AppendUvarint(to, uint64(len(entry.Attributes)))
	for _, attribute := range entry.Attributes {
		text(attribute.Name)
		to = binary.AppendUvarint(to, uint64(len(attribute.ByteValues)))
		for _, value := range attribute.ByteValues {
			to = append(binary.AppendUvarint(to, uint64(len(value))), value...)
		}
	}
	return to
}

var errEntry = errors.New("not an entry")

// readEntry reads what appendEntry wrote. The entry keeps nothing of raw.
func readEntry(raw []byte) (*ldap.Entry, error) {
	all := string(raw)
	bytes := []byte(all)
	at := 0
	number := func(most int) (int, error) {
		n, size := binary.Uvarint(bytes[at:])
		if size <= 0 || n > uint64(most) {
			return 0, errEntry
		}
		at += size
		return int(n), nil
	}
	text := func() (string, []byte, error) {
		n, err := number(len(bytes))
		if err != nil || n > len(bytes)-at {
			return "", nil, errEntry
		}
		from := at
		at += n
		return all[from:at], bytes[from:at:at], nil
	}
	dn, _, err := text()
	if err != nil {
		return nil, err
	}
	count, err := number(len(bytes))
	if err != nil {
		return nil, err
	}
	entry := &ldap.Entry{DN: dn, Attributes: make([]*ldap.EntryAttribute, 0, count)}
	for range count {
		name, _, err := text()
		if err != nil {
			return nil, err
		}
		values, err := number(len(bytes))
		if err != nil {
			return nil, err
		}
		attribute := &ldap.EntryAttribute{Name: name}
		if values > 0 {
			attribute.Values, attribute.ByteValues = make([]string, 0, values), make([][]byte, 0, values)
		}
		for range values {
			value, raw, err := text()
			if err != nil {
				return nil, err
			}
			attribute.Values, attribute.ByteValues = append(attribute.Values, value), append(attribute.ByteValues, raw)
		}
		entry.Attributes = append(entry.Attributes, attribute)
	}
	if at != len(bytes) {
		return nil, errEntry
	}
	return entry, nil
}
