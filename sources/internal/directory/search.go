package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// An incompleteError says why an answer is only a part, and what to do about it (R2).
type incompleteError struct {
	reason string
	next   string // what an operator can do; "" where there is nothing to say
	err    error  // nil where the reason is not an error of the server
}

func (e *incompleteError) Error() string {
	text := e.reason
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	if e.next != "" {
		text += " (" + e.next + ")"
	}
	return text
}

func (e *incompleteError) Unwrap() []error {
	if e.err == nil {
		return []error{sources.ErrIncomplete}
	}
	return []error{sources.ErrIncomplete, e.err}
}

// A resultError is a server's answer with another result code than success, written as people know it: the name of
// the code, the code, and the server's own words.
type resultError struct{ answer *ldap.Error }

func (e *resultError) Error() string {
	text := fmt.Sprintf("%s (%d)", strings.ToLower(ldap.LDAPResultCodeMap[e.answer.ResultCode]), e.answer.ResultCode)
	if e.answer.Err != nil && e.answer.Err.Error() != "" {
		text += ", " + e.answer.Err.Error()
	}
	return text
}

func (e *resultError) Unwrap() error { return e.answer }

// hint is the next step for a result code, "" where the error says it.
func hint(err error) string {
	var answer *ldap.Error
	if refused := (*signInError)(nil); errors.As(err, &refused) {
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

// A query is one search.
type query struct {
	base       string
	scope      int
	filter     string
	attributes []string
	controls   []ldap.Control // beside that of paging
}

// and is the same search for what fits another filter as well.
func (q query) and(filter string) query {
	q.filter = "(&" + q.filter + filter + ")"
	return q
}

// bounds limit a search that the server might never end.
type bounds struct {
	pageSize   uint32 // 0 for unpaged
	maxEntries int
	ignored    []string // DNs below which references need not be followed; "*" for all
}

// maxEmptyPages in a row are taken for a search that makes no progress. A few happen: a server may end a page when
// its time slice is over.
const maxEmptyPages = 100

// pages runs a search and yields its entries a page at a time. It ends with an error unless the server said that
// this was everything:
//   - result code success on every page, and no reference to another server left open;
//   - after the first page that carried a paging control, every other one too. A server that ignores the control from the start sends
//     everything in one answer, and success then means everything: one that hits a limit has to say sizeLimitExceeded (RFC 4511, 4.5.1.4);
//   - every value of each attribute, also where the server hands them out a range at a time (MS-ADTS 3.1.1.3.1.3.3);
//   - progress: cookies may repeat (389 Directory Server sends the same each time), pages may not.
func (s *session) pages(ctx context.Context, q query, b bounds) iter.Seq2[[]*ldap.Entry, error] {
	return func(yield func([]*ldap.Entry, error) bool) {
		var cookie []byte
		seen := make(map[uint64]struct{}) // the first entry of each page
		total, empty := 0, 0
		for number := 1; ; number++ {
			entries, next, paged, err := s.page(ctx, q, b, cookie)
			at := fmt.Sprintf("page %d of %s, after %d entries", number, q.base, total)
			if err != nil {
				yield(nil, &incompleteError{reason: at, next: hint(err), err: err})
				return
			}
			if !paged && number > 1 {
				yield(
					nil,
					&incompleteError{
						reason: at + ": the server forgot the paging control, so nothing says that this was the last page",
					},
				)
				return
			}
			if total += len(entries); total > b.maxEntries {
				yield(
					nil,
					&incompleteError{
						reason: at + ": the server does not stop sending",
						next:   "raise max_entries if there are so many",
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
					yield(nil, &incompleteError{reason: at + ": the same page came twice"})
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
					&incompleteError{
						reason: fmt.Sprintf("%s: %d empty pages in a row, and the server still says that more follow", at, empty),
					},
				)
				return
			}
			cookie = bytes.Clone(next)
		}
	}
}

// page asks for one page. next is the cookie of the following one, empty after the last; paged tells that the
// server did page.
func (s *session) page(
	ctx context.Context,
	q query,
	b bounds,
	cookie []byte,
) (entries []*ldap.Entry, next []byte, paged bool, err error) {
	var controls []ldap.Control
	if b.pageSize > 0 {
		controls = append(controls, &ldap.ControlPaging{PagingSize: b.pageSize, Cookie: cookie})
	}
	result, err := s.search(ctx, q, 0, controls)
	if err != nil {
		return nil, nil, false, err
	}
	for _, reference := range result.Referrals {
		if !ignorable(reference, b.ignored) {
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

// search is one search request with its whole answer. Entries that came before an error are returned along with it.
func (s *session) search(
	ctx context.Context,
	q query,
	sizeLimit int,
	controls []ldap.Control,
) (*ldap.SearchResult, error) {
	var result *ldap.SearchResult
	err := s.do(ctx, func() (err error) {
		result, err = s.conn.Search(ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, sizeLimit, 0, false,
			q.filter, q.attributes, slices.Concat(q.controls, controls)))
		return err
	})
	return result, err
}

// read asks for exactly one entry; nil where the server says that there is none to be seen.
func (s *session) read(ctx context.Context, dn string, attributes ...string) (*ldap.Entry, error) {
	q := query{base: dn, scope: ldap.ScopeBaseObject, filter: "(objectClass=*)", attributes: attributes}
	result, err := s.search(ctx, q, 0, nil)
	if err != nil {
		return nil, err
	}
	if len(result.Entries) == 0 {
		return nil, nil
	}
	return result.Entries[0], nil
}

// ignorable reports whether what a search reference (RFC 4511, 4.5.3) points to need not be read: a partition of
// Active Directory that never holds people, or a part that the config says another source reads.
func ignorable(reference string, ignored []string) bool {
	_, rest, _ := strings.Cut(reference, "://")
	_, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	dn, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	for _, below := range ignored {
		if below == "*" || dn != "" && within(dn, below) {
			return true
		}
	}
	return partition(dn)
}

// partition reports whether dn is a naming context of Active Directory that holds no people.
func partition(dn string) bool {
	dn = strings.ToLower(dn)
	for _, prefix := range []string{"cn=configuration,dc=", "cn=schema,cn=configuration,dc=", "dc=domaindnszones,dc=", "dc=forestdnszones,dc="} {
		if strings.HasPrefix(dn, prefix) {
			return true
		}
	}
	return false
}
