package guardedpg

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// overheard keeps what is written to a connection.
type overheard struct {
	net.Conn
	sent *bytes.Buffer
}

func (c overheard) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.Conn.Write(b)
}

func placeholderTexts(t testing.TB) []string {
	data, err := os.ReadFile("testdata/placeholders.txt")
	require.NoError(t, err)
	var texts []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if line != "" && !strings.HasPrefix(line, "#") {
			text, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
			require.NoError(t, err, line)
			texts = append(texts, text)
		}
	}
	return texts
}

// TestPlaceholders compares both readings of SQL with whose they are: pgx's with
// what pgx sends, the server's with what the server prepares.
func TestPlaceholders(t *testing.T) {
	cfg, err := pgx.ParseConfig(pgtest.Start(t).Database(t))
	require.NoError(t, err)
	var sent bytes.Buffer
	cfg.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
		return overheard{c, &sent}, nil
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	same, different := 0, 0
	for _, text := range placeholderTexts(t) {
		places := pgxPlaceholders(text)
		var want strings.Builder
		highest, at := 0, 0
		for _, p := range places {
			end := p + 1
			for end < len(text) && isDigit(text[end]) {
				end++
			}
			n, err := strconv.Atoi(text[p+1 : end])
			require.NoError(t, err)
			highest = max(highest, n)
			fmt.Fprintf(&want, "%s 'arg%d' ", text[at:p], n)
			at = end
		}
		want.WriteString(text[at:])
		args := []any{pgx.QueryExecModeSimpleProtocol}
		for n := range highest {
			args = append(args, fmt.Sprintf("arg%d", n+1))
		}
		sent.Reset()
		conn.Exec(t.Context(), text, args...) // whether the server likes it does not matter
		require.Contains(t, sent.String(), want.String()+"\x00", text)

		sd, err := conn.PgConn().Prepare(t.Context(), "", text, nil)
		if err == nil {
			numbers := map[string]bool{}
			for _, p := range serverPlaceholders(text) {
				end := p + 1
				for end < len(text) && isDigit(text[end]) {
					end++
				}
				numbers[text[p+1:end]] = true
			}
			require.Len(t, numbers, len(sd.ParamOIDs), text)
		}
		if samePlaceholders(text) {
			same++
		} else {
			different++
		}
	}
	require.Positive(t, same)
	require.Positive(t, different)
}

func FuzzPlaceholders(f *testing.F) {
	for _, text := range placeholderTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, places := range [][]int{pgxPlaceholders(text), serverPlaceholders(text)} {
			last := -1
			for _, p := range places {
				require.Greater(t, p, last)
				require.Equal(t, byte('$'), text[p])
				require.True(t, isDigit(text[p+1]))
				last = p
			}
		}
	})
}
