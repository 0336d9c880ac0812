package main

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Both sides, played by the program itself.
func TestApproval(t *testing.T) {
	stdout := os.Stdout
	read, write, err := os.Pipe()
	require.NoError(t, err)
	os.Stdout = write
	defer func() { os.Stdout = stdout }()
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(read)
		text <- string(all)
	}()
	err = run(t.Context(), true)
	require.NoError(t, write.Close())
	out := <-text
	require.NoError(t, err, out)
	require.Contains(t, out, "counted", "the approver sees how many rows")
	require.Contains(t, out, "done, 0 rows")
	require.Contains(t, out, "done, 1 rows")
	require.Contains(t, out, "a person said no: the shop stays where it is")
	require.Contains(t, out, "approved by robin: I checked the request")
	require.Contains(t, out, "rejected by robin: the shop stays where it is")
}
