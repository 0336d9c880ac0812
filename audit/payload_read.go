package audit

import (
	"bytes"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ErrPayload is the class of a payload that is not what its record says.
var ErrPayload = errors.New("audit: the payload is not what the record says")

// A Delivery is what a payload holds.
type Delivery struct {
	Columns []string
	Rows    [][]driver.Value
}

// ReadPayload returns what p, found in the trail in dir (one incarnation's),
// keeps of what was delivered: the first p.Stored of p.Bytes. It checks the
// digests; the error matches ErrPayload, or says why a file could not be read.
func ReadPayload(dir string, p *Payload) (*Delivery, error) {
	if p.Mode != "full" {
		return nil, fmt.Errorf("%w: only its digest was kept", ErrPayload)
	}
	if p.Stored > maxDelivery || p.Stored > p.Bytes {
		return nil, fmt.Errorf("%w: it claims to have kept %d of %d bytes", ErrPayload, p.Stored, p.Bytes)
	}
	var stream []byte
	for _, c := range p.Chunks {
		r, err := parseChunkRef(c)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPayload, err)
		}
		b, err := r.read(dir)
		if errors.Is(err, errChunkChanged) {
			return nil, fmt.Errorf("%w: chunk %s", ErrPayload, r.file)
		}
		if err != nil {
			return nil, err
		}
		// Stored is in the record, so it bounds what a chunk may grow to.
		stream, err = decompress().DecodeAll(b, stream)
		if err != nil || int64(len(stream)) > p.Stored {
			return nil, fmt.Errorf("%w: chunk %s does not decompress", ErrPayload, r.file)
		}
	}
	if int64(len(stream)) != p.Stored {
		return nil, fmt.Errorf("%w: it has %d bytes instead of %d", ErrPayload, len(stream), p.Stored)
	}
	if sum := sha256.Sum256(stream); p.Stored == p.Bytes && hex.EncodeToString(sum[:]) != p.Digest {
		return nil, fmt.Errorf("%w: another digest", ErrPayload)
	}
	if len(stream) == 0 {
		return &Delivery{}, nil
	}
	return parsePayload(stream)
}

// maxDelivery is the most that a payload is read back to: more would not be kept.
const maxDelivery = 1 << 30

var decompress = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// parsePayload reads the stream that the package documentation describes.
func parsePayload(b []byte) (*Delivery, error) {
	malformed := fmt.Errorf("%w: malformed stream", ErrPayload)
	b, ok := bytes.CutPrefix(b, []byte(payloadHead))
	if !ok {
		return nil, malformed
	}
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			ok = false
			return make([]byte, min(n, 16))
		}
		x := b[:n]
		b = b[n:]
		return x
	}
	counted := func() []byte { return take(uint64(binary.BigEndian.Uint32(take(4)))) }
	var d Delivery
	n := binary.BigEndian.Uint32(take(4))
	for i := uint32(0); ok && i < n; i++ {
		d.Columns = append(d.Columns, string(counted()))
	}
	for ok && len(b) > 0 {
		if take(1)[0] != 'R' {
			return nil, malformed
		}
		row := make([]driver.Value, 0, len(d.Columns))
		for range d.Columns {
			if len(b) == 0 {
				return nil, malformed
			}
			switch take(1)[0] {
			case 'n':
				row = append(row, nil)
			case 'i':
				row = append(row, int64(binary.BigEndian.Uint64(take(8))))
			case 's':
				row = append(row, string(counted()))
			case 'b':
				row = append(row, bytes.Clone(counted()))
			case 'd':
				row = append(row, math.Float64frombits(binary.BigEndian.Uint64(take(8))))
			case 't':
				row = append(row, true)
			case 'f':
				row = append(row, false)
			case 'T':
				sec := int64(binary.BigEndian.Uint64(take(8)))
				ns := binary.BigEndian.Uint32(take(4))
				offset := int32(binary.BigEndian.Uint32(take(4)))
				row = append(row, time.Unix(sec, int64(ns)).In(time.FixedZone("", int(offset))))
			default:
				return nil, malformed
			}
		}
		d.Rows = append(d.Rows, row)
	}
	if !ok {
		return nil, malformed
	}
	return &d, nil
}
