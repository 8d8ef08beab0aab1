package control

import (
	"context"
	"net"
	"os/user"
	"strconv"
	"strings"
)

// peerKey is under which a connection's context has who is at its other end.
type peerKey struct{}

// withPeer notes whom the system says the other end of a connection runs as.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if uid, ok := peerOf(conn); ok {
		return context.WithValue(ctx, peerKey{}, uid)
	}
	return ctx
}

// actor is who asks, for the trail (R16): the account that the system saw at the other end of the socket, and beside
// root's who called it by sudo, which root alone may claim. Where the system does not tell, it is what the client says.
func actor(ctx context.Context, claimed string) string {
	uid, known := ctx.Value(peerKey{}).(uint32)
	if !known {
		return claimed
	}
	name := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if uid == 0 && strings.HasSuffix(claimed, " as "+name) {
		return claimed
	}
	return name
}
