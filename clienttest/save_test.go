package clienttest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/guardedpg/guardedpg"
)

// An ORM that writes all columns of a record that it read would put the mask in
// the place of the value. That is refused, and what was changed on purpose is
// not.
func TestSaveOfMasked(t *testing.T) {
	email := func(t *testing.T, g *guarded) (email string) {
		t.Helper()
		require.NoError(t, g.plain.QueryRow("SELECT email FROM customers WHERE name = 'Ann'").Scan(&email))
		return email
	}
	t.Run("gorm", func(t *testing.T) {
		g := newGuarded(t, gormClient.database(t, "cache_statement"), baseline())
		orm := openGorm(t, g.db)
		require.NoError(t, orm.AutoMigrate(&gormCustomer{}, &gormOrder{}))
		require.NoError(t, orm.Create(&gormCustomer{Name: "Ann", Email: "ann@client.test"}).Error)
		var ann gormCustomer
		require.NoError(t, orm.First(&ann).Error)
		require.Equal(t, "a***@client.test", ann.Email)
		phone := "+1 555 0108"
		ann.Phone = &phone
		require.ErrorIs(t, orm.Save(&ann).Error, guardedpg.ErrDenied)
		require.Equal(t, "ann@client.test", email(t, g))
		require.NoError(t, orm.Model(&ann).Select("phone").Updates(&ann).Error)
		ann.Email = "anna@client.test"
		require.NoError(t, orm.Save(&ann).Error)
		require.Equal(t, "anna@client.test", email(t, g))
	})
	t.Run("bun", func(t *testing.T) {
		g := newGuarded(t, bunClient.database(t, "cache_statement"), baseline())
		db := bun.NewDB(g.db, pgdialect.New())
		ann := bunCustomer{ID: 1}
		require.NoError(t, db.NewSelect().Model(&ann).WherePK().Scan(t.Context()))
		require.Equal(t, "a***@client.test", ann.Email)
		_, err := db.NewUpdate().Model(&ann).WherePK().Exec(t.Context())
		require.ErrorIs(t, err, guardedpg.ErrDenied)
		require.Equal(t, "ann@client.test", email(t, g))
		_, err = db.NewUpdate().Model(&ann).ExcludeColumn("email").WherePK().Exec(t.Context())
		require.NoError(t, err)
		require.Equal(t, "ann@client.test", email(t, g))
	})
}
