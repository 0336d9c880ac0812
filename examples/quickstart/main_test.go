package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The quickstart checks itself: it ends in an error when the trail does not
// verify, or still verifies after it was altered.
func TestQuickstart(t *testing.T) {
	require.NoError(t, run(t.Context()))
}
