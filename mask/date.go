package mask

import (
	"database/sql/driver"
	"time"
)

// compileDate keeps the year, or the year and month, in the value's own time
// zone. Infinity has no more than that to tell and stays.
func (s Spec) compileDate(sh *shape) *Masker {
	if sh.fam != famDate && sh.fam != famTimestamp && sh.fam != famTimestampTZ {
		return nil
	}
	truncate := func(t time.Time) time.Time {
		month := time.January
		if s.keep == "month" {
			month = t.Month()
		}
		return time.Date(t.Year(), month, 1, 0, 0, 0, 0, t.Location())
	}
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			switch v := v.(type) {
			case time.Time:
				return truncate(v)
			case string:
				if isInfinite(v) {
					return v
				}
			}
			return nil
		},
		owns: func(v driver.Value) Likeness {
			if t, ok := v.(time.Time); ok && truncate(t).Equal(t) {
				return Ambiguous
			}
			return Unlike
		},
	}
}
