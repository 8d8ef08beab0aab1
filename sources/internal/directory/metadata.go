package directory

import (
	"encoding/xml"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// metadata is the attribute that tells of each other attribute when it was changed, by the clock of the controller that
// made the change, where whenChanged is each controller's own (MS-ADTS 3.1.1.3.1.1.3 and 2.2.9, DS_REPL_ATTR_META_DATA).
const metadata = "msDS-ReplAttributeMetaData"

// originated is when an attribute of an entry was changed where that was done; otherwise, where the entry does not say.
func originated(entry *ldap.Entry, otherwise time.Time, attribute string) time.Time {
	for _, value := range entry.GetEqualFoldAttributeValues(metadata) {
		var one struct {
			Name    string    `xml:"pszAttributeName"`
			Changed time.Time `xml:"ftimeLastOriginatingChange"`
		}
		err := xml.Unmarshal([]byte(strings.TrimRight(value, "\x00\r\n ")), &one)
		if err == nil && strings.EqualFold(one.Name, attribute) && one.Changed.Year() > 1601 { // 1601 is "never"
			return one.Changed.UTC()
		}
	}
	return otherwise
}
