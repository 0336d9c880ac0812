package mask

import (
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"
)

// Type is what a mask must know about the PostgreSQL type of a column. The
// zero value is a type about which nothing is known: only NULL fits it.
type Type struct {
	OID  uint32
	Name string // pg_type.typname; tells hstore, citext and other extension types apart
	Kind byte   // pg_type.typtype: b base, c composite, d domain, e enum, m multirange, p pseudo, r range

	Element *Type    // of an array, else nil
	Base    *Type    // of a domain, else nil
	Subtype *Type    // of a range or multirange, else nil
	Fields  []Field  // of a composite, without dropped columns, in order
	Labels  []string // of an enum
}

// Field is a column of a composite type.
type Field struct {
	Name string
	Type Type
}

// A family groups the types that the maskers treat alike.
type family uint8

const (
	famOther     family = iota // nothing but NULL is known to be valid
	famFixed                   // a string with a placeholder, and no more known about it
	famText                    // any string is valid
	famBool                    //
	famInt                     // int64 within lo and hi
	famFloat                   //
	famNumeric                 // decimal text
	famBytea                   //
	famDate                    // time.Time, or "infinity" and "-infinity"
	famTimestamp               //
	famTimestampTZ
	famTime // text
	famUUID
	famInet
	famCIDR
	famMAC
	famMAC8
	famBit
	famJSON
	famXML
	famEnum
	famHstore
	famArray
	famRange
	famMultirange
	famComposite
)

// A shape is a Type with its domains resolved and its family found.
type shape struct {
	fam    family
	name   string // for errors
	lo, hi int64  // famInt
	single bool   // famFloat: float4
	trim   bool   // famText: char(n), whose trailing blanks mean nothing
	fold   bool   // famText: citext, which compares without case
	delim  byte   // famArray
	fixed  string // famFixed: the placeholder
	elem   *shape // famArray; famRange and famMultirange: the subtype
	fields []*shape
	labels []string
}

// maxDepth bounds the nesting of types. PostgreSQL forbids a type that contains
// itself, so only a faulty catalog can reach it.
const maxDepth = 16

func shapeOf(t *Type) *shape { return shapeAt(t, 0) }

func shapeAt(t *Type, depth int) *shape {
	if t == nil || depth > maxDepth {
		return &shape{fam: famOther, name: "an unknown type"}
	}
	s := &shape{name: t.Name}
	if s.name == "" {
		s.name = fmt.Sprintf("type %d", t.OID)
	}
	switch {
	case t.Base != nil:
		// The server describes a domain's column as its base type, and a check
		// cannot be evaluated here: what fits the base type is what can be given.
		b := shapeAt(t.Base, depth+1)
		b.name = s.name
		return b
	case t.Element != nil:
		s.fam, s.elem, s.delim = famArray, shapeAt(t.Element, depth+1), ','
		if t.Element.OID == pgtype.BoxOID {
			s.delim = ';' // pg_type.typdelim; box is the one built-in type with another
		}
		return s
	case t.Kind == 'r' || t.Kind == 'm':
		s.fam, s.elem = famRange, shapeAt(t.Subtype, depth+1)
		if t.Kind == 'm' {
			s.fam = famMultirange
		}
		return s
	case t.Kind == 'e':
		s.fam, s.labels = famEnum, t.Labels
		return s
	case len(t.Fields) > 0:
		s.fam = famComposite
		for i := range t.Fields {
			s.fields = append(s.fields, shapeAt(&t.Fields[i].Type, depth+1))
		}
		return s
	}
	s.scalar(t.OID, t.Name)
	return s
}

// Type OIDs that pgtype does not name. Source: pg_type.dat.
const (
	charOID         = 18
	int2vectorOID   = 22
	regprocOID      = 24
	oidvectorOID    = 30
	moneyOID        = 790
	refcursorOID    = 1790
	regprocedureOID = 2202
	regoperOID      = 2203
	regoperatorOID  = 2204
	regclassOID     = 2205
	regtypeOID      = 2206
	cstringOID      = 2275
	txidSnapshotOID = 2970
	pgLSNOID        = 3220
	tsqueryOID      = 3615
	regconfigOID    = 3734
	regdictOID      = 3769
	regnamespaceOID = 4089
	regroleOID      = 4096
	regcollationOID = 4191
	snapshotOID     = 5038
)

func (s *shape) scalar(oid uint32, name string) {
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID, pgtype.UnknownOID, refcursorOID, cstringOID:
		s.fam = famText
	case pgtype.BPCharOID:
		s.fam, s.trim = famText, true
	case pgtype.BoolOID:
		s.fam = famBool
	case pgtype.Int2OID:
		s.fam, s.lo, s.hi = famInt, math.MinInt16, math.MaxInt16
	case pgtype.Int4OID:
		s.fam, s.lo, s.hi = famInt, math.MinInt32, math.MaxInt32
	case pgtype.Int8OID:
		s.fam, s.lo, s.hi = famInt, math.MinInt64, math.MaxInt64
	case pgtype.OIDOID, pgtype.XIDOID, pgtype.CIDOID:
		s.fam, s.lo, s.hi = famInt, 0, math.MaxUint32
	case pgtype.Float4OID:
		s.fam, s.single = famFloat, true
	case pgtype.Float8OID:
		s.fam = famFloat
	case pgtype.NumericOID:
		s.fam = famNumeric
	case pgtype.ByteaOID:
		s.fam = famBytea
	case pgtype.DateOID:
		s.fam = famDate
	case pgtype.TimestampOID:
		s.fam = famTimestamp
	case pgtype.TimestamptzOID:
		s.fam = famTimestampTZ
	case pgtype.TimeOID:
		s.fam = famTime
	case pgtype.UUIDOID:
		s.fam = famUUID
	case pgtype.InetOID:
		s.fam = famInet
	case pgtype.CIDROID:
		s.fam = famCIDR
	case pgtype.MacaddrOID:
		s.fam = famMAC
	case pgtype.Macaddr8OID:
		s.fam = famMAC8
	case pgtype.BitOID, pgtype.VarbitOID:
		s.fam = famBit
	case pgtype.JSONOID, pgtype.JSONBOID:
		s.fam = famJSON
	case pgtype.XMLOID:
		s.fam = famXML
	default:
		s.byPlaceholder(oid, name)
	}
}

// byPlaceholder covers the types of which a mask knows one valid literal only.
func (s *shape) byPlaceholder(oid uint32, name string) {
	s.fam = famFixed
	switch oid {
	case charOID:
		s.fixed = "*"
	case moneyOID:
		s.fixed = "0" // valid under every lc_monetary
	case pgtype.TimetzOID:
		s.fixed = "00:00:00+00"
	case pgtype.IntervalOID:
		s.fixed = "00:00:00"
	case pgtype.PointOID:
		s.fixed = "(0,0)"
	case pgtype.LsegOID:
		s.fixed = "[(0,0),(0,0)]"
	case pgtype.BoxOID:
		s.fixed = "(0,0),(0,0)"
	case pgtype.PathOID, pgtype.PolygonOID:
		s.fixed = "((0,0))"
	case pgtype.LineOID:
		s.fixed = "{1,0,0}" // A and B may not both be zero
	case pgtype.CircleOID:
		s.fixed = "<(0,0),0>"
	case pgtype.TSVectorOID, tsqueryOID:
		s.fixed = "'***'"
	case pgtype.JSONPathOID:
		s.fixed = "$"
	case pgtype.TIDOID:
		s.fixed = "(0,0)"
	case pgtype.XID8OID:
		s.fixed = "0"
	case pgLSNOID:
		s.fixed = "0/0"
	case txidSnapshotOID, snapshotOID:
		s.fixed = "1:1:"
	case int2vectorOID, oidvectorOID:
		s.fixed = ""
	case regoperOID, regoperatorOID:
		s.fixed = "0" // how the server writes OID 0
	case regprocOID, regprocedureOID, regclassOID, regtypeOID,
		regconfigOID, regdictOID, regnamespaceOID, regroleOID, regcollationOID:
		s.fixed = "-" // likewise
	case pgtype.RecordOID:
		s.fixed = "(***)" // an anonymous record has no input function
	default:
		s.byName(name)
	}
}

// byName covers extension types, which have no fixed OID. A foreign type of the
// same name gets a value that may not be a literal of it, never the clear one.
func (s *shape) byName(name string) {
	switch name {
	case "citext":
		s.fam, s.fold = famText, true
	case "hstore":
		s.fam = famHstore
	case "ltree", "ltxtquery":
		s.fixed = "masked"
	case "lquery":
		s.fixed = "*"
	case "cube":
		s.fixed = "(0)"
	case "seg":
		s.fixed = "0"
	default:
		s.fam = famOther
	}
}
