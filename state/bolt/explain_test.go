package bolt

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/state"
)

// TestAdviceFitsTheTrouble: nobody is told to move a state away that only belongs to another account.
func TestAdviceFitsTheTrouble(t *testing.T) {
	t.Parallel()
	denied := &fs.PathError{Op: "open", Path: "state.db", Err: fs.ErrPermission}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"no permission", denied, "chown"},
		{"no permission, wrapped", fmt.Errorf("%w: %w", state.ErrDamaged, denied), "chown"},
		{"damage", state.ErrDamaged, "Put back a backup"},
		{"a lock", state.ErrLocked, "control socket"},
		{"a newer version", state.ErrVersion, "use that version"},
	} {
		got := explain("state.db", tt.err).Error()
		if !strings.Contains(got, tt.want) || tt.want == "chown" && strings.Contains(got, "away") {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
