// Package mask puts something harmless in the place of a protected value: a
// value of the same Go type, valid for the column's PostgreSQL type, that scans
// wherever the clear value scans; or NULL where there is no such value.
//
// A policy names a mask (Parse, Decode), the driver binds it to the type of a
// column once (Spec.For) and calls it for every value (Masker.Mask). Masks have
// no errors while rows flow: what a mask does not understand becomes NULL.
//
// # What each mask shows
//
//	mask      arguments       shows                                         hides
//	null                      nothing at all                                whether there was a value
//	redact                    whether the value is NULL                     everything else
//	constant  value           whether the value is NULL                     everything else
//	hash                      which values are equal; see below             the value
//	number    round, bucket   the nearest, or lower, multiple of a step     the rest of the number
//	date      keep            year (default), or year and month             day and time
//	ip        v4, v6          the network: /24 and /48, or as told          the host
//	name                      initials, the number of words                 the rest of each word
//	card      (12-19 digits)  the last four digits, the layout              the other digits
//	phone     (7-15 digits)   the last two digits, the layout               the other digits
//	iban                      country, the last four characters, layout     the rest
//	email                     first letter (of three or more), the domain   the rest of the local part
//	partial   first, last     the runes at both ends                        the middle and its length
//	text                      free text without what Entities finds         addresses, cards, IBANs, numbers
//	code                      SQL or PL/pgSQL without constants, comments   constants, comments
//	                          and numbers of four digits or more
//	jsonpath  paths, rest     the keys on the way to each path, what each   the rest; or nothing else
//	                          path's own mask shows                         with rest: keep
//
// All but null show which values are NULL. Text that has not the form that
// email, card, phone, iban, ip or name expects is masked whole, as is text
// shorter than twice what partial would show.
//
// Masks other than redact, null and constant work on parts: on the elements of
// an array (whose number and dimensions stay visible), the fields of a
// composite (those that the mask does not fit are redacted; which are NULL
// stays visible), the values of an hstore (its keys stay visible) and the
// bounds of a range (only date and number, which keep their order). A part that
// cannot be read (a date under a DateStyle other than ISO, bytea in escape form)
// becomes NULL; a bound or a malformed whole makes the whole value NULL.
//
// Integers and numerics can be masked by partial, card and phone: the hidden
// digits become zero and the sign goes. uuid can be masked by partial.
//
// In a json document a path selects as SQL/JSON does in lax mode: members are
// looked up through arrays. What no path names is dropped (rest: drop, the
// default; null inside an array) or passes (rest: keep). The mask "clear" lets a
// part pass. An object where a path expects a leaf becomes null.
//
// # The hash mask
//
// Equal values have equal tokens, under one key, in every column, table and
// process, so that joins and GROUP BY made on the client still work. That is
// also its limit. It is pseudonymisation: counts, joins and patterns over time
// stay visible, and who can write to the column, or to another with the same
// mask and key, can learn the token of a guess. Small domains (a year of birth)
// are for redact. Without the key a token tells nothing of the value.
//
//	type                  token
//	text and its kin      tok_ and 26 characters (128 bits)
//	int8, float8, numeric a whole number from 2^52 to 2^53 (52 bits), the same in all three
//	int4, oid             from 2^30 to 2^31 (30 bits); values begin to share tokens at about 30,000
//	int2, float4          from 2^14 to 2^15 and 2^23 to 2^24: values share tokens
//	uuid                  version 8, with a checksum in its last four bytes
//	inet, cidr            an address in fd00::/8, likewise
//	macaddr, macaddr8     a locally administered address
//	date, timestamp(tz)   in the years 5000 to 8999
//	bytea, json, jsonb    as text, as bytes or as a JSON string
//
// # Placeholders
//
// What redact gives looks masked where the type has room for that; everywhere
// else it is the value that every Go destination of the type takes.
//
//	text and its kin, bytea   ***                  "char"     *
//	integers, float, numeric  0     only zero fits every Go integer; NaN breaks encoding/json
//	bool                      false                enum       NULL
//	date, timestamp(tz)       0001-01-01, Go's zero time, in UTC, also for infinity
//	time, timetz, interval    00:00:00             money, bit 0
//	uuid                      the nil UUID         inet, cidr 0.0.0.0
//	json, jsonb               null: a string would not decode into a caller's struct
//	xml                       <masked/>            hstore     "***"=>"***"
//	array                     one placeholder of its element; {} where that is NULL
//	composite                 a placeholder in each field, NULL ones included
//	range, multirange         empty, {}
//
// A type of which no valid literal is known gives NULL. A domain is treated as
// its base type: its checks are not evaluated here, so a placeholder may fail
// one when it is written back (which Masker.Resembles is there to prevent).
// Masked values ignore length and precision too: *** can stand in a varchar(2).
//
// # Expressions
//
// A mask that shows a part is for the column itself, under any name. For an
// output that is computed from it use Spec.Derived, and for one that has
// several sources Strictest: both say why.
package mask
