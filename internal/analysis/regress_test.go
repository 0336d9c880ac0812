package analysis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// A regressStatement is a statement of testdata/regress with what the lines
// before it that begin with --! say:
//
//	--! error [SQLSTATE]   the server refuses it
//	--! unknown words      the analysis says that it does not understand, in these words
//	--! unparsed           our parser does not know it
//	--! analyze            it is not run
//	--! since MAJOR        older servers refuse it
type regressStatement struct {
	place               string
	sql                 string
	fails               bool
	state               string
	unknown             []string
	unparsed, onlyParse bool
	since               int
}

// regressFile reads a file: a statement ends with a line that ends in a
// semicolon, dollar-quoted bodies apart.
func regressFile(t testing.TB, file string) []regressStatement {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []regressStatement
	s := regressStatement{}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\n")
		if mark, ok := strings.CutPrefix(line, "--! "); ok {
			word, rest, _ := strings.Cut(mark, " ")
			switch word {
			case "error":
				s.fails, s.state = true, rest
			case "unknown":
				require.NotEmpty(t, rest, "%s:%d", file, n)
				s.unknown = append(s.unknown, rest)
			case "unparsed":
				s.unparsed = true
			case "analyze":
				s.onlyParse = true
			case "since":
				s.since, err = strconv.Atoi(rest)
				require.NoError(t, err, "%s:%d", file, n)
			default:
				require.Fail(t, "no such mark", "%s:%d", file, n)
			}
			continue
		}
		if b.Len() == 0 && (line == "" || strings.HasPrefix(line, "--")) {
			continue
		}
		if b.Len() == 0 {
			s.place = fmt.Sprintf("%s:%d", filepath.Base(file), n)
		} else {
			b.WriteByte('\n')
		}
		b.WriteString(line)
		if strings.HasSuffix(line, ";") && strings.Count(b.String(), "$$")%2 == 0 {
			s.sql = b.String()
			out = append(out, s)
			s = regressStatement{}
			b.Reset()
		}
	}
	require.Zero(t, b.Len(), "%s ends within a statement", file)
	return out
}

// TestRegress runs statements of every kind on a server and compares what it
// says and does with the facts: which columns come back and from where, which
// relations are read and written, what changes in the session, and which
// command it was.
func TestRegress(t *testing.T) {
	files, err := filepath.Glob("testdata/regress/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	server := pgtest.Start(t)
	server.Template(t, "regress_template", "")
	total := regressTally{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) {
			ctx := context.Background()
			config, err := pgx.ParseConfig(server.DSN(pgtest.Superuser, server.Clone(t, "regress_template")))
			require.NoError(t, err)
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			conn, err := pgx.ConnectConfig(ctx, config)
			require.NoError(t, err)
			defer conn.Close(ctx)
			r := &regression{T: t, conn: conn, views: catalog.NewCache(catalog.Config{}).Session(), prepared: map[string]string{}, cursors: map[string]*Statement{}, tally: &total}
			for _, s := range regressFile(t, file) {
				if s.since*10000 > server.VersionNum() {
					s.fails, s.state = true, ""
				}
				r.statement(ctx, s)
			}
		})
	}
	t.Logf("%+v", total)
	if os.Getenv("GUARDEDPG_REGRESS_ANY") == "" && !t.Failed() {
		require.GreaterOrEqual(t, total.statements, 1500)
	}
}

type regressTally struct {
	statements, failing, unknown, described, origins, oracles, outputs, exact, scans, writes int
}

type regression struct {
	*testing.T
	conn     *pgx.Conn
	views    *catalog.Session
	snap     *catalog.Snapshot
	prepared map[string]string
	cursors  map[string]*Statement
	tally    *regressTally
}

// state is what a statement may change in the session.
type regressState struct {
	names   string // how names resolve
	tag     string
	status  byte
	version uint64
	touched map[catalog.OID][4]int64 // scans, inserts, updates, deletes
}

func (r *regression) state(ctx context.Context) (regressState, []string) {
	s := regressState{status: r.conn.PgConn().TxStatus(), touched: map[catalog.OID][4]int64{}}
	if s.status == 'E' {
		return s, []string{"pg_catalog", "public"}
	}
	var path []string
	var role string
	err := r.conn.QueryRow(ctx, `SELECT pg_catalog.current_schemas(true)::pg_catalog.text[], current_user || ' ' || session_user, pg_catalog.current_setting('application_name')`).
		Scan(&path, &role, &s.tag)
	require.NoError(r, err)
	// The temporary schema appears with its first object and changes no name.
	s.names = strings.Join(path, ",") + " " + role
	r.views.Changed()
	if r.snap, err = r.views.Snapshot(ctx, r.conn); errors.Is(err, catalog.ErrLoad) {
		// A REPEATABLE READ transaction: nobody else changes anything here.
		r.snap, err = catalog.Load(ctx, r.conn)
	}
	require.NoError(r, err)
	s.version = r.snap.Version
	rows, err := r.conn.Query(ctx, `SELECT relid, coalesce(seq_scan, 0) + coalesce(idx_scan, 0), n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_xact_user_tables`)
	require.NoError(r, err)
	for rows.Next() {
		var oid catalog.OID
		var c [4]int64
		require.NoError(r, rows.Scan(&oid, &c[0], &c[1], &c[2], &c[3]))
		s.touched[oid] = c
	}
	require.NoError(r, rows.Err())
	return s, path
}

func (r *regression) statement(ctx context.Context, s regressStatement) {
	r.tally.statements++
	at := s.place + ": " + s.sql
	before, path := r.state(ctx)
	facts, err := Analyze(ctx, s.sql, r.snap, Session{
		Path:     path,
		Prepared: func(name string) (string, bool) { sql, ok := r.prepared[name]; return sql, ok },
		Cursor:   func(name string) (*Statement, bool) { c, ok := r.cursors[name]; return c, ok },
	})
	if err != nil {
		var pe *ParseError
		require.ErrorAs(r, err, &pe, at)
		if !s.unparsed && !s.fails {
			r.Errorf("%s\nis not parsed: %v", at, err)
		}
	} else if s.unparsed {
		r.Errorf("%s\nis parsed, against what the file says", at)
	}
	var st *Statement
	if err == nil {
		if !assertOne(r.T, facts, at) {
			return
		}
		st = facts.Statements[0]
		r.understood(s, st)
	}
	if s.onlyParse {
		return
	}
	if st != nil && !s.fails && before.status != 'E' {
		r.describe(ctx, s, facts, path)
	}
	own := before.status == 'I' && st != nil && st.TxControl == TxNone
	if own {
		require.NoError(r, r.exec(ctx, "BEGIN"))
	}
	tag, err := r.run(ctx, s.sql)
	var pe *pgconn.PgError
	if own && errors.As(err, &pe) && (pe.Code == "25001" || pe.Code == "2D000" || pe.Code == "0A000" && strings.Contains(pe.Message, "transaction")) {
		// It does not run within a transaction.
		require.NoError(r, r.exec(ctx, "ROLLBACK"))
		own = false
		tag, err = r.run(ctx, s.sql)
	}
	if s.fails {
		r.tally.failing++
		if err == nil {
			r.Errorf("%s\nis meant to fail", at)
		} else if s.state != "" && (!errors.As(err, &pe) || pe.Code != s.state) {
			r.Errorf("%s\nfails otherwise than meant: %v", at, err)
		}
	} else if err != nil {
		r.Errorf("%s\nfails: %v", at, err)
	}
	if err == nil && st != nil && before.status != 'E' {
		after, _ := r.state(ctx)
		r.changes(s, st, before, after, tag)
	}
	if own {
		if err == nil {
			err = r.exec(ctx, "COMMIT")
			if err != nil {
				r.Errorf("%s\nfails at commit: %v", at, err)
			}
		} else {
			require.NoError(r, r.exec(ctx, "ROLLBACK"))
		}
	}
	if st == nil || err != nil {
		return
	}
	switch {
	case st.Kind == "PREPARE" && st.Inner != nil:
		r.prepared[st.Prepared] = st.Inner.Text
	case st.Kind == "DECLARE CURSOR" && st.Inner != nil:
		r.cursors[st.Portal] = st.Inner
	}
}

func assertOne(t *testing.T, f *Facts, at string) bool {
	if len(f.Statements) != 1 {
		t.Errorf("%s\nis %d statements", at, len(f.Statements))
		return false
	}
	return true
}

// understood checks that what is unknown was expected.
func (r *regression) understood(s regressStatement, st *Statement) {
	if len(st.Unknown) > 0 {
		r.tally.unknown++
	}
	for _, u := range st.Unknown {
		if !s.fails && !slices.ContainsFunc(s.unknown, func(w string) bool { return strings.Contains(u.What, w) }) {
			r.Errorf("%s: %s\nunknown: %s", s.place, s.sql, u.What)
		}
	}
	for _, w := range s.unknown {
		if !slices.ContainsFunc(st.Unknown, func(u Unknown) bool { return strings.Contains(u.What, w) }) {
			r.Errorf("%s: %s\nis understood; the file says unknown %s", s.place, s.sql, w)
		}
	}
	if st.Kind == "" {
		r.Errorf("%s: %s\nhas no kind", s.place, s.sql)
	}
	for i, o := range st.Outputs {
		if o.How != Constant && o.How != Count && len(o.Sources) == 0 && len(st.Unknown) == 0 {
			r.Errorf("%s: %s\noutput %d (%s) is %v of nothing", s.place, s.sql, i, o.Name, o.How)
		}
	}
}

func (r *regression) exec(ctx context.Context, sql string) error {
	_, err := r.conn.Exec(ctx, sql)
	return err
}

func (r *regression) run(ctx context.Context, sql string) (string, error) {
	results, err := r.conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	return results[0].CommandTag.String(), results[0].Err
}

// describe compares the outputs with the server's description and, for what can
// be a view, with its analyzed tree.
func (r *regression) describe(ctx context.Context, s regressStatement, facts *Facts, path []string) {
	st := facts.Statements[0]
	at := s.place + ": " + s.sql
	undo, err := attempt(ctx, r.conn)
	require.NoError(r, err)
	defer func() { require.NoError(r, undo()) }()
	sd, err := r.conn.PgConn().Prepare(ctx, "", s.sql, nil)
	if err != nil {
		return // the run tells
	}
	if len(sd.Fields) == 0 && len(st.Outputs) == 0 {
		return
	}
	r.tally.described++
	if len(sd.Fields) != len(st.Outputs) {
		r.Errorf("%s\nhas %d outputs, the server says %d", at, len(st.Outputs), len(sd.Fields))
		return
	}
	for i, f := range sd.Fields {
		o := st.Outputs[i]
		if o.Name != f.Name && !(st.Kind == "SHOW" && strings.EqualFold(o.Name, f.Name)) {
			r.Errorf("%s\noutput %d is called %s, the server says %s", at, i, o.Name, f.Name)
		}
		if o.OriginKnown {
			r.tally.origins++
			if o.Origin.Rel != f.TableOID || uint16(o.Origin.Att) != f.TableAttributeNumber {
				r.Errorf("%s\noutput %s is from %s, the server says %d.%d", at, o.Name, ColumnName(r.snap, o.Origin), f.TableOID, f.TableAttributeNumber)
			}
		}
		typ := o.Type
		for t := r.snap.Type(typ); t != nil && t.Kind == 'd'; t = r.snap.Type(typ) {
			typ = t.Base // the server describes a domain so
		}
		if typ != 0 && typ != f.DataTypeOID && len(st.Unknown) == 0 {
			r.Errorf("%s\noutput %s has type %d, the server says %d", at, o.Name, typ, f.DataTypeOID)
		}
	}
	if st.Kind != "SELECT" || slices.ContainsFunc(facts.Depends, func(oid catalog.OID) bool { return r.snap.Function(oid) != nil }) {
		// The oracle looks into no function; we do, and know better or worse.
		return
	}
	o := &oracle{conn: r.conn, snap: r.snap, views: map[catalog.OID]*tree{}}
	truth, _, err := o.lineage(ctx, strings.TrimSuffix(s.sql, ";"))
	var invalid errInvalid
	if errors.As(err, &invalid) {
		return // no view can be made of it
	}
	if err != nil {
		r.Errorf("%s\n%v", at, err)
		return
	}
	r.tally.oracles++
	if facts, err = Analyze(ctx, s.sql, r.snap, Session{Path: path, coarse: true}); err != nil {
		r.Errorf("%s\n%v", at, err)
		return
	}
	st = facts.Statements[0]
	for i, c := range truth {
		r.tally.outputs++
		got := st.Outputs[i]
		if !got.Sources.ContainsAll(c) {
			r.Errorf("%s\noutput %s is of %s, the server says %s", at, got.Name, colNames(r.snap, got.Sources), colNames(r.snap, c))
		}
		if len(got.Sources) == len(c) {
			r.tally.exact++
		} else if os.Getenv("GUARDEDPG_REGRESS_WIDER") != "" {
			r.Logf("%s\noutput %s is of %s, the server says %s", at, got.Name, colNames(r.snap, got.Sources), colNames(r.snap, c))
		}
	}
}

// changes compares what the statement did with what the facts say.
func (r *regression) changes(s regressStatement, st *Statement, before, after regressState, tag string) {
	at := s.place + ": " + s.sql
	if len(st.Unknown) > 0 {
		return // what it does is said not to be known
	}
	kind := st.Kind
	if slices.Contains([]string{"CREATE TABLE AS", "SELECT INTO", "CREATE MATERIALIZED VIEW"}, kind) && !strings.HasPrefix(tag, kind) {
		kind = "SELECT" // the server says how many rows it selected
	}
	if kind != "EXECUTE" && tag != kind && !strings.HasPrefix(tag, kind+" ") {
		r.Errorf("%s\nis of kind %s, the server says %s", at, st.Kind, tag)
	}
	if before.names != after.names && !st.Names {
		r.Errorf("%s\nchanges what names mean: %s, then %s", at, before.names, after.names)
	}
	if before.tag != after.tag && !st.Tag {
		r.Errorf("%s\nchanges the application's name", at)
	}
	// Files written anew are no new definition, though they look like it.
	rewrites := st.Classes&(TruncateData|Maintenance) != 0 || strings.HasPrefix(st.Kind, "REFRESH")
	if before.version != after.version && !st.Catalog && !rewrites && st.TxControl == TxNone {
		r.Errorf("%s\nchanges definitions", at)
	}
	if st.TxControl != TxNone || st.Classes&TwoPhase != 0 {
		return
	}
	related := map[catalog.OID]bool{}
	for _, u := range append(slices.Clone(st.Reads), st.Writes...) {
		related[u.Rel] = true
		if rel := r.snap.Relation(u.Rel); rel != nil {
			for _, d := range append(r.snap.Descendants(u.Rel), r.snap.Ancestors(u.Rel)...) {
				related[d.OID] = true
			}
		}
	}
	for _, u := range st.Writes {
		if rel := r.snap.Relation(u.Rel); rel != nil {
			// Foreign keys look up what they refer to, and what refers to it.
			for _, fk := range rel.ForeignKeys {
				related[fk.To] = true
			}
			for _, fk := range rel.ReferredBy {
				related[fk.From] = true
			}
		}
	}
	for oid, c := range after.touched {
		b := before.touched[oid]
		rel := r.snap.Relation(oid)
		if rel == nil {
			continue
		}
		if c[0] > b[0] {
			r.tally.scans++
			if !related[oid] && st.Classes&(DDL|Maintenance) == 0 {
				r.Errorf("%s\nreads %s", at, relName(rel))
			}
		}
		for i, act := range []Action{Insert, Update, Delete} {
			if c[i+1] <= b[i+1] || st.Classes&DDL != 0 {
				continue
			}
			r.tally.writes++
			// An UPDATE moves rows between partitions by DELETE and INSERT.
			moved := func(u Use) bool { return u.Action == Update && (rel.IsPartition || rel.Kind == 'p') }
			if !slices.ContainsFunc(st.Writes, func(u Use) bool { return u.Rel == oid && (u.Action == act || moved(u)) }) {
				r.Errorf("%s\ndoes %v to %s", at, act, relName(rel))
			}
		}
	}
}
