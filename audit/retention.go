package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Shred deletes the wrapped data keys of a retention class ("" is the default
// class) for all days before the day of before, in all trails of the directory,
// and records that first. What was sealed under them can never be opened again;
// the trails still verify. It returns how many keys there were. When ctx ends or
// a file cannot be removed it returns an error; calling it again goes on.
func (t *Trail) Shred(ctx context.Context, class string, before time.Time) (int, error) {
	if class == "" {
		class = "default"
	}
	limit := before.UTC().Format("20060102")
	files, err := filepath.Glob(filepath.Join(t.cfg.Dir, "*", "keys", "*.age"))
	if err != nil {
		return 0, err
	}
	var doomed []string
	var seq uint64
	for _, f := range files {
		day, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".age"), ".")
		of, _, _ := strings.Cut(rest, ".") // a second key of the day has a number
		if of != class || day >= limit {
			continue
		}
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process does the same
		}
		if err != nil {
			return 0, err
		}
		sum := sha256.Sum256(b)
		rel, err := filepath.Rel(t.cfg.Dir, f)
		if err != nil {
			return 0, err
		}
		seq, err = t.Append(&Record{Kind: KindShredded, Detail: map[string]string{
			"key": filepath.ToSlash(rel), "class": class, "day": day, "sha256": hex.EncodeToString(sum[:]),
		}})
		if err != nil {
			return 0, err
		}
		doomed = append(doomed, f)
	}
	if len(doomed) == 0 {
		return 0, nil
	}
	t.seals.forget(class, limit)
	if err := t.Wait(ctx, seq, Synced); err != nil {
		return 0, err
	}
	for i, f := range doomed {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return i, err
		}
		if err := t.cfg.files.syncDir(filepath.Dir(f)); err != nil {
			return i, err
		}
	}
	return len(doomed), nil
}

// forget drops the key in use when it belongs to a shredded day: the clock may
// have gone back, or the process may have sealed nothing since.
func (s *sealing) forget(class, before string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[class]; k != nil && k.day < before {
		delete(s.keys, class)
	}
}

// Prune deletes the trails of the directory whose last record is older than
// before, and records a tombstone with their heads first. Trails that still run,
// or whose end no later trail has named, stay. It returns the origins of those
// deleted.
func (t *Trail) Prune(ctx context.Context, before time.Time) ([]string, error) {
	front, err := lockWithin(filepath.Join(t.cfg.Dir, lockName), 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer front.Close()
	names, err := incarnations(t.cfg.Dir)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, name := range names {
		heads, err := vouched(filepath.Join(t.cfg.Dir, name))
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			named[incarnationOf(h.Origin)] = true
		}
	}
	tomb := &Record{Kind: KindTombstone}
	var dirs, origins []string
	var shreds []*Record
	for _, name := range names {
		dir := filepath.Join(t.cfg.Dir, name)
		if !named[name] || locked(filepath.Join(dir, lockName)) {
			continue
		}
		p, err := examine(dir)
		if err != nil {
			return nil, err
		}
		if !p.last.Before(before) {
			continue
		}
		// With a tombstone goes what it says of trails before it.
		tomb.Heads = append(append(tomb.Heads, p.tombs...), p.head)
		shreds = append(shreds, p.shreds...)
		dirs, origins = append(dirs, dir), append(origins, p.head.Origin)
	}
	if len(dirs) == 0 {
		return nil, nil
	}
	for _, r := range shreds {
		// What they say of the keys of trails that stay is said again.
		if of, _, _ := strings.Cut(r.Detail["key"], "/"); !slices.Contains(dirs, filepath.Join(t.cfg.Dir, of)) {
			if _, err := t.Append(&Record{Kind: KindShredded, Detail: r.Detail}); err != nil {
				return nil, err
			}
		}
	}
	seq, err := t.Append(tomb)
	if err != nil {
		return nil, err
	}
	if err := t.Wait(ctx, seq, Synced); err != nil {
		return nil, err
	}
	for i, dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			return origins[:i], err
		}
	}
	return origins, t.cfg.files.syncDir(t.cfg.Dir)
}
