package guardedpg

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

func state(t *testing.T, v any) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, writeArg(h, settle(v)), "%T", v)
	return string(h.Sum(nil))
}

type hidden string

func (hidden) String() string { return "***" }

type row struct {
	A any
	b []int
}

// variety makes values of which no two are the same to a server.
func variety() []any {
	tokyo := time.FixedZone("", 9*3600)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	number := func(n int64, exp int32) pgtype.Numeric {
		return pgtype.Numeric{Int: big.NewInt(n), Exp: exp, Valid: true}
	}
	return []any{
		nil, "", "a", "1", 1, int64(1), int32(1), uint8(1), 1.0, float32(1), true, false, math.Inf(1), math.NaN(),
		[]byte(nil), []byte{}, []byte("a"), [1]byte{'a'},
		[]string(nil), []string{}, []string{"a b"}, []string{"a", "b"}, []string{"a", ""}, [][]string{{"a"}, {"b"}}, [][]string{{"a", "b"}},
		[]any{1, "1"}, []any{"1", 1}, []any{nil}, []any{},
		hidden("a"), hidden("b"), []hidden{"a"}, []hidden{"b"},
		map[string]any{"a": 1}, map[string]any{"a": "1"}, map[string]any{"a": 1, "b": 2}, map[string]any{"a": 2, "b": 1}, map[string]any(nil),
		row{A: 1}, row{A: 2}, row{b: []int{1}}, row{b: []int{2}}, &row{A: 1}, (*row)(nil), (*string)(nil),
		at, at.In(tokyo), at.Add(1), []time.Time{at}, []time.Time{at.In(tokyo)},
		number(1, 0), number(1, 1), number(2, 0), number(-1, 0), pgtype.Numeric{},
		sql.NullString{}, sql.NullString{String: "a", Valid: true}, sql.NullInt64{Int64: 1, Valid: true},
		pgtype.Text{String: "a", Valid: true}, pgtype.Text{String: "a"},
	}
}

func TestStateTellsValuesApart(t *testing.T) {
	seen := map[string]string{}
	for i, v := range variety() {
		s := state(t, v)
		name := fmt.Sprintf("%d: %T", i, v)
		require.Empty(t, seen[s], name)
		seen[s] = name
		again := variety()[i]
		require.Equal(t, s, state(t, again), "%s is the same when it is made again", name)
		if v != nil {
			require.Equal(t, s, state(t, detached(reflect.ValueOf(again), 0).Interface()), "%s is the same when it is copied", name)
		}
	}
}

func TestDetachedSharesNothing(t *testing.T) {
	n := big.NewInt(1)
	inner := []int{1}
	k := call{args: []any{&inner, map[string][]int{"a": inner}, []any{inner}, row{A: inner}, &row{A: &inner}, [1][]int{inner},
		pgtype.Numeric{Int: n, Valid: true}, pgtype.FlatArray[[]int]{inner}}}
	before := make([]string, len(k.args))
	for i, v := range k.args {
		before[i] = state(t, v)
	}
	k.detach()
	inner[0] = 2
	n.SetInt64(2)
	for i, v := range k.args {
		require.Equal(t, before[i], state(t, v), "%T", v)
	}
}
