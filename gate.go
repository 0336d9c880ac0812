package guardedpg

import (
	"reflect"
	"runtime"

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

// withGate puts the gate before the handlers of a connection's configuration.
func withGate(cfg *pgconn.Config) {
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
func ungated(cfg *pgconn.Config) string {
	switch {
	case cfg.OnNotice != nil:
		return "OnNotice"
	case cfg.OnNotification != nil && runtime.FuncForPC(reflect.ValueOf(cfg.OnNotification).Pointer()).Name() != pgxNotifications:
		return "OnNotification"
	case cfg.OnPgError != nil && !sameFunc(cfg.OnPgError, defaults().OnPgError):
		return "OnPgError"
	}
	return ""
}
