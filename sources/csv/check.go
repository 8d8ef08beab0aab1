package csv

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Check implements sources.Checker. Every file is read as a pass would read it.
func (s *source) Check(ctx context.Context) ([]string, error) {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	l, met, err := s.whole(ctx)
	if err != nil {
		return nil, s.incomplete(err)
	}
	defer l.close()
	for _, p := range l {
		s.checkPart(p, say)
	}
	r := &reading{source: s, facts: s.facts(l), asked: s.counted()}
	if r.twice, err = met.twice(l); err != nil {
		return lines, s.incomplete(err)
	}
	troubled := 0
	for _, p := range l {
		if _, err := s.pass(ctx, p, func(h header, row row) error {
			return r.hand(ctx, p, h, row, func(_ identity.Person, err error) bool {
				if err != nil {
					if troubled++; troubled <= mostShown {
						say("warning: %s", err)
					}
				}
				return true
			})
		}); err != nil {
			return lines, s.incomplete(p.wrong(err))
		}
	}
	s.checkFacts(r, troubled, say)
	if err := ctx.Err(); err != nil {
		return lines, s.incomplete(err)
	}
	return lines, nil
}

func (s *source) checkPart(p *part, say func(string, ...any)) {
	delimiter := fmt.Sprintf("%q", string(rune(p.scan.delimiter)))
	if p.scan.delimiter == '\t' {
		delimiter = "tab"
	}
	say(
		"%s: %d rows, %s, columns apart by %s, written %s",
		p.shown, p.scan.rows, p.scan.encoding, delimiter, minute(p.info.ModTime()),
	)
	if stale := s.stale(p); stale != "" {
		say("warning: %s: has the export stopped?", stale)
	}
	if ahead := p.info.ModTime().Sub(s.now()); ahead > s.settle {
		say(
			"warning: %s was written %s ahead of this machine's clock: the files that follow it would be taken for older",
			p.shown, ahead,
		)
	}
	if runtime.GOOS != "windows" && p.info.Mode().Perm()&0o002 != 0 {
		say(
			"warning: %s can be written by everybody on this machine, who can so close and open accounts: chmod o-w", p.shown,
		)
	}
	if folder, err := os.Stat(folderOf(p.path)); runtime.GOOS != "windows" && err == nil &&
		folder.Mode().Perm()&0o002 != 0 && folder.Mode()&os.ModeSticky == 0 {
		say("warning: everybody on this machine can put another file in the place of %s: chmod o-w its folder", p.shown)
	}
}

func (s *source) checkFacts(r *reading, troubled int, say func(string, ...any)) {
	people := r.facts.People
	say("%d people, %d of them are not read: each is a finding, and nothing is done for them", people, troubled)
	for _, name := range r.asked {
		has := r.facts.Attributes[name]
		note := ""
		if has == 0 && people > 0 {
			note = "warning: "
		}
		say("%s%s (%s): %d of %d have it", note, name, s.columns[name], has, people)
	}
	if s.need.Groups {
		say("warning: %s", noGroups)
	}
	c := s.complete
	if !c.declared() {
		say("warning: nothing tells that a file is whole: one that is cut between two rows is noticed by its size alone " +
			"(guard { max_shrink_percent }); have the export write a last line, a checksum or a file when it is done, " +
			"and declare complete")
	}
	marks := []struct{ what, declared string }{
		{"its last line", c.trailer}, {"the file beside it", c.done}, {"its checksum", c.sha256},
	}
	for _, mark := range marks {
		if mark.declared != "" {
			say("each file is whole, as %s says (%s)", mark.what, mark.declared)
		}
	}
	say("absence cannot be proven by a file: whoever is missing stays, unless absence = \"leaves\"")
}
