// Package builtin says what the functions, relations and settings that come
// with PostgreSQL and its usual extensions do. It is a reviewed list: the text
// files beside this one, which give the reasons.
package builtin

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// A Class is a set of things that a function does, or that a column tells. The
// zero value is unknown.
type Class uint64

// What has none but these classes has no effect and tells nothing that a
// policy could protect; the arguments of a Pure function flow to its result.
const (
	Pure      Class = 1 << iota // the result comes from the arguments alone
	Aggregate                   // of rows; with Pure
	Window                      // of rows; with Pure
	IO                          // converts a type from or to its external form; with Pure
	Converts                    // to the type that an argument names, and so checks a domain; with Pure
	Internal                    // cannot be called from SQL
	Session                     // the session, the server, time, transaction identifiers
	Random                      // chance
	Catalog                     // names, sizes, privileges and properties of objects
	Counters                    // activity counted over all sessions
)

// Sources of data that are not the arguments.
const (
	Data            Class = 1 << (iota + 16) // contents of tables that the statement does not name
	Table                                    // contents of the table that an argument names
	RunsSQL                                  // the result of a query that an argument holds or names, and its effects
	SQLText                                  // text of statements, also of others
	Definition                               // definitions and comments, which may hold literals
	Secret                                   // passwords and connection strings
	File                                     // files and directories of the server; with an effect, also written
	Activity                                 // what other sessions do, without SQLText
	SettingRead                              // values of settings
	LargeObjectRead                          // contents of large objects
	SequenceRead                             // states of sequences
)

// Effects.
const (
	SettingWrite     Class = 1 << (iota + 32) // sets a setting
	LargeObjectWrite                          // makes, changes or removes large objects
	SequenceWrite                             // advances or sets a sequence
	Notify                                    // sends a notification
	AdvisoryLock                              // takes or gives back advisory locks
	Sleep                                     // waits
	Signal                                    // interrupts or instructs other processes
	Replication                               // controls WAL, backup, recovery or replication
	SnapshotExport                            // lets other sessions see what this one sees
	Maintenance                               // works on indexes, caches, libraries or counters
	CatalogWrite                              // writes system catalogs
	Network                                   // talks to other servers
	Trigger                                   // changes or skips the row; can be called as a trigger only
)

// Harmless are the classes without effect or data of their own.
const Harmless = Pure | Aggregate | Window | IO | Internal | Session | Random | Catalog | Counters

// Sources are the classes of data that do not come from the arguments, and
// Effects those of effects. Converts is neither: it depends on the type.
const (
	Sources = Data | Table | RunsSQL | SQLText | Definition | Secret | File | Activity | SettingRead | LargeObjectRead | SequenceRead
	Effects = RunsSQL | SettingWrite | LargeObjectWrite | SequenceWrite | Notify | AdvisoryLock | Sleep | Signal | Replication |
		SnapshotExport | Maintenance | CatalogWrite | Network | Trigger
)

var classNames = map[string]Class{
	"pure": Pure, "aggregate": Aggregate, "window": Window, "io": IO, "converts": Converts, "internal": Internal,
	"session": Session, "random": Random, "catalog": Catalog, "counters": Counters,
	"data": Data, "table": Table, "runs_sql": RunsSQL, "sql_text": SQLText, "definition": Definition, "secret": Secret, "file": File,
	"activity": Activity, "setting_read": SettingRead, "large_object_read": LargeObjectRead, "sequence_read": SequenceRead,
	"setting_write": SettingWrite, "large_object_write": LargeObjectWrite, "sequence_write": SequenceWrite, "notify": Notify,
	"advisory_lock": AdvisoryLock, "sleep": Sleep, "signal": Signal, "replication": Replication, "snapshot_export": SnapshotExport,
	"maintenance": Maintenance, "catalog_write": CatalogWrite, "network": Network, "trigger": Trigger,
}

// String names the classes, as the lists do.
func (c Class) String() string {
	if c == 0 {
		return "unknown"
	}
	var names []string
	for bit := Class(1); bit != 0; bit <<= 1 {
		if c&bit == 0 {
			continue
		}
		for name, class := range classNames {
			if class == bit {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ")
}

//go:embed functions.txt
var functionsText string

//go:embed relations.txt
var relationsText string

var (
	functions = mustParse("functions.txt", functionsText)
	relations = mustParse("relations.txt", relationsText)
)

// Function returns the classes of the functions of this name in pg_catalog, in
// information_schema or, wherever they are installed, of an extension. It is
// false, and the classes are unknown, when they are on no list.
func Function(schemaOrExtension, name string) (Class, bool) {
	c := functions[schemaOrExtension].class(name)
	return c, c != 0
}

// RelationColumn returns the classes of a column of a relation in pg_catalog,
// in information_schema or of an extension; zero, which is unknown, when the
// relation is on no list.
func RelationColumn(schemaOrExtension, relation, column string) Class {
	l := relations[schemaOrExtension]
	if c := l.class(relation + "." + column); c != 0 {
		return c
	}
	return l.class(relation)
}

// A list is what the names of one schema or extension stand for.
type list struct {
	exact    map[string]Class
	patterns []pattern
}

// A pattern matches the names with a prefix; the empty one matches all.
type pattern struct {
	prefix string
	class  Class
}

func (l *list) class(name string) Class {
	if l == nil {
		return 0
	}
	if c, ok := l.exact[name]; ok {
		return c
	}
	var best pattern
	for _, p := range l.patterns {
		if strings.HasPrefix(name, p.prefix) && (best.class == 0 || len(p.prefix) > len(best.prefix)) {
			best = p
		}
	}
	return best.class
}

func mustParse(file, text string) map[string]*list {
	lists, err := parse(text)
	if err != nil {
		panic(fmt.Sprintf("builtin: %s: %v", file, err))
	}
	return lists
}

func parse(text string) (map[string]*list, error) {
	lists := make(map[string]*list)
	var current *list
	var class Class
	for n, line := range strings.Split(text, "\n") {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("line %d: %s", n+1, fmt.Sprintf(format, args...))
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			owner, classes, ok := strings.Cut(strings.Trim(line, "[]"), ":")
			if !ok {
				return nil, fail("a header is [schema-or-extension: class class]")
			}
			class = 0
			for _, name := range strings.Fields(classes) {
				c, known := classNames[name]
				if !known {
					return nil, fail("there is no class %q", name)
				}
				class |= c
			}
			if class == 0 {
				return nil, fail("a header needs a class")
			}
			if current = lists[owner]; current == nil {
				current = &list{exact: make(map[string]Class)}
				lists[owner] = current
			}
			continue
		}
		if current == nil {
			return nil, fail("a name needs a header above it")
		}
		for _, name := range strings.Fields(line) {
			if _, twice := current.exact[name]; twice {
				return nil, fail("%q is listed twice", name)
			}
			prefix, rest, star := strings.Cut(name, "*")
			if rest != "" {
				return nil, fail("%q has its star before the end", name)
			}
			if star {
				if slices.ContainsFunc(current.patterns, func(p pattern) bool { return p.prefix == prefix }) {
					return nil, fail("%q is listed twice", name)
				}
				current.patterns = append(current.patterns, pattern{prefix, class})
				continue
			}
			current.exact[name] = class
		}
	}
	return lists, nil
}
