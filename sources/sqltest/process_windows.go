package sqltest

import (
	"os/exec"
	"testing"
)

// The servers are not found on Windows, where the tests fail; the names let them compile.
func unprivileged(*exec.Cmd) {}

func (s *Server) give(testing.TB) {}

func (s *Server) thaw() {}

// Freeze makes the server hang.
func (s *Server) Freeze(testing.TB) {}

// Thaw ends a Freeze.
func (s *Server) Thaw(testing.TB) {}
