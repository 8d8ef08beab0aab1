package sql

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A cell is one column's value in one row, as text. Absent: NULL and the empty text.
type cell struct {
	values     []string // nil where absent; several of an array
	unreadable bool     // there is a value, and it is not text
}

// text is the one value of a cell; "" where it is absent, or not one.
func (c cell) text() string {
	if len(c.values) == 1 {
		return c.values[0]
	}
	return ""
}

// render makes a cell of what a driver returned. kind is the column's type as the driver calls it ("TIMESTAMPTZ",
// "_TEXT", "DECIMAL"). The same value reads the same each time: numbers have no exponent; an instant is RFC 3339 in UTC;
// a date, and a clock's time without a zone, have none, so that the config's time_zone says where that clock hangs; a
// date that never comes is absent.
func render(kind string, v any) cell {
	kind = strings.ToUpper(kind)
	switch v := v.(type) {
	case nil:
		return cell{}
	case bool:
		return some(strconv.FormatBool(v))
	case int64:
		return some(strconv.FormatInt(v, 10))
	case uint64:
		return some(strconv.FormatUint(v, 10))
	case float32:
		return some(number(float64(v), 32))
	case float64:
		if kind == "FLOAT4" {
			return some(number(v, 32))
		}
		return some(number(v, 64))
	case time.Time:
		if v.IsZero() { // MySQL's 0000-00-00
			return cell{}
		}
		return some(clock(kind, v))
	case []byte:
		return renderText(kind, string(v))
	case string:
		return renderText(kind, v)
	}
	return cell{unreadable: true}
}

// some is a cell of one value.
func some(text string) cell {
	if text == "" {
		return cell{}
	}
	return cell{values: []string{text}}
}

func number(f float64, bits int) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return strconv.FormatFloat(f, 'g', -1, bits)
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

// clock renders a point in time by what its column knows of it.
func clock(kind string, t time.Time) string {
	switch kind {
	case "DATE":
		return t.Format(time.DateOnly)
	case "TIMESTAMPTZ":
		return t.UTC().Format(time.RFC3339Nano)
	}
	return t.Format("2006-01-02 15:04:05.999999999")
}

func renderText(kind, text string) cell {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return cell{unreadable: true}
	}
	switch kind {
	case "BPCHAR":
		return some(strings.TrimRight(text, " ")) // PostgreSQL pads char(n); the blanks mean nothing
	case "DATE", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME":
		if text == "infinity" || strings.HasPrefix(text, "0000-00-00") {
			return cell{}
		}
	case "FLOAT", "DOUBLE":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return some(number(f, 64))
		}
	}
	if strings.HasPrefix(kind, "_") {
		if list, err := parseArray(text); err == nil {
			return cell{values: list}
		}
	}
	return some(text)
}

var errArray = errors.New("not an array of one dimension")

// parseArray reads PostgreSQL's text of an array of one dimension, {a,"b c",NULL} (its manual, 8.15.6), without what
// is NULL or empty.
func parseArray(text string) (list []string, err error) {
	inner, ok := strings.CutPrefix(text, "{")
	if !ok || !strings.HasSuffix(inner, "}") {
		return nil, errArray
	}
	if inner == "}" {
		return nil, nil
	}
	for at := 0; ; at++ {
		item, quoted, next, err := arrayItem(inner, at)
		if err != nil {
			return nil, err
		}
		if item != "" && (quoted || !strings.EqualFold(item, "NULL")) {
			list = append(list, item)
		}
		switch at = next; {
		case at == len(inner)-1 && inner[at] == '}':
			return list, nil
		case at >= len(inner) || inner[at] != ',':
			return nil, errArray
		}
	}
}

// arrayItem reads the item of an array that begins at at, and says where it ends.
func arrayItem(text string, at int) (item string, quoted bool, next int, err error) {
	var b strings.Builder
	if quoted = at < len(text) && text[at] == '"'; quoted {
		at++
	}
	for ; at < len(text); at++ {
		switch c := text[at]; {
		case c == '\\':
			if at++; at == len(text) {
				return "", quoted, at, errArray
			}
			b.WriteByte(text[at])
		case quoted && c == '"':
			return b.String(), quoted, at + 1, nil
		case !quoted && (c == ',' || c == '}'):
			if b.Len() == 0 {
				return "", quoted, at, fmt.Errorf("%w: an item is empty", errArray)
			}
			return b.String(), quoted, at, nil
		case !quoted && (c == '{' || c == '"'):
			return "", quoted, at, errArray
		default:
			b.WriteByte(c)
		}
	}
	return "", quoted, at, errArray
}
