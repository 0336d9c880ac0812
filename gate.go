package guardedpg

import (
	"context"
	"errors"
	"reflect"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A gate decides what a notice, notification or error shows to the handlers that
// the embedding program installed. Its zero value shows nothing of the text:
// messages also arrive when no statement runs.
type gate struct {
	open      bool // a statement runs that touches nothing protected
	listening bool // a LISTEN was allowed
	payloads  bool // and what is notified may be shown
}

func gateOf(pg *pgconn.PgConn) gate {
	if s, ok := pg.CustomData()[sessionKey].(*session); ok {
		return s.gate
	}
	return gate{}
}

// Gate puts the guard's gate before the handlers of notices, notifications and
// errors of cfg, and before its tracer: what the server says about protected
// values does not reach them. The guard does so itself with the configuration
// of [Config.ConnConfig]; for a Connector or a Pool do it before that is made:
//
//	cfg, err := pgxpool.ParseConfig(dsn)
//	cfg.ConnConfig.Tracer = tracer
//	guardedpg.Gate(cfg.ConnConfig)
//	pool, err := pgxpool.NewWithConfig(ctx, cfg)
//
// The gate opens for the guard's statements alone. What the program itself does
// on such connections is reduced as well: handlers and tracer see the code of an
// error, and no text. Gate may be called again on the same configuration.
func Gate(cfg *pgx.ConnConfig) {
	if _, ok := cfg.Tracer.(gatedTracer); !ok && cfg.Tracer != nil {
		cfg.Tracer = gatedTracer{cfg.Tracer}
	}
	if cfg.OnNotice != nil && !sameFunc(cfg.OnNotice, noticeGate(nil).handle) {
		cfg.OnNotice = noticeGate(cfg.OnNotice).handle
	}
	// Without a handler pgx would keep every notification for a method that
	// nobody can reach through the guard.
	if cfg.OnNotification == nil || !sameFunc(cfg.OnNotification, notificationGate(nil).handle) {
		cfg.OnNotification = notificationGate(cfg.OnNotification).handle
	}
	if cfg.OnPgError != nil && !sameFunc(cfg.OnPgError, defaults().OnPgError) && !sameFunc(cfg.OnPgError, errorGate(nil).handle) {
		cfg.OnPgError = errorGate(cfg.OnPgError).handle
	}
}

type noticeGate pgconn.NoticeHandler

func (inner noticeGate) handle(pg *pgconn.PgConn, n *pgconn.Notice) {
	if !gateOf(pg).open {
		n = (*pgconn.Notice)(reduced((*pgconn.PgError)(n)))
	}
	inner(pg, n)
}

type notificationGate pgconn.NotificationHandler

func (inner notificationGate) handle(pg *pgconn.PgConn, n *pgconn.Notification) {
	g := gateOf(pg)
	if inner == nil || !g.listening {
		return
	}
	if !g.payloads {
		n = &pgconn.Notification{PID: n.PID, Channel: n.Channel}
	}
	inner(pg, n)
}

type errorGate pgconn.PgErrorHandler

func (inner errorGate) handle(pg *pgconn.PgConn, e *pgconn.PgError) bool {
	if !gateOf(pg).open {
		e = reduced(e)
	}
	return inner(pg, e)
}

// A gatedTracer shows a tracer of the program's what the gate lets through of
// errors. The guard sends no batches and copies nothing in; others may, on the
// connections of a pool.
type gatedTracer struct{ inner pgx.QueryTracer }

var (
	_ pgx.QueryTracer       = gatedTracer{}
	_ pgx.BatchTracer       = gatedTracer{}
	_ pgx.CopyFromTracer    = gatedTracer{}
	_ pgx.PrepareTracer     = gatedTracer{}
	_ pgx.ConnectTracer     = gatedTracer{}
	_ pgxpool.AcquireTracer = gatedTracer{}
	_ pgxpool.ReleaseTracer = gatedTracer{}
)

func (t gatedTracer) TraceQueryStart(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return t.inner.TraceQueryStart(ctx, c, d)
}

func (t gatedTracer) TraceQueryEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryEndData) {
	d.Err = gated(c, d.Err)
	t.inner.TraceQueryEnd(ctx, c, d)
}

func (t gatedTracer) TraceBatchStart(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	if b, ok := t.inner.(pgx.BatchTracer); ok {
		return b.TraceBatchStart(ctx, c, d)
	}
	return ctx
}

func (t gatedTracer) TraceBatchQuery(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchQueryData) {
	if b, ok := t.inner.(pgx.BatchTracer); ok {
		d.Err = gated(c, d.Err)
		b.TraceBatchQuery(ctx, c, d)
	}
}

func (t gatedTracer) TraceBatchEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchEndData) {
	if b, ok := t.inner.(pgx.BatchTracer); ok {
		d.Err = gated(c, d.Err)
		b.TraceBatchEnd(ctx, c, d)
	}
}

func (t gatedTracer) TraceCopyFromStart(ctx context.Context, c *pgx.Conn, d pgx.TraceCopyFromStartData) context.Context {
	if f, ok := t.inner.(pgx.CopyFromTracer); ok {
		return f.TraceCopyFromStart(ctx, c, d)
	}
	return ctx
}

func (t gatedTracer) TraceCopyFromEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceCopyFromEndData) {
	if f, ok := t.inner.(pgx.CopyFromTracer); ok {
		d.Err = gated(c, d.Err)
		f.TraceCopyFromEnd(ctx, c, d)
	}
}

func (t gatedTracer) TracePrepareStart(ctx context.Context, c *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	if p, ok := t.inner.(pgx.PrepareTracer); ok {
		return p.TracePrepareStart(ctx, c, d)
	}
	return ctx
}

func (t gatedTracer) TracePrepareEnd(ctx context.Context, c *pgx.Conn, d pgx.TracePrepareEndData) {
	if p, ok := t.inner.(pgx.PrepareTracer); ok {
		d.Err = gated(c, d.Err)
		p.TracePrepareEnd(ctx, c, d)
	}
}

func (t gatedTracer) TraceConnectStart(ctx context.Context, d pgx.TraceConnectStartData) context.Context {
	if p, ok := t.inner.(pgx.ConnectTracer); ok {
		return p.TraceConnectStart(ctx, d)
	}
	return ctx
}

func (t gatedTracer) TraceConnectEnd(ctx context.Context, d pgx.TraceConnectEndData) {
	if p, ok := t.inner.(pgx.ConnectTracer); ok {
		p.TraceConnectEnd(ctx, d)
	}
}

func (t gatedTracer) TraceAcquireStart(ctx context.Context, p *pgxpool.Pool, d pgxpool.TraceAcquireStartData) context.Context {
	if a, ok := t.inner.(pgxpool.AcquireTracer); ok {
		return a.TraceAcquireStart(ctx, p, d)
	}
	return ctx
}

func (t gatedTracer) TraceAcquireEnd(ctx context.Context, p *pgxpool.Pool, d pgxpool.TraceAcquireEndData) {
	if a, ok := t.inner.(pgxpool.AcquireTracer); ok {
		a.TraceAcquireEnd(ctx, p, d)
	}
}

func (t gatedTracer) TraceRelease(p *pgxpool.Pool, d pgxpool.TraceReleaseData) {
	if r, ok := t.inner.(pgxpool.ReleaseTracer); ok {
		r.TraceRelease(p, d)
	}
}

// gated is an error of the server as the gate shows it.
func gated(c *pgx.Conn, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || gateOf(c.PgConn()).open {
		return err
	}
	return reduced(e)
}

// defaults is a configuration as pgx makes it.
func defaults() *pgconn.Config {
	cfg, err := pgconn.ParseConfig("postgres://u@localhost/d?sslmode=disable")
	if err != nil {
		return &pgconn.Config{}
	}
	return cfg
}

// sameFunc compares functions that capture nothing, or a receiver alone.
func sameFunc(f, g any) bool {
	return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer()
}

// pgxNotifications is the handler that pgx installs when there is none.
const pgxNotifications = "github.com/jackc/pgx/v5.(*Conn).bufferNotifications-fm"

func isPgxNotifications(f pgconn.NotificationHandler) bool {
	return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name() == pgxNotifications
}

// ungated names the first handler of a connection's configuration that the gate
// does not stand before, or "".
func ungated(cfg *pgx.ConnConfig) string {
	_, traced := cfg.Tracer.(gatedTracer)
	switch {
	case cfg.Tracer != nil && !traced:
		return "Tracer"
	case cfg.OnNotice != nil && !sameFunc(cfg.OnNotice, noticeGate(nil).handle):
		return "OnNotice"
	case cfg.OnNotification != nil && !isPgxNotifications(cfg.OnNotification) && !sameFunc(cfg.OnNotification, notificationGate(nil).handle):
		return "OnNotification"
	case cfg.OnPgError != nil && !sameFunc(cfg.OnPgError, defaults().OnPgError) && !sameFunc(cfg.OnPgError, errorGate(nil).handle):
		return "OnPgError"
	}
	return ""
}
