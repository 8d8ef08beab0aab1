package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The control socket speaks HTTP with JSON bodies: POST /v1/COMMAND with an Ask, GET /v1/backup. Whoever may open it may do everything;
// its folder and mode 0600 see to it that this is root and the daemon's own account only.

// maxSocketPath is what every system has room for in a socket's address.
const maxSocketPath = 100

// maxAsk bounds a request's body.
const maxAsk = 1 << 20

// socketPath is where the socket of the daemon with the state file at path is wanted.
func socketPath(state string) string { return filepath.Join(filepath.Dir(state), "dirsweep.sock") }

// findSocket returns where the socket is: where it is wanted, or where the note beside it says.
func findSocket(state string) string {
	wanted := socketPath(state)
	if len(wanted) <= maxSocketPath {
		return wanted
	}
	note, err := os.ReadFile(wanted + ".path")
	if err != nil {
		return wanted
	}
	return strings.TrimSpace(string(note))
}

// A socket listens for commands.
type socket struct {
	net.Listener
	remove []string
}

// listen opens the socket. A path that is too long for a socket's address gets a folder of its own with a short name instead, and a note of it
// beside the state. The caller holds the state, so a socket that is there already is a dead daemon's.
func listen(ctx context.Context, state string) (*socket, error) {
	path, s := socketPath(state), &socket{}
	if len(path) > maxSocketPath {
		dir, err := os.MkdirTemp("", "dirsweep-")
		if err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
		note := path + ".path"
		path = filepath.Join(dir, "dirsweep.sock")
		s.remove = []string{note, path, dir}
		if err := os.WriteFile(note, []byte(path+"\n"), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("control socket: %w", err), s.cleanUp())
		}
	} else {
		s.remove = []string{path}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("control socket: a stale one is in the way: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), s.cleanUp())
	}
	s.Listener = l
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), s.Close())
	}
	return s, nil
}

// Close stops listening and removes what listen made. It may be called again.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.cleanUp())
}

func (s *socket) cleanUp() error {
	var errs []error
	for _, path := range s.remove {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// serve answers commands until ctx is done, and returns when the last answer is out. The contexts of commands under way end with ctx.
func serve(ctx context.Context, l net.Listener, d *Desk, log hclog.Logger) error {
	server := &http.Server{
		Handler:           Handler(d),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := server.Shutdown(end)
	<-failed
	return err
}

// A failure is the body of an answer that is no success.
type failure struct {
	Error string `json:"error"`
}

// Handler serves d's commands below /v1/.
func Handler(d *Desk) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{command}", func(w http.ResponseWriter, r *http.Request) {
		var ask Ask
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsk)).Decode(&ask); err != nil {
			respond(w, http.StatusBadRequest, failure{Error: "the request is no JSON object: " + err.Error()})
			return
		}
		answer, err := d.answer(r.Context(), Command(r.PathValue("command")), ask)
		switch {
		case errors.Is(err, errUnknownCommand):
			respond(w, http.StatusNotFound, failure{Error: err.Error()})
		case err != nil:
			respond(w, http.StatusInternalServerError, failure{Error: err.Error()})
		default:
			respond(w, http.StatusOK, answer)
		}
	})
	mux.HandleFunc("GET /v1/backup", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := d.Backup(r.Context(), w); err != nil {
			panic(http.ErrAbortHandler) // the client sees a cut body, never a short one
		}
	})
	return mux
}

func respond(w http.ResponseWriter, code int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		code, raw = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON form"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(raw)
}

// A Client calls a daemon over its control socket.
type Client struct {
	http *http.Client
}

// ErrNoDaemon says that nothing answers at the control socket.
var ErrNoDaemon = errors.New("no daemon answers")

// Dial returns a client of the daemon that holds the state file at path, or ErrNoDaemon.
func Dial(ctx context.Context, state string) (*Client, error) {
	path := findSocket(state)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: 2 * time.Second}
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("control socket: %w: run this command as root or as the daemon's account", err)
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrNoDaemon, path, err)
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}, nil
}

// Close ends the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Call implements Caller.
func (c *Client) Call(ctx context.Context, command Command, ask Ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, string(command), strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if answer == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s: the daemon's answer was cut short: %w", command, err)
	}
	return nil
}

// Backup implements Caller.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, "backup", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("backup: the daemon's answer was cut short: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, what string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://dirsweep/v1/"+what, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAsk)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%s: the daemon answered %s", what, resp.Status)
	}
	return nil, errors.New(f.Error)
}
