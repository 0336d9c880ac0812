package audit

import (
	"encoding/json"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// python runs the independent verifier and returns its exit code.
func python(t *testing.T, dir string, anchor heads) (int, string) {
	args := []string{"testdata/verify.py", dir}
	if anchor != nil {
		file := filepath.Join(t.TempDir(), "anchor")
		var b []byte
		for _, h := range anchor {
			line, err := json.Marshal(h)
			require.NoError(t, err)
			b = append(append(b, line...), '\n')
		}
		require.NoError(t, os.WriteFile(file, b, 0o600))
		args = append(args, file)
	}
	cmd := exec.Command("python3", args...)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("the independent verifier needs Python: apt-get install python3 (%v)", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestTheExampleIsReadable(t *testing.T) {
	rep, err := Verify(t.Context(), []string{"testdata/example"}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	code, out := python(t, "testdata/example", nil)
	require.Equal(t, 0, code, out)
}

// TestAnotherVerifierAgrees compares Verify with a program that shares no code
// with it, on trails that are clean, open and tampered with.
func TestAnotherVerifierAgrees(t *testing.T) {
	e := makeEvidence(t, rand.New(rand.NewSource(5)), rounds(8, 40))
	code, out := python(t, e.dir, e.anchor)
	require.Equal(t, 0, code, out)
	code, out = python(t, e.older, nil)
	require.Equal(t, 3, code, out)
	for name, tamper := range tampers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewSource(5))
			for range rounds(1, 20) {
				dir := filepath.Join(t.TempDir(), "d")
				require.NoError(t, os.CopyFS(dir, os.DirFS(e.dir)))
				tamper(t, r, e, dir)
				for _, anchor := range []heads{e.anchor, nil}[:rounds(1, 2)] {
					opt := VerifyOptions{}
					if anchor != nil {
						opt.Anchor = anchor
					}
					rep, err := Verify(t.Context(), []string{dir}, opt)
					require.NoError(t, err)
					want := 0
					if len(rep.Findings) > 0 {
						want = 1
					} else if !rep.OK() {
						want = 3
					}
					code, out := python(t, dir, anchor)
					require.Equal(t, want, code, "%s\n%v", out, rep.Findings)
				}
				os.RemoveAll(dir)
			}
		})
	}
}
