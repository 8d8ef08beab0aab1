package sqlclient

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Class is what an error means for whoever asked.
type Class string

// The classes.
const (
	Unavailable  Class = "unavailable"  // no answer, a cut connection, a server that stops or is full: repeat later
	Unauthorized Class = "unauthorized" // it does not let us in
	Forbidden    Class = "forbidden"    // it lets us in, and we may not do this
	Conflict     Class = "conflict"     // a value that has to be unique is there, or something depends on what was to go
	Statement    Class = "statement"    // it does not take this statement or a value in it, now or later
)

// An Error is what a server, or the way to it, said. It holds no password: we send none in statements, and servers
// repeat none.
type Error struct {
	Class Class
	Code  string // SQLSTATE of PostgreSQL, number of MariaDB: "42501", "1227"; "" where it is no server's answer
	Text  string // one line, bounded
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Text
	}
	return e.Text + " (" + e.Code + ")"
}

// maxText bounds, in bytes, what of an answer reaches an error.
const maxText = 300

// line makes an answer fit for a log: one line, bounded.
func line(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }), " ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	return text
}

// classify makes an Error of a driver's error; others are returned as they are.
func classify(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	var maria *mysql.MySQLError
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg):
		return &Error{Class: sqlState(pg.Code), Code: pg.Code, Text: line(pg.Message)}
	case errors.As(err, &maria):
		return &Error{Class: number(maria.Number), Code: strconv.Itoa(int(maria.Number)), Text: line(maria.Message)}
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, sql.ErrConnDone), pgconn.Timeout(err):
		return &Error{Class: Unavailable, Text: line(err.Error())}
	case errors.Is(err, mysql.ErrNoTLS), errors.Is(err, mysql.ErrNativePassword),
		errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword):
		return &Error{Class: Unauthorized, Text: line(err.Error())}
	}
	return err
}

// refused classes an error of connecting: whatever a server says by then is that it does not let us in, and all else that
// it is not there: a certificate that is not verified among it.
func refused(err error) error {
	err = classify(err)
	var known *Error
	switch {
	case !errors.As(err, &known):
		return &Error{Class: Unavailable, Text: line(err.Error())}
	case known.Class != Unavailable:
		return &Error{Class: Unauthorized, Code: known.Code, Text: known.Text}
	}
	return err
}

// sqlState classes an answer of PostgreSQL (its manual, appendix A).
func sqlState(code string) Class {
	switch {
	case code == "42501":
		return Forbidden
	case strings.HasPrefix(code, "28"): // invalid authorisation
		return Unauthorized
	case code == "23505", code == "23503", code == "42710", code == "2BP01":
		// unique, foreign key, exists already, dependents
		return Conflict
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57"),
		strings.HasPrefix(code, "58"), strings.HasPrefix(code, "40"), strings.HasPrefix(code, "XX"),
		code == "55P03", code == "25006":
		// connection, resources, shutdown and time-out, system, deadlock, lock not available, internal; a standby is read-only
		return Unavailable
	}
	return Statement
}

// number classes an answer of MariaDB (its manual, error codes).
func number(n uint16) Class {
	switch {
	case slices.Contains([]uint16{1820, 1862, 3118, 4151}, n): // our own password has expired, or our account is locked
		return Unauthorized
	case slices.Contains([]uint16{1044, 1045, 1698, 1142, 1143, 1227, 1370, 1410, 1419, 1211}, n):
		return Forbidden
	case slices.Contains([]uint16{1062, 1169, 1451, 1452, 1586}, n): // unique, foreign key
		return Conflict
	case slices.Contains([]uint16{
		1040, 1203, 1226, // too many connections
		1053, 1077, 1927, 1317, 1969, 3024, // stops, killed, interrupted, too long
		1205, 1213, 1020, // locks
		1290, 1792, 1836, // read-only server
		1037, 1038, 1041, 1021, 1030, // memory, disk
		1129, 1130, 1158, 1159, 1160, 1161, 1047, // host blocked or unknown, packets, a cluster's node that is not ready
	}, n):
		return Unavailable
	}
	return Statement
}

// ClassOf is the class of an error, "" where it is none of ours.
func ClassOf(err error) Class {
	var known *Error
	if errors.As(err, &known) {
		return known.Class
	}
	return ""
}

// CodeOf is the server's code of an error, "" where it has none.
func CodeOf(err error) string {
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

// Classify makes an *Error of a driver's error, so that what is wrapped around it stays; others are returned as they are.
// It is for those who run statements of a transaction by themselves.
func Classify(err error) error { return classify(err) }
