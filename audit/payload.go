package audit

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// PayloadMode says how much of what is delivered is kept.
type PayloadMode int

const (
	// PayloadNone keeps nothing. The zero value.
	PayloadNone PayloadMode = iota
	// PayloadDigest keeps a digest over all of it.
	PayloadDigest
	// PayloadFull keeps every row up to a limit, and a digest over all of it.
	PayloadFull
)

// A PayloadSink is a [Sink] that can keep what a statement delivered.
type PayloadSink interface {
	// Payload begins the payload of a statement with the given columns. It
	// returns nil for PayloadNone.
	Payload(statement string, mode PayloadMode, columns []string) PayloadWriter
}

// A PayloadWriter takes the rows of one statement as they are delivered. It is
// for one goroutine.
type PayloadWriter interface {
	// Row takes one row, after masking, before it is released. It keeps
	// nothing of values. An error means that the row must not be released.
	Row(values []driver.Value) error
	// Close ends the payload, also one that was abandoned half way, and
	// returns what belongs into the outcome record: with an error too, unless
	// it is nil: the digest of all rows, the refused one too, and what is kept.
	Close() (*Payload, error)
}

// A SealingSink is a [Sink] that can seal originals.
type SealingSink interface {
	// Sealer returns nil when no recipient is configured.
	Sealer() Sealer
}

// A Sealer encrypts what only an auditor may read. It is safe for concurrent use.
type Sealer interface {
	// Originals begins the originals of one statement's masked values, which
	// are kept as long as the retention class says; "" is the default class.
	Originals(statement, class string) OriginalWriter
	// Seal encrypts one text, as the SQL of a statement with its arguments,
	// and returns its reference for SQL.Sealed.
	Seal(statement, class string, data []byte) (ref string, err error)
}

// An OriginalWriter takes the originals of one statement. It is for one
// goroutine.
type OriginalWriter interface {
	// Value takes the original of one masked value: row counts the delivered
	// rows from 0, column the result's columns from 0. It keeps nothing of
	// original. An error means that the row must not be released.
	Value(row int64, column int, original []byte) error
	// Close ends the originals and returns their reference for Mask.Sealed.
	Close() (ref string, err error)
}

// payloadHead begins the stream that a payload's digest covers.
const payloadHead = "guardedpg payload 1\n"

// payloadChunk is how much of the stream is compressed at a time.
const payloadChunk = 256 << 10

// Payload implements [PayloadSink].
func (t *Trail) Payload(_ string, mode PayloadMode, columns []string) PayloadWriter {
	if mode == PayloadNone {
		return nil
	}
	p := payloads.Get().(*payload)
	*p = payload{t: t, mode: mode, buf: p.buf, hash: p.hash}
	p.hash.Reset()
	b := append(p.buf[:0], payloadHead...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(columns)))
	for _, c := range columns {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	p.buf = b
	return p
}

var payloads = sync.Pool{New: func() any { return &payload{hash: sha256.New()} }}

// compress is shared: EncodeAll is safe for concurrent use.
var compress = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(payloadChunk), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

type payload struct {
	t    *Trail
	mode PayloadMode
	buf  []byte
	rows int64
	err  error

	// The worker's, while it has a buffer: else the caller's.
	hash   hash.Hash
	bytes  int64
	stored int64
	full   bool // the limit is reached
	failed error
	refs   []string

	// A second goroutine hashes and compresses what fills more than a chunk,
	// so that the caller's path does not. back holds the buffer that the
	// worker has done with.
	work chan []byte
	back chan []byte
	done chan struct{}
}

// Row implements [PayloadWriter].
func (p *payload) Row(values []driver.Value) error {
	if p.err != nil {
		return p.err
	}
	b := append(p.buf, 'R')
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
		case string:
			b = binary.BigEndian.AppendUint32(append(b, 's'), uint32(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.BigEndian.AppendUint32(append(b, 'b'), uint32(len(v)))
			b = append(b, v...)
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v))
		case bool:
			if v {
				b = append(b, 't')
			} else {
				b = append(b, 'f')
			}
		case time.Time:
			_, offset := v.Zone()
			b = binary.BigEndian.AppendUint64(append(b, 'T'), uint64(v.Unix()))
			b = binary.BigEndian.AppendUint32(b, uint32(v.Nanosecond()))
			b = binary.BigEndian.AppendUint32(b, uint32(int32(offset)))
		default:
			p.err = fmt.Errorf("audit: a value of type %T cannot be recorded", v)
			return p.err
		}
	}
	p.buf = b
	p.rows++
	if len(b) >= payloadChunk {
		p.pass()
	}
	return p.err
}

// pass hands a full buffer to the worker.
func (p *payload) pass() {
	if p.work == nil {
		p.work, p.back, p.done = make(chan []byte), make(chan []byte, 1), make(chan struct{})
		p.back <- nil
		go func() {
			defer close(p.done)
			for b := range p.work {
				p.take(b)
				p.back <- b[:0]
			}
		}()
	}
	spare := <-p.back
	p.err = p.failed
	p.work <- p.buf
	p.buf = spare
}

// take adds b to the digest, and keeps it if there is room.
func (p *payload) take(b []byte) {
	p.hash.Write(b)
	p.bytes += int64(len(b))
	if p.mode != PayloadFull || p.full || p.failed != nil {
		return
	}
	if p.stored+int64(len(b)) > p.t.cfg.PayloadLimit {
		p.full = true
		return
	}
	ref, err := p.t.put(payloadStore, compress().EncodeAll(b, nil))
	if err != nil {
		p.failed = err
		return
	}
	p.refs = append(p.refs, ref)
	p.stored += int64(len(b))
}

// Close implements [PayloadWriter].
func (p *payload) Close() (*Payload, error) {
	if p.t == nil {
		return nil, ErrClosed
	}
	if p.work != nil {
		close(p.work)
		<-p.done
		p.work, p.back, p.done = nil, nil, nil
	}
	if len(p.buf) > 0 {
		p.take(p.buf)
	}
	out := &Payload{
		Mode:   "digest",
		Digest: hex.EncodeToString(p.hash.Sum(nil)),
		Rows:   p.rows,
		Bytes:  p.bytes,
		Stored: p.stored,
		Chunks: p.refs,
	}
	if p.mode == PayloadFull {
		out.Mode = "full"
	}
	err := p.err
	if err == nil {
		err = p.failed
	}
	p.t = nil
	if cap(p.buf) <= keepBuffer {
		payloads.Put(p)
	}
	return out, err
}
