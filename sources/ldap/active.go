package ldap

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// judges are the attributes that say whether a person may still sign in, each with how it reads. A lock for bad passwords is not
// among them: it passes, and does not make a leaver.
func judges() map[string]func(value string, now time.Time) (inactive bool, err error) {
	return map[string]func(string, time.Time) (bool, error){
		"nsaccountlock":            saysTrue, // 389 Directory Server
		"logindisabled":            saysTrue, // eDirectory
		"ds-pwp-account-disabled":  saysTrue, // PingDirectory, PingDS
		"msds-useraccountdisabled": saysTrue, // AD LDS
		"pwdaccountlockedtime":     locked,   // draft-behera-ldap-password-policy-10, 5.3.3
		"useraccountcontrol":       disabled, // MS-ADTS 2.2.16
		"accountexpires":           expired,  // MS-ADA1 2.2
		"shadowexpire":             shadowed, // RFC 2307

		"pwdendtime":                     ended, // draft-behera-ldap-password-policy-11, 5.3.12
		"krbprincipalexpiration":         ended, // FreeIPA
		"loginexpirationtime":            ended, // eDirectory
		"ds-pwp-account-expiration-time": ended, // PingDirectory, PingDS
	}
}

func saysTrue(value string, _ time.Time) (bool, error) { return strings.EqualFold(value, "TRUE"), nil }

// locked: only the value that an administrator sets counts; any other is the time of too many bad passwords.
func locked(value string, _ time.Time) (bool, error) {
	return strings.HasPrefix(value, "000001010000"), nil
}

func disabled(value string, _ time.Time) (bool, error) {
	const accountDisable = 0x2
	flags, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false, fmt.Errorf("userAccountControl %q is not a number", value)
	}
	return flags&accountDisable != 0, nil
}

// expired reads hundreds of nanoseconds since 1601; 0 and the greatest number mean never.
func expired(value string, now time.Time) (bool, error) {
	ticks, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false, fmt.Errorf("accountExpires %q is not a number", value)
	}
	const perSecond, to1970 = 10_000_000, 11_644_473_600
	if ticks <= 0 || ticks == 1<<63-1 {
		return false, nil
	}
	return now.Unix() >= ticks/perSecond-to1970, nil
}

// ended reads a generalized time (RFC 4517, 3.3.13).
func ended(value string, now time.Time) (bool, error) {
	end, err := ber.ParseGeneralizedTime([]byte(value))
	if err != nil {
		return false, fmt.Errorf("an end of %q is not a time: %w", value, err)
	}
	return !now.Before(end), nil
}

// shadowed reads days since 1970. 0 and less are either "never" or a mistake: shadow(5) leaves it open, and so they make no leaver.
func shadowed(value string, now time.Time) (bool, error) {
	days, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false, fmt.Errorf("shadowExpire %q is not a number", value)
	}
	const perDay = 24 * 60 * 60
	return days > 0 && now.Unix()/perDay >= days, nil
}
