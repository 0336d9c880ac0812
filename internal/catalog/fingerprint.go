package catalog

import "context"

// Fingerprint stands for the definitions that a session sees. Two of one
// database are equal when no definition has changed between them, and differ
// otherwise. They are comparable with ==.
type Fingerprint struct {
	shared    string // of what all sessions see, and of the session's uncommitted changes to it
	temporary string // of the session's own temporary objects, or ""
}

// A probe is a fingerprint and what it is worth.
type probe struct {
	print Fingerprint

	// committed is true when the session's transaction has written nothing, so
	// that the fingerprint is of committed definitions.
	committed bool

	// present is true when the session sees what others have committed by now.
	present bool
}

// past tells whether the session sees committed definitions of the past.
func (p probe) past() bool { return p.committed && !p.present }

func readProbe(r row) probe {
	p := probe{
		print:     Fingerprint{shared: r.str(0) + "/" + r.str(1)},
		committed: r.bool(4),
		present:   r.bool(5),
	}
	if !r.null(2) || !r.null(3) {
		p.print.temporary = r.str(2) + "/" + r.str(3)
	}
	return p
}

func takeProbe(ctx context.Context, q Queryer) (probe, error) {
	var p probe
	err := run(ctx, q, []query{{fingerprintSQL, decode(func(r row) { p = readProbe(r) })}})
	if err != nil {
		return probe{}, loadError("comparing with the system catalogs failed", err)
	}
	return p, nil
}

// TakeFingerprint asks for the fingerprint of what the connection's session
// sees, in one round trip. It leaves the session as [Load] does. Errors match
// [ErrLoad].
func TakeFingerprint(ctx context.Context, q Queryer) (Fingerprint, error) {
	p, err := takeProbe(ctx, q)
	return p.print, err
}

// Fingerprint is that of the definitions in the snapshot.
func (s *Snapshot) Fingerprint() Fingerprint { return s.fingerprint }
