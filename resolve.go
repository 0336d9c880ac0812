package guardedpg

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// resolveSQL asks what names mean in the session. Each row is kind, place in
// the list, OID. A qualified function or operator is found by schema and name;
// an unqualified one when it is visible. "pg_temp" is no schema's name: it stands
// for the session's own temporary schema.
const resolveSQL = `
select 'r', n.i, case when ` + reachable + ` then pg_catalog.to_regclass(n.name)::pg_catalog.oid end
	from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) with ordinality n(nsp, name, i)
union all
select 't', n.i, case when ` + reachable + ` then pg_catalog.to_regtype(n.name)::pg_catalog.oid end
	from rows from (pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])) with ordinality n(nsp, name, i)
union all
select 'f', n.i, p.oid
	from rows from (pg_catalog.unnest($5::pg_catalog.text[]), pg_catalog.unnest($6::pg_catalog.text[])) with ordinality n(nsp, name, i)
	join pg_catalog.pg_proc p on p.proname OPERATOR(pg_catalog.=) n.name::pg_catalog.name
	where case n.nsp when '' then pg_catalog.pg_function_is_visible(p.oid)
		when 'pg_temp' then p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
		else p.pronamespace OPERATOR(pg_catalog.=) (select s.oid from pg_catalog.pg_namespace s where s.nspname OPERATOR(pg_catalog.=) n.nsp::pg_catalog.name) end
union all
select 'o', n.i, o.oid
	from rows from (pg_catalog.unnest($7::pg_catalog.text[]), pg_catalog.unnest($8::pg_catalog.text[])) with ordinality n(nsp, name, i)
	join pg_catalog.pg_operator o on o.oprname OPERATOR(pg_catalog.=) n.name::pg_catalog.name
	where case n.nsp when '' then pg_catalog.pg_operator_is_visible(o.oid)
		else o.oprnamespace OPERATOR(pg_catalog.=) (select s.oid from pg_catalog.pg_namespace s where s.nspname OPERATOR(pg_catalog.=) n.nsp::pg_catalog.name) end`

// reachable keeps to_regclass and to_regtype from failing, and a transaction with
// them, for a schema that the session may not use.
const reachable = `(n.nsp OPERATOR(pg_catalog.=) any (array['', 'pg_temp']) or pg_catalog.has_schema_privilege(` +
	`(select s.oid from pg_catalog.pg_namespace s where s.nspname OPERATOR(pg_catalog.=) n.nsp::pg_catalog.name), 'USAGE'))`

// resolve asks the server what names mean in the session, in one round trip.
func (s *session) resolve(ctx context.Context, n analysis.Names) (analysis.Resolution, error) {
	r := analysis.Resolution{
		Relations: make([]catalog.OID, len(n.Relations)),
		Functions: make([][]catalog.OID, len(n.Functions)),
		Operators: make([][]catalog.OID, len(n.Operators)),
		Types:     make([]catalog.OID, len(n.Types)),
	}
	if len(n.Relations)+len(n.Functions)+len(n.Operators)+len(n.Types) == 0 {
		return r, nil
	}
	relations, types := s.split(n.Relations), s.split(n.Types)
	functions, operators := s.split(n.Functions), s.split(n.Operators)
	rows, err := s.ask(ctx, resolveSQL,
		arrayLiteral(relations.schemas), arrayLiteral(relations.quoted),
		arrayLiteral(types.schemas), arrayLiteral(types.quoted),
		arrayLiteral(functions.schemas), arrayLiteral(functions.last),
		arrayLiteral(operators.schemas), arrayLiteral(operators.last))
	if err != nil {
		return r, err
	}
	for _, row := range rows {
		i, _ := strconv.Atoi(row[1])
		oid64, _ := strconv.ParseUint(row[2], 10, 32) // NULL is "", and gives 0
		i, oid := i-1, catalog.OID(oid64)
		if oid == 0 {
			continue
		}
		switch row[0] {
		case "r":
			r.Relations[i] = oid
		case "t":
			r.Types[i] = oid
		case "f":
			r.Functions[i] = append(r.Functions[i], oid)
		case "o":
			r.Operators[i] = append(r.Operators[i], oid)
		}
	}
	return r, nil
}

// A split is names taken apart.
type split struct {
	schemas []string // "" for none
	last    []string
	quoted  []string // all parts, as SQL
}

// noName is the name of nothing: what the guard cannot look up is unknown, and
// refused for that.
const noName = "guardedpg: no such name"

func (s *session) split(names [][]string) split {
	out := split{make([]string, len(names)), make([]string, len(names)), make([]string, len(names))}
	for i, parts := range names {
		// The server accepts a database's name in front if it is the current one.
		if len(parts) == 3 && parts[0] == s.database {
			parts = parts[1:]
		}
		switch len(parts) {
		case 1:
		case 2:
			out.schemas[i] = parts[0]
		default:
			parts = []string{noName}
		}
		out.last[i] = parts[len(parts)-1]
		out.quoted[i] = pgx.Identifier(parts).Sanitize()
	}
	return out
}
