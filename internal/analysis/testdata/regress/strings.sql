-- Strings, regular expressions, binary strings, formatting.
CREATE TABLE word (id int, w text, v varchar(20), c char(8), n name, b bytea, u uuid);
INSERT INTO word VALUES (1, 'Alpha beta', 'vee', 'cee', 'enn', '\x0102ff', '11111111-1111-1111-1111-111111111111'), (2, 'gamma', NULL, 'dd', 'x', '\x00', NULL);
SELECT w || v, w || id, id || w, 'x' || w FROM word;
SELECT upper(w), lower(v), initcap(c), length(w), char_length(v), octet_length(b), bit_length(w) FROM word;
SELECT substring(w from 2 for 3), substring(w from 3), substring(w for 2), substring(w from '[a-z]+') FROM word;
SELECT substring(w similar '%#"a#"%' escape '#') FROM word;
SELECT substr(w, 2, 3), left(w, 2), right(w, 2), lpad(w, 12, '*'), rpad(w, 12) FROM word;
SELECT position('a' in w), strpos(w, 'a'), overlay(w placing 'XX' from 2 for 1) FROM word;
SELECT trim(w), trim(both 'a' from w), trim(leading from c), btrim(w, 'A'), ltrim(w), rtrim(w) FROM word;
SELECT replace(w, 'a', v), translate(w, 'abc', 'xyz'), reverse(w), repeat(w, 2), split_part(w, ' ', 1) FROM word;
SELECT concat(w, v, id), concat_ws('-', w, v, c), format('%s %I %L %1$s', w, n, v) FROM word;
SELECT format('%s-%s', VARIADIC ARRAY[w, v]) FROM word;
SELECT ascii(w), chr(id + 64), md5(w), quote_ident(w), quote_literal(v), quote_nullable(v) FROM word;
SELECT encode(b, 'hex'), decode(encode(b, 'base64'), 'base64'), sha256(b), get_byte(b, 0), set_byte(b, 0, 9) FROM word;
SELECT convert_from(substring(b from 1 for 1), 'LATIN1') FROM word WHERE id = 1;
SELECT convert_to(w, 'UTF8'), to_hex(id), substring(b from 2 for 1), overlay(b placing '\x00' from 1) FROM word;
SELECT w LIKE 'A%', w NOT LIKE '%b', w ILIKE v, w LIKE 'A#%' ESCAPE '#' FROM word;
SELECT w SIMILAR TO '(A|g)%', w NOT SIMILAR TO 'x' FROM word;
SELECT w ~ 'a', w ~* 'A', w !~ 'b', w !~* 'B', w ~~ 'a%', w ^@ 'Al', starts_with(w, 'g') FROM word;
SELECT regexp_match(w, '(\w)(\w)'), regexp_replace(w, 'a', v, 'g'), regexp_split_to_array(w, '\s') FROM word;
SELECT regexp_matches(w, 'a', 'g'), id FROM word;
SELECT regexp_split_to_table(w, ' ') AS part FROM word;
--! since 15
SELECT regexp_count(w, 'a'), regexp_instr(w, 'a'), regexp_like(w, 'a'), regexp_substr(w, '[a-z]+') FROM word;
SELECT string_to_array(w, ' '), array_to_string(string_to_array(w, ' '), '+') FROM word;
SELECT s FROM word, string_to_table(w, ' ') AS s;
SELECT to_char(id, '000'), to_char(now(), 'YYYY'), to_number('12', '99'), to_date('2020', 'YYYY'), to_timestamp(id) FROM word;
SELECT w COLLATE "C" FROM word ORDER BY w COLLATE "C" DESC;
SELECT w < v, w = c, v >= 'a', n = w, c = 'cee' FROM word;
SELECT greatest(w, v), least(w, c), coalesce(v, w), nullif(w, v) FROM word;
SELECT cast(id AS text), id::varchar, w::varchar(3), w::char(2), w::name, c::text FROM word;
SELECT text 'lit', varchar(3) 'abcdef', E'a\tb', U&'\0061', 'a'
  'b', $q$dollar$q$, B'101', X'1F';
SELECT normalize(w, NFC), w IS NORMALIZED, w IS NOT NFKC NORMALIZED, unistr('\0061') FROM word;
SELECT parse_ident('a.b'), pg_typeof(w), collation for (w), pg_client_encoding() FROM word;
SELECT u::text, gen_random_uuid() IS NOT NULL, u = '11111111-1111-1111-1111-111111111111' FROM word;
SELECT hashtext(w), hashtextextended(w, 1), crc.x FROM word, LATERAL (SELECT md5(w) AS x) crc;
SELECT length(b), b || '\xff', b = '\x00', trim('\x00'::bytea from b), bit_count(b) FROM word;
SELECT w[1] FROM (SELECT string_to_array(w, ' ') AS w FROM word) q;
SELECT string_agg(left(w, 1), '' ORDER BY w DESC) FROM word;
SELECT upper(w) AS w FROM word ORDER BY w;
SELECT 'a' AS unknown_type, NULL AS nothing, 1 AS one;
SELECT quote_literal(id), pg_size_pretty(id::bigint) FROM word;
--! error 22011
SELECT substring(w from 1 for -1) FROM word;
--! error 2201B
SELECT w ~ '(' FROM word;
--! error 22P02
SELECT 'x'::int;
--! error 42883
SELECT upper(w, w) FROM word;
--! error 42703
SELECT nothing_there FROM word;
--! error 22012
UPDATE word SET w = (1 / 0)::text;
UPDATE word SET (w, v) = (SELECT 'x', c FROM word LIMIT 1) WHERE id = 2 RETURNING *;
UPDATE word SET b = '\x01' || b WHERE b IS NOT NULL;
DELETE FROM word WHERE w SIMILAR TO 'x%' RETURNING length(w) AS len, n;
DROP TABLE word;
