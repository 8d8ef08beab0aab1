package sql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
)

// lsnQuery asks a PostgreSQL server for its database's identifier, which replicas share, and for the position in its
// write-ahead log up to which it knows everything (its manual, 9.27.3 and 9.27.11).
const lsnQuery = `SELECT system_identifier::text, (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
	ELSE pg_current_wal_insert_lsn() END - '0/0')::text FROM pg_control_system()`

// currency is how current the server is: PostgreSQL by its write-ahead log. nil where it does not tell, as MariaDB: that
// is no reason to read nothing.
func (s *source) currency(ctx context.Context) (now sources.Currency) {
	if s.block.Driver != sqlclient.PostgreSQL {
		return nil
	}
	err := s.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, rows, err := s.all(ctx, tx, lsnQuery)
		if err != nil || len(rows) != 1 {
			return err
		}
		now = position(rows[0][0].text(), rows[0][1].text())
		return nil
	})
	if err != nil {
		s.need.Log.Debug("the server does not tell how current it is", "source", s.name, "why", err)
		return nil
	}
	return now
}

// position is that of a write-ahead log, in bytes.
func position(database, lsn string) sources.Currency {
	if database == "" || lsn == "" || len(lsn) > 20 || strings.Trim(lsn, "0123456789") != "" {
		return nil
	}
	return sources.Currency{database: fmt.Sprintf("%020s", lsn)}
}
