package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	ber "github.com/go-asn1-ber/asn1-ber"
)

// A judgement reads one value of an attribute that says whether, or until when, a person may sign in.
type judgement = func(value string) (said, error)

// Said is what such a value says: nothing against them, where it is zero.
type said struct {
	inactive string    // why they may not, to be put behind the attribute's name
	ends     time.Time // since when, or from when on, they may not
}

// judgements are the attributes that say so, in lower case. A lock for bad passwords is not among them: it passes,
// and makes no leaver.
func judgements() map[string]judgement {
	return map[string]judgement{
		"nsaccountlock":            saysTrue, // 389 Directory Server, FreeIPA
		"logindisabled":            saysTrue, // eDirectory
		"ds-pwp-account-disabled":  saysTrue, // PingDirectory, PingDS
		"ibm-pwdaccountlocked":     saysTrue, // IBM Security Directory Server: locked by an administrator
		"msds-useraccountdisabled": saysTrue, // AD LDS
		"pwdaccountdisabled":       saysTrue,
		"pwdaccountlockedtime":     locked,   // draft-behera-ldap-password-policy-10, 5.3.3
		"inetuserstatus":           closed,   // Sun and Oracle DSEE
		"orclisenabled":            closed,   // Oracle Internet Directory
		"useraccountcontrol":       disabled, // MS-ADTS 2.2.16
		"sambaacctflags":           flagged,  // Samba 3, Univention, LAM, smbldap-tools

		"krbticketflags": hasBit(0x40), // MIT Kerberos, FreeIPA: KRB5_KDB_DISALLOW_ALL_TIX
		"krb5kdcflags":   hasBit(0x80), // Heimdal, Univention: HDBFlags invalid(7)

		"accountexpires":   expired,  // MS-ADA1 2.2
		"shadowexpire":     shadowed, // RFC 2307
		"sambakickofftime": kicked,   // Samba 3

		"pwdendtime":                     ended, // draft-behera-ldap-password-policy-11, 5.3.12
		"krbprincipalexpiration":         ended, // MIT Kerberos, FreeIPA
		"krb5validend":                   ended, // Heimdal, Univention
		"loginexpirationtime":            ended, // eDirectory
		"orclactiveenddate":              ended, // Oracle Internet Directory
		"ds-pwp-account-expiration-time": ended, // PingDirectory, PingDS
	}
}

// lastSecond is a second of about the year 9999.
const lastSecond = 253_370_764_800

// until says that somebody's time ends; later than four digits can write, it never does.
func until(end time.Time) said {
	if end.Year() > 9999 {
		return said{}
	}
	return said{ends: end.UTC()}
}

// saysTrue reads a boolean (RFC 4517, 3.3.3) as tools write it. What is neither yes nor no is not taken for a no.
func saysTrue(value string) (said, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "yes", "1":
		return said{inactive: "is " + value}, nil
	case "false", "no", "0", "":
		return said{}, nil
	}
	return said{}, fmt.Errorf("%q is neither TRUE nor FALSE", value)
}

// locked: only the value that an administrator sets counts; any other is the time of too many bad passwords.
func locked(value string) (said, error) {
	if strings.HasPrefix(value, "000001010000") {
		return said{inactive: "is " + value}, nil
	}
	return said{}, nil
}

// closed reads words.
func closed(value string) (said, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "inactive", "deleted", "disabled", "removed":
		return said{inactive: "is " + value}, nil
	}
	return said{}, nil
}

// disabled reads flags of which no user has none: a 0 is what a broken server or a missing right makes of them.
func disabled(value string) (said, error) {
	const accountDisable = 0x2
	flags, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return said{}, fmt.Errorf("%q is not a number", value)
	case flags == 0:
		return said{}, fmt.Errorf("%q says nothing: every user has a flag", value)
	case flags&accountDisable != 0:
		return said{inactive: "has bit 2, disabled"}, nil
	}
	return said{}, nil
}

// flagged reads "[UD         ]": D is disabled, and L, the lock for bad passwords, does not count.
func flagged(value string) (said, error) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(value), "[")
	inner, whole := strings.CutSuffix(inner, "]")
	switch {
	case !ok || !whole:
		return said{}, fmt.Errorf("%q are no flags in brackets", value)
	case strings.Contains(strings.ToUpper(inner), "D"):
		return said{inactive: "has flag D, disabled"}, nil
	}
	return said{}, nil
}

func hasBit(bit int64) judgement {
	return func(value string) (said, error) {
		flags, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return said{}, fmt.Errorf("%q is not a number", value)
		}
		if flags&bit != 0 {
			return said{inactive: fmt.Sprintf("has bit %#x, disabled", bit)}, nil
		}
		return said{}, nil
	}
}

// expired reads hundreds of nanoseconds since 1601; 0 and the greatest number mean never.
func expired(value string) (said, error) {
	ticks, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return said{}, fmt.Errorf("%q is not a number", value)
	}
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	if ticks <= 0 || ticks == 1<<63-1 {
		return said{}, nil
	}
	return until(time.Unix(ticks/perSecond-to1970, ticks%perSecond*100)), nil
}

// ended reads a generalized time (RFC 4517, 3.3.13).
func ended(value string) (said, error) {
	end, err := ber.ParseGeneralizedTime([]byte(value))
	if err != nil {
		return said{}, fmt.Errorf("%q is not a time: %w", value, err)
	}
	return until(end), nil
}

// shadowed reads days since 1970. 0 and less are either "never" or a mistake: shadow(5) leaves it open, and so
// they make no leaver.
func shadowed(value string) (said, error) {
	days, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return said{}, fmt.Errorf("%q is not a number", value)
	}
	const perDay = 24 * 60 * 60
	if days <= 0 || days > lastSecond/perDay {
		return said{}, nil
	}
	return until(time.Unix(days*perDay, 0)), nil
}

// kicked reads seconds since 1970; 0 and less, and the last moment of 32 bits, mean never.
func kicked(value string) (said, error) {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return said{}, fmt.Errorf("%q is not a number", value)
	}
	if seconds <= 0 || seconds == 1<<31-1 || seconds > lastSecond {
		return said{}, nil
	}
	return until(time.Unix(seconds, 0)), nil
}

// setAside says where FreeIPA keeps people who have left, or not yet come, and who are persons all the same; ""
// for everywhere else.
func setAside(dn string) string {
	if !strings.Contains(strings.ToLower(dn), "provisioning") {
		return ""
	}
	normal, err := ldapclient.NormalDN(dn)
	if err != nil {
		return ""
	}
	for _, part := range []string{"cn=deleted users", "cn=staged users"} {
		if strings.Contains(normal+",", ","+part+",cn=accounts,cn=provisioning,") {
			return "the entry is below " + part
		}
	}
	return ""
}
