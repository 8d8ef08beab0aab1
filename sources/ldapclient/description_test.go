package ldapclient

import (
	"regexp"
	"strings"
	"testing"
)

func TestDescription(t *testing.T) {
	tests := []struct {
		name string
		want Description
	}{
		{"Mail", Description{Base: "mail"}},
		{"userCertificate;binary", Description{Base: "usercertificate", Binary: true}},
		{"cn;lang-de", Description{Base: "cn", Tagged: true}},
		{"member;range=0-1499", Description{Base: "member", ranged: true, high: 1499, Partial: true}},
		{"member;Range=1500-*", Description{Base: "member", ranged: true}},
		{"member;range=9-1", Description{Base: "member", Tagged: true}},
		{"member;range=0-", Description{Base: "member", Tagged: true}},
		{"member;range=*-*", Description{Base: "member", Tagged: true}},
		{"member;range=0-99999999999999999999", Description{Base: "member", Tagged: true}},
	}
	for _, tt := range tests {
		if got := ParseDescription(tt.name); got != tt.want {
			t.Errorf("parseDescription(%q) = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// What is not clearly the whole of a range is never taken for it.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{"member;range=0-1499", "member;range=1500-*", "cn;lang-de;binary", ";", "a;range=-1-*", "a;range=1-+2"} {
		f.Add(seed)
	}
	valid := regexp.MustCompile(`(?i);range=[0-9]{1,9}-([0-9]{1,9}|\*)(;|$)`)
	f.Fuzz(func(t *testing.T, name string) {
		d := ParseDescription(name)
		if d.ranged && !valid.MatchString(name) || d.Partial && !d.ranged || d.high < 0 {
			t.Errorf("%q: %+v", name, d)
		}
		if !d.ranged && !d.Tagged && strings.Contains(strings.ToLower(name), ";range=") {
			t.Errorf("%q is taken for all values: %+v", name, d)
		}
	})
}
