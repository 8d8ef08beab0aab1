package ldaptest

import (
	"net"
	"testing"
)

// Between stands before a server until t ends. Each connection that comes in is handed to pass with one to the server, in
// their order: pass starts what carries between them, and returns. One for which dial fails is closed.
func Between(t testing.TB, listener net.Listener, dial func() (net.Conn, error), pass func(here, there net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			there, err := dial()
			if err != nil {
				_ = here.Close()
				continue
			}
			pass(here, there)
		}
	}()
}
