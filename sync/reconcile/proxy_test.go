package reconcile_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A cutter passes TCP connections on and, while limit is not 0, cuts each one after so many bytes of answers.
type cutter struct {
	addr  string
	limit atomic.Int64
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.pass(client, to)
		}
	}()
	return c
}

func (c *cutter) pass(client net.Conn, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = client.Close()
		return
	}
	closeBoth := func() { _, _ = client.Close(), server.Close() }
	go func() {
		defer closeBoth()
		_, _ = io.Copy(server, client)
	}()
	defer closeBoth()
	var answers io.Reader = server
	if limit := c.limit.Load(); limit > 0 {
		answers = io.LimitReader(server, limit)
	}
	_, _ = io.Copy(client, answers)
}
