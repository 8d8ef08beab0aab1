package mapping

import (
	"testing"
	"time"
)

func TestDates(t *testing.T) {
	const never, bad = "", "bad"
	for in, want := range map[string]string{
		"":                               never,
		"0":                              never,
		"-1":                             never,
		"9223372036854775807":            never, // Active Directory: accountExpires of an account that does not
		"133801632000000000":             "2025-01-01T00:00:00Z",
		"9000000000000000000":            never, // beyond the year 9999
		"20260301120000Z":                "2026-03-01T12:00:00Z",
		"20260301120000.0Z":              "2026-03-01T12:00:00Z", // as Active Directory writes it
		"20260301120000,5Z":              "2026-03-01T12:00:00Z",
		"2026030112.5Z":                  "2026-03-01T12:30:00Z", // a fraction of an hour
		"202603011200.25Z":               "2026-03-01T12:00:15Z",
		"202603011200Z":                  "2026-03-01T12:00:00Z",
		"20260301120000+0130":            "2026-03-01T10:30:00Z",
		"20260301120000-05":              "2026-03-01T17:00:00Z",
		"2026-03-01":                     "2026-03-01T00:00:00Z",
		"20260301":                       "2026-03-01T00:00:00Z",
		"2026-03-01T12:00:00+02:00":      "2026-03-01T10:00:00Z",
		"2026-03-01T12:00:00.123456789Z": "2026-03-01T12:00:00Z",
		"2026-03-01T12:00:00":            "2026-03-01T12:00:00Z",
		"2026-03-01 12:00:00":            "2026-03-01T12:00:00Z",
		" 2026-03-01 ":                   "2026-03-01T00:00:00Z",
		"20260301120000":                 bad, // generalized time without a zone is nobody's
		"20260230120000Z":                bad,
		"20260301120000.Z":               bad,
		"2026030112000Z":                 bad,
		"20260301120000+":                bad,
		"01.03.2026":                     bad,
		"soon":                           bad,
		"123":                            bad,
		"99999999999999999999999":        bad,
		"20261301":                       bad,
		"2026-03-01T25:00:00Z":           bad,
	} {
		got, err := dateParse(in)
		if err != nil {
			got = bad
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	const day, bad = 24 * time.Hour, -1
	for in, want := range map[string]time.Duration{
		"30d": 30 * day, "24h": day, "90m": 90 * time.Minute, "1w": 7 * day, "7y": 7 * 365 * day, "1y1d": 366 * day, "1w2d3h": 9*day + 3*time.Hour, "0": 0, "0d": 0,
		"-1w": -7 * day, "1d12h": 36 * time.Hour,
		"": bad, "d": bad, "1.5d": bad, "1d-1h": bad, "1d+1h": bad, "2d1w": bad, "99999999999d": bad, "106752d": bad, "1m1y": bad, "--1d": bad, "1 d": bad, "106751d24h": bad,
	} {
		got, err := ParseDuration(in)
		if err != nil {
			got = bad
		}
		if got != want {
			t.Errorf("%q is %v %v, want %v", in, got, err, want)
		}
	}
}

func TestPhones(t *testing.T) {
	for _, c := range []struct{ number, country, want string }{
		{"030 / 90 18 20", "DE", "+4930901820"},
		{"+49 (0)30 901820", "", "+4930901820"},
		{"0049 30 901820", "CH", "+4930901820"},
		{"tel:+44-20-7946-0018", "US", "+442079460018"},
		{"020 7946 0018", "GB", "+442079460018"},
		{"(212) 555-2368", "US", "+12125552368"},
		{"1-212-555-2368", "us", "+12125552368"},
		{"011 49 30 901820", "US", "+4930901820"},
		{"06 6982", "IT", "+39066982"}, // Italy keeps its zero
		{"8 (495) 123-45-67", "RU", "+74951234567"},
		{"800 123-45-67", "RU", "+78001234567"},
		{"06 1 234 5678", "HU", "+3612345678"},
		{"22 12 34 56", "NO", "+4722123456"},
		{"112 555 2368", "US", ""}, // an area code never begins with 1
		{"030 901820", "", ""},
		{"030 901820 ext. 7", "DE", ""},
		{"0800-FLOWERS", "US", ""},
		{"12", "DE", ""},
		{"+999 123456789", "DE", ""},
		{"+4930901820901820901820", "DE", ""},
		{"", "DE", ""},
		{"+", "DE", ""},
	} {
		if got := phone(c.number, c.country); got != c.want {
			t.Errorf("%q in %q is %q, want %q", c.number, c.country, got, c.want)
		}
	}
	if knownRegion("XX") || knownRegion("") || knownRegion("D") || !knownRegion("de") {
		t.Error("regions are wrong")
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"Müller-Lüdenscheidt": "Muller-Ludenscheidt", "Straße": "Strasse", "Łódź": "Lodz", "Ærø": "AEro", "Þór": "Thor", "Đặng": "Dang", "İstanbul ı": "Istanbul i",
		"Žižka": "Zizka", "ŒUVRE": "OEUVRE", "O’Neill": "O'Neill", "e\u0301": "e", "ﬁn": "fin", "Σωκράτης": "Σωκρατης", "王": "王", "": "",
	} {
		if got := normalize(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestDNs(t *testing.T) {
	for in, want := range map[string][]component{
		`cn=Doe\, Jane,ou=Staff,dc=x`: {{"cn", "Doe, Jane"}, {"ou", "Staff"}, {"dc", "x"}},
		`CN = Jane , OU=\ x\20`:       {{"CN", "Jane"}, {"OU", " x "}},
		`cn=a+uid=b;dc=x`:             {{"cn", "a"}, {"uid", "b"}, {"dc", "x"}},
		`cn=J\C3\B6rg`:                {{"cn", "Jörg"}},
		`1.3.6=#04024869`:             {{"1.3.6", "#04024869"}},
		`cn=`:                         {{"cn", ""}},
		``:                            nil,
	} {
		got, err := parseDN(in)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q is %q %v, want %q", in, got, err, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q is %q, want %q", in, got, want)
			}
		}
	}
	for _, bad := range []string{`x`, `=y`, `cn=a,`, `cn=a\`, `cn=a,b`, `cn=a,,dc=x`} {
		if got, err := parseDN(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"cn=a,dc=x", "CN = A , DC=X", true},
		{"cn=a b,dc=x", "cn=a b ,dc=x", true},
		{"cn=a b,dc=x", "cn=ab,dc=x", false},
		{"cn=a,dc=x", "cn=a,dc=y", false},
		{`cn=a\,b,dc=x`, `cn=a\,b, dc=x`, true},
		{`cn=a\ ,dc=x`, `cn=a,dc=x`, false},
		{"cn=a", "a", false},
	} {
		if got := equalDN(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

func TestIDs(t *testing.T) {
	for in, want := range map[string]string{
		"M0RVZneImaq7zN3u/wARIg==": "66554433-8877-aa99-bbcc-ddeeff001122", "{66554433-8877-AA99-BBCC-DDEEFF001122}": "66554433-8877-aa99-bbcc-ddeeff001122", "": "",
		"AAAA": "bad", "66554433-8877": "bad", "!": "bad",
	} {
		if got, err := guid(in); got != want && (err == nil || want != "bad") {
			t.Errorf("guid %q is %q %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"AQUAAAAAAAUVAAAAFcdbB6QH2rIGvrRfUAQAAA==": "S-1-5-21-123455253-3000633252-1605680646-1104", "AQIAAAAAAAUgAAAAIAIAAA==": "S-1-5-32-544", "S-1-5-18": "S-1-5-18", "": "",
		"AQUAAAAAAAUVAAAA": "bad", "S-1-x": "bad", "AgEAAAAAAAUSAAAA": "bad",
	} {
		if got, err := sid(in); got != want && (err == nil || want != "bad") {
			t.Errorf("sid %q is %q %v", in, got, err)
		}
	}
}
