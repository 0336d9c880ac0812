package guardedpg_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
)

var block = regexp.MustCompile("(?s)```(go|yaml)\n(.*?)```")

// TestReadme compiles the README's Go and loads its configuration.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	found := map[string]int{}
	for i, m := range block.FindAllStringSubmatch(string(text), -1) {
		dir := t.TempDir()
		lang, body := m[1], m[2]
		found[lang]++
		if lang == "yaml" {
			path := filepath.Join(dir, "guardedpg.yaml")
			require.NoError(t, os.WriteFile(path, []byte(body), 0o600))
			_, err := guardedpg.LoadConfig(path)
			require.NoError(t, err)
			continue
		}
		file := filepath.Join(dir, "main.go")
		require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
		// An overlay puts the snippet into this module without writing there.
		pkg := fmt.Sprintf("examples/readme%d", i)
		at, err := filepath.Abs(filepath.Join(pkg, "main.go"))
		require.NoError(t, err)
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{at: file}})
		require.NoError(t, err)
		over := filepath.Join(dir, "overlay.json")
		require.NoError(t, os.WriteFile(over, overlay, 0o600))
		out, err := exec.Command("go", "build", "-overlay", over, "-o", os.DevNull, "./"+pkg).CombinedOutput()
		require.NoError(t, err, "%s\n%s", body, out)
	}
	require.Equal(t, map[string]int{"go": 2, "yaml": 1}, found)
}
