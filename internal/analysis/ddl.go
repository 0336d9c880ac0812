package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// objectWords are the kinds of object as command tags spell them.
var objectWords = map[pg.ObjectType]string{
	pg.ObjectType_OBJECT_ACCESS_METHOD:         "ACCESS METHOD",
	pg.ObjectType_OBJECT_AGGREGATE:             "AGGREGATE",
	pg.ObjectType_OBJECT_AMOP:                  "OPERATOR FAMILY",
	pg.ObjectType_OBJECT_AMPROC:                "OPERATOR FAMILY",
	pg.ObjectType_OBJECT_ATTRIBUTE:             "TYPE",
	pg.ObjectType_OBJECT_CAST:                  "CAST",
	pg.ObjectType_OBJECT_COLUMN:                "TABLE",
	pg.ObjectType_OBJECT_COLLATION:             "COLLATION",
	pg.ObjectType_OBJECT_CONVERSION:            "CONVERSION",
	pg.ObjectType_OBJECT_DATABASE:              "DATABASE",
	pg.ObjectType_OBJECT_DEFAULT:               "TABLE",
	pg.ObjectType_OBJECT_DEFACL:                "DEFAULT PRIVILEGES",
	pg.ObjectType_OBJECT_DOMAIN:                "DOMAIN",
	pg.ObjectType_OBJECT_DOMCONSTRAINT:         "DOMAIN",
	pg.ObjectType_OBJECT_EVENT_TRIGGER:         "EVENT TRIGGER",
	pg.ObjectType_OBJECT_EXTENSION:             "EXTENSION",
	pg.ObjectType_OBJECT_FDW:                   "FOREIGN DATA WRAPPER",
	pg.ObjectType_OBJECT_FOREIGN_SERVER:        "SERVER",
	pg.ObjectType_OBJECT_FOREIGN_TABLE:         "FOREIGN TABLE",
	pg.ObjectType_OBJECT_FUNCTION:              "FUNCTION",
	pg.ObjectType_OBJECT_INDEX:                 "INDEX",
	pg.ObjectType_OBJECT_LANGUAGE:              "LANGUAGE",
	pg.ObjectType_OBJECT_LARGEOBJECT:           "LARGE OBJECT",
	pg.ObjectType_OBJECT_MATVIEW:               "MATERIALIZED VIEW",
	pg.ObjectType_OBJECT_OPCLASS:               "OPERATOR CLASS",
	pg.ObjectType_OBJECT_OPERATOR:              "OPERATOR",
	pg.ObjectType_OBJECT_OPFAMILY:              "OPERATOR FAMILY",
	pg.ObjectType_OBJECT_PARAMETER_ACL:         "PARAMETER",
	pg.ObjectType_OBJECT_POLICY:                "POLICY",
	pg.ObjectType_OBJECT_PROCEDURE:             "PROCEDURE",
	pg.ObjectType_OBJECT_PUBLICATION:           "PUBLICATION",
	pg.ObjectType_OBJECT_PUBLICATION_NAMESPACE: "PUBLICATION",
	pg.ObjectType_OBJECT_PUBLICATION_REL:       "PUBLICATION",
	pg.ObjectType_OBJECT_ROLE:                  "ROLE",
	pg.ObjectType_OBJECT_ROUTINE:               "ROUTINE",
	pg.ObjectType_OBJECT_RULE:                  "RULE",
	pg.ObjectType_OBJECT_SCHEMA:                "SCHEMA",
	pg.ObjectType_OBJECT_SEQUENCE:              "SEQUENCE",
	pg.ObjectType_OBJECT_SUBSCRIPTION:          "SUBSCRIPTION",
	pg.ObjectType_OBJECT_STATISTIC_EXT:         "STATISTICS",
	pg.ObjectType_OBJECT_TABCONSTRAINT:         "TABLE",
	pg.ObjectType_OBJECT_TABLE:                 "TABLE",
	pg.ObjectType_OBJECT_TABLESPACE:            "TABLESPACE",
	pg.ObjectType_OBJECT_TRANSFORM:             "TRANSFORM",
	pg.ObjectType_OBJECT_TRIGGER:               "TRIGGER",
	pg.ObjectType_OBJECT_TSCONFIGURATION:       "TEXT SEARCH CONFIGURATION",
	pg.ObjectType_OBJECT_TSDICTIONARY:          "TEXT SEARCH DICTIONARY",
	pg.ObjectType_OBJECT_TSPARSER:              "TEXT SEARCH PARSER",
	pg.ObjectType_OBJECT_TSTEMPLATE:            "TEXT SEARCH TEMPLATE",
	pg.ObjectType_OBJECT_TYPE:                  "TYPE",
	pg.ObjectType_OBJECT_USER_MAPPING:          "USER MAPPING",
	pg.ObjectType_OBJECT_VIEW:                  "VIEW",
}

// objectClasses are what else it means, besides DDL, to create, alter or drop
// an object of a kind.
var objectClasses = map[pg.ObjectType]Class{
	pg.ObjectType_OBJECT_ACCESS_METHOD:         Code,
	pg.ObjectType_OBJECT_AGGREGATE:             Code,
	pg.ObjectType_OBJECT_AMOP:                  Code,
	pg.ObjectType_OBJECT_AMPROC:                Code,
	pg.ObjectType_OBJECT_CAST:                  Code,
	pg.ObjectType_OBJECT_CONVERSION:            Code,
	pg.ObjectType_OBJECT_DATABASE:              ServerControl,
	pg.ObjectType_OBJECT_DEFACL:                DCL,
	pg.ObjectType_OBJECT_EVENT_TRIGGER:         Code,
	pg.ObjectType_OBJECT_EXTENSION:             Code,
	pg.ObjectType_OBJECT_FDW:                   Network | Code,
	pg.ObjectType_OBJECT_FOREIGN_SERVER:        Network,
	pg.ObjectType_OBJECT_FOREIGN_TABLE:         Network,
	pg.ObjectType_OBJECT_FUNCTION:              Code,
	pg.ObjectType_OBJECT_LANGUAGE:              Code,
	pg.ObjectType_OBJECT_LARGEOBJECT:           LargeObject,
	pg.ObjectType_OBJECT_MATVIEW:               Code,
	pg.ObjectType_OBJECT_OPCLASS:               Code,
	pg.ObjectType_OBJECT_OPERATOR:              Code,
	pg.ObjectType_OBJECT_OPFAMILY:              Code,
	pg.ObjectType_OBJECT_PARAMETER_ACL:         DCL,
	pg.ObjectType_OBJECT_POLICY:                DCL | Code,
	pg.ObjectType_OBJECT_PROCEDURE:             Code,
	pg.ObjectType_OBJECT_PUBLICATION:           ServerControl,
	pg.ObjectType_OBJECT_PUBLICATION_NAMESPACE: ServerControl,
	pg.ObjectType_OBJECT_PUBLICATION_REL:       ServerControl,
	pg.ObjectType_OBJECT_ROLE:                  DCL,
	pg.ObjectType_OBJECT_ROUTINE:               Code,
	pg.ObjectType_OBJECT_RULE:                  Code,
	pg.ObjectType_OBJECT_SUBSCRIPTION:          Network | ServerControl,
	pg.ObjectType_OBJECT_TABLESPACE:            File | ServerControl,
	pg.ObjectType_OBJECT_TRANSFORM:             Code,
	pg.ObjectType_OBJECT_TRIGGER:               Code,
	pg.ObjectType_OBJECT_TSPARSER:              Code,
	pg.ObjectType_OBJECT_TSTEMPLATE:            Code,
	pg.ObjectType_OBJECT_USER_MAPPING:          Network | Secret,
	pg.ObjectType_OBJECT_VIEW:                  Code,
}

func objectWord(t pg.ObjectType) string {
	if w, ok := objectWords[t]; ok {
		return w
	}
	return "OBJECT"
}

// A change is one statement of DDL or DCL.
type change struct {
	verb    string // as in the tag: CREATE, ALTER, DROP, COMMENT ON
	typ     pg.ObjectType
	name    string // of the object, for a person
	class   Class  // besides DDL and what the kind of object means
	temp    bool   // the object is a temporary one
	dclOnly bool   // changes no definition
	tag     string // where it is not verb and kind
}

// changes records a change.
func (p *part) changes(c change) {
	tag := c.tag
	if tag == "" {
		tag = c.verb + " " + objectWord(c.typ)
	}
	p.kind(tag)
	p.rec.st.Catalog, p.rec.st.Names = true, true
	if c.typ == pg.ObjectType_OBJECT_INDEX && c.verb != "CREATE" {
		p.rec.st.Sweeps = true // which one the name means is not looked up
	}
	class := c.class | objectClasses[c.typ]
	switch {
	case c.temp:
		class |= Temporary
	case !c.dclOnly:
		class |= DDL
	}
	what := strings.ToLower(tag)
	if verb, ok := verbs[c.verb]; ok {
		what = verb + " " + strings.ToLower(objectWord(c.typ))
	}
	if c.name != "" {
		what += " " + c.name
	}
	if c.temp {
		what += " (temporary)"
	}
	p.effect(class, what)
}

var verbs = map[string]string{"CREATE": "creates", "ALTER": "alters", "DROP": "drops", "COMMENT ON": "comments on", "IMPORT": "imports"}

// objectName returns the name of an object for a person, and whether it is
// temporary.
func (p *part) objectName(typ pg.ObjectType, n *pg.Node) (name string, temp bool) {
	switch o := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return p.relationText(o.RangeVar), p.isTemporary(rangeVarParts(o.RangeVar))
	case *pg.Node_String_:
		return o.String_.Sval, typ == pg.ObjectType_OBJECT_SCHEMA && isTempSchema(o.String_.Sval)
	case *pg.Node_TypeName:
		parts := strs(o.TypeName.Names)
		return qualified(parts), len(parts) > 1 && isTempSchema(parts[0])
	case *pg.Node_ObjectWithArgs:
		parts := strs(o.ObjectWithArgs.Objname)
		for _, f := range p.names.functions(parts) {
			p.a.depends[f.OID] = struct{}{}
		}
		return qualified(parts), len(parts) > 1 && isTempSchema(parts[0])
	case *pg.Node_Integer:
		return "", false // a large object
	case *pg.Node_List:
		var parts []string
		for _, i := range o.List.Items {
			if t := i.GetTypeName(); t != nil {
				parts = append(parts, qualified(strs(t.Names)))
			} else if s := i.GetString_(); s != nil {
				parts = append(parts, s.Sval)
			}
		}
		of := parts
		switch typ {
		case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_RULE, pg.ObjectType_OBJECT_POLICY,
			pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_COLUMN:
			if len(parts) > 1 && typ != pg.ObjectType_OBJECT_COLUMN {
				of = parts[:len(parts)-1]
				return parts[len(parts)-1] + " on " + qualified(of), p.isTemporary(of)
			}
			if len(parts) > 1 {
				of = parts[:len(parts)-1]
			}
		case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_SEQUENCE,
			pg.ObjectType_OBJECT_FOREIGN_TABLE:
			if rel := p.object(parts); rel != nil {
				return relName(rel), rel.Persistence == 't'
			}
			return qualified(parts), false
		default:
			return qualified(parts), len(parts) > 1 && isTempSchema(parts[0])
		}
		return qualified(parts), p.isTemporary(of)
	}
	return "", false
}

// object returns the relation that a definition is about, or nil. Which one a name
// means is part of what was decided.
func (p *part) object(parts []string) *catalog.Relation {
	rel := p.names.relation(parts)
	if rel != nil {
		p.a.depends[rel.OID] = struct{}{}
	}
	return rel
}

// isTemporary reports whether a name means a temporary relation, or an index
// or other object in the session's temporary schema.
func (p *part) isTemporary(parts []string) bool {
	if rel := p.object(parts); rel != nil {
		return rel.Persistence == 't'
	}
	return len(parts) > 1 && isTempSchema(parts[len(parts)-2])
}

// define analyzes DDL and DCL. It returns false for a kind of statement that
// it does not know.
func (p *part) define(n *pg.Node) bool {
	p.rec.st.Unread = p.rec.st.Unread || unread(n)
	switch s := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		p.createTable(s.CreateStmt, pg.ObjectType_OBJECT_TABLE)
	case *pg.Node_CreateForeignTableStmt:
		if base := s.CreateForeignTableStmt.BaseStmt; base != nil {
			p.createTable(base, pg.ObjectType_OBJECT_FOREIGN_TABLE)
		} else {
			p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_FOREIGN_TABLE})
		}
	case *pg.Node_AlterTableStmt:
		p.alterTable(s.AlterTableStmt)
	case *pg.Node_IndexStmt:
		p.createIndex(s.IndexStmt)
	case *pg.Node_ViewStmt:
		v := s.ViewStmt
		if p.text && v.Query != nil {
			p.rec.st.Inner = p.statementApart(v.Query)
		}
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_VIEW, name: qualified(rangeVarParts(orEmpty(v.View))), temp: p.temporary(v.View)})
	case *pg.Node_RuleStmt:
		r := s.RuleStmt
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_RULE, name: r.Rulename + " on " + p.relationText(r.Relation), temp: p.isTemporary(rangeVarParts(orEmpty(r.Relation)))})
	case *pg.Node_CreateTrigStmt:
		t := s.CreateTrigStmt
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TRIGGER, name: t.Trigname + " on " + p.relationText(t.Relation), temp: p.isTemporary(rangeVarParts(orEmpty(t.Relation)))})
	case *pg.Node_CreatePolicyStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_POLICY, name: s.CreatePolicyStmt.PolicyName + " on " + p.relationText(s.CreatePolicyStmt.Table)})
	case *pg.Node_AlterPolicyStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_POLICY, name: s.AlterPolicyStmt.PolicyName + " on " + p.relationText(s.AlterPolicyStmt.Table)})
	case *pg.Node_CreateFunctionStmt:
		f := s.CreateFunctionStmt
		name := strs(f.Funcname)
		typ := pg.ObjectType_OBJECT_FUNCTION
		if f.IsProcedure {
			typ = pg.ObjectType_OBJECT_PROCEDURE
		}
		p.changes(change{verb: "CREATE", typ: typ, name: qualified(name), temp: len(name) > 1 && isTempSchema(name[0])})
	case *pg.Node_AlterFunctionStmt:
		f := s.AlterFunctionStmt
		p.changes(change{verb: "ALTER", typ: f.Objtype, name: qualified(strs(f.Func.GetObjname()))})
	case *pg.Node_DropStmt:
		p.drop(s.DropStmt)
	case *pg.Node_RenameStmt:
		r := s.RenameStmt
		typ := r.RenameType
		if typ == pg.ObjectType_OBJECT_COLUMN {
			if r.RelationType != pg.ObjectType_OBJECT_TYPE_UNDEFINED {
				typ = r.RelationType
			}
		}
		p.alterObject("ALTER", typ, r.Relation, r.Object, 0)
	case *pg.Node_AlterObjectSchemaStmt:
		o := s.AlterObjectSchemaStmt
		p.alterObject("ALTER", o.ObjectType, o.Relation, o.Object, 0)
	case *pg.Node_AlterObjectDependsStmt:
		o := s.AlterObjectDependsStmt
		p.alterObject("ALTER", o.ObjectType, o.Relation, o.Object, 0)
	case *pg.Node_AlterOwnerStmt:
		o := s.AlterOwnerStmt
		p.alterObject("ALTER", o.ObjectType, o.Relation, o.Object, DCL)
	case *pg.Node_CommentStmt:
		name, temp := p.objectName(s.CommentStmt.Objtype, s.CommentStmt.Object)
		p.changes(change{verb: "COMMENT ON", typ: s.CommentStmt.Objtype, name: name, temp: temp, tag: "COMMENT"})
	case *pg.Node_SecLabelStmt:
		name, _ := p.objectName(s.SecLabelStmt.Objtype, s.SecLabelStmt.Object)
		p.changes(change{verb: "SECURITY LABEL", typ: s.SecLabelStmt.Objtype, name: name, tag: "SECURITY LABEL", class: DCL})

	case *pg.Node_CreateSchemaStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_SCHEMA, name: s.CreateSchemaStmt.Schemaname})
		for _, e := range s.CreateSchemaStmt.SchemaElts {
			p.utility(e)
		}
	case *pg.Node_CreateSeqStmt:
		q := s.CreateSeqStmt
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_SEQUENCE, name: qualified(rangeVarParts(orEmpty(q.Sequence))), temp: p.temporary(q.Sequence)})
	case *pg.Node_AlterSeqStmt:
		q := s.AlterSeqStmt
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_SEQUENCE, name: p.relationText(q.Sequence), class: Sequence, temp: p.isTemporary(rangeVarParts(orEmpty(q.Sequence)))})
	case *pg.Node_CreateDomainStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_DOMAIN, name: qualified(strs(s.CreateDomainStmt.Domainname)), class: Code})
	case *pg.Node_AlterDomainStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_DOMAIN, name: qualified(strs(s.AlterDomainStmt.TypeName)), class: Code})
	case *pg.Node_CompositeTypeStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TYPE, name: qualified(rangeVarParts(orEmpty(s.CompositeTypeStmt.Typevar)))})
	case *pg.Node_CreateEnumStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TYPE, name: qualified(strs(s.CreateEnumStmt.TypeName))})
	case *pg.Node_AlterEnumStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_TYPE, name: qualified(strs(s.AlterEnumStmt.TypeName))})
	case *pg.Node_CreateRangeStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TYPE, name: qualified(strs(s.CreateRangeStmt.TypeName)), class: Code})
	case *pg.Node_AlterTypeStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_TYPE, name: qualified(strs(s.AlterTypeStmt.TypeName)), class: Code})
	case *pg.Node_DefineStmt:
		d := s.DefineStmt
		class := Code
		if d.Kind == pg.ObjectType_OBJECT_COLLATION {
			class = 0
		}
		p.changes(change{verb: "CREATE", typ: d.Kind, name: qualified(strs(d.Defnames)), class: class})
	case *pg.Node_CreateOpClassStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_OPCLASS, name: qualified(strs(s.CreateOpClassStmt.Opclassname))})
	case *pg.Node_CreateOpFamilyStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_OPFAMILY, name: qualified(strs(s.CreateOpFamilyStmt.Opfamilyname))})
	case *pg.Node_AlterOpFamilyStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_OPFAMILY, name: qualified(strs(s.AlterOpFamilyStmt.Opfamilyname))})
	case *pg.Node_AlterOperatorStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_OPERATOR, name: qualified(strs(s.AlterOperatorStmt.Opername.GetObjname()))})
	case *pg.Node_CreateCastStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_CAST})
	case *pg.Node_CreateTransformStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TRANSFORM})
	case *pg.Node_CreateConversionStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_CONVERSION, name: qualified(strs(s.CreateConversionStmt.ConversionName))})
	case *pg.Node_AlterCollationStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_COLLATION, name: qualified(strs(s.AlterCollationStmt.Collname))})
	case *pg.Node_AlterTsdictionaryStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_TSDICTIONARY, name: qualified(strs(s.AlterTsdictionaryStmt.Dictname)), class: Code})
	case *pg.Node_AlterTsconfigurationStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_TSCONFIGURATION, name: qualified(strs(s.AlterTsconfigurationStmt.Cfgname)), class: Code})
	case *pg.Node_CreateStatsStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_STATISTIC_EXT, name: qualified(strs(s.CreateStatsStmt.Defnames))})
	case *pg.Node_AlterStatsStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_STATISTIC_EXT, name: qualified(strs(s.AlterStatsStmt.Defnames))})
	case *pg.Node_CreateAmStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_ACCESS_METHOD, name: s.CreateAmStmt.Amname})
	case *pg.Node_CreatePlangStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_LANGUAGE, name: s.CreatePlangStmt.Plname})
	case *pg.Node_CreateEventTrigStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_EVENT_TRIGGER, name: s.CreateEventTrigStmt.Trigname})
	case *pg.Node_AlterEventTrigStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_EVENT_TRIGGER, name: s.AlterEventTrigStmt.Trigname})

	case *pg.Node_CreateExtensionStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_EXTENSION, name: s.CreateExtensionStmt.Extname})
	case *pg.Node_AlterExtensionStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_EXTENSION, name: s.AlterExtensionStmt.Extname})
	case *pg.Node_AlterExtensionContentsStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_EXTENSION, name: s.AlterExtensionContentsStmt.Extname})

	case *pg.Node_CreateFdwStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_FDW, name: s.CreateFdwStmt.Fdwname})
	case *pg.Node_AlterFdwStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_FDW, name: s.AlterFdwStmt.Fdwname})
	case *pg.Node_CreateForeignServerStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_FOREIGN_SERVER, name: s.CreateForeignServerStmt.Servername})
	case *pg.Node_AlterForeignServerStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_FOREIGN_SERVER, name: s.AlterForeignServerStmt.Servername})
	case *pg.Node_CreateUserMappingStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_USER_MAPPING, name: "for server " + s.CreateUserMappingStmt.Servername})
	case *pg.Node_AlterUserMappingStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_USER_MAPPING, name: "for server " + s.AlterUserMappingStmt.Servername})
	case *pg.Node_DropUserMappingStmt:
		p.changes(change{verb: "DROP", typ: pg.ObjectType_OBJECT_USER_MAPPING, name: "for server " + s.DropUserMappingStmt.Servername})
	case *pg.Node_ImportForeignSchemaStmt:
		p.changes(change{verb: "IMPORT", typ: pg.ObjectType_OBJECT_SCHEMA, name: "from server " + s.ImportForeignSchemaStmt.ServerName, class: Network, tag: "IMPORT FOREIGN SCHEMA"})
	case *pg.Node_CreateSubscriptionStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_SUBSCRIPTION, name: s.CreateSubscriptionStmt.Subname})
	case *pg.Node_AlterSubscriptionStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_SUBSCRIPTION, name: s.AlterSubscriptionStmt.Subname})
	case *pg.Node_DropSubscriptionStmt:
		p.changes(change{verb: "DROP", typ: pg.ObjectType_OBJECT_SUBSCRIPTION, name: s.DropSubscriptionStmt.Subname})
	case *pg.Node_CreatePublicationStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_PUBLICATION, name: s.CreatePublicationStmt.Pubname})
	case *pg.Node_AlterPublicationStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_PUBLICATION, name: s.AlterPublicationStmt.Pubname})

	case *pg.Node_CreateTableSpaceStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_TABLESPACE, name: s.CreateTableSpaceStmt.Tablespacename})
	case *pg.Node_DropTableSpaceStmt:
		p.changes(change{verb: "DROP", typ: pg.ObjectType_OBJECT_TABLESPACE, name: s.DropTableSpaceStmt.Tablespacename})
	case *pg.Node_AlterTableSpaceOptionsStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_TABLESPACE, name: s.AlterTableSpaceOptionsStmt.Tablespacename})
	case *pg.Node_AlterTableMoveAllStmt:
		m := s.AlterTableMoveAllStmt
		p.changes(change{verb: "ALTER", typ: m.Objtype, name: "of tablespace " + m.OrigTablespacename})
	case *pg.Node_CreatedbStmt:
		p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_DATABASE, name: s.CreatedbStmt.Dbname})
	case *pg.Node_AlterDatabaseStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_DATABASE, name: s.AlterDatabaseStmt.Dbname})
	case *pg.Node_AlterDatabaseRefreshCollStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_DATABASE, name: s.AlterDatabaseRefreshCollStmt.Dbname})
	case *pg.Node_AlterDatabaseSetStmt:
		p.changes(change{verb: "ALTER", typ: pg.ObjectType_OBJECT_DATABASE, name: s.AlterDatabaseSetStmt.Dbname, class: SessionRisky})
	case *pg.Node_DropdbStmt:
		p.changes(change{verb: "DROP", typ: pg.ObjectType_OBJECT_DATABASE, name: s.DropdbStmt.Dbname})
	case *pg.Node_AlterSystemStmt:
		p.kind("ALTER SYSTEM")
		p.effect(ServerControl, "changes the server's configuration: "+s.AlterSystemStmt.Setstmt.GetName())

	case *pg.Node_GrantStmt:
		p.grant(s.GrantStmt)
	case *pg.Node_GrantRoleStmt:
		p.kindIf(s.GrantRoleStmt.IsGrant, "GRANT ROLE", "REVOKE ROLE")
		p.dcl("changes who is a member of roles")
	case *pg.Node_AlterDefaultPrivilegesStmt:
		p.kind("ALTER DEFAULT PRIVILEGES")
		p.dcl("changes default privileges")
	case *pg.Node_CreateRoleStmt:
		p.kind("CREATE ROLE")
		p.dcl("creates role " + s.CreateRoleStmt.Role)
	case *pg.Node_AlterRoleStmt:
		p.kind("ALTER ROLE")
		p.dcl("alters role " + s.AlterRoleStmt.Role.GetRolename())
	case *pg.Node_AlterRoleSetStmt:
		p.kind("ALTER ROLE")
		p.dcl("changes the settings of role " + s.AlterRoleSetStmt.Role.GetRolename())
		p.rec.st.Classes |= ServerControl | SessionRisky
	case *pg.Node_DropRoleStmt:
		p.kind("DROP ROLE")
		p.dcl("drops roles")
	case *pg.Node_ReassignOwnedStmt:
		p.kind("REASSIGN OWNED")
		p.rec.st.Sweeps = true
		p.rec.st.Classes |= DDL
		p.dcl("changes the owner of all objects of roles")
	case *pg.Node_DropOwnedStmt:
		p.kind("DROP OWNED")
		p.rec.st.Sweeps = true
		p.rec.st.Classes |= DDL
		p.dcl("drops all objects of roles")
	default:
		return false
	}
	return true
}

// unread reports whether a definition has constants that are code, conditions on
// rows, or secrets, and that are not analyzed.
func unread(n *pg.Node) bool {
	switch s := n.GetNode().(type) {
	case *pg.Node_CreateFunctionStmt, *pg.Node_RuleStmt, *pg.Node_CreatePolicyStmt, *pg.Node_AlterPolicyStmt,
		*pg.Node_CreateStatsStmt, *pg.Node_CreatePublicationStmt, *pg.Node_AlterPublicationStmt,
		*pg.Node_CreateRoleStmt, *pg.Node_AlterRoleStmt, *pg.Node_CreateUserMappingStmt, *pg.Node_AlterUserMappingStmt,
		*pg.Node_CreateForeignServerStmt, *pg.Node_AlterForeignServerStmt, *pg.Node_CreateSubscriptionStmt, *pg.Node_AlterSubscriptionStmt:
		return true
	case *pg.Node_CreateTrigStmt:
		return s.CreateTrigStmt.WhenClause != nil
	case *pg.Node_CreateStmt:
		return s.CreateStmt.Partbound != nil // values of the parent's column
	case *pg.Node_AlterTableStmt:
		return slices.ContainsFunc(s.AlterTableStmt.Cmds, func(c *pg.Node) bool {
			return c.GetAlterTableCmd().GetDef().GetPartitionCmd().GetBound() != nil
		})
	}
	return false
}

func (p *part) dcl(what string) {
	p.rec.st.Catalog = true
	p.effect(DCL, what)
}

func (p *part) grant(s *pg.GrantStmt) {
	p.kindIf(s.IsGrant, "GRANT", "REVOKE")
	verb := "grants privileges on "
	if !s.IsGrant {
		verb = "revokes privileges on "
	}
	if len(s.Objects) == 0 {
		p.dcl(verb + strings.ToLower(objectWord(s.Objtype)))
	}
	for _, o := range s.Objects {
		name, _ := p.objectName(s.Objtype, o)
		if s.Targtype == pg.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA {
			name = "all in schema " + name
			p.rec.st.Sweeps = true
		}
		p.dcl(verb + strings.ToLower(objectWord(s.Objtype)) + " " + name)
	}
}

// alterObject records a change of an object that is named by a relation or by
// another kind of name.
func (p *part) alterObject(verb string, typ pg.ObjectType, rv *pg.RangeVar, object *pg.Node, class Class) {
	if rv != nil {
		p.changes(change{verb: verb, typ: typ, name: p.relationText(rv), class: class, temp: p.isTemporary(rangeVarParts(rv))})
		return
	}
	name, temp := p.objectName(typ, object)
	p.changes(change{verb: verb, typ: typ, name: name, class: class, temp: temp})
}

func (p *part) drop(s *pg.DropStmt) {
	if len(s.Objects) == 0 {
		p.changes(change{verb: "DROP", typ: s.RemoveType})
	}
	for _, o := range s.Objects {
		name, temp := p.objectName(s.RemoveType, o)
		if s.Behavior == pg.DropBehavior_DROP_CASCADE {
			name += " and what depends on it"
			p.rec.st.Sweeps = true
		}
		p.changes(change{verb: "DROP", typ: s.RemoveType, name: name, temp: temp})
	}
}

// rowScope returns a scope in which the columns of rel are visible. row gives
// their values; where it has none, a column stands for itself.
func rowScope(p *part, rel *catalog.Relation, row map[int16]value) *scope {
	src := &source{alias: rel.Name, rel: rel}
	for _, c := range rel.Columns {
		if !c.Dropped {
			src.cols = append(src.cols, field{c.Name, columnValue(rel, c, row)})
		}
	}
	src.whole = p.row(rel.RowType, src.cols)
	return &scope{items: []*item{single(src)}}
}

// columnValue is the value of a column in a row of rel.
func columnValue(rel *catalog.Relation, c catalog.Column, row map[int16]value) value {
	if v, ok := row[c.Num]; ok {
		v.typ = c.Type
		v.untyped, v.set, v.rows = false, false, nil
		return v
	}
	col := Column{rel.OID, c.Num}
	return value{src: Columns{col}, how: Plain, typ: c.Type, origin: col, known: true}
}

func (p *part) createTable(s *pg.CreateStmt, typ pg.ObjectType) {
	name := qualified(rangeVarParts(orEmpty(s.Relation)))
	temp := p.temporary(s.Relation)
	var class Class
	for _, n := range s.InhRelations {
		// A child's rows are the parent's too, also those of a temporary child.
		if rv := n.GetRangeVar(); rv != nil {
			temp = temp && p.isTemporary(rangeVarParts(rv))
			p.effect(DDL, "makes "+name+" part of "+p.relationText(rv))
		}
	}
	nodes := slices.Concat(s.TableElts, s.Constraints)
	for _, n := range nodes {
		if p.callsCode(n) {
			class = Code
		}
	}
	p.changes(change{verb: "CREATE", typ: typ, name: name, class: class, temp: temp})
}

// callsCode reports whether the default, check or generation expressions of a
// column or constraint may call anything that is not built in: it would run
// with later statements.
func (p *part) callsCode(n *pg.Node) bool {
	switch d := n.GetNode().(type) {
	case *pg.Node_ColumnDef:
		if d.ColumnDef.TypeName != nil && p.userType(d.ColumnDef.TypeName) {
			return true
		}
		return d.ColumnDef.RawDefault != nil && p.exprCallsCode(d.ColumnDef.RawDefault) || slices.ContainsFunc(d.ColumnDef.Constraints, p.callsCode)
	case *pg.Node_Constraint:
		return p.exprCallsCode(d.Constraint.RawExpr) || p.exprCallsCode(d.Constraint.WhereClause) || len(d.Constraint.Exclusions) > 0
	case *pg.Node_TableLikeClause:
		return d.TableLikeClause.Options != 0 // defaults, checks and generated columns come along
	}
	return false
}

// userType reports whether a type has checks or functions of its own.
func (p *part) userType(t *pg.TypeName) bool {
	typ := p.a.snap.Type(p.typeOf(t))
	return typ != nil && typ.Kind == 'd' && len(typ.Checks) > 0
}

func (p *part) exprCallsCode(n *pg.Node) bool {
	if n == nil {
		return false
	}
	st := p.apart(func(q *part) { q.expr(n, nil) })
	if len(st.Effects) > 0 || len(st.Writes) > 0 || len(st.Reads) > 0 {
		return true
	}
	code := false
	walk(n, func(n *pg.Node) {
		switch e := n.GetNode().(type) {
		case *pg.Node_SubLink:
			code = true
		case *pg.Node_FuncCall:
			fs := p.names.functions(strs(e.FuncCall.Funcname))
			if len(fs) == 0 || slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Schema != "pg_catalog" }) {
				code = true
			}
		case *pg.Node_AExpr:
			for _, o := range p.names.operators(strs(e.AExpr.Name)) {
				if o.Schema != "pg_catalog" && o.Name != "" && p.ownOperator(o) {
					code = true
				}
			}
		}
	})
	return code
}

// ownOperator reports whether an operator belongs to no extension.
func (p *part) ownOperator(o *catalog.Operator) bool {
	f := p.a.snap.Function(o.Function)
	return f == nil || f.Schema != "pg_catalog" && f.Extension == ""
}

func (p *part) createIndex(s *pg.IndexStmt) {
	temp := p.isTemporary(rangeVarParts(orEmpty(s.Relation)))
	p.changes(change{verb: "CREATE", typ: pg.ObjectType_OBJECT_INDEX, name: strings.TrimSpace(s.Idxname + " on " + p.relationText(s.Relation)), temp: temp})
	rel := p.target(s.Relation)
	if rel == nil {
		return
	}
	sc := rowScope(p, rel, nil)
	for _, n := range s.IndexParams {
		if e := n.GetIndexElem().GetExpr(); e != nil {
			p.flow(Column{}, "index", p.expr(e, sc))
		}
	}
	if s.WhereClause != nil {
		p.test(p.expr(s.WhereClause, sc).src)
	}
	p.touchRow(rel)
}

func (p *part) alterTable(s *pg.AlterTableStmt) {
	name := p.relationText(s.Relation)
	temp := p.isTemporary(rangeVarParts(orEmpty(s.Relation)))
	p.changes(change{verb: "ALTER", typ: s.Objtype, name: name, temp: temp})
	rel := p.names.relation(rangeVarParts(orEmpty(s.Relation)))
	for _, n := range s.Cmds {
		c := n.GetAlterTableCmd()
		if c.GetBehavior() == pg.DropBehavior_DROP_CASCADE {
			p.rec.st.Sweeps = true
		}
		switch c.GetSubtype() {
		case pg.AlterTableType_AT_ChangeOwner:
			p.dcl("changes the owner of " + name)
		case pg.AlterTableType_AT_EnableRowSecurity, pg.AlterTableType_AT_DisableRowSecurity,
			pg.AlterTableType_AT_ForceRowSecurity, pg.AlterTableType_AT_NoForceRowSecurity:
			p.dcl("changes row security of " + name)
		case pg.AlterTableType_AT_EnableTrig, pg.AlterTableType_AT_EnableAlwaysTrig, pg.AlterTableType_AT_EnableReplicaTrig,
			pg.AlterTableType_AT_DisableTrig, pg.AlterTableType_AT_EnableTrigAll, pg.AlterTableType_AT_DisableTrigAll,
			pg.AlterTableType_AT_EnableTrigUser, pg.AlterTableType_AT_DisableTrigUser:
			p.effect(Code, "changes which triggers of "+name+" run")
		case pg.AlterTableType_AT_EnableRule, pg.AlterTableType_AT_EnableAlwaysRule, pg.AlterTableType_AT_EnableReplicaRule,
			pg.AlterTableType_AT_DisableRule:
			p.effect(Code, "changes which rules of "+name+" apply")
		case pg.AlterTableType_AT_AttachPartition, pg.AlterTableType_AT_DetachPartition, pg.AlterTableType_AT_DetachPartitionFinalize,
			pg.AlterTableType_AT_AddInherit, pg.AlterTableType_AT_DropInherit:
			// Also where one of the two is temporary, the other may not be.
			p.effect(DDL, "changes what is part of "+name)
		case pg.AlterTableType_AT_AlterColumnGenericOptions, pg.AlterTableType_AT_GenericOptions:
			p.effect(Network, "changes where the rows of "+name+" come from")
		}
		if rel == nil {
			continue
		}
		p.alterExpressions(rel, c)
	}
}

// alterExpressions records what the expressions of an ALTER TABLE read and
// call: they run for every row.
func (p *part) alterExpressions(rel *catalog.Relation, c *pg.AlterTableCmd) {
	sc := rowScope(p, rel, nil)
	column := func(def *pg.ColumnDef, name string) {
		if def.GetRawDefault() != nil {
			p.intoColumn(rel, name, p.expr(def.RawDefault, sc))
		}
		for _, n := range def.GetConstraints() {
			if e := n.GetConstraint().GetRawExpr(); e != nil {
				v := p.expr(e, sc)
				if n.GetConstraint().Contype == pg.ConstrType_CONSTR_CHECK {
					p.test(v.src)
				} else {
					p.intoColumn(rel, name, v)
				}
			}
		}
		if t := def.GetTypeName(); t != nil {
			p.domainChecks(p.typeOf(t), constant(0))
		}
	}
	switch d := c.GetDef().GetNode().(type) {
	case *pg.Node_ColumnDef:
		name := c.Name
		if name == "" {
			name = d.ColumnDef.Colname
		}
		column(d.ColumnDef, name)
	case *pg.Node_Constraint:
		for _, e := range []*pg.Node{d.Constraint.RawExpr, d.Constraint.WhereClause} {
			if e != nil {
				p.test(p.expr(e, sc).src)
			}
		}
		if d.Constraint.Contype == pg.ConstrType_CONSTR_FOREIGN {
			p.effect(DDL, "makes "+relName(rel)+" refer to "+p.relationText(d.Constraint.Pktable))
		}
	}
	if c.GetSubtype() == pg.AlterTableType_AT_ColumnDefault && c.Def != nil {
		p.intoColumn(rel, c.Name, p.expr(c.Def, sc))
	}
	p.touchRow(rel)
}

// intoColumn records what flows into a column that exists, or will.
func (p *part) intoColumn(rel *catalog.Relation, name string, v value) {
	if c := rel.ColumnNamed(name); c != nil {
		p.flow(Column{rel.OID, c.Num}, "", v)
		return
	}
	p.flow(Column{Rel: rel.OID}, "new column "+name, v)
}
