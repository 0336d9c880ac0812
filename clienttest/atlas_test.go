package clienttest

import (
	"database/sql"
	"testing"
	"time"

	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"github.com/stretchr/testify/require"
)

var atlasClient = client{name: "atlas", held: map[string]int{"baseline.lock": 2}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	atlas, err := postgres.Open(db)
	require.NoError(t, err)
	realm, err := atlas.InspectRealm(t.Context(), nil)
	require.NoError(t, err)
	for _, s := range realm.Schemas {
		for _, table := range s.Tables {
			var columns []string
			for _, c := range table.Columns {
				columns = append(columns, c.Name+" "+c.Type.Raw)
			}
			saw.value(s.Name+"."+table.Name, columns)
			saw.value("keys and indexes", []int{len(table.PrimaryKey.Parts), len(table.ForeignKeys), len(table.Indexes)})
		}
	}
	public, err := atlas.InspectSchema(t.Context(), "public", &schema.InspectOptions{Mode: schema.InspectTables, Exclude: []string{"orders"}})
	require.NoError(t, err)
	saw.value("without orders", len(public.Tables))
	orders, ok := realm.Schemas[0].Table("orders")
	require.True(t, ok)
	changes, err := atlas.SchemaDiff(public, realm.Schemas[0])
	require.NoError(t, err)
	plan, err := atlas.PlanChanges(t.Context(), "again", changes)
	require.NoError(t, err)
	saw.value(orders.Name, plan.Changes[0].Cmd)
	unlock, err := atlas.Lock(t.Context(), "inspection", time.Second)
	require.NoError(t, err)
	require.NoError(t, unlock())
}}
