package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/targets"
)

const (
	// grace is how long a program may take to end by itself once its standard input is closed.
	grace = 2 * time.Second
	// killed is how long it may take until nothing is left of a group of processes that was killed.
	killed = 5 * time.Second
	// tail is how long its last words are waited for.
	tail = time.Second
)

// A process is one run of the program, in a process group of its own. It answers one request at a time, and is used by
// one goroutine at a time.
type process struct {
	cmd    *osexec.Cmd
	group  *processes
	in     *os.File
	out    *os.File
	lines  *bufio.Reader
	errors *os.File
	said   chan struct{} // closed when its standard error is at its end
	mask   func(string) string
	hello  *Hello
	ids    int64
	spent  bool // it was asked to end, or ended
}

// environment is what the program sees: the few variables that programs cannot do without, and those of the config.
func environment(own map[string]string) []string {
	names := []string{"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
	if runtime.GOOS == "windows" {
		names = append(names, "SystemRoot", "SystemDrive", "PATHEXT", "COMSPEC", "TEMP", "TMP")
	}
	var list []string
	for _, name := range names {
		_, ours := own[name]
		if value, set := os.LookupEnv(name); set && !ours {
			list = append(list, name+"="+value)
		}
	}
	for name, value := range own {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// find is the file that the command names: by itself looked for on PATH, else relative to the folder.
func (p Program) find() (string, error) {
	name := p.Command[0]
	if strings.ContainsAny(name, `/\`) && !filepath.IsAbs(name) {
		name = filepath.Join(p.Folder, name)
	}
	return osexec.LookPath(name)
}

// start runs the program and has it introduce itself.
func start(ctx context.Context, p Program, log hclog.Logger, mask func(string) string) (*process, error) {
	path, err := p.find()
	if err != nil {
		return nil, fmt.Errorf("%w: start the program: %w", targets.ErrUnavailable, err)
	}
	cmd := osexec.Command(path, p.Command[1:]...) //nolint:noctx // its end is ours to see to
	run := &process{cmd: cmd, said: make(chan struct{}), mask: mask}
	run.cmd.Dir, run.cmd.Env = p.Directory, environment(p.Environment)
	if err := run.launch(log); err != nil {
		return nil, fmt.Errorf("%w: start %s: %w", targets.ErrUnavailable, path, err)
	}
	err = run.ask(ctx, p.StartTimeout, request{Op: opHello, Version: Version}, func(a answer) (bool, error) {
		if a.Hello == nil {
			return false, broken("it did not answer hello with a hello")
		}
		run.hello = a.Hello
		return true, nil
	})
	if err == nil {
		if wrong := run.hello.check(); wrong != nil {
			err = fmt.Errorf("%w: %w", targets.ErrRejected, wrong)
		}
	}
	if err != nil {
		return run, fmt.Errorf("the program %s: %w", path, err)
	}
	log.Debug("the program is running", "program", path, "pid", cmd.Process.Pid, "application", plain(run.hello.Name, 80))
	return run, nil
}

// launch starts it with pipes of ours: those of package exec end with the first process, and wait for the last.
func (run *process) launch(log hclog.Logger) (err error) {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
		if err != nil {
			run.closePipes()
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	stdin, in := pipe()
	out, stdout := pipe()
	errs, stderr := pipe()
	run.in, run.out, run.errors = in, out, errs
	for _, f := range []*os.File{stdin, stdout, stderr} {
		if f != nil {
			theirs = append(theirs, f)
		}
	}
	if err != nil {
		return err
	}
	run.cmd.Stdin, run.cmd.Stdout, run.cmd.Stderr = stdin, stdout, stderr
	if run.group, err = begin(run.cmd); err != nil {
		return err
	}
	run.lines = bufio.NewReaderSize(out, 64<<10)
	go func() {
		defer close(run.said)
		logLines(errs, log, run.mask)
	}()
	return nil
}

// A brokenError says that the program does not keep to the protocol, or is not there any more. It is of no more use.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

// Unwrap makes it what it is to the outside: nothing is known of what was asked.
func (e *brokenError) Unwrap() []error { return []error{targets.ErrUnavailable, e.err} }

func broken(format string, args ...any) error { return &brokenError{fmt.Errorf(format, args...)} }

// ask sends one request and gives each line of its answer to take, until that says that it was the last. Each line has
// to come within timeout. When ctx ends the program may still answer for a moment; where it does, all is well. Its
// error is a brokenError, that of ctx, or one that the program named, or take.
func (run *process) ask(
	ctx context.Context, timeout time.Duration, r request, take func(answer) (last bool, err error),
) error {
	run.ids++
	r.ID = run.ids
	line, err := r.line()
	if err != nil {
		return err
	}
	// Both have ended when ask returns: the number of a group that has ended may be another's.
	ended, left := make(chan struct{}), make(chan struct{})
	slow := time.AfterFunc(timeout, func() {
		defer close(ended)
		run.group.kill()
		_ = run.in.Close()
		_ = run.out.Close()
	})
	again := func(d time.Duration) bool { return slow.Stop() && !slow.Reset(d) }
	stop := context.AfterFunc(ctx, func() {
		defer close(left)
		_ = run.in.Close()
		again(min(grace, timeout))
	})
	err = run.talk(ctx, line, r.ID, take, func() bool { return ctx.Err() == nil && again(timeout) })
	if !stop() {
		<-left
		run.spent = true
	}
	late := !slow.Stop()
	if late {
		<-ended
		run.spent = true
	}
	var wrong *brokenError
	if !errors.As(err, &wrong) {
		return err
	}
	run.spent = true
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case late:
		return broken("no answer to %s within %s; whether it was done is not known", r.Op, timeout)
	}
	return err
}

// talk is what ask does, less the clock, which is told of each line.
func (run *process) talk(
	ctx context.Context, line []byte, id int64, take func(answer) (bool, error), tick func() bool,
) error {
	_, unread := run.in.Write(line) // what it says instead tells more
	for {
		text, err := run.readLine()
		if err != nil {
			return err
		}
		a, err := parseAnswer(text)
		switch {
		case err != nil:
			return broken("it wrote a line that dirsweep does not understand: %w: %q", err, plain(run.mask(string(text)), 80))
		case unread != nil:
			return broken("it does not read what it is asked: %w", unread)
		case a.ID != id:
			return broken("it answered request %d while it was asked %d", a.ID, id)
		}
		if err := a.fault(plain(run.mask(a.Message), 300)); err != nil {
			return err
		}
		last, err := take(a)
		if err != nil {
			run.spent = true // it may have more to say
		}
		if err != nil || last {
			return err
		}
		if !tick() {
			return broken("it was stopped in the middle of a list")
		}
	}
}

// readLine returns the next line of at most MaxLine bytes, its end included.
func (run *process) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := run.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxLine:
			return nil, broken("it wrote a line of more than %d bytes", MaxLine)
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, broken("it ended in the middle of an answer; whether it was done is not known")
		case errors.Is(err, io.EOF):
			return nil, broken("it ended without an answer; whether it was done is not known")
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, broken("read its answer: %w", err)
		}
	}
}

// end closes its standard input, gives it a while to end by itself, and then kills whatever is left of its group. Its
// error says that something still is. It is the last use of the process.
func (run *process) end(after time.Duration) error {
	_ = run.in.Close()
	if after > 0 {
		stop := time.AfterFunc(after, run.group.kill)
		_ = run.out.SetReadDeadline(time.Now().Add(after))
		_, _ = io.Copy(io.Discard, run.lines) // its end is the end of all that could still write
		stop.Stop()
	}
	run.group.kill()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = run.cmd.Wait() // how it ended says nothing that its answers did not
	}()
	deadline := time.NewTimer(killed)
	defer deadline.Stop()
	select {
	case <-gone:
	case <-deadline.C:
	}
	err := run.group.ended(killed)
	select {
	case <-run.said:
	case <-time.After(tail):
	}
	run.closePipes()
	<-run.said
	return err
}

func (run *process) closePipes() {
	for _, f := range []*os.File{run.in, run.out, run.errors} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// idle reports whether the program waits for a request: it has not ended, and wrote nothing that it was not asked for.
func (run *process) idle() bool {
	if run.lines.Buffered() > 0 {
		return false
	}
	if run.out.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return true // it shows with the next request
	}
	_, err := run.lines.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) && run.out.SetReadDeadline(time.Time{}) == nil
}
