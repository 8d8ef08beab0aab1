package identity_test

import (
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestTextsAreCanonical: the short way and encoding/json agree.
func TestTextsAreCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfDistinct(rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,9}`)), norm.NFC.String).Draw(t, "list")
		items := make([]any, len(list))
		for i, s := range list {
			items[i] = s
			if want, _ := identity.NewValue(s); identity.Text(s) != want {
				t.Fatalf("Text(%q) = %s, want %s", s, identity.Text(s), want)
			}
			if got := identity.Text(s).Text(); got != norm.NFC.String(s) {
				t.Fatalf("Text(%q).Text() = %q", s, got)
			}
		}
		if want, _ := identity.NewValue(items); identity.Texts(list...) != want {
			t.Fatalf("Texts(%q) = %s, want %s", list, identity.Texts(list...), want)
		}
	})
}
