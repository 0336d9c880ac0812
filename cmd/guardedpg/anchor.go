package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/pganchor"
)

// openAnchor opens what --anchor names: a database's URL, or a file of heads.
func openAnchor(ctx context.Context, name string) (r audit.AnchorReader, closeIt func(), err error) {
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		t, err := pganchor.Open(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		return t, t.Close, nil
	}
	if _, err := os.Stat(name); err != nil {
		return nil, nil, fmt.Errorf("an anchor is a postgres:// URL or a file of heads: %w", err)
	}
	return anchorFile(name), func() {}, nil
}

// anchorFile is a file of heads, a JSON object in each line, as an auditor may
// keep from an earlier verification (verify --json has them under "head").
type anchorFile string

func (f anchorFile) Heads(ctx context.Context) iter.Seq2[audit.Head, error] {
	return func(yield func(audit.Head, error) bool) {
		file, err := os.Open(string(f))
		if err != nil {
			yield(audit.Head{}, err)
			return
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for n := 1; lines.Scan(); n++ {
			if len(strings.TrimSpace(lines.Text())) == 0 {
				continue
			}
			var h audit.Head
			if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Origin == "" {
				yield(audit.Head{}, fmt.Errorf("%s:%d: not a head: want {\"origin\":...,\"seq\":...,\"hash\":...,\"key\":...}", string(f), n))
				return
			}
			if !yield(h, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(audit.Head{}, err)
		}
	}
}
