package guardedpg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/internal/analysis"
)

// pgx reports the columns of a text that it has prepared from memory. The server
// may take them from elsewhere meanwhile, when somebody renames columns, and says
// so only when it is asked: in the same round trip, if pgx remembers no columns.

// A description is what pgx remembers of a prepared text.
type description struct {
	name      string // as pgx knows it
	statement *pgconn.StatementDescription
	formats   any // pgx.QueryResultFormats of its columns
}

// describeEvery is for how long the server's last description of a text is taken
// for good, whichever session asked: renaming a column takes longer.
const describeEvery = 250 * time.Microsecond

var epoch = time.Now()

// sinceEpoch is when the run began.
func (r *run) sinceEpoch() time.Duration { return r.started.Sub(epoch) }

// maxDescriptions bounds what a session keeps: more texts than pgx prepares.
const maxDescriptions = 1024

// forgotten stands for a text that pgx prepares anew, since it failed.
var forgotten = &description{}

// send sends the text, and has the server describe the result.
func (r *run) send(ctx context.Context) (pgx.Rows, error) {
	c := r.conn
	text, pass := r.sending()
	if !r.describable(text) {
		return c.pgx.Query(ctx, text, pass...)
	}
	d := c.session.descriptions[text]
	if d == forgotten {
		rows, err := c.pgx.Query(ctx, text, pass...)
		if err == nil {
			c.remember(ctx, text, nil) // it is there
		}
		return rows, err
	}
	d, err := c.remember(ctx, text, d)
	switch {
	case err != nil:
		return nil, err // Query's own
	case len(d.statement.Fields) == 0:
		return c.pgx.Query(ctx, text, pass...)
	}
	r.describes = true
	pass[0] = d.formats // in place of those by type, for which pgx needs the columns
	fields := d.statement.Fields
	d.statement.Fields = nil
	defer func() { d.statement.Fields = fields }()
	return c.pgx.Query(ctx, text, pass...)
}

// describable reports whether pgx may have the result's columns in its memory,
// and the witness is about any.
func (r *run) describable(text string) bool {
	c := r.conn
	if c.named[text] == 0 && r.call.mode != pgx.QueryExecModeCacheStatement || !r.plan.view.bound.Protecting() {
		return false
	}
	if at := r.plan.described.Load(); at != 0 && r.sinceEpoch()-time.Duration(at) < describeEvery {
		return false
	}
	if len(r.call.pass) == 0 || len(r.plan.facts.Statements) != 1 {
		return false
	}
	for _, p := range r.call.pass[1:] {
		switch p.(type) {
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			return false // the caller's own
		}
	}
	return slices.ContainsFunc(r.plan.facts.Statements[0].Outputs, func(o analysis.Output) bool { return o.Origin.Rel != 0 })
}

// remember finds what pgx remembers of a text, which it prepares as Query does
// where it has not yet. d is what was found before, or nil.
func (c *Conn) remember(ctx context.Context, text string, d *description) (*description, error) {
	name := text
	switch {
	case c.named[text] > 0:
	case d != nil && d.name != text:
		name = d.name
	default:
		digest := sha256.Sum256([]byte(text))
		name = "stmtcache_" + hex.EncodeToString(digest[:24])
	}
	statement, err := c.pgx.Prepare(ctx, name, text)
	if err != nil || d != nil && d.statement == statement {
		return d, err
	}
	formats := make(pgx.QueryResultFormats, len(statement.Fields))
	for i, f := range statement.Fields {
		formats[i] = resultFormats[f.DataTypeOID]
	}
	s := c.session
	if s.descriptions == nil || len(s.descriptions) >= maxDescriptions {
		s.descriptions = map[string]*description{}
	}
	d = &description{name, statement, formats}
	s.descriptions[text] = d
	return d, nil
}

// forgetText notes that a text failed: pgx forgets it too.
func (s *session) forgetText(text string) {
	if s.descriptions[text] != nil {
		s.descriptions[text] = forgotten
	}
}
