package scim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim"
)

// Each mistake is told at its line.
func TestMistakesInABlock(t *testing.T) {
	const url, token = "url = \"https://scim.example.org/v2\"\n", "bearer_token = env(\"T\")\n"
	for name, test := range map[string]struct{ block, want string }{
		"good":                   {url + token, ""},
		"good, basic":            {url + "basic {\n username = \"u\"\n password = env(\"T\")\n}", ""},
		"good, oauth":            {url + "oauth {\n token_url = \"https://x.example/t\"\n client_id = \"u\"\n client_secret = env(\"T\")\n scopes = [\"a\"]\n}", ""},
		"good, certificate":      {url + "cert_file = \"a.pem\"\nkey_file = \"b.pem\"", ""},
		"no address":             {token, "url is required"},
		"in the clear":           {"url = \"http://scim.example.org\"\n" + token, "test.hcl:1,7-32: Address not accepted; http:// is refused"},
		"loopback in the clear":  {"url = \"http://127.0.0.1:8080/v2\"\n" + token, ""},
		"unverified":             {url + token + "tls_insecure = true", "test.hcl:3,16-20: tls_insecure refused"},
		"unverified, loopback":   {"url = \"https://localhost/\"\n" + token + "tls_insecure = true", "TLS is not verified"},
		"a secret in the file":   {url + "bearer_token = \"hunter2\"", "test.hcl:2,16-25: A secret in the config file"},
		"an empty secret":        {url + "bearer_token = env(\"EMPTY\")", "An empty secret"},
		"no way in":              {url, "No way to sign in"},
		"two ways in":            {url + token + "basic {\n username = \"u\"\n password = env(\"T\")\n}", "More than one way"},
		"half a basic":           {url + "basic {\n username = \"u\"\n}", "password is required"},
		"half a certificate":     {url + "cert_file = \"a.pem\"", "Half a client certificate"},
		"a mistyped profile":     {url + token + "profile = \"githbu\"", `test.hcl:3,11-19: No profile "githbu"; Did you mean "github"?`},
		"an unknown profile":     {url + token + "profile = \"acme-corporation\"", "Known profiles: aws, "},
		"a mistyped argument":    {url + "bearer_tokn = env(\"T\")", `Did you mean "bearer_token"?`},
		"a timeout of what":      {url + token + "timeout = \"30\"", "Not a duration"},
		"a page of none":         {url + token + "page_size = -1", "page_size out of range"},
		"a page of words":        {url + token + "page_size = \"many\"", "Wrong kind of value"},
		"a token server, clear":  {url + "oauth {\n token_url = \"http://x.example/t\"\n client_id = \"u\"\n client_secret = env(\"T\")\n}", "http:// is refused"},
		"credentials in address": {"url = \"https://u:p@scim.example.org\"\n" + token, "credentials do not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := hclparse.NewParser().ParseHCL([]byte(test.block), "test.hcl")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			_, diags = scim.Kind().Decode(file.Body, targets.Env{Name: "wiki", Eval: functions()})
			var told strings.Builder
			for _, d := range diags {
				fmt.Fprintln(&told, d.Error())
			}
			if test.want == "" && len(diags) > 0 || !strings.Contains(told.String(), test.want) {
				t.Errorf("%s\nwant %q", told.String(), test.want)
			}
			if strings.Contains(told.String(), "hunter2") {
				t.Error("R15: the message tells the secret")
			}
		})
	}
}

// functions stand for the config's own.
func functions() *hcl.EvalContext {
	text := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].AsString() == "EMPTY" {
				return cty.StringVal(""), nil
			}
			return cty.StringVal("a secret").Mark("sensitive"), nil
		},
	})
	return &hcl.EvalContext{Functions: map[string]function.Function{"env": text, "file": text, "credential": text}}
}

// The sample is what README shows and `dirsweep sample scim` prints: its own part decodes as it stands.
func TestTheSampleDecodes(t *testing.T) {
	file, diags := hclparse.NewParser().ParseHCL([]byte(scim.Kind().Sample), "sample.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	content, _, diags := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "target", LabelNames: []string{"kind", "name"}}}})
	if diags.HasErrors() || len(content.Blocks) != 1 || content.Blocks[0].Labels[0] != "scim" {
		t.Fatalf("%v, %v", content, diags)
	}
	general := &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "account"}, {Name: "correlate"}}}
	_, own, diags := content.Blocks[0].Body.PartialContent(general)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if _, diags := scim.Kind().Decode(own, targets.Env{Name: "wiki", Eval: functions()}); len(diags) > 0 {
		t.Error(diags)
	}
}

func TestPathsThatCannotBeMapped(t *testing.T) {
	spec, diags := decode(t, "url = \"https://scim.example.org\"\nbearer_token = \"x\"\nprofile = \"aws\"\n")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for path, ok := range map[string]bool{
		"userName": true, "emails": true, "urn:x:y:User:active": true, `emails[type eq "work"].value`: true,
		"active": false, "id": false, "meta.version": false, "groups": false, "password": false, "a b": false, "schemas": false,
	} {
		if err := spec.Accepts(path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := strings.Join(spec.Required(), " "); got != "userName displayName name.familyName name.givenName" {
		t.Error(got)
	}
}
