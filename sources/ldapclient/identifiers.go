package ldapclient

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// GUIDText writes a GUID as Windows shows it, in lower case.
func GUIDText(raw []byte) (string, error) {
	if len(raw) != 16 {
		return "", fmt.Errorf("a GUID has 16 bytes, not %d", len(raw))
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint16(raw[4:]),
		binary.LittleEndian.Uint16(raw[6:]), raw[8:10], raw[10:]), nil
}

func GUIDBytes(text string) ([]byte, error) {
	digits := strings.ReplaceAll(text, "-", "")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 16 || len(text) != 36 {
		return nil, fmt.Errorf("%q is not a GUID", text)
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b, nil
}

// SIDText writes S-1-5-21-….
func SIDText(raw []byte) (string, error) {
	if len(raw) < 8 || raw[0] != 1 || raw[1] > 15 || len(raw) != 8+4*int(raw[1]) {
		return "", errors.New("not a binary security identifier")
	}
	authority := uint64(binary.BigEndian.Uint16(raw[2:]))<<32 | uint64(binary.BigEndian.Uint32(raw[4:]))
	text := []byte("S-1-")
	text = strconv.AppendUint(text, authority, 10)
	for sub := raw[8:]; len(sub) > 0; sub = sub[4:] {
		text = append(text, '-')
		text = strconv.AppendUint(text, uint64(binary.LittleEndian.Uint32(sub)), 10)
	}
	return string(text), nil
}

func SIDBytes(text string) ([]byte, error) {
	bad := fmt.Errorf("%q is not a security identifier", text)
	fields := strings.Split(text, "-")
	if len(fields) < 3 || len(fields) > 18 || fields[0] != "S" || fields[1] != "1" {
		return nil, bad
	}
	authority, err := strconv.ParseUint(fields[2], 10, 48)
	if err != nil {
		return nil, bad
	}
	raw := []byte{1, byte(len(fields) - 3)}
	raw = binary.BigEndian.AppendUint16(raw, uint16(authority>>32))
	raw = binary.BigEndian.AppendUint32(raw, uint32(authority))
	for _, field := range fields[3:] {
		sub, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, bad
		}
		raw = binary.LittleEndian.AppendUint32(raw, uint32(sub))
	}
	return raw, nil
}
