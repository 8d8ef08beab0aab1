package scimtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/scim2/filter-parser/v2"
)

// Quirks are the ways in which a Fast application is wrong. The zero value is right.
type Quirks struct {
	TotalOff       int  // is added to totalResults
	TotalOfPage    bool // totalResults counts the page
	NoTotal        bool
	PageCap        int  // the most that a page holds, whatever is asked
	ZeroBased      bool // startIndex counts from 0
	FirstPastEnd   bool // past the end there is page one again (SCIMMY)
	IgnorePaging   bool // everyone, always
	Overlap        int  // each page but the first begins so many entries too early
	Skip           int  // each page but the first begins so many entries too late
	Churn          int  // so many times, the first account goes after a page is read
	Cursor         bool // RFC 9865, announced and required
	CursorCircle   bool // the next cursor is the same for ever
	Undeclared     bool // no ServiceProviderConfig, ResourceTypes, Schemas
	NoPatch        bool // PUT only, and says so
	ETag           bool // If-Match is checked, and announced
	TextBooleans   bool // active is returned as "True" and "False"
	StoreText      bool // active is stored as it is sent, whatever its type
	SilentFilters  bool // filters other than by userName answer 200 and nothing
	IgnoreFilters  bool // filters answer with everyone
	RefuseFilters  bool // filters answer 400
	ExactNames     bool // userName is compared letter by letter (SCIMMY)
	NoBody         bool // writes answer 204
	HiddenMembers  bool // groups do not show members
	GroupListCap   int  // lists leave members out of groups that have more
	BareGroupLists bool // lists of groups leave members out; a group read by itself shows them
	EmptyMembers   bool // groups show an empty list of members, whoever is in them (Jackson)
	NumericActive  bool // active is shown as 1 and 0 (Snipe-IT)
	RemoveAll      bool // "remove members" with values takes out everyone, as the RFC reads it
	RefuseOverCap  bool // a count above PageCap is 400
	NumericID      bool // ids are JSON numbers
	BareUniqueness bool // duplicates answer 400 with scimType uniqueness
}

// Fast is a SCIM application of our own that keeps its accounts encoded: for benchmarks, and for being wrong.
type Fast struct {
	mu     sync.RWMutex
	quirks Quirks
	users  *stack
	groups *stack
	next   int
	churn  int
}

// A stack is one kind of resource.
type stack struct {
	unique     string
	order      []*entry
	byID       map[string]*entry
	byUnique   map[string]*entry
	byExternal map[string]*entry
}

type entry struct {
	id, unique, external string
	version              int
	encoded              []byte
}

// NewFast returns an application that is empty.
func NewFast(q Quirks) *Fast {
	return &Fast{quirks: q, users: newStack("userName"), groups: newStack("displayName"), churn: q.Churn}
}

// StartFast runs a Fast with n accounts, numbered from 1: userName u000001, externalId e000001, each with a display
// name, a name and a mail.
func StartFast(tb testing.TB, n int, q Quirks) (*Server, *Fast) {
	tb.Helper()
	f := NewFast(q)
	f.Fill(n, func(i int) map[string]any {
		return map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": fmt.Sprintf("u%06d", i),
			"externalId": fmt.Sprintf("e%06d", i), "active": true, "displayName": fmt.Sprintf("Person %d", i),
			"name":   map[string]any{"givenName": "Person", "familyName": strconv.Itoa(i)},
			"emails": []any{map[string]any{"value": fmt.Sprintf("u%06d@example.org", i), "primary": true}},
		}
	})
	return serve(tb, "/scim/v2", signedIn(http.StripPrefix("/scim/v2", f))), f
}

func newStack(unique string) *stack {
	return &stack{unique: unique, byID: map[string]*entry{}, byUnique: map[string]*entry{}, byExternal: map[string]*entry{}}
}

// Fill adds n accounts; account is asked for each, from 1.
func (f *Fast) Fill(n int, account func(i int) map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := 1; i <= n; i++ {
		f.add(f.users, account(i))
	}
}

// Len returns how many accounts there are, and how many of them are active.
func (f *Fast) Len() (all, active int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, e := range f.users.order {
		var doc struct{ Active any }
		if json.Unmarshal(e.encoded, &doc) == nil && (doc.Active == true || doc.Active == "True") {
			active++
		}
	}
	return len(f.users.order), active
}

func (f *Fast) add(s *stack, doc map[string]any) *entry {
	f.next++
	e := &entry{id: fmt.Sprintf("%08d", 10_000_000+f.next)}
	s.order = append(s.order, e)
	s.byID[e.id] = e
	f.store(s, e, doc)
	return e
}

func (f *Fast) store(s *stack, e *entry, doc map[string]any) {
	delete(s.byUnique, e.unique)
	delete(s.byExternal, e.external)
	e.version++
	doc["id"] = e.id
	if f.quirks.NumericID {
		n, _ := strconv.Atoi(e.id)
		doc["id"] = n
	}
	if b, ok := doc["active"].(bool); ok && f.quirks.TextBooleans {
		doc["active"] = map[bool]string{true: "True", false: "False"}[b]
	}
	meta := map[string]any{"resourceType": map[string]string{"userName": "User", "displayName": "Group"}[s.unique]}
	if f.quirks.ETag {
		meta["version"] = etag(e)
	}
	doc["meta"] = meta
	name, _ := doc[s.unique].(string)
	e.unique, e.external = f.unique(name), external(doc)
	e.encoded, _ = json.Marshal(doc)
	s.byUnique[e.unique] = e
	if e.external != "" {
		s.byExternal[e.external] = e
	}
}

func (f *Fast) unique(name string) string {
	if f.quirks.ExactNames {
		return name
	}
	return strings.ToLower(name)
}

func etag(e *entry) string { return `W/"` + strconv.Itoa(e.version) + `"` }

func (e *entry) doc() map[string]any {
	var doc map[string]any
	_ = json.Unmarshal(e.encoded, &doc) // it was marshalled here
	return doc
}

func (f *Fast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, id, one := strings.Cut(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	id, _ = url.PathUnescape(id)
	stacks := map[string]*stack{"Users": f.users, "Groups": f.groups}
	s := stacks[kind]
	switch {
	case s == nil:
		f.describe(w, kind)
	case !one && r.Method == http.MethodGet:
		f.list(w, r, s)
	case !one && r.Method == http.MethodPost:
		f.create(w, r, s)
	case one && r.Method == http.MethodGet:
		f.read(w, r, s, id)
	case one:
		f.write(w, r, s, id)
	default:
		fail(w, http.StatusMethodNotAllowed, "", "no")
	}
}

func (f *Fast) describe(w http.ResponseWriter, kind string) {
	switch {
	case f.quirks.Undeclared:
		fail(w, http.StatusNotFound, "", "nothing here")
	case kind == "ServiceProviderConfig":
		method := map[bool]string{true: "cursor", false: "index"}[f.quirks.Cursor]
		reply(w, http.StatusOK, map[string]any{
			"patch": map[string]any{"supported": !f.quirks.NoPatch}, "etag": map[string]any{"supported": f.quirks.ETag},
			"filter":     map[string]any{"supported": true, "maxResults": 1000},
			"pagination": map[string]any{"cursor": f.quirks.Cursor, "index": !f.quirks.Cursor, "defaultPaginationMethod": method},
		})
	case kind == "ResourceTypes":
		reply(w, http.StatusOK, map[string]any{"totalResults": 2, "Resources": []any{
			map[string]any{"name": "User", "endpoint": "/Users"}, map[string]any{"name": "Group", "endpoint": "/Groups"},
		}})
	default:
		fail(w, http.StatusNotFound, "", "nothing here")
	}
}

func (f *Fast) list(w http.ResponseWriter, r *http.Request, s *stack) {
	q := r.URL.Query()
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.matching(s, q.Get("filter"))
	if err != nil {
		fail(w, http.StatusBadRequest, "invalidFilter", err.Error())
		return
	}
	count, err := strconv.Atoi(q.Get("count"))
	if err != nil {
		count = 100
	}
	if f.quirks.RefuseOverCap && count > f.quirks.PageCap {
		fail(w, http.StatusBadRequest, "invalidValue", "count is too large")
		return
	}
	if f.quirks.PageCap > 0 {
		count = min(count, f.quirks.PageCap)
	}
	first, next := f.start(q, len(all), count)
	last := min(len(all), first+max(0, count))
	if f.quirks.IgnorePaging {
		first, last = 0, len(all)
	}
	total := len(all) + f.quirks.TotalOff
	if f.quirks.TotalOfPage {
		total = last - first
	}
	w.Header().Set("Content-Type", "application/scim+json")
	_, _ = io.WriteString(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],`)
	if !f.quirks.NoTotal {
		_, _ = fmt.Fprintf(w, `"totalResults":%d,"startIndex":%d,`, total, first+1)
	}
	if next != "" {
		_, _ = fmt.Fprintf(w, `"nextCursor":%q,`, next)
	}
	_, _ = fmt.Fprintf(w, `"itemsPerPage":%d,"Resources":[`, last-first)
	view := f.view(s, true)
	if s == f.groups && (f.quirks.BareGroupLists || q.Get("excludedAttributes") == "members") {
		view = func(doc map[string]any) { delete(doc, "members") }
	}
	for i, e := range all[first:last] {
		if i > 0 {
			_, _ = w.Write([]byte{','})
		}
		_, _ = w.Write(e.shown(view))
	}
	_, _ = io.WriteString(w, "]}")
	if f.churn > 0 && len(all) > 2 && q.Get("filter") == "" && s == f.users {
		f.churn--
		f.drop(s, s.order[0])
	}
}

// start returns where the page begins, and the cursor of the next.
func (f *Fast) start(q url.Values, size, count int) (int, string) {
	if q.Has("cursor") || f.quirks.Cursor {
		first, _ := strconv.Atoi(strings.TrimPrefix(q.Get("cursor"), "c"))
		first = min(max(0, first), size)
		switch {
		case f.quirks.CursorCircle:
			return 0, "c0"
		case first+count < size:
			return first, "c" + strconv.Itoa(first+count)
		}
		return first, ""
	}
	first, err := strconv.Atoi(q.Get("startIndex"))
	if err != nil {
		first = 1
	}
	if !f.quirks.ZeroBased {
		first--
	}
	if first > 0 {
		first += f.quirks.Skip - f.quirks.Overlap
	}
	if first >= size && f.quirks.FirstPastEnd {
		first = 0
	}
	return min(max(0, first), size), ""
}

func (f *Fast) matching(s *stack, text string) ([]*entry, error) {
	if text == "" || f.quirks.IgnoreFilters {
		return s.order, nil
	}
	if f.quirks.RefuseFilters {
		return nil, errors.New("filters are not understood")
	}
	e, err := filter.ParseFilter([]byte(text))
	if err != nil {
		return nil, err
	}
	if by, ok := e.(*filter.AttributeExpression); ok && by.Operator == filter.EQ {
		value, _ := by.CompareValue.(string)
		var hit *entry
		switch by.AttributePath.String() {
		case s.unique:
			hit = s.byUnique[f.unique(value)]
		case "externalId":
			hit = s.byExternal[value]
		case "id":
			hit = s.byID[value]
		default:
			return f.scan(s, e), nil
		}
		if hit == nil || f.quirks.SilentFilters && by.AttributePath.String() != s.unique {
			return nil, nil
		}
		return []*entry{hit}, nil
	}
	return f.scan(s, e), nil
}

func (f *Fast) scan(s *stack, e filter.Expression) []*entry {
	if f.quirks.SilentFilters {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.order), func(have *entry) bool { return !matches(have.doc(), e) })
}

// view is how resources are shown otherwise than they are kept; nil where they are not.
func (f *Fast) view(s *stack, listed bool) func(doc map[string]any) {
	switch {
	case s == f.groups && f.quirks.HiddenMembers:
		return func(doc map[string]any) { delete(doc, "members") }
	case s == f.groups && f.quirks.GroupListCap > 0 && listed:
		return func(doc map[string]any) {
			if list, _ := doc["members"].([]any); len(list) > f.quirks.GroupListCap {
				delete(doc, "members")
			}
		}
	case s == f.groups && f.quirks.EmptyMembers:
		return func(doc map[string]any) { doc["members"] = []any{} }
	case s == f.users && f.quirks.NumericActive:
		return func(doc map[string]any) { doc["active"] = map[any]int{true: 1}[doc["active"]] }
	}
	return nil
}

func (e *entry) shown(view func(doc map[string]any)) []byte {
	if view == nil {
		return e.encoded
	}
	doc := e.doc()
	view(doc)
	data, _ := json.Marshal(doc)
	return data
}

func (f *Fast) create(w http.ResponseWriter, r *http.Request, s *stack) {
	var doc map[string]any
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		fail(w, http.StatusBadRequest, "invalidSyntax", err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	name, _ := doc[s.unique].(string)
	switch {
	case name == "":
		fail(w, http.StatusBadRequest, "invalidValue", s.unique+" is missing")
	case s.byUnique[f.unique(name)] != nil && f.quirks.BareUniqueness:
		fail(w, http.StatusBadRequest, "uniqueness", name+" exists")
	case s.byUnique[f.unique(name)] != nil:
		fail(w, http.StatusConflict, "uniqueness", name+" exists")
	default:
		e := f.add(s, doc)
		w.Header().Set("Location", "/scim/v2/Users/"+e.id)
		f.answer(w, r, http.StatusCreated, e)
	}
}

// answer shows the entry, unless it is quirky and not told otherwise (RFC 7240).
func (f *Fast) answer(w http.ResponseWriter, r *http.Request, status int, e *entry) {
	if f.quirks.NoBody && r.Method != http.MethodGet && r.Header.Get("Prefer") == "" {
		w.WriteHeader(map[bool]int{true: status, false: http.StatusNoContent}[status == http.StatusCreated])
		return
	}
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_, _ = w.Write(e.encoded)
}

func (f *Fast) read(w http.ResponseWriter, r *http.Request, s *stack, id string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e := s.byID[id]
	if e == nil {
		fail(w, http.StatusNotFound, "", "no "+id)
		return
	}
	if view := f.view(s, false); view != nil {
		e = &entry{encoded: e.shown(view)}
	}
	f.answer(w, r, http.StatusOK, e)
}

func (f *Fast) write(w http.ResponseWriter, r *http.Request, s *stack, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := s.byID[id]
	switch {
	case e == nil:
		fail(w, http.StatusNotFound, "", "no "+id)
		return
	case r.Method == http.MethodDelete:
		f.drop(s, e)
		w.WriteHeader(http.StatusNoContent)
		return
	case f.quirks.ETag && r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag(e):
		fail(w, http.StatusPreconditionFailed, "", "changed meanwhile")
		return
	}
	doc, err := f.change(r, e)
	if err != nil {
		kind := "invalidValue"
		if errors.Is(err, errNoTarget) {
			kind = "noTarget"
		}
		fail(w, http.StatusBadRequest, kind, err.Error())
		return
	}
	name, _ := doc[s.unique].(string)
	if holder := s.byUnique[f.unique(name)]; holder != nil && holder != e {
		fail(w, http.StatusConflict, "uniqueness", name+" exists")
		return
	}
	f.store(s, e, doc)
	f.answer(w, r, http.StatusOK, e)
}

func (f *Fast) change(r *http.Request, e *entry) (map[string]any, error) {
	if r.Method == http.MethodPut {
		var doc map[string]any
		return doc, json.NewDecoder(r.Body).Decode(&doc)
	}
	if r.Method != http.MethodPatch || f.quirks.NoPatch {
		return nil, errors.New(r.Method + " is not supported")
	}
	var p struct {
		Operations []struct {
			Op, Path string
			Value    any
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		return nil, err
	}
	doc := e.doc()
	for _, o := range p.Operations {
		var at *filter.Path
		if o.Path != "" {
			parsed, err := filter.ParsePath([]byte(o.Path))
			if err != nil {
				return nil, err
			}
			at = &parsed
		}
		if listed, ok := o.Value.([]any); ok && strings.EqualFold(o.Op, "remove") && o.Path == "members" && !f.quirks.RemoveAll {
			members, _ := doc["members"].([]any)
			doc["members"] = slices.DeleteFunc(members, func(m any) bool {
				return slices.ContainsFunc(listed, func(gone any) bool { return same(m, gone) })
			})
			continue
		}
		if err := apply(doc, o.Op, at, o.Value); err != nil {
			return nil, err
		}
	}
	if !f.quirks.StoreText {
		if s, ok := doc["active"].(string); ok && !f.quirks.TextBooleans {
			doc["active"] = strings.EqualFold(s, "true")
		}
	}
	return doc, nil
}

func (f *Fast) drop(s *stack, e *entry) {
	delete(s.byID, e.id)
	delete(s.byUnique, e.unique)
	delete(s.byExternal, e.external)
	if i := slices.Index(s.order, e); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
}

func reply(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

func fail(w http.ResponseWriter, status int, kind, detail string) {
	doc := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(status), "detail": detail}
	if kind != "" {
		doc["scimType"] = kind
	}
	reply(w, status, doc)
}
