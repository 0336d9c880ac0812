package analysis

import (
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

func colNames(snap *catalog.Snapshot, cols Columns) string {
	var out []string
	for _, c := range cols {
		rel := snap.Relation(c.Rel)
		if rel == nil {
			out = append(out, "?")
			continue
		}
		name := "?"
		if col := rel.Column(c.Att); col != nil {
			name = col.Name
		}
		out = append(out, rel.Schema+"."+rel.Name+"."+name)
	}
	return strings.Join(out, ",")
}
