package judge

import (
	"strings"
	"unicode"
)

// Alike reports whether a text may be an anchor of the kind that another one is: an entryUUID where that is one, a
// number where that is one. Only such a text is worth asking a directory about.
func Alike(anchor, text string) bool { return text != "" && shape(anchor) == shape(text) }

// shape is a text with each run of letters and digits as its kind: its length where there are several, so that a UUID
// is "8-4-4-4-12"; else whether it is a number.
func shape(text string) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	number := !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsDigit(r) })
	switch {
	case number:
		return "number"
	case len(parts) < 2:
		return "word"
	}
	var out strings.Builder
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			r = 'x'
		}
		out.WriteRune(r)
	}
	return out.String()
}
