package guardedpg

import (
	"context"
	"strconv"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// firstUserOID is FirstNormalObjectId of the server.
const firstUserOID = 16384

// A basis is what a plan rests on beyond tables: views and functions, whose
// definitions decide what the same text reads and does.
type basis struct {
	sql    string // asks the server for the digest; "" when there is nothing to ask
	digest int64
}

// basis returns the basis of facts that depend on these objects. What rests on
// tables alone is left to the catalog's bound and to the server's description of
// the result.
func (v *view) basis(depends []catalog.OID) basis {
	if !v.bound.Protecting() && !v.bound.Guarding() {
		return basis{}
	}
	snap := v.snap
	var relations, functions []catalog.OID
	defined := false
	for _, oid := range depends {
		if oid < firstUserOID {
			continue // it came with the server
		}
		if r := snap.Relation(oid); r != nil {
			relations = append(relations, oid)
			defined = defined || r.Kind == 'v' || len(r.Rules) > 0 || len(r.Triggers) > 0
		}
		if f := snap.Function(oid); f != nil {
			functions = append(functions, oid)
			defined = true
		}
	}
	if !defined {
		return basis{}
	}
	digest, ok := snap.Digest(relations, functions)
	if !ok {
		return basis{}
	}
	return basis{catalog.DigestSQL(relations, functions), digest}
}

// fresh reports whether the definitions that a plan rests on are those that it
// was made with. Another session may have changed them a moment ago, and the
// server runs what is there now.
func (s *session) fresh(ctx context.Context, p *plan) (bool, error) {
	if p.basis.sql == "" || s.pg.TxStatus() == 'E' {
		return true, nil
	}
	rows, err := s.ask(ctx, p.basis.sql)
	if err != nil {
		return false, err
	}
	return len(rows) == 1 && rows[0][0] == strconv.FormatInt(p.basis.digest, 10), nil
}
