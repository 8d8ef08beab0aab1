package sqlclient

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Row is one row of an answer. Values are nil, string, int64, float64, bool, time.Time (in UTC) or []byte, which is
// for columns of bytes alone.
type Row struct {
	Columns []string // as the server names them
	Values  []any
}

// Each runs a query in a transaction and calls f with each row, whose slices are new. Errors are of type *Error, but for
// those of f.
func Each(ctx context.Context, tx *sql.Tx, query string, args []any, f func(Row) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return classify(err)
	}
	columns := make([]string, len(types))
	for i, column := range types {
		columns[i] = column.Name()
	}
	for rows.Next() {
		values := make([]any, len(types))
		into := make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return classify(err)
		}
		for i, v := range values {
			values[i] = plainly(v, types[i].DatabaseTypeName())
		}
		if err := f(Row{Columns: columns, Values: values}); err != nil {
			return err
		}
	}
	return classify(rows.Err())
}

// All are the rows of a query whose answer is short.
func All(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]Row, error) {
	var list []Row
	err := Each(ctx, tx, query, args, func(r Row) error {
		list = append(list, r)
		return nil
	})
	return list, err
}

// Exec runs a statement and returns how many rows it touched: found, whether or not they became another.
func Exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, classify(err)
	}
	n, err := result.RowsAffected()
	return n, classify(err)
}

// plainly makes one of a few types of what a driver returns: MariaDB's sends texts as bytes.
func plainly(v any, column string) any {
	switch v := v.(type) {
	case string:
		if column == "BPCHAR" { // PostgreSQL's CHAR(n) comes filled up with spaces
			return strings.TrimRight(v, " ")
		}
	case []byte:
		if strings.Contains(column, "BLOB") || strings.Contains(column, "BINARY") || column == "BYTEA" || column == "BIT" {
			return v
		}
		return string(v)
	case time.Time:
		return v.UTC()
	case int32:
		return int64(v)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float32:
		return float64(v)
	}
	return v
}

// Get is a column of a row, by its name as the server spells it or in another case, and whether there is one.
func (r Row) Get(column string) (any, bool) {
	for i, name := range r.Columns {
		if name == column {
			return r.Values[i], true
		}
	}
	for i, name := range r.Columns {
		if strings.EqualFold(name, column) {
			return r.Values[i], true
		}
	}
	return nil, false
}

// Text is a value as text, "" for NULL: dates as 2006-01-02, instants by RFC 3339, in UTC. Bytes, and text that is not
// UTF-8, are an error.
func Text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		if !utf8.ValidString(v) {
			return "", fmt.Errorf("a text of %d bytes that is not UTF-8", len(v))
		}
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format(time.DateOnly), nil
		}
		return v.Format(time.RFC3339Nano), nil
	case []byte:
		return "", fmt.Errorf("%d bytes that are no text", len(v))
	}
	return "", fmt.Errorf("a value of type %T", v)
}

// Value is a value as an attribute's: numbers and booleans stay what they are, NULL is absent, all else is text.
func Value(v any) (identity.Value, error) {
	switch v := v.(type) {
	case bool:
		return identity.Bool(v), nil
	case int64:
		return identity.NewValue(json.Number(strconv.FormatInt(v, 10)))
	case float64:
		return identity.NewValue(v)
	}
	text, err := Text(v)
	return identity.Text(text), err
}

// Prepare has the server parse a statement, and runs nothing.
func Prepare(ctx context.Context, tx *sql.Tx, statement string) error {
	prepared, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return classify(err)
	}
	return classify(prepared.Close())
}
