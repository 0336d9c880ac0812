package mask

import (
	"database/sql/driver"
	"testing"
)

// Budgets, per value: 150 ns for redact, null and partial, 600 ns for hash.
func BenchmarkMask(b *testing.B) {
	text := Type{OID: 25, Name: "text", Kind: 'b'}
	for _, c := range []struct {
		name, mask string
		t          Type
		v          driver.Value
	}{
		{"redact/text", "redact", text, "jane.doe@x.test"},
		{"redact/int8", "redact", Type{OID: 20}, int64(42)},
		{"null/text", "null", text, "jane.doe@x.test"},
		{"partial/text", "{partial: {last: 4}}", text, "900-11-0001"},
		{"email/text", "email", text, "jane.doe@x.test"},
		{"card/text", "card", text, "4111-1111-1111-1111"},
		{"hash/text", "hash", text, "jane.doe@x.test"},
		{"hash/text255", "hash", text, string(make([]byte, 255))},
		{"hash/int8", "hash", Type{OID: 20}, int64(42)},
		{"hash/uuid", "hash", Type{OID: 2950}, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{"hash/numeric", "hash", Type{OID: 1700}, "777001.25"},
		{"number/numeric", "{number: {round: 1000}}", Type{OID: 1700}, "777001.25"},
		{"ip/inet", "ip", Type{OID: 869}, "203.0.113.77"},
		{"email/text[]", "email", Type{OID: 1009, Element: &text}, "{jane.doe@x.test,joe@x.test}"},
		{"jsonpath/jsonb", "{jsonpath: {paths: {$.email: email}, rest: keep}}", Type{OID: 3802}, []byte(`{"n": 1, "email": "jane@x.test", "tags": ["a", "b"]}`)},
		{"text/text", "text", text, "mail jane@x.test or +44 20 7946 0958 about order 17"},
	} {
		m, err := decode(b, c.mask, &typeCase{}).For(c.t, testKey)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = m.Mask(c.v)
			}
		})
	}
}

var sink driver.Value

// BenchmarkHashParallel shows what the pool of HMAC states costs when shared.
func BenchmarkHashParallel(b *testing.B) {
	s, _ := Parse("hash", nil)
	m, err := s.For(Type{OID: 25}, testKey)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var v driver.Value = "jane.doe@x.test"
		for pb.Next() {
			if m.Mask(v) == nil {
				b.Fail()
			}
		}
	})
}
