package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
)

// A SocketClient calls a daemon over its control socket.
type SocketClient struct {
	http *http.Client
}

// ErrNoDaemon says that nothing answers at the control socket.
var ErrNoDaemon = errors.New("no daemon answers")

// Dial returns a client of the daemon that holds the state file at path, or ErrNoDaemon.
func Dial(ctx context.Context, state string) (*SocketClient, error) {
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
	return &SocketClient{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}, nil
}

// Close ends the connections.
func (c *SocketClient) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Call implements Client.
func (c *SocketClient) Call(ctx context.Context, command Command, request Request, answer any) error {
	body, err := json.Marshal(request)
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

// Backup implements Client.
func (c *SocketClient) Backup(ctx context.Context, w io.Writer) error {
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

func (c *SocketClient) send(ctx context.Context, method, what string, body io.Reader) (*http.Response, error) {
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
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%s: the daemon answered %s", what, resp.Status)
	}
	return nil, errors.New(f.Error)
}
