package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// Check starts the program, reads every account, and tries a change of an account that is not there.
func (t *target) Check(ctx context.Context) ([]string, error) {
	begun, err := t.Begin(ctx)
	if err != nil {
		return nil, err
	}
	p := begun.(*pass) //nolint:errcheck // it is ours
	steps := append([]string{p.describe()}, t.mode()...)
	read, odd, shown := 0, 0, ""
	for a, err := range p.Accounts(ctx) {
		if err != nil {
			return steps, err
		}
		read++
		if a.ActiveShown != "" {
			odd, shown = odd+1, a.ActiveShown
		}
	}
	steps = append(steps, fmt.Sprintf("accounts listed: %d", read))
	if odd > 0 {
		steps = append(steps, fmt.Sprintf("warning: %d accounts show %s as active, which is neither true nor false; they are "+
			"counted as active, and closing them will never be proven", odd, shown))
	}
	write, err := p.checkWrite(ctx)
	steps = append(steps, write...)
	if err != nil {
		return steps, err
	}
	for _, path := range t.need.Paths {
		if !p.hello.keeps(path) {
			keeps := strings.Join(append([]string{"userName"}, p.hello.Attributes...), ", ")
			return steps, fmt.Errorf("%w: %s is mapped, and the program does not keep it: its hello names %s",
				targets.ErrRejected, path, keeps)
		}
	}
	return steps, nil
}

// describe says what the program can do.
func (p *pass) describe() string {
	var lacks []string
	for _, op := range operations() {
		if !p.hello.has(op) {
			lacks = append(lacks, op)
		}
	}
	text := fmt.Sprintf("the program runs and speaks for %s", plain(p.hello.Name, 80))
	if len(lacks) > 0 {
		text += "; it has no " + strings.Join(lacks, ", ")
	}
	for _, step := range p.hello.Steps {
		text += "; closing step " + plain(step.Name, 40)
		if !step.Readable {
			text += " (sent, not provable)"
		}
	}
	return text
}

// mode warns of a program that others than its owner may rewrite: they act with the rights of dirsweep.
func (t *target) mode() []string {
	path, err := t.programs.program.find()
	if err != nil || runtime.GOOS == "windows" {
		return nil
	}
	about, err := os.Stat(path)
	if err != nil || about.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return []string{fmt.Sprintf(
		"warning: others than its owner may write the program %s (mode %04o): chmod go-w", path, about.Mode().Perm(),
	)}
}

// nobody is an id that no application gives.
const nobody = "dirsweep-check-no-such-account"

func (p *pass) checkWrite(ctx context.Context) ([]string, error) {
	if !p.hello.has(opDisable) {
		return []string{
			"warning: the program cannot disable accounts; leaver { action = \"delete\" } or \"report\" is all that can be had",
		}, nil
	}
	_, err := p.Disable(ctx, identity.Account{ID: nobody, UserName: nobody})
	switch {
	case errors.Is(err, targets.ErrForbidden), errors.Is(err, targets.ErrUnauthorized):
		return nil, fmt.Errorf("the program may read but not write: %w", err)
	case errors.Is(err, targets.ErrNotFound):
		return []string{"may write: a change of an account that is not there is refused for that alone"}, nil
	case err != nil:
		return []string{"not known: whether the program may write: " + err.Error()}, nil
	}
	return []string{
		"warning: disabling an account that is not there is answered with success; its word is not believed, but mend it",
	}, nil
}

// HelloOf is what a target of this kind was told by its program, false for another kind or before it was asked.
func HelloOf(of targets.Pass) (Hello, bool) {
	p, ok := of.(*pass)
	if !ok {
		return Hello{}, false
	}
	h := *p.hello
	h.Operations = slices.Clone(h.Operations)
	return h, true
}
