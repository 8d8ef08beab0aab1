package control

import (
	"net"
	"syscall"
)

// peerOf asks the system which user is at the other end of a Unix socket (SO_PEERCRED, unix(7)).
func peerOf(conn net.Conn) (uid uint32, ok bool) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var peer *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || asked != nil {
		return 0, false
	}
	return peer.Uid, true
}
