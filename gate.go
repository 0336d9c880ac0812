package guardedpg

import (
	"context"
	"errors"
	"reflect"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// withGate puts the gate before the handlers of a connection's configuration, and
// before its tracer.
func withGate(cfg *pgx.ConnConfig) {
	if cfg.Tracer != nil {
		cfg.Tracer = gatedTracer{cfg.Tracer}
	}
	if notice := cfg.OnNotice; notice != nil {
		cfg.OnNotice = func(pg *pgconn.PgConn, n *pgconn.Notice) {
			if !gateOf(pg).open {
				n = (*pgconn.Notice)(reduced((*pgconn.PgError)(n)))
			}
			notice(pg, n)
		}
	}
	notification := cfg.OnNotification
	// Without a handler pgx would keep every notification for a method that
	// nobody can reach through the guard.
	cfg.OnNotification = func(pg *pgconn.PgConn, n *pgconn.Notification) {
		g := gateOf(pg)
		if notification == nil || !g.listening {
			return
		}
		if !g.payloads {
			n = &pgconn.Notification{PID: n.PID, Channel: n.Channel}
		}
		notification(pg, n)
	}
	if onError := cfg.OnPgError; onError != nil && !sameFunc(onError, defaults().OnPgError) {
		cfg.OnPgError = func(pg *pgconn.PgConn, e *pgconn.PgError) bool {
			if !gateOf(pg).open {
				e = reduced(e)
			}
			return onError(pg, e)
		}
	}
}

// A gatedTracer shows a tracer of the program's what the gate lets through of
// errors. The guard sends no batches and copies nothing in, so it has no more of
// a tracer's methods.
type gatedTracer struct{ inner pgx.QueryTracer }

var (
	_ pgx.QueryTracer   = gatedTracer{}
	_ pgx.PrepareTracer = gatedTracer{}
	_ pgx.ConnectTracer = gatedTracer{}
)

func (t gatedTracer) TraceQueryStart(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return t.inner.TraceQueryStart(ctx, c, d)
}

func (t gatedTracer) TraceQueryEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryEndData) {
	d.Err = gated(c, d.Err)
	t.inner.TraceQueryEnd(ctx, c, d)
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

// sameFunc compares functions that capture nothing.
func sameFunc(f, g any) bool {
	return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer()
}

// pgxNotifications is the handler that pgx installs when there is none.
const pgxNotifications = "github.com/jackc/pgx/v5.(*Conn).bufferNotifications-fm"

// ungated names the first handler of a connection's configuration that the gate
// does not stand before, or "".
func ungated(cfg *pgx.ConnConfig) string {
	switch {
	case cfg.Tracer != nil:
		return "Tracer"
	case cfg.OnNotice != nil:
		return "OnNotice"
	case cfg.OnNotification != nil && runtime.FuncForPC(reflect.ValueOf(cfg.OnNotification).Pointer()).Name() != pgxNotifications:
		return "OnNotification"
	case cfg.OnPgError != nil && !sameFunc(cfg.OnPgError, defaults().OnPgError):
		return "OnPgError"
	}
	return ""
}
