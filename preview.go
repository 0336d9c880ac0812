package guardedpg

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// Before a person decides, the server is asked how many rows the statement would
// touch. Whatever goes wrong with that, the statement waits all the same: then
// nothing is known.

// preview fills in what the policy tells approvers of the number of rows.
func (r *run) preview(ctx context.Context, req *approve.Request) {
	how := r.policy().Policy().Approval.Preview
	if how == guard.PreviewNone {
		return
	}
	if n, ok := r.estimate(ctx); ok {
		req.Rows = n
	}
	if how == guard.PreviewExact {
		if n, ok := r.count(ctx); ok {
			req.Exact = n
		}
	}
}

// estimate is how many rows the planner expects that the statement writes, or
// reads where it writes none.
func (r *run) estimate(ctx context.Context) (int64, bool) {
	if !r.plan.estimable() {
		return 0, false
	}
	text := "explain (format json) " + r.plan.facts.Statements[0].Text
	if r.call.mode == pgx.QueryExecModeSimpleProtocol && len(r.call.args) > 0 && !samePlaceholders(text) {
		return 0, false
	}
	var answer []byte
	if err := r.aside(ctx, text, r.call.args, &answer); err != nil {
		return 0, false
	}
	var plans []struct{ Plan planNode }
	if json.Unmarshal(answer, &plans) != nil || len(plans) != 1 {
		return 0, false
	}
	root := &plans[0].Plan
	if n, writes := root.written(); writes {
		return int64(n), true
	}
	return int64(root.Rows), true
}

// A planNode is a part of what EXPLAIN shows. The server checks the size of the
// statement that it plans; what it answers is not deeper.
type planNode struct {
	Type         string     `json:"Node Type"`
	Relationship string     `json:"Parent Relationship"`
	Rows         float64    `json:"Plan Rows"`
	Plans        []planNode `json:"Plans"`
}

// written adds up the rows that come to the nodes that write.
func (n *planNode) written() (rows float64, writes bool) {
	writes = n.Type == "ModifyTable"
	for i := range n.Plans {
		child := &n.Plans[i]
		if n.Type == "ModifyTable" && child.Relationship != "InitPlan" && child.Relationship != "SubPlan" {
			rows += child.Rows
		}
		more, w := child.written()
		rows, writes = rows+more, writes || w
	}
	return rows, writes
}

// estimable reports whether the server may plan the text. Planning evaluates
// functions that are declared stable or immutable, whatever they do, so none
// with an effect may be called, and none that is not understood.
func (p *plan) estimable() bool {
	const plain = analysis.Read | analysis.Write | analysis.Unbounded | analysis.RowLock | analysis.Sequence
	if len(p.facts.Statements) != 1 {
		return false
	}
	st := p.facts.Statements[0]
	if st.Classes&^plain != 0 || len(st.Unknown) > 0 || st.Inner != nil || st.Prepared != "" || st.Portal != "" ||
		!slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"}, st.Kind) {
		return false
	}
	calls := func(path []string) bool { return len(path) > 0 && strings.HasPrefix(path[0], "function ") }
	return !slices.ContainsFunc(st.Writes, func(u analysis.Use) bool { return calls(u.Path) }) &&
		!slices.ContainsFunc(st.Effects, func(e analysis.Effect) bool { return calls(e.Path) })
}

// count is how many rows the statement would touch, where a read-only query can
// tell that.
func (r *run) count(ctx context.Context) (int64, bool) {
	if !r.plan.estimable() {
		return 0, false
	}
	text, params, ok := analysis.CountQuery(r.plan.facts.Statements[0].Text)
	if !ok {
		return 0, false
	}
	p, err := r.conn.planFor(ctx, r.who, text)
	if err != nil || !p.reads || !p.estimable() || p.volatile() {
		return 0, false
	}
	args := make([]any, len(params))
	for i, n := range params {
		if n > len(r.call.args) {
			return 0, false
		}
		args[i] = r.call.args[n-1]
	}
	if r.call.mode == pgx.QueryExecModeSimpleProtocol && len(args) > 0 && !samePlaceholders(text) {
		return 0, false
	}
	var n int64
	if err := r.aside(ctx, text, args, &n); err != nil {
		return 0, false
	}
	return n, true
}

const triggerType catalog.OID = 2279

// volatile reports whether a text may call a function of the database's own that
// is declared volatile. The server's own are known by what they do.
func (p *plan) volatile() bool {
	return slices.ContainsFunc(p.facts.Depends, func(oid catalog.OID) bool {
		f := p.view.snap.Function(oid)
		return f != nil && f.Schema != "pg_catalog" && f.Volatility == 'v' && f.Result != triggerType
	})
}

// What the guard asks for a preview is undone, can write nothing, and must not
// take long: a person waits for it, and perhaps a transaction.
const (
	asideLimits = "; set local transaction_read_only = on; set local statement_timeout = '2s'"
	asideBegin  = "begin" + asideLimits
	asideEnd    = "rollback"
	asideInTx   = "savepoint guardedpg_preview" + asideLimits
	asideUndo   = "rollback to savepoint guardedpg_preview; release savepoint guardedpg_preview"
)

// aside asks the server for one value, in the session as it is.
func (r *run) aside(ctx context.Context, text string, args []any, into any) error {
	c := r.conn
	begin, end := asideBegin, asideEnd
	switch c.pg.TxStatus() {
	case 'T':
		begin, end = asideInTx, asideUndo
	case 'E':
		return errors.New("the transaction has failed")
	}
	if err := c.ownControl(ctx, begin); err != nil {
		return err
	}
	mode := r.call.mode
	if mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol {
		mode = pgx.QueryExecModeDescribeExec // and keep nothing of it
	}
	err := c.pgx.QueryRow(ctx, text, append([]any{mode}, args...)...).Scan(into)
	if undone := c.ownControl(context.WithoutCancel(ctx), end); undone != nil {
		c.inner.Close()
		return undone
	}
	return err
}
