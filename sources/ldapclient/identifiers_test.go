package ldapclient

import "testing"

// Anchors as text come from the state and from the command line.
func FuzzGUIDText(f *testing.F) {
	f.Add("00112233-4455-6677-8899-aabbccddeeff")
	f.Add("S-1-5-21-1-2-3-500")
	f.Fuzz(func(t *testing.T, text string) {
		if raw, err := GUIDBytes(text); err == nil {
			if again, err := GUIDText(raw); err != nil || len(again) != 36 {
				t.Errorf("%q: %q, %v", text, again, err)
			}
		}
		if raw, err := SIDBytes(text); err == nil {
			if _, err := SIDText(raw); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
