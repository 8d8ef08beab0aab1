package mapping

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalize writes s without diacritics, for logins and mail addresses: é is e, ß is ss, ø is o, æ is ae, ł is l.
// Letters of other scripts stay.
func normalize(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, "\uFFFD")) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		default:
			if latin, ok := undecomposed(r); ok {
				b.WriteString(latin)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return norm.NFC.String(b.String())
}

// undecomposed spells the Latin letters that Unicode does not decompose.
func undecomposed(r rune) (string, bool) {
	const letters = "ßss ẞSS øo ØO æae ÆAE œoe ŒOE łl ŁL đd ĐD ðd ÐD þth ÞTh ħh ĦH ıi ŋn ŊN ĸk ŧt ŦT ƀb ɓb ƁB ƒf ɨi ʉu ɫl ŀl ĿL ʼ' ’' ‘' –- —-"
	for entry := range strings.FieldsSeq(letters) {
		if rest, ok := strings.CutPrefix(entry, string(r)); ok {
			return rest, true
		}
	}
	return "", false
}
