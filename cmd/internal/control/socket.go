package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The control socket speaks HTTP with JSON bodies: POST /v1/COMMAND with a Request, GET /v1/backup. Whoever may open it
// may do everything; its folder and mode 0600 see to it that this is root and the daemon's own account only.

// maxSocketPath is what every system has room for in a socket's address.
const maxSocketPath = 100

// maxRequest bounds a request's body.
const maxRequest = 1 << 20

// SocketPath is where the socket of the daemon with the state file at path is wanted.
func SocketPath(state string) string { return filepath.Join(filepath.Dir(state), "dirsweep.sock") }

// findSocket returns where the socket is: where it is wanted, or where the note beside it says.
func findSocket(state string) string {
	wanted := SocketPath(state)
	if len(wanted) <= maxSocketPath {
		return wanted
	}
	note, err := os.ReadFile(wanted + ".path")
	if err != nil {
		return wanted
	}
	return strings.TrimSpace(string(note))
}

// A Listener is the daemon's control socket.
type Listener struct {
	net.Listener
	remove []string
}

// Listen opens the control socket of the state file at state. A path that is too long for a socket's address gets a
// folder of its own with a short name instead, and a note of it beside the state. The caller holds the state, so a
// socket that is there already is a dead daemon's.
func Listen(ctx context.Context, state string) (*Listener, error) {
	path, s := SocketPath(state), &Listener{}
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

// Close stops listening and removes what Listen made. It may be called again.
func (s *Listener) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.cleanUp())
}

func (s *Listener) cleanUp() error {
	var errs []error
	for _, path := range s.remove {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Serve answers requests until ctx is done, and returns when the last answer is out, within patience. The contexts of
// commands under way end with ctx.
func Serve(ctx context.Context, l net.Listener, s *Service, patience time.Duration, log hclog.Logger) error {
	server := &http.Server{
		Handler:           Handler(s),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
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
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := server.Shutdown(end)
	<-failed
	return err
}

// A failure is the body of an answer that is no success.
type failure struct {
	Error string `json:"error"`
}

// Handler serves s's commands below /v1/.
func Handler(s *Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{command}", func(w http.ResponseWriter, r *http.Request) {
		var request Request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
			respond(w, http.StatusBadRequest, failure{Error: "the request is no JSON object: " + err.Error()})
			return
		}
		request.Actor = actor(r.Context(), request.Actor)
		answer, err := s.answer(r.Context(), Command(r.PathValue("command")), request)
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
		if err := s.Backup(r.Context(), w); err != nil {
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
