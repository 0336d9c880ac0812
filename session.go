package guardedpg

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A session is what the guard knows about the state of one connection to the
// server. It is not safe for concurrent use, like the connection itself.
type session struct {
	id       string // unique in the trail
	pg       *pgconn.PgConn
	database string
	serial   uint64           // statements so far
	ids      [idsAhead]string // of the statements that come, from serial%idsAhead
	gate     gate
	prefix   string // the application_name that the connection was made with
	private  *view  // the catalog as only this session sees it, or nil
	intern   func([]string) *path

	// tagged is the identity that the server's settings carry now; the zero
	// Identity when that is not known.
	tagged identity.Identity
	// user is who ran statements here last, left whether something of that may
	// still be there, and set whether a setting may be.
	user      identity.Identity
	left, set bool
	// path is how names resolve; nil when it must be asked. It is good for the
	// catalog that seen names.
	path *path
	seen *view

	descriptions map[string]*description // of the texts that pgx has prepared
	plans        planCache
	control      planCache         // texts that only control the transaction
	prepared     map[string]string // SQL-level prepared statements
	cursors      map[string]cursor // declared ones
	tx           transaction
}

// A cursor is what DECLARE made: its text, the facts of its query, and what they
// rest on. The server goes on with the views that it has opened, and calls the
// functions that are there when it comes to them.
type cursor struct {
	text    string
	sent    string // the text that the server was given
	ended   bool   // the transaction that declared it has ended
	query   *analysis.Statement
	depends []catalog.OID
	basis   basis
}

// behind returns what the names of prepared statements and cursors in a text
// stand for, which decides what it does as much as its own words.
func (s *session) behind(p *plan) []string {
	all := slices.Clip(p.behind)
	if len(s.cursors) > 0 && strings.Contains(strings.ToLower(p.sql), "current") {
		// WHERE CURRENT OF: no other clause is about a cursor.
		for _, name := range slices.Sorted(maps.Keys(s.cursors)) {
			all = append(all, "cursor "+name+": "+s.cursors[name].text)
		}
	}
	return all
}

// A transaction is what happened in the open transaction that its end decides.
type transaction struct {
	names   bool // a rollback changes how names resolve
	tag     bool // a rollback takes the tag back
	catalog bool // definitions were changed, visible to this session only
	scrub   bool // what the end reports could show a protected value
	wrote   bool // something in it has effects that last
}

// sessionKey is where a pooled connection keeps its session from one use to the
// next.
const sessionKey = "guardedpg.session"

// sessionOf returns the session of a connection. Whoever else uses a pooled
// connection may have changed its settings, so nothing is believed of those.
func sessionOf(pg *pgconn.PgConn, database string) *session {
	if s, ok := pg.CustomData()[sessionKey].(*session); ok && s.pg == pg {
		s.forget()
		return s
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	s := &session{id: hex.EncodeToString(id[:]), pg: pg, database: database, prefix: pg.ParameterStatus("application_name")}
	pg.CustomData()[sessionKey] = s
	return s
}

// forget drops what the guard believes of the session's settings.
func (s *session) forget() {
	s.tagged = identity.Identity{}
	s.path = nil
	s.descriptions = nil
}

// idsAhead is how many IDs are made at once, in one allocation.
const idsAhead = 16

// nextStatement returns an ID for a statement, unique in the trail: the session's
// and a number from 1.
func (s *session) nextStatement() string {
	i := s.serial % idsAhead
	if i == 0 {
		all := make([]byte, 0, idsAhead*(len(s.id)+12))
		var ends [idsAhead]int
		for j := range uint64(idsAhead) {
			all = append(append(all, s.id...), '-')
			all = strconv.AppendUint(all, s.serial+j+1, 10)
			ends[j] = len(all)
		}
		text, from := string(all), 0
		for j, end := range ends {
			s.ids[j] = text[from:end]
			from = end
		}
	}
	s.serial++
	return s.ids[i]
}

// A path is one effective search path. Sessions with an equal path share it, and
// with it the plans of texts.
type path struct {
	schemas []string
	user    string // the session's, for $user in functions
	shared  bool   // no temporary schema in it
}

// The guard's own statements name everything with its schema: the session may
// have a search_path that puts other things before pg_catalog.
const (
	pathSQL = `select pg_catalog.current_schemas(true)::pg_catalog.text[]`

	tagSQL = `select pg_catalog.current_schemas(true)::pg_catalog.text[],` +
		` pg_catalog.set_config('application_name', $1, false),` +
		` pg_catalog.set_config('guardedpg.issuer', $2, false),` +
		` pg_catalog.set_config('guardedpg.subject', $3, false),` +
		` pg_catalog.set_config('guardedpg.groups', $4, false),` +
		` pg_catalog.set_config('guardedpg.verified', $5, false)`
)

// ready brings the session to the state that a statement of who needs: tagged,
// and with a known path. It costs a round trip when one of them is not given,
// and nothing otherwise. In an aborted transaction the server answers nothing;
// then it does nothing.
func (s *session) ready(ctx context.Context, who identity.Identity) error {
	tagged := s.tagged == who
	if tagged && s.path != nil || s.pg.TxStatus() == 'E' {
		return nil
	}
	var rows [][]string
	var err error
	if tagged {
		rows, err = s.ask(ctx, pathSQL)
	} else {
		verified := "off"
		if who.Verified() {
			verified = "on"
		}
		// Between here and the answer the server may have either.
		s.tagged = identity.Identity{}
		rows, err = s.ask(ctx, tagSQL, applicationName(s.prefix, who), exact(who.Issuer()), exact(who.Subject()),
			arrayLiteral(who.Groups()), verified)
	}
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return errors.New("guardedpg: the session's search path could not be read")
	}
	if !tagged {
		s.tagged = who
		s.tx.tag = s.tx.tag || s.pg.TxStatus() != 'I'
	}
	schemas, err := parseArray(rows[0][0])
	if err != nil {
		return err
	}
	if s.path == nil || !slices.Equal(s.path.schemas, schemas) {
		s.path = s.intern(schemas)
	}
	return nil
}

// after follows what a text did to names, settings, prepared statements and
// cursors.
func (s *session) after(p *plan, failed bool) {
	status := s.pg.TxStatus()
	for _, st := range p.facts.Statements {
		if st.Names || st.Catalog {
			s.path = nil
			s.tx.names = true
		}
		if st.Tag {
			s.tagged = identity.Identity{}
			s.tx.tag = true
		}
		s.followNamed(p, st, failed || len(p.facts.Statements) > 1)
		if st.TxControl == analysis.TxRollbackTo {
			s.undone()
		}
	}
	if status == 'I' {
		s.transactionEnded()
	}
}

// undone follows the rollback of a part of the transaction.
func (s *session) undone() {
	if s.tx.names {
		s.path = nil
	}
	if s.tx.tag {
		s.tagged = identity.Identity{}
	}
}

// transactionEnded follows a commit or rollback. Which of them it was does not
// matter: asking again is right after both.
func (s *session) transactionEnded() {
	s.undone()
	s.tx = transaction{}
	// Cursors that are not WITH HOLD are gone, and a name that is free can be
	// taken by a portal that the guard does not see.
	for name, c := range s.cursors {
		if !strings.Contains(strings.ToLower(c.sent), "hold") {
			delete(s.cursors, name)
			continue
		}
		c.ended = true
		s.cursors[name] = c
	}
}

// cursor returns a declared cursor. Whether one that is WITH HOLD has outlived
// its transaction, the server is asked when it is used.
func (s *session) cursor(ctx context.Context, name string) (cursor, bool) {
	c, ok := s.cursors[name]
	if !ok || !c.ended {
		return c, ok
	}
	rows, err := s.ask(ctx, `SELECT statement FROM pg_catalog.pg_cursors WHERE name OPERATOR(pg_catalog.=) $1 AND is_holdable`, name)
	if err != nil {
		return c, false
	}
	if len(rows) != 1 || rows[0][0] != c.sent {
		delete(s.cursors, name)
		return c, false
	}
	c.ended = false
	s.cursors[name] = c
	return c, true
}

// followNamed keeps track of the prepared statements and cursors that SQL made.
// What is not certain is forgotten: a name that the guard does not know is
// refused when it is used.
func (s *session) followNamed(p *plan, st *analysis.Statement, uncertain bool) {
	if st.Classes&(analysis.Dynamic|analysis.Code) != 0 || st.Kind == "DISCARD" {
		clear(s.prepared)
		clear(s.cursors)
	}
	switch {
	case st.Classes&analysis.PreparedSQL != 0 && st.Kind == "PREPARE":
		delete(s.prepared, st.Prepared)
		if !uncertain && st.Inner != nil {
			if s.prepared == nil {
				s.prepared = map[string]string{}
			}
			s.prepared[st.Prepared] = st.Inner.Text
		}
	case st.Kind == "DEALLOCATE":
		if st.Prepared == "" {
			clear(s.prepared)
		}
		delete(s.prepared, st.Prepared)
	case st.Kind == "DECLARE CURSOR":
		delete(s.cursors, st.Portal)
		if !uncertain && st.Inner != nil {
			if s.cursors == nil {
				s.cursors = map[string]cursor{}
			}
			s.cursors[st.Portal] = cursor{text: st.Text, sent: cmp.Or(p.sends, p.sql), query: st.Inner, depends: p.facts.Depends, basis: p.basis}
		}
	case st.Kind == "CLOSE CURSOR":
		if st.Portal == "" {
			clear(s.cursors)
		}
		delete(s.cursors, st.Portal)
	}
}

// ask runs a query of the guard's own, which returns text without NULL.
func (s *session) ask(ctx context.Context, sql string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	reader := s.pg.ExecParams(ctx, sql, params, nil, nil, nil)
	var rows [][]string
	for reader.NextRow() {
		row := make([]string, len(reader.Values()))
		for i, v := range reader.Values() {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	_, err := reader.Close()
	return rows, err
}

// maxApplicationName is what the server keeps of application_name.
const maxApplicationName = 63

// applicationName is the tag that pg_stat_activity and the server's log show.
func applicationName(prefix string, who identity.Identity) string {
	tag := clean(who.Subject())
	if !who.Verified() {
		tag += " (unverified)"
	}
	// The identity is what must not be cut off.
	if room := maxApplicationName - len(tag) - 1; prefix != "" && room > 0 {
		tag = prefix[:min(room, len(prefix))] + " " + tag
	}
	return tag[:min(len(tag), maxApplicationName)]
}

// clean makes a claim printable ASCII, as the server does with
// application_name.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// exact is a claim for the server's policies to compare: two people must not have
// one name there. What no text of the server can hold, a NUL and what is not UTF-8,
// becomes a replacement character.
func exact(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// arrayLiteral writes a text[] of claims.
func arrayLiteral(list []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		s = exact(s)
		b.WriteByte('"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

var errArray = errors.New("guardedpg: the server sent an array that cannot be read")

// parseArray reads a one-dimensional array without NULLs in its text form.
func parseArray(text string) ([]string, error) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, errArray
	}
	text = text[1 : len(text)-1]
	var list []string
	for len(text) > 0 {
		var item strings.Builder
		i, quoted := 0, false
		for ; i < len(text) && (quoted || text[i] != ','); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == '\\' && i+1 < len(text):
				i++
				item.WriteByte(text[i])
			default:
				item.WriteByte(text[i])
			}
		}
		if quoted {
			return nil, errArray
		}
		list = append(list, item.String())
		text = text[min(i+1, len(text)):]
	}
	return list, nil
}
