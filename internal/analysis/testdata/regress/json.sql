-- json and jsonb: operators, functions, paths, constructors, set-returning.
CREATE TABLE doc (id int PRIMARY KEY, j json, b jsonb, key text DEFAULT 'k', path text[] DEFAULT '{k}', jp jsonpath DEFAULT '$.k');
INSERT INTO doc (id, j, b) VALUES (1, '{"k": 1, "a": [1, 2, {"x": "y"}]}', '{"k": {"n": 1}, "tags": ["p", "q"], "s": "text"}'), (2, '[1, 2]', '[{"k": 2}, {"k": 3}]'), (3, NULL, 'null');
SELECT j -> 'k', j ->> 'k', b -> 'k', b ->> 's', b -> 'tags' -> 0, b #> '{k,n}', b #>> '{k,n}', j #>> path FROM doc WHERE id = 1;
SELECT b -> key, b ->> key, b #> path, b[key], b['k']['n'], b['tags'][0] FROM doc WHERE id = 1;
SELECT b @> '{"s": "text"}', b <@ b, b ? 'k', b ?| ARRAY['a', 'k'], b ?& path, b || '{"new": 1}', b - 'k', b #- '{k,n}' FROM doc WHERE id = 1;
SELECT b = '{}', b < '[]', j::text = '1', b::text, j::jsonb, b::json FROM doc;
SELECT json_typeof(j), jsonb_typeof(b), json_array_length('[1,2]'), jsonb_array_length('[1]') FROM doc;
SELECT jsonb_set(b, '{k}', to_jsonb(id)), jsonb_insert(b, '{tags,0}', '"z"'), jsonb_set_lax(b, '{k}', NULL), jsonb_strip_nulls(b) FROM doc WHERE id = 1;
SELECT jsonb_pretty(b), json_strip_nulls(j), jsonb_object_field(b, 'k'), json_object_field_text(j, 'k'), jsonb_extract_path(b, 'k', 'n'), jsonb_extract_path_text(b, VARIADIC path) FROM doc WHERE id = 1;
SELECT to_json(id), to_jsonb(key), row_to_json(doc), row_to_json(ROW(id, key), true), to_jsonb(doc) FROM doc;
SELECT json_build_object('a', id, 'b', j), jsonb_build_object(key, id), json_build_array(id, key), jsonb_build_array(b, doc) FROM doc;
SELECT json_object('{a,1,b,2}'), jsonb_object(path, path), json_object(ARRAY['a'], ARRAY[key]), array_to_json(path) FROM doc;
SELECT json_agg(id), jsonb_agg(b ORDER BY id), json_object_agg(key, id), jsonb_object_agg(id, key) FROM doc;
SELECT json_agg(doc ORDER BY id) FILTER (WHERE id > 1), jsonb_agg(DISTINCT key) FROM doc;
SELECT jsonb_agg(x) FROM (SELECT id, key FROM doc) x;
SELECT jsonb_agg(to_jsonb(d) - 'b') FROM doc d;
SELECT key, value FROM json_each('{"a": 1}');
SELECT e.key, e.value FROM doc, jsonb_each(b) AS e WHERE id = 1;
SELECT d.id, e.* FROM doc d, LATERAL jsonb_each_text(d.b) e WHERE d.id = 1;
SELECT id, jsonb_object_keys(b) FROM doc WHERE id = 1;
SELECT id, el FROM doc, jsonb_array_elements(b -> 'tags') AS el WHERE id = 1;
SELECT jsonb_array_elements_text(b -> 'tags') FROM doc WHERE id = 1;
SELECT t FROM doc, json_array_elements_text(j -> 'a') WITH ORDINALITY AS x (t, n) WHERE id = 1;
SELECT r.a, r.s FROM doc, jsonb_to_record(b) AS r (a int, s text) WHERE id = 1;
SELECT r.* FROM doc, jsonb_to_recordset(b) AS r (k int) WHERE id = 2;
SELECT * FROM json_to_recordset('[{"a": 1, "b": "x"}]') AS t (a int, b text);
CREATE TYPE doc_row AS (k int, s text);
SELECT (jsonb_populate_record(NULL::doc_row, b -> 0)).* FROM doc WHERE id = 2;
SELECT p.k, p.s FROM doc, jsonb_populate_record(NULL::doc_row, b - 'k') p WHERE id = 1;
SELECT * FROM jsonb_populate_recordset(NULL::doc_row, (SELECT b FROM doc WHERE id = 2));
SELECT (json_populate_record(ROW(1, 'd')::doc_row, '{"k": 5}')).s;
SELECT jsonb_path_query(b, '$.tags[*]'), id FROM doc WHERE id = 1;
SELECT jsonb_path_query_array(b, '$.tags[*]'), jsonb_path_query_first(b, jp), jsonb_path_exists(b, '$.k'), jsonb_path_match('true', '$') FROM doc WHERE id = 1;
SELECT b @? '$.k', b @@ '$.k.n == 1', jsonb_path_query(b, '$.tags ? (@ == $x)', jsonb_build_object('x', key)) FROM doc WHERE id = 1;
SELECT q FROM doc, jsonb_path_query(b, 'strict $') AS q;
SELECT '$.a'::jsonpath, jp::text FROM doc;
SELECT (b -> 'k' ->> 'n')::int + id AS n FROM doc WHERE id = 1;
SELECT CASE WHEN jsonb_typeof(b) = 'object' THEN b -> 'k' ELSE to_jsonb(id) END FROM doc;
SELECT coalesce(b ->> 's', j ->> 0, key) FROM doc;
SELECT count(*), b -> 'k' AS k FROM doc GROUP BY b -> 'k' ORDER BY k;
SELECT max((b ->> 's')) OVER (PARTITION BY key), id FROM doc;
WITH keys AS (SELECT id, jsonb_object_keys(b) AS k FROM doc WHERE jsonb_typeof(b) = 'object') SELECT k, count(*) FROM keys GROUP BY k;
SELECT d.* FROM (SELECT jsonb_build_object('row', doc) AS whole FROM doc) d;
SELECT whole -> 'row' ->> 'key' FROM (SELECT jsonb_build_object('row', doc) AS whole FROM doc) d;
--! error 22P02
SELECT '{bad'::json;
--! error 22023
SELECT jsonb_array_length(b) FROM doc WHERE id = 1;
--! error 42883
SELECT j = j FROM doc;
UPDATE doc SET b['k']['n'] = to_jsonb(id), j = b::json WHERE id = 1 RETURNING b -> 'k';
UPDATE doc SET b = b || jsonb_build_object('copy', key) WHERE id = 1;
INSERT INTO doc (id, b) SELECT id + 10, jsonb_build_object('from', d) FROM doc d RETURNING b;
CREATE INDEX doc_b ON doc USING gin (b jsonb_path_ops);
CREATE INDEX doc_s ON doc ((b ->> 's'));
SELECT id FROM doc WHERE b @> '{"s": "text"}' AND b ->> 's' = 'text';
DELETE FROM doc WHERE b @> '{}' RETURNING b, key;
DROP TABLE doc;
DROP TYPE doc_row;
-- Newer syntax than the server's is analyzed only.
CREATE TABLE doc (id int, t text, b jsonb);
--! analyze
SELECT JSON_OBJECT('id': id, 'text': t ABSENT ON NULL) FROM doc;
--! analyze
SELECT JSON_OBJECT('id' VALUE id, t VALUE b FORMAT JSON WITH UNIQUE KEYS RETURNING jsonb) FROM doc;
--! analyze
SELECT JSON_ARRAY(id, t, b NULL ON NULL) FROM doc;
--! analyze
SELECT JSON_ARRAY(SELECT t FROM doc ORDER BY id RETURNING jsonb);
--! analyze
SELECT JSON_OBJECTAGG(t: b RETURNING jsonb) FROM doc;
--! analyze
SELECT JSON_OBJECTAGG(t VALUE id) FILTER (WHERE id > 1) OVER (PARTITION BY t) FROM doc;
--! analyze
SELECT JSON_ARRAYAGG(t ORDER BY id RETURNING json), JSON_ARRAYAGG(doc NULL ON NULL) FROM doc;
--! analyze
SELECT t IS JSON, t IS NOT JSON OBJECT, t IS JSON ARRAY WITH UNIQUE KEYS, t IS JSON SCALAR FROM doc;
--! analyze
--! unparsed
SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$.a'));
DROP TABLE doc;
