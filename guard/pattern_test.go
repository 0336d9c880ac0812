package guard

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		names   []string
		want    bool
	}{
		{"public.customers.email", []string{"public", "customers", "email"}, true},
		{"Public.CUSTOMERS.Email", []string{"public", "customers", "email"}, true},
		{"public.customers.email", []string{"public", "customers", "Email"}, false},
		{`public."UserSecrets"."a""b"`, []string{"public", "UserSecrets", `a"b`}, true},
		{`public."UserSecrets".größe`, []string{"public", "UserSecrets", "größe"}, true},
		{"*.*.ssn", []string{"hr", "any.thing", "ssn"}, true},
		{"*.*.ssn", []string{"hr", "staff", "ssn2"}, false},
		{"*.*.pii_*", []string{"hr", "staff", "pii_"}, true},
		{"a.*x*y.c", []string{"a", "1x2xy", "c"}, true},
		{"a.*x*y.c", []string{"a", "yx", "c"}, false},
		{"a.b*b.c", []string{"a", "b", "c"}, false},
		{`a."*".c`, []string{"a", "b", "c"}, false},
		{`a."*".c`, []string{"a", "*", "c"}, true},
		{"a.**.c", []string{"a", "", "c"}, true},
		{"a.b.c", []string{"a", "b"}, false},
	} {
		p, err := parsePattern(c.pattern, 3, "")
		require.NoError(t, err, c.pattern)
		require.Equal(t, c.want, p.match(c.names...), "%s %q", c.pattern, c.names)
	}
}

func TestMoreSpecific(t *testing.T) {
	order := []string{"public.customers.email", "public.customers.*", "public.*.ssn", "*.*.ssn", "*.*.*ss*", "*.*.*"}
	for i := range order {
		for j := range order {
			p, _ := parsePattern(order[i], 3, "")
			q, _ := parsePattern(order[j], 3, "")
			require.Equal(t, i < j && p.weight() != q.weight(), p.moreSpecific(q), "%s %s", order[i], order[j])
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"public.customers.email", "*.*.ssn", `public."UserSecrets"."a""b"`, "a..b", `"`, `"".a.b`, "größe.ÄÖ.x", "a*b*.*.c"} {
		f.Add(s, "public", "customers", "email")
	}
	f.Fuzz(func(t *testing.T, text, schema, table, column string) {
		if p, err := parsePattern(text, 3, ""); err == nil {
			p.match(schema, table, column)
			require.Len(t, p.parts, 3)
		}
		// What is quoted reads back as that name and no other.
		if schema == "" || table == "" || column == "" || max(len(schema), len(table), len(column)) > maxName {
			return
		}
		quoted := strings.Join([]string{quoteName(schema), quoteName(table), quoteName(column)}, ".")
		p, err := parsePattern(quoted, 3, "")
		require.NoError(t, err, quoted)
		require.True(t, p.exact(), quoted)
		require.True(t, p.match(schema, table, column), quoted)
		require.False(t, p.match(schema, table, column+"x"), quoted)
	})
}
