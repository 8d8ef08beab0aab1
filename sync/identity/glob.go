package identity

import (
	"path"
	"strings"
)

// FitsGlob reports whether a name fits a glob ("svc-*", "wiki-?", "[a-c]*", as in path.Match), whatever the letter case.
// A slash and a backslash are letters like any other: names such as CORP\svc-1 and host/db-1 have them. A glob that is
// none, as GlobError tells, fits nothing.
func FitsGlob(glob, name string) bool {
	fits, err := path.Match(globLetters(glob), globLetters(name))
	return err == nil && fits
}

// GlobError says what is wrong with a glob; nil for nothing.
func GlobError(glob string) error {
	_, err := path.Match(globLetters(glob), "")
	return err
}

// globLetters takes away what path.Match knows more about than a name has: separators and escapes.
func globLetters(s string) string {
	return strings.NewReplacer("/", "\x00", `\`, "\x01").Replace(strings.ToLower(s))
}

// Managed are globs over the names of entitlements, "wiki-*" or, for those of one kind, "role:editor-*": those of one target
// that the mapping gives and takes, whoever granted them. Without globs (nil) it is what dirsweep itself granted.
type Managed []string

// Has reports whether an entitlement fits one of the globs, by the application's own name for it. What no name is known of
// fits none; where no kind is known, any kind may be meant.
func (m Managed) Has(e Entitlement) bool {
	for _, glob := range m {
		kind, name, ofKind := strings.Cut(glob, ":")
		ofKind = ofKind && (e.Kind == "" || strings.EqualFold(kind, e.Kind))
		if e.Name != "" && (FitsGlob(glob, e.Name) || ofKind && FitsGlob(name, e.Name)) {
			return true
		}
	}
	return false
}
