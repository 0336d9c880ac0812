package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Shred deletes the wrapped data keys of a retention class ("" is the default
// class) for all days before the day of before, in all trails of the directory,
// and records that first. It refuses, with an error that matches [ErrKeyInUse] and
// before it deletes anything, where another process that runs may still seal with
// one of them: that of today. What was sealed under them can never be opened again;
// the trails still verify. It returns how many keys there were. When ctx ends or
// a file cannot be removed it returns an error; calling it again goes on.
func (t *Trail) Shred(ctx context.Context, class string, before time.Time) (int, error) {
	if class == "" {
		class = "default"
	}
	limit := before.UTC().Format("20060102")
	names, err := incarnations(t.cfg.Dir)
	if err != nil {
		return 0, err
	}
	var files []string // below the directory
	for _, name := range names {
		for file := range keyFiles(filepath.Join(t.cfg.Dir, name)) {
			if day, of, ok := dayAndClass(file); ok && of == class && day < limit {
				files = append(files, filepath.Join(name, file))
			}
		}
	}
	slices.Sort(files)
	today := time.Now().UTC().Format("20060102")
	for _, f := range files {
		day, _, _ := dayAndClass(f)
		name, _, _ := strings.Cut(f, string(filepath.Separator))
		if day >= today && name != t.id && locked(filepath.Join(t.cfg.Dir, name, lockName)) {
			return 0, fmt.Errorf("%w: the process of %s may seal with that of today until the day ends (in UTC) or it does", ErrKeyInUse, name)
		}
	}
	var doomed []string
	var seq uint64
	for _, f := range files {
		path := filepath.Join(t.cfg.Dir, f)
		sum, err := sumPlain(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process does the same
		}
		if err != nil {
			return 0, err
		}
		day, _, _ := dayAndClass(f)
		seq, err = t.Append(&Record{Kind: KindShredded, Detail: map[string]string{
			"key": filepath.ToSlash(f), "class": class, "day": day, "sha256": sum,
		}})
		if err != nil {
			return 0, err
		}
		doomed = append(doomed, path)
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

// dayAndClass returns what a file of keys is for, by its name.
func dayAndClass(file string) (day, class string, ok bool) {
	name, ok := strings.CutSuffix(filepath.Base(file), ".age")
	day, class, _ = strings.Cut(name, ".")
	class, _, _ = strings.Cut(class, ".") // a second key of the day has a number
	return day, class, ok
}

// sumPlain is the SHA-256 of a regular file, in hex.
func sumPlain(path string) (string, error) {
	f, _, err := openPlain(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
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
