//go:build unix

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap"
)

// roleVariable makes this binary play one part and end, for its time and memory to be measured.
const roleVariable = "BENCH_ROLE"

// pageSize is what our LDAP source and SCIM target ask for where the config does not say.
const pageSize = 500

// role is this binary as a process that reads want people or accounts.
func role(b *testing.B, name, from string, want int, more ...string) *exec.Cmd {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command(self, append([]string{from, strconv.Itoa(want)}, more...)...)
	command.Env = append(os.Environ(), roleVariable+"="+name)
	return command
}

func play(name string) int {
	debug.SetGCPercent(200) // as the program does
	read := map[string]func(args []string) (int, error){"people": readPeople, "accounts": readAccounts}[name]
	got, err := read(os.Args[1:])
	if err == nil && strconv.Itoa(got) != os.Args[2] {
		err = fmt.Errorf("%d read, want %s", got, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// readPeople streams everybody of a source block.
func readPeople(args []string) (count int, err error) {
	file, diags := hclparse.NewParser().ParseHCL([]byte(args[0]), "source.hcl")
	if diags.HasErrors() {
		return 0, diags
	}
	content, diags := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "source", LabelNames: []string{"kind", "name"}}}})
	if diags.HasErrors() {
		return 0, diags
	}
	spec, diags := ldap.Kind().Decode(content.Blocks[0].Body, sources.Env{Name: "corp"})
	if diags.HasErrors() {
		return 0, diags
	}
	source, err := spec.Open(sources.Need{Attributes: attributes(), Log: hclog.NewNullLogger()})
	if err != nil {
		return 0, err
	}
	for _, err := range source.People(context.Background()) {
		if err != nil {
			return 0, err
		}
		count++
	}
	return count, source.Close()
}

// readAccounts lists a SCIM target page by page and counts the accounts: nobody can know less of them.
func readAccounts(args []string) (count int, err error) {
	for start := 1; ; {
		got, total, err := page(fmt.Sprintf("%s/Users?startIndex=%d&count=%d", args[0], start, pageSize), args[2])
		if err != nil {
			return 0, err
		}
		count += got
		if start += got; got == 0 || count >= total {
			return count, nil
		}
	}
}

// page counts what one page holds.
func page(url, token string) (got, total int, err error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	decoder := json.NewDecoder(response.Body)
	if _, err := decoder.Token(); err != nil {
		return 0, 0, err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return 0, 0, err
		}
		switch name {
		case "Resources":
			got, err = resources(decoder)
		case "totalResults":
			err = decoder.Decode(&total)
		default:
			var other json.RawMessage
			err = decoder.Decode(&other)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return got, total, nil
}

func resources(decoder *json.Decoder) (count int, err error) {
	if _, err := decoder.Token(); err != nil {
		return 0, err
	}
	for decoder.More() {
		var account json.RawMessage
		if err := decoder.Decode(&account); err != nil {
			return 0, err
		}
		count++
	}
	_, err = decoder.Token()
	return count, err
}
