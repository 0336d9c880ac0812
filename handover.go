package guardedpg

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// leavesBehind are the classes of statements after which a session is not as it
// was: temporary tables, cursors, settings, locks.
const leavesBehind = analysis.Temporary | analysis.Cursor | analysis.PreparedSQL | analysis.AdvisoryLock | analysis.Sequence |
	analysis.Notify | analysis.SessionHarmless | analysis.SessionRisky | analysis.Role | analysis.Dynamic

// changesSettings are the classes of statements that may leave a setting changed.
const changesSettings = analysis.SessionHarmless | analysis.SessionRisky | analysis.Role | analysis.Dynamic

// handOver cleans a pooled session that another principal has used before: what
// that one left there (a search_path with tables of its own in it, rows that
// only it may see) is not for the next. It is DISCARD ALL without what pgx
// relies on. Where hooks of the program may have made settings, nobody but them
// knows what they were: a session in which any was changed is not handed over.
func (c *Conn) handOver(ctx context.Context, who identity.Identity) error {
	s := c.session
	before := s.user
	if before.Same(who) || s.pg.TxStatus() != 'I' {
		return nil
	}
	if !s.left || before.IsZero() {
		s.user = who
		return nil
	}
	if s.set && c.connector.hooked {
		c.abandon()
		return driver.ErrBadConn
	}
	var sql strings.Builder
	sql.WriteString("close all; unlisten *; select pg_catalog.pg_advisory_unlock_all(); discard temp; discard sequences")
	for name := range s.prepared {
		sql.WriteString("; deallocate " + pgx.Identifier{name}.Sanitize())
	}
	if !c.connector.hooked {
		sql.WriteString("; reset session authorization; reset all")
	}
	if err := s.pg.Exec(ctx, sql.String()).Close(); err != nil {
		// In an unknown state nobody may have it.
		c.abandon()
		if ctx.Err() != nil {
			return err
		}
		return driver.ErrBadConn
	}
	s.user = who
	s.left, s.set = false, false
	s.gate.listening = false
	clear(s.prepared)
	clear(s.cursors)
	s.forget()
	c.catalog.Changed()
	return nil
}

// abandon ends the connection to the server. A pool that it is from makes another.
func (c *Conn) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.pgx.Close(ctx)
}
