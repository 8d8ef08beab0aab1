package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader reads an application over plain HTTP. It shares nothing with dirsweep's own client: it is the demo's second
// pair of eyes.
type reader struct {
	url, token string
	client     *http.Client
}

func readerOf(a *application) *reader {
	return &reader{url: a.URL(), token: a.token, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
}

// seen is an account as an application shows it.
type seen struct {
	ID          string `json:"id"`
	UserName    string `json:"userName"`
	ExternalID  string `json:"externalId"`
	DisplayName string `json:"displayName"`
	Active      bool   `json:"active"`
	Name        struct {
		Given  string `json:"givenName"`
		Family string `json:"familyName"`
	} `json:"name"`
	Emails     []item `json:"emails"`
	Groups     []item `json:"groups"`
	Enterprise struct {
		Department string `json:"department"`
	} `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
}

// item is one value of a multi-valued attribute.
type item struct {
	Value   string `json:"value"`
	Display string `json:"display"`
}

func (s seen) groups() []string {
	var names []string
	for _, g := range s.Groups {
		names = append(names, g.Display)
	}
	slices.Sort(names)
	return names
}

// accounts reads every account.
func (r *reader) accounts(ctx context.Context) ([]seen, error) { return r.list(ctx, "") }

// byExternalID reads the accounts that bear a person's mark.
func (r *reader) byExternalID(ctx context.Context, id string) ([]seen, error) {
	return r.list(ctx, "externalId eq "+strconv.Quote(id))
}

func (r *reader) list(ctx context.Context, filter string) ([]seen, error) {
	var all []seen
	for {
		query := url.Values{"startIndex": {strconv.Itoa(len(all) + 1)}, "count": {"100"}}
		if filter != "" {
			query.Set("filter", filter)
		}
		var page struct {
			TotalResults int    `json:"totalResults"`
			Resources    []seen `json:"Resources"`
		}
		if err := r.get(ctx, "/Users?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Resources...)
		if len(page.Resources) == 0 || len(all) >= page.TotalResults {
			return all, nil
		}
	}
}

func (r *reader) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.Unmarshal(body, into)
}

func (r *reader) close() { r.client.CloseIdleConnections() }

// differences compares what the applications hold with what the company means, account by account, and says what is
// wrong.
func (w *world) differences(ctx context.Context) ([]string, error) {
	wiki, err := w.compare(ctx, w.wiki, w.wantInWiki())
	if err != nil {
		return nil, err
	}
	chat, err := w.compare(ctx, w.chat, w.wantInChat())
	if err != nil {
		return nil, err
	}
	return append(wiki, chat...), nil
}

// describe puts everything the demo looks at into one line that compares.
func describe(s seen) string {
	parts := []string{"userName=" + s.UserName, "displayName=" + s.DisplayName, "active=" + strconv.FormatBool(s.Active)}
	for _, e := range s.Emails {
		parts = append(parts, "email="+e.Value)
	}
	for name, value := range map[string]string{
		"externalId": s.ExternalID, "givenName": s.Name.Given, "familyName": s.Name.Family, "department": s.Enterprise.Department,
		"groups": strings.Join(s.groups(), "+"),
	} {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func (w *world) wantInWiki() map[string]string {
	wants := map[string]string{}
	for _, userName := range w.others {
		wants[userName] = describe(seen{UserName: userName, DisplayName: userName, Active: true})
	}
	for _, p := range w.company.people {
		s := seen{UserName: p.uid, ExternalID: p.id, DisplayName: p.cn(), Active: !p.left}
		s.Name.Given, s.Name.Family = p.given, p.surname
		s.Emails = []item{{Value: p.mail()}}
		s.Enterprise.Department = strings.ToUpper(p.unit[:1]) + p.unit[1:]
		wants[p.uid] = describe(s)
	}
	return wants
}

func (w *world) wantInChat() map[string]string {
	wants := map[string]string{}
	for _, p := range w.company.people {
		if !p.chats() {
			continue
		}
		s := seen{UserName: p.mail(), ExternalID: p.id, DisplayName: p.cn(), Active: !p.left}
		if !p.left { // a leaver's channels are taken away
			for _, g := range p.channels() {
				s.Groups = append(s.Groups, item{Display: g})
			}
		}
		wants[p.mail()] = describe(s)
	}
	return wants
}

func (w *world) compare(ctx context.Context, a *application, wants map[string]string) ([]string, error) {
	r := readerOf(a)
	defer r.close()
	accounts, err := r.accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", a.name, err)
	}
	var wrong []string
	have := map[string]bool{}
	for _, s := range accounts {
		key := strings.ToLower(s.UserName)
		expected, ok := wants[key]
		switch got := describe(s); {
		case have[key]:
			wrong = append(wrong, fmt.Sprintf("%s: two accounts for %s", a.name, s.UserName))
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s: an account that should not be there: %s", a.name, got))
		case got != expected:
			wrong = append(wrong, fmt.Sprintf("%s: %s\n  is    %s\n  not   %s", a.name, s.UserName, got, expected))
		}
		have[key] = true
	}
	for _, userName := range slices.Sorted(maps.Keys(wants)) {
		if !have[userName] {
			wrong = append(wrong, fmt.Sprintf("%s: no account for %s", a.name, userName))
		}
	}
	return wrong, nil
}
