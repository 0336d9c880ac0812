package clienttest

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"xorm.io/xorm"
	"xorm.io/xorm/core"
)

type xormCustomer struct {
	ID    int64   `xorm:"'id' pk autoincr"`
	Name  string  `xorm:"name"`
	Email string  `xorm:"email"`
	Phone *string `xorm:"phone"`
}

func (xormCustomer) TableName() string { return "customers" }

type xormNote struct {
	ID      int64     `xorm:"'id' pk autoincr"`
	Title   string    `xorm:"'title' varchar(50) index"`
	Created time.Time `xorm:"'created' created"`
	Version int       `xorm:"'version' version"`
}

func (xormNote) TableName() string { return "notes" }

var xormClient = client{name: "xorm", held: map[string]int{"baseline.ddl": 2}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	// The DSN is for the name of the schema alone.
	orm, err := xorm.NewEngineWithDB("postgres", "postgres://user@host/database", core.FromDB(db))
	require.NoError(t, err)
	tables, err := orm.DBMetas()
	require.NoError(t, err)
	for _, table := range tables {
		saw.value(table.Name, table.ColumnsSeq())
	}
	require.NoError(t, orm.Sync(new(xormNote))) // a table and an index
	require.NoError(t, orm.Sync(new(xormNote))) // nothing

	note := &xormNote{Title: "a"}
	_, err = orm.Insert(note)
	require.NoError(t, err)
	note.Title = "b"
	n, err := orm.ID(note.ID).Update(note)
	require.NoError(t, err)
	saw.value("updated", []any{n, note.Version})
	var all []xormCustomer
	require.NoError(t, orm.Asc("id").Find(&all))
	saw.value("all", all)
	cleo := &xormCustomer{Name: "Cleo", Email: "cleo@client.test"}
	_, err = orm.Insert(cleo)
	require.NoError(t, err)
	saw.value("inserted", cleo.ID)
	var ann xormCustomer
	found, err := orm.Where("name = ?", "Ann").Get(&ann)
	require.NoError(t, err)
	saw.value("found", []any{found, ann})
	n, err = orm.Table("orders").Where("total > ?", 15).Count()
	require.NoError(t, err)
	saw.value("count", n)
	_, err = orm.Transaction(func(s *xorm.Session) (any, error) { return s.ID(note.ID).Delete(&xormNote{}) })
	require.NoError(t, err)
	joined, err := orm.QueryString("SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id")
	require.NoError(t, err)
	saw.value("joined", joined)
}}
