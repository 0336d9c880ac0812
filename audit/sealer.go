package audit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

// sealing is what a trail needs to seal originals.
type sealing struct {
	recipients []age.Recipient
	mu         sync.Mutex
	keys       map[string]*dataKey // by retention class: today's
	made       map[string]int      // by day and class: how many keys there were
}

// A dataKey encrypts what falls on one day in one retention class.
type dataKey struct {
	day   string
	name  string // "20261123.default", the key's and the store's
	class string
	aead  cipher.AEAD
	count uint64 // nonces used; guarded by sealing.mu
}

func newSealing(recipients []string) (*sealing, error) {
	s := &sealing{keys: map[string]*dataKey{}, made: map[string]int{}}
	for _, text := range recipients {
		// Not the parser's error: it may repeat the text, which could be a
		// private key put in the wrong place.
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(r) == 0 {
			return nil, fmt.Errorf(`%w: Recipients: one is not an age public key, which begins with "age1"`, ErrConfig)
		}
		s.recipients = append(s.recipients, r...)
	}
	return s, nil
}

// Sealer implements [SealingSink].
func (t *Trail) Sealer() Sealer {
	if len(t.seals.recipients) == 0 {
		return nil
	}
	return sealer{t}
}

type sealer struct{ t *Trail }

// ValidClass reports whether name can be a retention class.
func ValidClass(name string) bool { return className.MatchString(name) }

var className = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// dataKey returns the data key for now, and a nonce that it has not seen. A new key
// is wrapped and queued for its file before anything that it encrypts.
func (t *Trail) dataKey(class string, now time.Time) (*dataKey, [12]byte, error) {
	var nonce [12]byte
	if class == "" {
		class = "default"
	}
	if !ValidClass(class) {
		return nil, nonce, fmt.Errorf("audit: retention class %q: only lower case, digits, _ and -", class)
	}
	s := t.seals
	day := now.UTC().Format("20060102")
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[class]
	if k == nil || k.day != day {
		k = &dataKey{day: day, name: day + "." + class, class: class}
		n := s.made[k.name] + 1
		if n > 1 {
			// The clock went back, or the day's key was shredded.
			k.name = fmt.Sprintf("%s.%s.%d", day, class, n)
		}
		secret := make([]byte, 32)
		rand.Read(secret)
		block, err := aes.NewCipher(secret)
		if err != nil {
			return nil, nonce, err
		}
		if k.aead, err = cipher.NewGCM(block); err != nil {
			return nil, nonce, err
		}
		var wrapped bytes.Buffer
		w, err := age.Encrypt(&wrapped, s.recipients...)
		if err != nil {
			return nil, nonce, err
		}
		text := append(hex.AppendEncode(nil, secret), '\n')
		w.Write(text)
		err = w.Close()
		clear(secret)
		clear(text)
		if err != nil {
			return nil, nonce, err
		}
		sum := sha256.Sum256(wrapped.Bytes())
		ref := chunkRef{"keys/" + k.name + ".age", 0, int64(wrapped.Len()), hex.EncodeToString(sum[:])}
		file := &segment{store: "keys/" + k.name, path: filepath.Join(t.dir, "keys", k.name+".age")}
		rec := &Record{Kind: KindKey, Detail: map[string]string{"chunk": ref.String(), "class": class, "day": day}}
		if err := t.takeKey(file, wrapped.Bytes(), rec); err != nil {
			return nil, nonce, err
		}
		s.keys[class], s.made[day+"."+class] = k, n
	}
	k.count++
	binary.BigEndian.PutUint64(nonce[4:], k.count)
	return k, nonce, nil
}

// takeKey takes a key's file and its record, or neither: a trail that refuses the
// record would keep a file that nothing names for each try.
func (t *Trail) takeKey(file *segment, wrapped []byte, rec *Record) error {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refuses(); err != nil {
		return err
	}
	t.queueChunk(file, wrapped)
	return t.add(rec, now)
}

// seal encrypts plain, which it overwrites, and returns the reference.
func (t *Trail) seal(statement, class string, plain []byte) (string, error) {
	k, nonce, err := t.dataKey(class, time.Now())
	if err != nil {
		return "", err
	}
	chunk := make([]byte, 0, len(nonce)+len(plain)+k.aead.Overhead())
	chunk = append(chunk, nonce[:]...)
	chunk = k.aead.Seal(chunk, nonce[:], plain, sealedContext(t.id, statement))
	clear(plain)
	return t.put("sealed/"+k.name, chunk)
}

// sealedContext binds a chunk to its statement: additional data of the AEAD.
func sealedContext(trail, statement string) []byte {
	return []byte("guardedpg sealed 1\n" + trail + "\n" + statement + "\n")
}

// Seal implements [Sealer].
func (s sealer) Seal(statement, class string, data []byte) (string, error) {
	return s.t.seal(statement, class, bytes.Clone(data))
}

// sealedChunk is how many bytes of originals are encrypted at a time.
const sealedChunk = 256 << 10

// Originals implements [Sealer].
func (s sealer) Originals(statement, class string) OriginalWriter {
	return &originals{t: s.t, statement: statement, class: class}
}

type originals struct {
	t                *Trail
	statement, class string
	buf              []byte
	refs             []string
	err              error
}

// Value implements [OriginalWriter].
func (o *originals) Value(row int64, column int, original []byte) error {
	if o.err != nil {
		return o.err
	}
	if o.buf == nil {
		o.buf = (*originalBuffers.Get().(*[]byte))[:0]
	}
	b := binary.AppendUvarint(o.buf, uint64(row))
	b = binary.AppendUvarint(b, uint64(column))
	b = binary.AppendUvarint(b, uint64(len(original)))
	o.buf = append(b, original...)
	if len(o.buf) >= sealedChunk {
		o.flush()
	}
	return o.err
}

var originalBuffers = sync.Pool{New: func() any { return new([]byte) }}

func (o *originals) flush() {
	ref, err := o.t.seal(o.statement, o.class, o.buf)
	o.buf = o.buf[:0]
	if err != nil {
		o.err = err
		return
	}
	o.refs = append(o.refs, ref)
}

// Close implements [OriginalWriter].
func (o *originals) Close() (string, error) {
	if len(o.buf) > 0 && o.err == nil {
		o.flush()
	}
	if o.buf != nil && cap(o.buf) <= keepBuffer {
		buf := o.buf[:0] // seal has cleared it
		originalBuffers.Put(&buf)
	}
	o.buf = nil
	return strings.Join(o.refs, " "), o.err
}

// An Original is one masked value as it was.
type Original struct {
	Row    int64
	Column int
	Value  []byte
}

// ErrShredded says that the key of a sealed chunk was deleted.
var ErrShredded = errors.New("audit: the data key was shredded")

// OpenSealed decrypts what ref, found in a record of the trail in dir (one
// incarnation's) for that statement, stands for. The error matches ErrShredded
// when the wrapped key is gone, and age's errors when identities do not open it.
func OpenSealed(dir, ref, statement string, identities ...age.Identity) ([]byte, error) {
	var plain []byte
	for _, one := range strings.Fields(ref) {
		r, err := parseChunkRef(one)
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(r.file, "sealed/")
		dot := strings.LastIndexByte(name, '.')
		if !ok || dot < 0 {
			return nil, errChunkRef
		}
		aead, err := openKey(filepath.Join(dir, "keys", name[:dot]+".age"), identities)
		if err != nil {
			return nil, err
		}
		chunk, err := r.read(dir)
		if err != nil {
			return nil, err
		}
		n := aead.NonceSize()
		if len(chunk) < n {
			return nil, errChunkChanged
		}
		plain, err = aead.Open(plain, chunk[:n], chunk[n:], sealedContext(filepath.Base(dir), statement))
		if err != nil {
			return nil, errChunkChanged
		}
	}
	return plain, nil
}

func openKey(path string, identities []age.Identity) (cipher.AEAD, error) {
	f, _, err := openPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrShredded
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := age.Decrypt(f, identities...)
	if err != nil {
		return nil, fmt.Errorf("audit: open data key: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return nil, fmt.Errorf("audit: open data key: %w", err)
	}
	defer clear(text)
	secret, err := hex.AppendDecode(nil, bytes.TrimSpace(text))
	if err != nil || len(secret) != 32 {
		return nil, errors.New("audit: malformed data key")
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ParseOriginals reads what OpenSealed returned for a Mask.Sealed.
func ParseOriginals(plain []byte) ([]Original, error) {
	malformed := errors.New("audit: malformed originals")
	var list []Original
	for len(plain) > 0 {
		var n [3]uint64
		for i := range n {
			v, k := binary.Uvarint(plain)
			if k <= 0 {
				return nil, malformed
			}
			n[i], plain = v, plain[k:]
		}
		if n[0] > 1<<62 || n[1] > 1<<30 || n[2] > uint64(len(plain)) {
			return nil, malformed
		}
		list = append(list, Original{int64(n[0]), int(n[1]), plain[:n[2]:n[2]]})
		plain = plain[n[2]:]
	}
	return list, nil
}
