package guardedpg_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/mask"
)

// An overwriteCase is an entry of testdata/overwrites.yaml.
type overwriteCase struct {
	Refused  bool
	First    string
	SQL      string
	Args     []any
	Prepared bool
	Rule     string   // that refuses; guard.overwrite where none is named
	Text     []string // sent one by one, the last is judged
	Since    int      // the server's major that knows it; an older one refuses it
	// Gap says why the case comes out the other way today; empty when it does not.
	Gap string
}

const overwriteSchema = `
	CREATE TABLE person (id int PRIMARY KEY, email text, card text, phone text, pin int, born date, token text, doc jsonb, tags text[], note text);
	INSERT INTO person VALUES (1, 'jane@x.test', '4111', '19995550001', 4242, '1990-05-06', 'secret token', '{"n": 1, "email": "jane@x.test"}', '{jane@x.test}', 'n'),
		(2, 'kim@x.test', '4222', '19995550002', 4343, '1991-06-07', 'other token', '{"n": 2, "email": "kim@x.test"}', '{kim@x.test}', 'n');
	CREATE VIEW person_view AS SELECT id, email AS contact FROM person;
	CREATE FUNCTION set_email(int, text) RETURNS void LANGUAGE sql AS 'UPDATE person SET email = $2 WHERE id = $1'`

// An agent that writes back what it was shown would destroy what was there.
func TestOverwrites(t *testing.T) {
	b, err := os.ReadFile("testdata/overwrites.yaml")
	require.NoError(t, err)
	var cases []overwriteCase
	require.NoError(t, yaml.Unmarshal(b, &cases))
	key, err := mask.NewKey([]byte("the key of the overwrites"))
	require.NoError(t, err)
	protect := func(column string, mask any) guard.Protect {
		return guard.Protect{Column: "public.person." + column, Mask: maskOf(mask)}
	}
	policy := guard.Policy{Default: guard.Allow, Protect: []guard.Protect{
		protect("email", "email"), protect("card", "redact"), protect("phone", map[string]any{"partial": map[string]any{"last": 4}}),
		protect("pin", "redact"), protect("born", "date"), protect("token", "hash"), protect("tags", "email"),
		protect("doc", map[string]any{"jsonpath": map[string]any{"paths": map[string]any{"$.email": "email"}, "rest": "keep"}}),
	}}
	dsn := database(t, "overwrites", overwriteSchema)
	version := pgtest.Start(t).VersionNum()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			cfg := guardedpg.Config{DSN: inMode(dsn, mode), Identify: as(agent), Policy: policy, MaskKey: key}
			shared := open(t, cfg)
			// What was shown before decides about values that could be anybody's: a
			// case that reads first has a database handle of its own.
			for _, c := range cases {
				name := c.SQL
				if len(c.Text) > 0 {
					name = c.Text[len(c.Text)-1]
				}
				db := shared
				if c.First != "" {
					db = open(t, cfg)
				}
				err := overwrites(t, db, c)
				if c.Since*10000 > version {
					require.Error(t, err, name)
					continue
				}
				if c.Gap != "" {
					if (err != nil) != c.Refused {
						continue
					}
					t.Errorf("%s: is right now, take its gap out", name)
				}
				if !c.Refused {
					require.NoError(t, err, "%s %v", name, c.Args)
					continue
				}
				var refused *guardedpg.RefusedError
				switch {
				case !errors.As(err, &refused):
					t.Errorf("%s %v: %v", name, c.Args, err)
				case c.Rule != "":
					require.Equal(t, c.Rule, refused.Rule, name)
				default:
					require.Equal(t, "guard.overwrite", refused.Rule, "%s: %v", name, err)
					require.ErrorIs(t, err, guardedpg.ErrDenied)
					require.ErrorContains(t, err, "masked value over the clear one")
				}
				require.NotContains(t, fmt.Sprint(err), "j***")
			}
		})
	}
}

// overwrites runs a case in a transaction that is rolled back.
func overwrites(t *testing.T, db *sql.DB, c overwriteCase) error {
	t.Helper()
	tx, err := db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	var first []any
	if c.First != "" {
		rows, err := tx.Query(c.First)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			first = make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range into {
				into[i] = &first[i]
			}
			require.NoError(t, rows.Scan(into...))
		}
		require.NoError(t, rows.Err())
	}
	args := make([]any, len(c.Args))
	for i, a := range c.Args {
		args[i] = a
		m, ok := a.(map[string]any)
		if !ok {
			continue
		}
		if n, ok := m["first"]; ok {
			args[i] = first[n.(int)]
			continue
		}
		var texts []string
		var numbers []int
		for _, v := range m["list"].([]any) {
			switch v := v.(type) {
			case string:
				texts = append(texts, v)
			case int:
				numbers = append(numbers, v)
			}
		}
		if args[i] = texts; numbers != nil {
			args[i] = numbers
		}
	}
	if c.Prepared {
		s, err := tx.Prepare(c.SQL)
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Exec(args...)
		return err
	}
	for i, text := range c.Text {
		if _, err := tx.Exec(text); err != nil || i == len(c.Text)-1 {
			return err
		}
	}
	_, err = tx.Exec(c.SQL, args...)
	return err
}
