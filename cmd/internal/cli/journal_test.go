package cli

import (
	"bytes"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestTheJournalIsToldPriorities(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		var out bytes.Buffer
		log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: journal{&out}, JSONFormat: json})
		for _, tt := range []struct {
			say  func(string, ...any)
			want string
		}{{log.Error, "<3>"}, {log.Warn, "<4>"}, {log.Info, "<6>"}, {log.Debug, "<7>"}} {
			out.Reset()
			tt.say("something happened", "error", "it broke")
			if got := out.String(); len(got) < 3 || got[:3] != tt.want {
				t.Errorf("JSON %v: %q does not begin with %s", json, got, tt.want)
			}
		}
	}
}
