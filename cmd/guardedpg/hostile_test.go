package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCraftedTrailsMoveNoCursor prints a trail of whose making nobody knows.
func TestCraftedTrailsMoveNoCursor(t *testing.T) {
	const id = "20261123T033510.489250Z-32b486b4"
	const odd = `a\u001b[2Jb\u009b1mc\u202ed\r\ne`
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, id), 0o700))
	line := fmt.Sprintf(`{"seq":1,"prev":"%s","time":"2026-11-23T03:35:10Z","kind":"%[2]s","trail":"%[3]s","session":"%[2]s","statement":"s",`+
		`"who":{"issuer":"%[2]s","subject":"%[2]s","groups":["%[2]s"],"attributes":{"%[2]s":"%[2]s"}},"database":{"name":"%[2]s","user":"%[2]s"},`+
		`"sql":{"text":"%[2]s","args":[{"type":"%[2]s","value":"%[2]s"}],"facts":{"reads":["%[2]s"]}},`+
		`"verdict":{"verdict":"%[2]s","rule":"%[2]s"},"decision":{"id":"%[2]s","by":[{"subject":"%[2]s"}]},`+
		`"outcome":{"ok":true,"tag":"%[2]s"},"masks":[{"column":"%[2]s","masker":"%[2]s","sources":["%[2]s"]}],"detail":{"%[2]s":"%[2]s"}}`+"\n",
		base64.StdEncoding.EncodeToString(make([]byte, 32)), odd, id)
	require.NoError(t, os.WriteFile(filepath.Join(dir, id, "00000001.jsonl"), []byte(line), 0o600))
	for _, args := range [][]string{{"query", dir}, {"query", "--format", "csv", dir}, {"show", "s", dir}, {"verify", dir}} {
		_, out, errs := guardedpg(t, args...)
		require.NotEmpty(t, out, errs)
		for _, bad := range []string{"\x1b", "\u009b", "\u202e", "\r"} {
			require.NotContains(t, out+errs, bad, args)
		}
		if args[0] == "show" {
			require.Contains(t, out, `\u001b[2J`)
			for l := range strings.Lines(out) {
				require.False(t, strings.HasPrefix(l, "e"), "%q stands at the beginning of a line of ours", l)
			}
		}
	}
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Equal(t, exitOK, run(ctx, []string{"tail", "--all", dir}, env{nil, &out, &out}))
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\u009b")
}
