package guardedpg

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatementIDs(t *testing.T) {
	s := &session{id: "0123456789abcdef"}
	for n := range 1200 {
		require.Equal(t, fmt.Sprintf("%s-%d", s.id, n+1), s.nextStatement())
	}
}
