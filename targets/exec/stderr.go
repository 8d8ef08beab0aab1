package exec

import (
	"bufio"
	"errors"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
)

const (
	// longestLog is how much of one line of its standard error is logged.
	longestLog = 1000
	// logBurst is how many of its lines are logged at once; after that it is one a second.
	logBurst = 50
)

// logLines logs what the program writes to its standard error, until that ends: one line of plain text each, and no more
// than a log can take.
func logLines(r io.Reader, log hclog.Logger, mask func(string) string) {
	lines := bufio.NewReaderSize(r, 4*longestLog)
	allowed := rate.NewLimiter(rate.Every(time.Second), logBurst)
	left, inLine := 0, false
	for {
		part, err := lines.ReadSlice('\n')
		text := plain(mask(string(part)), longestLog)
		switch {
		case inLine || text == "": // the rest of one that was too long
		case allowed.Allow():
			log.Info("the program says", "line", text)
		default:
			left++
		}
		inLine = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inLine {
			break
		}
	}
	if left > 0 {
		log.Warn("the program wrote more to its standard error than is logged", "lines_left_out", left)
	}
}
