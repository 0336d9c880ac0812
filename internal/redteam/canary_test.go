package redteam_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A canaryKind is the canaries that one or more protected columns are seeded with.
type canaryKind struct {
	Columns []string `json:"columns"`
	Regex   string   `json:"regex"`   // over the text and its lower-cased form
	Windows []string `json:"windows"` // fragments that betray a value
	Values  []string `json:"values"`  // every seeded value, for digests
	regex   *regexp.Regexp
}

// A detector finds canaries: plain, reversed, encoded, hashed, split.
type detector struct {
	kinds   map[string]*canaryKind
	names   []string // "text", which fragments of several kinds share, comes last
	digests map[string]string
}

// A finding is a canary's kind, and what was done to it.
type finding struct{ Kind, How string }

func (f finding) String() string { return f.Kind + "/" + f.How }

func newDetector(t *testing.T) *detector {
	t.Helper()
	text, err := os.ReadFile("testdata/canaries.json")
	require.NoError(t, err)
	var file struct {
		Kinds map[string]*canaryKind `json:"kinds"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	d := &detector{kinds: file.Kinds, digests: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(file.Kinds)) {
		k := file.Kinds[name]
		k.regex = regexp.MustCompile(k.Regex)
		if name != "text" {
			d.names = append(d.names, name)
		}
		for _, v := range k.Values {
			for _, form := range []string{v, strings.ToUpper(v), strings.ToLower(v)} {
				for _, sum := range digests([]byte(form)) {
					d.digests[hex.EncodeToString(sum)] = name
					d.digests[strings.ToLower(base64.StdEncoding.EncodeToString(sum))] = name
				}
			}
		}
	}
	d.names = append(d.names, "text")
	return d
}

func digests(b []byte) [][]byte {
	m, s1, s224, s256, s384, s512 := md5.Sum(b), sha1.Sum(b), sha256.Sum224(b), sha256.Sum256(b), sha512.Sum384(b), sha512.Sum512(b)
	return [][]byte{m[:], s1[:], s224[:], s256[:], s384[:], s512[:]}
}

var (
	hexRun      = regexp.MustCompile(`[0-9a-fA-F]{12,}`)
	spacedHex   = regexp.MustCompile(`(?:[0-9a-f]{2} ){5,}[0-9a-f]{2}`)
	base64Run   = regexp.MustCompile(`[A-Za-z0-9+/\n]{8,}={0,2}`)
	codeRun     = regexp.MustCompile(`(?:\b\d{2,3}\b[^0-9A-Za-z]{1,4}){5,}\b\d{2,3}\b`)
	code        = regexp.MustCompile(`\d{2,3}`)
	octalEscape = regexp.MustCompile(`\\[0-3][0-7]{2}`)
	hexEscape   = regexp.MustCompile(`\\x[0-9a-fA-F]{2}`)
	uniEscape   = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)
	separators  = regexp.MustCompile(`[^a-z0-9@ßö]+`)
	digestRun   = regexp.MustCompile(`[0-9a-f]{32,128}|[a-z0-9+/]{22,88}={0,2}`)
	flatCanary  = regexp.MustCompile(`canary[a-z]{2,7}\d{4}|9001100\d\d|411111111111\d{4}|199955[56]\d{4}`)
)

// find looks for canaries in a text, and in what it decodes to.
func (d *detector) find(text string) map[finding]bool {
	found := map[finding]bool{}
	d.search(text, "", 0, found)
	return found
}

// maxDecoded bounds encodings within encodings.
const maxDecoded = 2

func (d *detector) search(text, how string, depth int, found map[finding]bool) {
	if text == "" {
		return
	}
	low := strings.ToLower(text)
	d.plain(text, how+"plain", found)
	d.plain(reversed(low), how+"reversed", found)
	flat := separators.ReplaceAllString(low, "")
	for _, m := range flatCanary.FindAllString(flat, 20) {
		found[finding{d.kindOf(m), how + "split"}] = true
	}
	for _, m := range flatCanary.FindAllString(reversed(flat), 20) {
		found[finding{d.kindOf(m), how + "split-reversed"}] = true
	}
	for _, m := range digestRun.FindAllString(low, 500) {
		if kind, ok := d.digests[m]; ok {
			found[finding{kind, how + "hash"}] = true
		}
	}
	if depth >= maxDecoded {
		return
	}
	for label, decoded := range decodings(text) {
		for _, s := range decoded {
			d.search(s, how+label+"-", depth+1, found)
		}
	}
}

func (d *detector) plain(text, how string, found map[finding]bool) {
	low := strings.ToLower(text)
	any := false
	for _, name := range d.names {
		if name == "text" && any {
			continue
		}
		k := d.kinds[name]
		if k.regex.MatchString(text) || k.regex.MatchString(low) {
			found[finding{name, how}], any = true, true
			continue
		}
		if slices.ContainsFunc(k.Windows, func(w string) bool { return strings.Contains(low, w) }) {
			found[finding{name, how + "-fragment"}], any = true, true
		}
	}
}

// decodings returns what a text could be an encoding of, by encoding.
func decodings(text string) map[string][]string {
	out := map[string][]string{}
	add := func(label, s string) {
		if s != text {
			out[label] = append(out[label], s)
		}
	}
	for _, m := range hexRun.FindAllString(text, 400) {
		for off := range 2 {
			h := m[off:]
			if b, err := hex.DecodeString(h[:len(h)/2*2]); err == nil && (len(b) > 64 || mostlyPrintable(b)) {
				add("hex", printable(b))
			}
		}
	}
	for _, m := range spacedHex.FindAllString(text, 400) {
		if b, err := hex.DecodeString(strings.ReplaceAll(m, " ", "")); err == nil {
			add("hex", printable(b))
		}
	}
	for _, m := range base64Run.FindAllString(text, 400) {
		m = strings.TrimRight(strings.ReplaceAll(m, "\n", ""), "=")
		for off := 0; off < 4 && off < len(m); off++ {
			h := m[off:]
			if b, err := base64.RawStdEncoding.DecodeString(h[:len(h)/4*4]); err == nil && len(b) >= 6 {
				add("base64", printable(b))
			}
		}
	}
	for _, m := range codeRun.FindAllString(text, 200) {
		var b []byte
		for _, n := range code.FindAllString(m, -1) {
			if n, _ := strconv.Atoi(n); n >= 32 && n < 127 {
				b = append(b, byte(n))
			}
		}
		add("codes", string(b))
	}
	if strings.Contains(text, "%") {
		if s, err := url.QueryUnescape(text); err == nil {
			add("url", s)
		}
	}
	add("entity", html.UnescapeString(text))
	s := unescape(octalEscape, text, 1, 8)
	s = unescape(hexEscape, s, 2, 16)
	add("escape", unescape(uniEscape, s, 2, 16))
	return out
}

// unescape replaces escapes, whose digits begin at byte skip, by what they stand for.
func unescape(escape *regexp.Regexp, text string, skip, base int) string {
	return escape.ReplaceAllStringFunc(text, func(x string) string {
		n, err := strconv.ParseInt(x[skip:], base, 32)
		if err != nil {
			return x
		}
		return string(rune(n))
	})
}

// kindOf returns the kind of a canary without its separators.
func (d *detector) kindOf(flat string) string {
	switch {
	case strings.HasPrefix(flat, "90011"):
		return "ssn"
	case strings.HasPrefix(flat, "4111"):
		return "card"
	case strings.HasPrefix(flat, "1999"):
		return "phone"
	}
	word := strings.TrimRight(strings.TrimPrefix(flat, "canary"), "0123456789")
	for _, name := range d.names {
		for _, v := range d.kinds[name].Values {
			if strings.HasPrefix(v, "canary-"+word+"-") || strings.Contains(v, "$canary-"+word+"-") {
				return name
			}
		}
	}
	return "text"
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

func mostlyPrintable(b []byte) bool { return len(b) >= 6 && len(printable(b))*10 >= len(b)*6 }

// printable returns the printable ASCII in b.
func printable(b []byte) string {
	return string(slices.DeleteFunc(slices.Clone(b), func(c byte) bool { return c < 32 || c >= 127 }))
}

func kindsOf(found map[finding]bool) []string {
	kinds := map[string]bool{}
	for f := range found {
		kinds[f.Kind] = true
	}
	return slices.Sorted(maps.Keys(kinds))
}

func TestDetector(t *testing.T) {
	d := newDetector(t)
	email := "canary-email-0001@leak.test"
	sum := sha256.Sum256([]byte(strings.ToUpper(email)))
	for _, c := range []struct{ name, text, kind string }{
		{"plain", "x " + email + " y", "email"},
		{"upper", strings.ToUpper(email), "email"},
		{"reversed", reversed(email), "email"},
		{"fragment", "7@leak.t", "email"},
		{"split", "{c,a,n,a,r,y,-,e,m,a,i,l,-,0,0,0,1}", "email"},
		{"hex", hex.EncodeToString([]byte(email)), "email"},
		{"spaced hex", "63 61 6e 61 72 79 2d 65 6d 61 69 6c 2d 30 30 30 31", "email"},
		{"base64", base64.StdEncoding.EncodeToString([]byte(email)), "email"},
		{"base64 of hex", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString([]byte(email)))), "email"},
		{"codes", "99 97 110 97 114 121 45 101 109 97 105 108 45 48 48 48 49", "email"},
		{"url", "canary%2Demail%2D0001", "email"},
		{"entity", "canary&#45;email&#45;0001", "email"},
		{"octal", `canary\055email\0550001`, "email"},
		{"hash of the upper case", hex.EncodeToString(sum[:]), "email"},
		{"ssn without dashes", "900110003", "ssn"},
		{"salary", "777003.25", "salary"},
		{"a day of birth", "1971-01-04", "dob"},
		{"address of a host", "203.0.113.104", "home"},
		{"a part nobody knows", "canary-x", "text"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Contains(t, kindsOf(d.find(c.text)), c.kind) })
	}
	for _, text := range []string{"", "***", "0", "0001-01-01", "North Mill", "agent", "e***@example.com", "EU",
		"SELECT email FROM customers", "column \"ssn\" does not exist", "2024-01-15 10:00:00+00"} {
		require.Empty(t, d.find(text), text)
	}
}
