package state

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A codec turns records into bytes and back: canonical CBOR (RFC 8949, section 4.2.1) with small integers for field
// names. What a key says is not repeated in the record. A record with a field that this version does not know was
// written by a newer one and is refused with ErrVersion: passing it on would need a place to keep it in, and dropping
// it would lose what the newer version relies on.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// maxList bounds the lists of one record: a hold may name every person there is.
const maxList = 1 << 24

func newCodec() codec {
	enc := cbor.CoreDetEncOptions()
	enc.Time = cbor.TimeRFC3339NanoUTC
	encMode, err := enc.EncMode()
	if err != nil {
		panic(err) // only options that contradict each other do this
	}
	decMode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8DecodeInvalid, // a target's login may be anything
		MaxArrayElements:  maxList,
		MaxNestedLevels:   8,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return codec{enc: encMode, dec: decMode}
}

func (c codec) encode(record any) ([]byte, error) { return c.enc.Marshal(record) }

func (c codec) decode(data []byte, record any) error {
	err := c.dec.Unmarshal(data, record)
	var unknown *cbor.UnknownFieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %w", ErrVersion, err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
