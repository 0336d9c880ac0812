// Package audit records what was done to a database, so that a later alteration
// of the record shows.
//
// A [Trail] is the sink that keeps records on disk; [Verify] checks one. The
// rest of this page specifies what a trail's bytes are, for programs that are
// not ours. testdata/verify.py is one.
//
// # A directory of trails
//
// Each process writes a trail of its own, an incarnation, into a directory of
// its own. An incarnation is named by the time when it began and by chance:
//
//	20261123T033510.489250Z-32b486b4/
//	    lock                     locked (flock) while the process lives
//	    00000001.jsonl ...       segments
//	    payload/00000001.zst     what was delivered, in zstd frames
//	    sealed/20261123.default.00000001   sealed originals
//	    keys/20261123.default.age          the key that opens them, wrapped
//
// # Lines
//
// A segment is lines of UTF-8, each a JSON object and a newline. Its file is
// allocated ahead, so zero bytes may follow the last line; they are not part of
// the trail. The segments' lines, in order of their numbers, are the trail. A
// line begins with these members, in this order and without white space:
//
//	line    = `{"seq":` number `,"prev":"` hash `","time":"` time
//	          `","kind":"` kind `","trail":"` incarnation `"`
//	          [`,"session":` string] [`,"statement":` string] {`,` member} `}`
//	number  = the line's number, from 1, without leading zeros
//	hash    = base64 of the hash of the line before; of 32 zero bytes in line 1
//	time    = RFC 3339 in UTC with up to nine decimals
//	kind    = lower-case letters and "_", see [Kind]
//
// The other members are those of [Record] by their JSON names. A text that must
// be exact and is not UTF-8 (a statement, an argument) stands in base64 under its
// name with "_base64" appended. Readers ignore members that they do not know. A
// line is at most 2^30 bytes long.
//
// The hash of a line is SHA-256 over a zero byte and the line without its
// newline: the leaf hash of RFC 6962, section 2.1. So one hash per line serves
// both the chain and a Merkle tree.
//
// # Beginning and end
//
// Line 1 has kind "open". Its detail holds "format" (this is "1"), "origin" (a
// name, a slash, the incarnation) and "key", the base64 of the Ed25519 public key
// that signs the first seal. Its heads name the trails in the same directory that
// had ended by then and that no other names: origin, number and hash of the last
// line, first key, the torn tail if there is one, and "lost": references to chunks
// in their last lines that were not there. It is followed by a "recovered" record
// for each of their statements (of kind intent, begin, commit or rollback) that has
// neither outcome nor refusal, and a seal.
//
// A trail that ended in good order has a "close" record and a seal without a
// next key as its last two lines. A crash can leave bytes after the last line
// that are none: a torn write. They are kept. The tail that the successor names
// is everything from the first byte that is not in a line of the chain to the
// last byte that is not zero, over this and all later segments, each without its
// zeros at the end.
//
// # Seals
//
// Every line up to one of kind "seal" was on stable storage when somebody was
// told so. Its member "seal" holds "root", "next" and "sig" in base64: the root
// of the RFC 6962 tree whose leaves are all lines before it, the public key that
// must sign the next seal, and an Ed25519 signature (RFC 8032) by the key that
// the seal before named, or the open record for the first, over this text:
//
//	origin                  that of the open record
//	number                  of lines before the seal, its seq less one
//	root
//	head hash               prev, as in the line
//	time time               as in the line
//	next key                the rest is empty in the last seal
//
// Each line of it ends in a newline; the words head, time and next stand as
// they are, followed by one space. Besides what is signed a seal has nothing:
// it must be the very bytes that follow from it.
//
// The private key of a seal is wiped once it has signed. Who takes over the
// process has the key of the next seal and can alter nothing that was sealed.
//
// The text is a checkpoint of the form tlog-checkpoint (c2sp.org), and
// [Seal.Note] makes a signed note of golang.org/x/mod/sumdb/note from a seal, so
// that golang.org/x/mod/sumdb/tlog proves that a single record is in a trail.
//
// # A worked example
//
// testdata/example is a trail of seven lines. Its second:
//
//	{"seq":2,"prev":"8YniFu4IJJdlTURVIQ9OFrfvohfgVEHtQk9IGbM7UP4=","time":
//	"2026-11-23T03:35:10.495110366Z","kind":"seal","trail":
//	"20261123T033510.489250Z-32b486b4","seal":{"root":"8Yni..","next":"kGWV..","sig":".."}}
//
// The third names its hash, which standard tools compute:
//
//	$ (printf '\0'; sed -n 2p 00000001.jsonl | tr -d '\n') |
//	    openssl dgst -sha256 -binary | base64
//	fTpLHaxsQJTIOx4j5e+NAmBvYJoFZHuVOPP3DidIUC0=
//	$ sed -n 3p 00000001.jsonl | cut -c1-61
//	{"seq":3,"prev":"fTpLHaxsQJTIOx4j5e+NAmBvYJoFZHuVOPP3DidIUC0=
//
// The seal in line 5 signs the following text. The key is "next" of line 2: it
// becomes an OpenSSL key with the prefix 302a300506032b6570032100.
//
//	$ cat text
//	shop-agent/20261123T033510.489250Z-32b486b4
//	4
//	+XwVRAzPuP3tahJoHi9TRCAPSve3wCRuaK5ojjGS8rw=
//	head bLIMG52nHCN7gjQzAv3xpCfnPv4TGHd6e5EqWL3eOZs=
//	time 2026-11-23T03:35:10.533353295Z
//	next mapjgMgaJXOfK5QT3R0yrSRUYZrnXPtwKFKqb2dxBTk=
//	$ openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin \
//	    -in text -sigfile sig
//	Signature Verified Successfully
//
// # Payloads
//
// outcome.payload says what was delivered. Its digest is SHA-256, in hex, over a
// stream: the text "guardedpg payload 1" and a newline; the number of columns;
// each column's name; then the rows. A row is the byte 'R' and its values. Numbers
// are big-endian of 32 bits unless said otherwise; a text is its length and its
// bytes. A value is one byte that says what it is, and
//
//	n  NULL            i  64-bit integer       s  text
//	t  true            d  IEEE 754 double      b  bytes, as text
//	f  false           T  64-bit seconds since 1970, nanoseconds, zone in seconds
//
// In mode "full" the first "stored" bytes of the stream are kept, up to the end
// of a row, in the chunks that "chunks" names in order. A reference is
//
//	file ":" offset "+" length ":" SHA-256 of the chunk as stored, in hex
//
// and the chunk a zstd frame: zstd -dc payload/00000001.zst prints them all.
//
// # Sealed originals
//
// The member "sealed" of a mask or of the SQL holds references, separated by
// spaces. The chunk is a nonce of 12 bytes and what AES-256-GCM made of the plain
// text under it, with the additional data "guardedpg sealed 1", the incarnation and
// the statement's id, each followed by a newline. The key belongs to one retention
// class and one day: for sealed/20261123.default.00000001 it is in
// keys/20261123.default.age, in hex, encrypted to the auditors:
//
//	$ age -d -i auditor.key keys/20261123.default.age
//
// The originals of a mask are a row of entries, each three numbers as unsigned
// LEB128 (the row from 0, the column from 0, the length) and the value's bytes.
// All masks of a statement may share one reference. When a key is made, a "key"
// record has the reference of its file as "chunk" of its detail. Deleting the
// wrapped key shreds what is sealed with it; a "shredded" record in this trail or
// another has its path and SHA-256, and counts where a tombstone would. A file that
// is gone without one is missed. Hashes cover what is stored, so a trail verifies
// without opening a key, and after it was shredded.
//
// # Retention
//
// Trails that ended may be deleted whole, once a later one has named their end.
// A "tombstone" record in a running trail, synced before, has their heads, and
// those in the tombstones that are deleted with them. Whoever verifies then expects
// neither them nor their continuation. A tombstone counts where it stands under a
// good seal of another trail that shows no alteration and, if there is an anchor,
// one that the anchor knows.
//
// # What verification proves
//
// The chain and the seals show every change to what was sealed, made by anybody
// who did not have the key of that seal. They do not show that the end is
// missing, nor that the whole was replaced by another trail: an [Anchor] shows
// that, and a later trail shows it of an earlier. What came after the last seal, at
// most some 50 ms before a process died, is vouched for only by the trail that
// follows, which somebody may have begun after he cut the first: without an anchor
// a trail that was not closed is never called good. With one, so is only a trail
// that the anchor has seen, or whose end such a trail names. [Verify] says for each
// trail what cannot be known. [Prove] takes one record out of a trail with the
// proof that it was there.
package audit
