package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// storeBytes is the size at which a file of chunks is followed by the next.
const storeBytes = 64 << 20

// put hands a chunk to the store of that name and returns its reference. The
// chunk is written before any line that is appended after put returns, and
// synced before such a line is. data is taken over. put waits for the disk when
// it is far behind, unlike Append: a long result must not fill the memory.
func (t *Trail) put(store string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	t.mu.Lock()
	if err := t.failure.Load(); err != nil {
		t.mu.Unlock()
		return "", err
	}
	if t.closed {
		t.mu.Unlock()
		return "", ErrClosed
	}
	if err := t.full.Load(); err != nil {
		t.mu.Unlock()
		return "", t.busy("write", *err)
	}
	s := t.stores[store]
	if s == nil || s.end > 0 && s.end+int64(len(data)) > storeBytes {
		n := 1
		if s != nil {
			n = s.n + 1
		}
		s = &segment{n: n, store: store, path: filepath.Join(t.dir, storeFile(store, n))}
		t.stores[store] = s
	}
	ref := chunkRef{s.path[len(t.dir)+1:], s.end, int64(len(data)), hex.EncodeToString(sum[:])}
	t.queueChunk(s, data)
	total := t.chunkBytes
	t.mu.Unlock()
	ahead := uint64(t.cfg.Backlog / 2)
	if total > ahead/2 && t.chunked.at.Load() < total-ahead/2 {
		kick(t.writeC)
	}
	if total > ahead {
		if err := t.waitChunks(total - ahead); err != nil {
			return "", err
		}
	}
	return ref.String(), nil
}

// queueChunk queues data for the end of s. t.mu is held.
func (t *Trail) queueChunk(s *segment, data []byte) {
	t.chunkBytes += uint64(len(data))
	t.chunks = append(t.chunks, batch{seg: s, off: s.end, data: data, total: t.chunkBytes})
	s.end += int64(len(data))
	t.backlog += int64(len(data))
}

// waitChunks waits until total bytes of chunks are written.
func (t *Trail) waitChunks(total uint64) error {
	w := t.chunked.wait(total)
	if w == nil {
		return nil
	}
	if t.failure.Load() != nil || t.full.Load() != nil {
		t.chunked.forget(w)
		return t.unsafe(&t.chunked, total)
	}
	w.stall.Reset(t.cfg.Stall)
	select {
	case <-w.c:
		w.free()
		return t.unsafe(&t.chunked, total)
	case <-w.stall.C:
		t.chunked.forget(w)
		return t.busy("keep chunk", fmt.Errorf("the disk did not answer within %v", t.cfg.Stall))
	}
}

// storeFile names the nth file of a store. Those of payloads are what the zstd
// program reads.
func storeFile(store string, n int) string {
	if store == payloadStore {
		return fmt.Sprintf("%s/%08d.zst", store, n)
	}
	return fmt.Sprintf("%s.%08d", store, n)
}

const payloadStore = "payload"

// makeStore makes the file of s, and its directory when it is the first there.
// It is called by flush.
func (t *Trail) makeStore(s *segment) error {
	dir := filepath.Dir(s.path)
	if err := t.cfg.files.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := t.cfg.files.create(s.path, 0)
	if err != nil {
		return err
	}
	if err := t.cfg.files.syncDir(dir); err != nil {
		f.Close()
		return fmt.Errorf("%w: %w", errSync, err)
	}
	s.f = f
	return nil
}

// chunkRef is where a chunk is, and what it is: its text form stands in records.
type chunkRef struct {
	file        string // below the incarnation's directory, with slashes
	off, length int64
	sum         string // SHA-256 of the chunk as stored, in hex
}

func (r chunkRef) String() string {
	return fmt.Sprintf("%s:%d+%d:%s", filepath.ToSlash(r.file), r.off, r.length, r.sum)
}

var chunkPattern = regexp.MustCompile(`^((?:payload|sealed|keys)/[0-9a-z][0-9a-z._-]*):(\d{1,18})\+(\d{1,18}):([0-9a-f]{64})$`)

var errChunkRef = errors.New("audit: malformed reference of a chunk")

func parseChunkRef(s string) (chunkRef, error) {
	m := chunkPattern.FindStringSubmatch(s)
	if m == nil {
		return chunkRef{}, errChunkRef
	}
	r := chunkRef{file: m[1], sum: m[4]}
	r.off, _ = strconv.ParseInt(m[2], 10, 64)
	r.length, _ = strconv.ParseInt(m[3], 10, 64)
	return r, nil
}

// errChunkChanged says that a chunk is not what its reference says.
var errChunkChanged = errors.New("audit: the chunk is not what the record says")

// open opens the file that has the chunk, if it is long enough.
func (r chunkRef) open(dir string) (*os.File, error) {
	f, info, err := openPlain(filepath.Join(dir, filepath.FromSlash(r.file)))
	if errors.Is(err, errNotPlain) {
		return nil, errChunkChanged
	}
	if err != nil {
		return nil, err
	}
	if r.off+r.length > info.Size() {
		f.Close()
		return nil, errChunkChanged
	}
	return f, nil
}

// compare compares the chunk in f with the hash.
func (r chunkRef) compare(f *os.File) error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, r.off, r.length))
	if err != nil {
		return err
	}
	if n != r.length || hex.EncodeToString(sum.Sum(nil)) != r.sum {
		return errChunkChanged
	}
	return nil
}

// read returns the chunk from the incarnation's directory dir, checked.
func (r chunkRef) read(dir string) ([]byte, error) {
	f, err := r.open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Before memory is made for it: the length is only what the record claims.
	if err := r.compare(f); err != nil {
		return nil, err
	}
	b := make([]byte, r.length)
	if _, err := f.ReadAt(b, r.off); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != r.sum {
		return nil, errChunkChanged
	}
	return b, nil
}
