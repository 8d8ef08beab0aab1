package cli

import (
	"bytes"
	"io"
)

// A journal writes log lines with the priority that journald reads from their beginning (sd-daemon(3)), so that
// `journalctl -p err` finds them.
type journal struct{ w io.Writer }

func (j journal) Write(line []byte) (int, error) {
	if _, err := j.w.Write(append([]byte("<"+priority(line)+">"), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// priority is the syslog level of a log line, as text or as JSON.
func priority(line []byte) string {
	has := func(text, json string) bool {
		return bytes.Contains(line, []byte("["+text+"]")) || bytes.Contains(line, []byte(`"@level":"`+json+`"`))
	}
	switch {
	case has("ERROR", "error"):
		return "3"
	case has("WARN", "warn"):
		return "4"
	case has("DEBUG", "debug"), has("TRACE", "trace"):
		return "7"
	}
	return "6"
}
