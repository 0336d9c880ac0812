package builtin

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A SettingClass says who may give a setting a value. The zero value is
// Never.
type SettingClass uint8

const (
	Never    SettingClass = iota // the analysis would no longer be true, or nothing is known
	Human                        // a human decides
	Identity                     // carries the identity; the driver decides
	Agent                        // the agent may
)

var settingClassNames = map[string]SettingClass{"never": Never, "human": Human, "identity": Identity, "agent": Agent}

func (c SettingClass) String() string {
	return [...]string{"never", "human", "identity", "agent"}[c]
}

//go:embed settings.txt
var settingsText string

var settings = mustParseSettings(settingsText)

// setting has one class if the value meets the condition, else another.
type setting struct {
	class SettingClass
	meets func(value string) bool // nil is always
	other SettingClass
}

// conditions are over the value that the server is given. What they do not
// recognise does not meet them.
var conditions = map[string]func(string) bool{
	"on":            oneOf("on", "true", "yes", "1", "t", "y"),
	"off":           oneOf("off", "false", "no", "0", "f", "n"),
	"utf8":          oneOf("utf8", "utf-8", "unicode"),
	"safe_encoding": oneOf("safe_encoding", "off"),
	"notice":        oneOf("notice", "warning", "error"),
	"limit":         limit,
	"memory":        memory,
}

// limit reports whether a time limit is one: not zero, and no longer than a day.
// A fraction and microseconds can be rounded to zero.
func limit(value string) bool {
	m := timeLimit.FindStringSubmatch(value)
	if m == nil {
		return false
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	unit := map[string]time.Duration{"": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	return err == nil && n <= int64(24*time.Hour/unit)
}

var timeLimit = regexp.MustCompile(`^ *([1-9][0-9]*) *(ms|s|min|h|d)? *$`)

// memory reports whether an amount of memory is no more than 256 MB.
func memory(value string) bool {
	m := memorySize.FindStringSubmatch(value)
	if m == nil {
		return false
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	return err == nil && n <= map[string]int64{"": 256 << 10, "kB": 256 << 10, "MB": 256}[m[2]]
}

var memorySize = regexp.MustCompile(`^ *([1-9][0-9]*) *(kB|MB)? *$`)

func oneOf(values ...string) func(string) bool {
	return func(value string) bool {
		return slices.Contains(values, strings.ToLower(strings.TrimSpace(value)))
	}
}

// Setting returns who may set the setting to the value in a session. A nil
// value stands for SET ... TO DEFAULT and RESET, which bring back what the
// operator configured. Names are not case-sensitive. SET NAMES, SET TIME ZONE,
// SET ROLE, SET SESSION AUTHORIZATION and SET TRANSACTION set client_encoding,
// timezone, role, session_authorization and the transaction_ settings.
func Setting(name string, value *string) SettingClass {
	name = strings.ToLower(name)
	if current, renamed := renamedSettings[name]; renamed {
		name = current
	}
	s, ok := settings[name]
	switch {
	case !ok && strings.Contains(name, "."):
		return Human
	case !ok:
		return Never
	case s.meets == nil || value == nil || s.meets(*value):
		return s.class
	}
	return s.other
}

// renamedSettings are the older names that the server still takes (guc.c,
// map_old_guc_names).
var renamedSettings = map[string]string{
	"sort_mem":   "work_mem",
	"vacuum_mem": "maintenance_work_mem",
}

func mustParseSettings(text string) map[string]setting {
	list, err := parseSettings(text)
	if err != nil {
		panic("builtin: settings.txt: " + err.Error())
	}
	return list
}

func parseSettings(text string) (map[string]setting, error) {
	list := make(map[string]setting)
	var current *setting
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			s, err := parseSettingHeader(strings.Trim(line, "[]"))
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			current = &s
		case current == nil:
			return nil, fmt.Errorf("line %d: a name needs a header above it", n+1)
		default:
			for _, name := range strings.Fields(line) {
				if _, twice := list[name]; twice {
					return nil, fmt.Errorf("line %d: %q is listed twice", n+1, name)
				}
				list[name] = *current
			}
		}
	}
	return list, nil
}

// parseSettingHeader reads "class" or "class: condition, else class".
func parseSettingHeader(header string) (setting, error) {
	name, rest, conditional := strings.Cut(header, ":")
	class, ok := settingClassNames[name]
	if !ok {
		return setting{}, fmt.Errorf("there is no class %q", name)
	}
	if !conditional {
		return setting{class: class}, nil
	}
	condition, other, _ := strings.Cut(rest, ", else ")
	meets := conditions[strings.TrimSpace(condition)]
	otherClass, ok := settingClassNames[other]
	if meets == nil || !ok {
		return setting{}, fmt.Errorf("a conditional header is [class: condition, else class], not [%s]", header)
	}
	return setting{class, meets, otherClass}, nil
}
