package guardedpg

import (
	"context"
	"database/sql/driver"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// leavesBehind are the classes of statements after which a session is not as it
// was: temporary tables, cursors, settings, locks.
const leavesBehind = analysis.Temporary | analysis.Cursor | analysis.PreparedSQL | analysis.AdvisoryLock | analysis.Sequence |
	analysis.Notify | analysis.SessionHarmless | analysis.SessionRisky | analysis.Role | analysis.Dynamic

// handOver cleans a pooled session that another principal has used before: what
// that one left there (a search_path with tables of its own in it, rows that
// only it may see) is not for the next. It is DISCARD ALL without what pgx
// relies on. Settings are left alone where hooks of the program may have made
// them.
func (c *Conn) handOver(ctx context.Context, who identity.Identity) error {
	s := c.session
	before := s.user
	if before.Same(who) || s.pg.TxStatus() != 'I' {
		return nil
	}
	s.user = who
	if !s.left || before.IsZero() {
		return nil
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
		c.inner.Close()
		if ctx.Err() != nil {
			return err
		}
		return driver.ErrBadConn
	}
	s.left = false
	s.gate.listening = false
	clear(s.prepared)
	clear(s.cursors)
	s.forget()
	c.catalog.Changed()
	return nil
}
