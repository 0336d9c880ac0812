package clienttest

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

type gormCustomer struct {
	ID     int64
	Name   string     `gorm:"not null;index"`
	Email  string     `gorm:"not null;uniqueIndex"`
	Born   *time.Time `gorm:"type:date"`
	Phone  *string
	Orders []gormOrder `gorm:"foreignKey:CustomerID"`
}

func (gormCustomer) TableName() string { return "customers" }

type gormOrder struct {
	ID         int64
	CustomerID int64
	Total      float64 `gorm:"type:numeric(10,2);default:0;check:total >= 0"`
	Paid       bool    `gorm:"not null;default:false"`
}

func (gormOrder) TableName() string { return "orders" }

func openGorm(t *testing.T, db *sql.DB) *gorm.DB {
	t.Helper()
	orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{
		Logger: logger.Discard, TranslateError: true, PrepareStmt: true,
	})
	require.NoError(t, err)
	return orm
}

// It makes its tables: the protected column is there only after it began.
var gormClient = client{name: "gorm", empty: true, held: map[string]int{"baseline.ddl": 4}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	orm := openGorm(t, db)
	require.NoError(t, orm.AutoMigrate(&gormCustomer{}, &gormOrder{}))
	require.NoError(t, orm.AutoMigrate(&gormCustomer{}, &gormOrder{}), "nothing is left to migrate")
	types, err := orm.Migrator().ColumnTypes(&gormCustomer{})
	require.NoError(t, err)
	for _, c := range types {
		nullable, _ := c.Nullable()
		saw.value("column", []any{c.Name(), c.DatabaseTypeName(), nullable})
	}

	born := time.Date(1990, 2, 3, 0, 0, 0, 0, time.UTC)
	ann := gormCustomer{Name: "Ann", Email: "ann@client.test", Born: &born, Orders: []gormOrder{{Total: 10.5}, {Total: 20.25, Paid: true}}}
	require.NoError(t, orm.Create(&ann).Error)
	require.NoError(t, orm.Create([]gormCustomer{{Name: "Bob", Email: "bob@client.test"}, {Name: "Cleo", Email: "cleo@client.test"}}).Error)
	saw.value("made", []any{ann.ID, ann.Orders})

	var all []gormCustomer
	require.NoError(t, orm.Preload("Orders").Order("id").Find(&all).Error)
	saw.value("all", all)
	var one gormCustomer
	require.NoError(t, orm.First(&one, "name = ?", "Bob").Error)
	saw.value("one", one)
	require.ErrorIs(t, orm.First(&gormCustomer{}, 1000).Error, gorm.ErrRecordNotFound)
	var joined []struct {
		Email string
		Total float64
	}
	require.NoError(t, orm.Model(&gormCustomer{}).Select("customers.email, sum(o.total) AS total").
		Joins("JOIN orders o ON o.customer_id = customers.id").Group("customers.email").Scan(&joined).Error)
	saw.value("joined", joined)
	var emails []string
	require.NoError(t, orm.Model(&gormCustomer{}).Order("id").Pluck("email", &emails).Error)
	saw.value("plucked", emails)
	var n int64
	require.NoError(t, orm.Model(&gormCustomer{}).Where("phone IS NULL").Count(&n).Error)
	saw.value("count", n)

	require.ErrorIs(t, orm.Create(&gormCustomer{Name: "Ann", Email: "ann@client.test"}).Error, gorm.ErrDuplicatedKey)
	require.NoError(t, orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoUpdates: clause.AssignmentColumns([]string{"phone"})}).
		Create(&gormCustomer{Name: "Bob", Email: "bob@client.test", Phone: new(string)}).Error)
	saw.value("updated", orm.Model(&one).Updates(map[string]any{"phone": "+1 555 0105"}).RowsAffected)

	rollback := errors.New("roll back")
	require.NoError(t, orm.Transaction(func(tx *gorm.DB) error {
		require.ErrorIs(t, tx.Transaction(func(inner *gorm.DB) error {
			require.NoError(t, inner.Delete(&gormOrder{}, 1).Error)
			return rollback
		}), rollback)
		return tx.Model(&gormOrder{}).Where("id = ?", 1).Update("paid", true).Error
	}))
	saw.value("deleted", orm.Delete(&gormOrder{}, 2).RowsAffected)
}}
