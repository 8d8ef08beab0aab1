package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A door is an attribute by which a directory lets somebody sign in, or not.
type door struct {
	attribute string
	// elsewhere: what looks at it is not the directory, which lets somebody in with a password all the same.
	elsewhere bool
	// closed reads its values. The error says that they cannot be read: "is missing".
	closed func(values []string) (bool, error)
	// shut and release are the values that close and open it, computed of those that it has. The error says that those
	// it has cannot be read: nothing is computed of them.
	shut, release compute
}

// A compute makes the values that an attribute is to have of those that it has.
type compute func(values []string) ([]string, error)

// A profile is a door with its name in the config.
type profile struct {
	name string
	door door
}

// profiles are the ways of directories to disable accounts, sorted by name.
func profiles() []profile {
	return []profile{
		{"389", flag("nsAccountLock")},
		{"edirectory", flag("loginDisabled")},
		{"freeipa", flag("nsAccountLock")},
		// draft-behera-ldap-password-policy-10, 5.3.3
		{"openldap", value("pwdAccountLockedTime", "000001010000Z", "000001010000")},
		{"samba", sambaDoor()},
		{"shadow", shadowDoor()},
	}
}

// flag is a boolean that disables.
func flag(attribute string) door {
	return door{
		attribute: attribute,
		closed: func(values []string) (bool, error) {
			return len(values) == 1 && (strings.EqualFold(values[0], "TRUE") || values[0] == "1"), nil
		},
		shut:    func([]string) ([]string, error) { return []string{"TRUE"}, nil },
		release: func([]string) ([]string, error) { return nil, nil },
	}
}

// value is an attribute that disables when it has one value, or what begins as that does.
func value(attribute, shut, begins string) door {
	return door{
		attribute: attribute,
		closed: func(values []string) (bool, error) {
			return len(values) == 1 && strings.HasPrefix(values[0], begins), nil
		},
		shut:    func([]string) ([]string, error) { return []string{shut}, nil },
		release: func([]string) ([]string, error) { return nil, nil },
	}
}

// domainDoor is bit 2 of userAccountControl (MS-ADTS 2.2.16). The other bits stay as they are.
func domainDoor() door {
	with := func(values []string, change func(int64) int64) ([]string, error) {
		flags, err := userFlags(values)
		if err != nil {
			return nil, err
		}
		return []string{strconv.FormatInt(change(flags), 10)}, nil
	}
	return door{
		attribute: "userAccountControl",
		closed: func(values []string) (bool, error) {
			flags, err := userFlags(values)
			return flags&accountDisable != 0, err
		},
		shut: func(values []string) ([]string, error) {
			return with(values, func(flags int64) int64 { return flags | accountDisable })
		},
		release: func(values []string) ([]string, error) {
			return with(values, func(flags int64) int64 { return flags &^ accountDisable })
		},
	}
}

// userFlags reads userAccountControl. Every user has a flag: a 0 is what a missing right makes of them.
func userFlags(values []string) (int64, error) {
	if len(values) != 1 {
		return 0, fmt.Errorf("cannot be read: it has %d values; let the bind DN read it", len(values))
	}
	flags, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || flags == 0 {
		return 0, fmt.Errorf("cannot be read: %q says nothing of the account", values[0])
	}
	return flags, nil
}

// sambaDoor is flag D in sambaAcctFlags, such as "[UX         ]" (smbpasswd(5)). An entry without them is none of
// Samba's.
func sambaDoor() door {
	read := func(values []string) (string, error) {
		if len(values) != 1 || len(values[0]) < 2 || values[0][0] != '[' || values[0][len(values[0])-1] != ']' {
			return "", fmt.Errorf("cannot be read: %q are no flags in brackets", values)
		}
		return strings.TrimRight(values[0][1:len(values[0])-1], " "), nil
	}
	spell := func(flags string) []string { return []string{fmt.Sprintf("[%-11s]", flags)} }
	return door{
		attribute: "sambaAcctFlags", elsewhere: true,
		closed: func(values []string) (bool, error) {
			if len(values) == 0 {
				return true, nil
			}
			flags, err := read(values)
			return strings.Contains(flags, "D"), err
		},
		shut: func(values []string) ([]string, error) {
			if len(values) == 0 {
				return nil, nil
			}
			flags, err := read(values)
			if err != nil || strings.Contains(flags, "D") {
				return values, err
			}
			return spell(flags + "D"), nil
		},
		release: func(values []string) ([]string, error) {
			if len(values) == 0 {
				return nil, nil
			}
			flags, err := read(values)
			return spell(strings.ReplaceAll(flags, "D", "")), err
		},
	}
}

// shadowDoor is shadowExpire, in days since 1970 (shadow(5)): day 1 has passed everywhere.
func shadowDoor() door {
	return door{
		attribute: "shadowExpire", elsewhere: true,
		closed: func(values []string) (bool, error) {
			if len(values) == 0 {
				return false, nil
			}
			days, err := strconv.ParseInt(values[0], 10, 64)
			if err != nil {
				return false, fmt.Errorf("cannot be read: %q is not a number", values[0])
			}
			const perDay = 24 * 60 * 60
			return days > 0 && days <= time.Now().Unix()/perDay, nil
		},
		shut:    func([]string) ([]string, error) { return []string{"1"}, nil },
		release: func([]string) ([]string, error) { return nil, nil },
	}
}
