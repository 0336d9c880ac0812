package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// SlogConfig says where a log sink writes. Only Logger is required.
type SlogConfig struct {
	// Logger gets a message for each record. Required.
	Logger *slog.Logger
	// Durable says that Logger's handler returns only once a message is on
	// stable storage. Default false: waiting for Synced is an error, so that a
	// log that promises nothing cannot stand alone for effects.
	Durable bool
}

// Slog returns a sink that logs: what happened and to whom, without arguments
// and without SQL text, since logs travel further than trails. Denials and
// failures have level Warn, all else Info.
func Slog(cfg SlogConfig) (Sink, error) {
	if cfg.Logger == nil {
		return nil, errors.Join(ErrConfig, errors.New("SlogConfig.Logger is nil"))
	}
	return &slogSink{cfg: cfg}, nil
}

type slogSink struct {
	cfg    SlogConfig
	mu     sync.Mutex
	seq    uint64
	closed bool
}

func (s *slogSink) Append(r *Record) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	s.seq++
	seq := s.seq
	if r.Seq != 0 {
		seq = r.Seq // of the sink before a tee
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.Uint64("seq", seq), slog.String("kind", string(r.Kind))}
	add := func(k, v string) {
		if v != "" {
			attrs = append(attrs, slog.String(k, v))
		}
	}
	add("session", r.Session)
	add("statement", r.Statement)
	if r.Who != nil {
		add("issuer", r.Who.Issuer)
		add("subject", r.Who.Subject)
		attrs = append(attrs, slog.Bool("verified", r.Who.Verified))
	}
	if r.Database != nil {
		add("database", r.Database.Name)
		add("user", r.Database.User)
	}
	if r.SQL != nil {
		add("fingerprint", r.SQL.Fingerprint)
	}
	if r.Verdict != nil {
		add("verdict", r.Verdict.Verdict)
		add("rule", r.Verdict.Rule)
	}
	if r.Decision != nil {
		add("decision", r.Decision.ID)
		attrs = append(attrs, slog.Bool("approved", r.Decision.Approved))
	}
	if o := r.Outcome; o != nil {
		attrs = append(attrs, slog.Bool("ok", o.OK), slog.Int64("rows", o.Rows), slog.Duration("duration", o.Duration))
		add("sqlstate", o.SQLState)
	}
	switch r.Kind {
	case KindDenied, KindIdentityRefused, KindSinkFailed, KindRecovered:
		level = slog.LevelWarn
	}
	s.cfg.Logger.LogAttrs(context.Background(), level, "guardedpg", attrs...)
	return s.seq, nil
}

var errLogNotDurable = errors.New("audit: a log does not say when it is on stable storage")

func (s *slogSink) Wait(_ context.Context, seq uint64, d Durability) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq > s.seq {
		return errors.New("audit: there is no such record to wait for")
	}
	if d != Written && !s.cfg.Durable {
		return errLogNotDurable
	}
	return nil
}

func (s *slogSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
