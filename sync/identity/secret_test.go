package identity_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestSecretIsNeverShown(t *testing.T) {
	const text = "hunter2"
	s := identity.NewSecret(text)
	holder := struct {
		Name   string
		Secret identity.Secret
	}{"wiki", s}
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, []identity.Secret{s}))
	}
	for _, v := range []any{s, &s, holder, map[string]identity.Secret{"a": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(b))
	}
	for _, out := range shown {
		if strings.Contains(out, text) || strings.Contains(strings.ToLower(out), "68756e74657232") {
			t.Errorf("shown: %s", out)
		}
	}
	if s.Reveal() != text || s.IsZero() || !identity.NewSecret("").IsZero() {
		t.Error("Reveal or IsZero is wrong")
	}
}
