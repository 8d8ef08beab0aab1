package ldapclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/go-ldap/ldap/v3"
)

// An IncompleteError says why an answer is only a part, and what to do about it (R2).
type IncompleteError struct {
	Reason string
	Next   string // what an operator can do; "" where there is nothing to say
	Err    error  // nil where the reason is not an error of the server
}

func (e *IncompleteError) Error() string {
	text := e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Next != "" {
		text += " (" + e.Next + ")"
	}
	return text
}

func (e *IncompleteError) Unwrap() error { return e.Err }

// A ResultError is a server's answer with another result code than success, written as people know it: the name of
// the code, the code, and the server's own words.
type ResultError struct{ answer *ldap.Error }

func (e *ResultError) Error() string {
	text := fmt.Sprintf("%s (%d)", strings.ToLower(ldap.LDAPResultCodeMap[e.answer.ResultCode]), e.answer.ResultCode)
	if e.answer.Err != nil && e.answer.Err.Error() != "" {
		text += ", " + printable(e.answer.Err.Error())
	}
	return text
}

// printable leaves out what is no text: domain controllers end their words with a NUL.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.IsControl(r) && r != '\n':
			return -1
		case r == '\n':
			return ' '
		}
		return r
	}, text))
}

func (e *ResultError) Unwrap() error { return e.answer }

// Hint is the next step for a result code, "" where the error says it.
func Hint(err error) string {
	var answer *ldap.Error
	if refused := (*SignInError)(nil); errors.As(err, &refused) {
		return ""
	}
	if !errors.As(err, &answer) {
		return ""
	}
	switch answer.ResultCode {
	case ldap.LDAPResultTimeLimitExceeded:
		return "raise the server's time limit for the bind DN, or lower page_size"
	case ldap.LDAPResultSizeLimitExceeded:
		return "give the bind DN an unlimited size limit on the server (OpenLDAP olcLimits, 389 nsSizeLimit)"
	case ldap.LDAPResultAdminLimitExceeded:
		return "lower page_size to what the server allows, index the attributes of the filter, or raise its look-through limit"
	case ldap.LDAPResultReferral:
		return "another server holds this part: name that server in url, or narrow base_dn"
	case ldap.LDAPResultNoSuchObject:
		return "it does not exist, or the bind DN may not see it"
	case ldap.LDAPResultInsufficientAccessRights:
		return "let the bind DN read and search there"
	case ldap.LDAPResultInvalidCredentials:
		return "check bind_dn and bind_password"
	case ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		return "the server's log says what it wants"
	case ldap.LDAPResultUnavailableCriticalExtension:
		return "the server cannot page: set page_size = 0 and give the bind DN an unlimited size limit"
	}
	return ""
}

// A Query is one search.
type Query struct {
	Base       string
	Scope      int
	Filter     string
	Attributes []string
	Controls   []ldap.Control // beside that of paging
}

// And is the same search for what fits another filter as well.
func (q Query) And(filter string) Query {
	q.Filter = "(&" + q.Filter + filter + ")"
	return q
}

// Bounds limit a search that the server might never end.
type Bounds struct {
	PageSize   uint32 // 0 for unpaged
	MaxEntries int
	Ignored    []string // DNs below which references need not be followed; "*" for all
}

// maxEmptyPages in a row are taken for a search that makes no progress. A few happen: a server may end a page when
// its time slice is over.
const maxEmptyPages = 100

// Pages runs a search and yields its entries a page at a time. It ends with an error unless the server said that
// this was everything:
//   - result code success on every page, and no reference to another server left open;
//   - after the first page that carried a paging control, every other one too. A server that ignores the control from the start sends
//     everything in one answer, and success then means everything: one that hits a limit has to say sizeLimitExceeded (RFC 4511, 4.5.1.4);
//   - every value of each attribute, also where the server hands them out a range at a time (MS-ADTS 3.1.1.3.1.3.3);
//   - progress: cookies may repeat (389 Directory Server sends the same each time), pages may not.
func (s *Session) Pages(ctx context.Context, q Query, b Bounds) iter.Seq2[[]*ldap.Entry, error] {
	return func(yield func([]*ldap.Entry, error) bool) {
		var cookie []byte
		seen := make(map[uint64]struct{}) // the first entry of each page
		total, empty := 0, 0
		for number := 1; ; number++ {
			entries, next, paged, err := s.page(ctx, q, b, cookie)
			at := fmt.Sprintf("page %d of %s, after %d entries", number, q.Base, total)
			if err != nil {
				yield(nil, &IncompleteError{Reason: at, Next: Hint(err), Err: err})
				return
			}
			if !paged && number > 1 {
				yield(
					nil,
					&IncompleteError{
						Reason: at + ": the server forgot the paging control, so nothing says that this was the last page",
					},
				)
				return
			}
			if total += len(entries); total > b.MaxEntries {
				yield(
					nil,
					&IncompleteError{
						Reason: at + ": the server does not stop sending",
						Next:   "raise max_entries if there are so many",
					},
				)
				return
			}
			if len(entries) == 0 {
				empty++
			} else {
				empty = 0
				first := xxhash.Sum64String(entries[0].DN)
				if _, again := seen[first]; again && paged {
					yield(nil, &IncompleteError{Reason: at + ": the same page came twice"})
					return
				}
				seen[first] = struct{}{}
				for _, entry := range entries {
					if err := s.complete(ctx, entry); err != nil {
						yield(nil, err)
						return
					}
				}
				if !yield(entries, nil) {
					return
				}
			}
			if len(next) == 0 {
				return
			}
			if empty > maxEmptyPages {
				yield(
					nil,
					&IncompleteError{
						Reason: fmt.Sprintf("%s: %d empty pages in a row, and the server still says that more follow", at, empty),
					},
				)
				return
			}
			cookie = bytes.Clone(next)
		}
	}
}

// Every runs a search to its proven end and returns all entries; meant for a handful.
func Every(pages iter.Seq2[[]*ldap.Entry, error]) (all []*ldap.Entry, err error) {
	for entries, err := range pages {
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// page asks for one page. next is the cookie of the following one, empty after the last; paged tells that the
// server did page.
func (s *Session) page(
	ctx context.Context,
	q Query,
	b Bounds,
	cookie []byte,
) (entries []*ldap.Entry, next []byte, paged bool, err error) {
	var controls []ldap.Control
	if b.PageSize > 0 {
		controls = append(controls, &ldap.ControlPaging{PagingSize: b.PageSize, Cookie: cookie})
	}
	result, err := s.Search(ctx, q, 0, controls)
	if err != nil {
		return nil, nil, false, err
	}
	for _, reference := range result.Referrals {
		if !Ignorable(reference, b.Ignored) {
			return nil, nil, false, fmt.Errorf(
				"a part is on another server, %s: name that server in a source of its own and its DN in "+
					"ignore_referrals, or ask a server that holds everything",
				reference,
			)
		}
	}
	if control, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging); ok {
		return result.Entries, control.Cookie, true, nil
	}
	return result.Entries, nil, false, nil
}

// Search is one search request with its whole answer. Entries that came before an error are returned along with it.
func (s *Session) Search(
	ctx context.Context,
	q Query,
	sizeLimit int,
	controls []ldap.Control,
) (*ldap.SearchResult, error) {
	var result *ldap.SearchResult
	err := s.Do(ctx, func() (err error) {
		result, err = s.Conn.Search(ldap.NewSearchRequest(q.Base, q.Scope, ldap.NeverDerefAliases, sizeLimit, 0, false,
			q.Filter, q.Attributes, slices.Concat(q.Controls, controls)))
		return err
	})
	return result, err
}

// Read asks for exactly one entry; nil where the server says that there is none to be seen.
func (s *Session) Read(ctx context.Context, dn string, attributes ...string) (*ldap.Entry, error) {
	q := Query{Base: dn, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: attributes}
	result, err := s.Search(ctx, q, 0, nil)
	if err != nil {
		return nil, err
	}
	if len(result.Entries) == 0 {
		return nil, nil
	}
	return result.Entries[0], nil
}

// Ignorable reports whether what a search reference (RFC 4511, 4.5.3) points to need not be read: a partition of
// Active Directory that never holds people, or a part that the config says another source reads.
func Ignorable(reference string, ignored []string) bool {
	_, rest, _ := strings.Cut(reference, "://")
	_, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	dn, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	for _, below := range ignored {
		if below == "*" || dn != "" && Within(dn, below) {
			return true
		}
	}
	return Partition(dn)
}

// Partition reports whether dn is a naming context of Active Directory that holds no people.
func Partition(dn string) bool {
	dn = strings.ToLower(dn)
	for _, prefix := range []string{"cn=configuration,dc=", "cn=schema,cn=configuration,dc=", "dc=domaindnszones,dc=", "dc=forestdnszones,dc="} {
		if strings.HasPrefix(dn, prefix) {
			return true
		}
	}
	return false
}
