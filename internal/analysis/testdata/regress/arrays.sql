-- Arrays, subscripts, slices, unnest.
CREATE TYPE pair AS (x int, y text);
CREATE TABLE arr (id int PRIMARY KEY, i int[], t text[], m int[][], p pair[], pr pair, n numeric[] DEFAULT '{}', d date[3]);
INSERT INTO arr VALUES (1, '{1,2,3}', ARRAY['a', 'b'], '{{1,2},{3,4}}', ARRAY[ROW(1, 'x')::pair, ROW(2, 'y')::pair], ROW(3, 'z'), '{1.5}', ARRAY[date '2024-01-01']), (2, '[0:1]={7,8}', '{}', NULL, NULL, NULL, NULL, NULL);
SELECT i[1], i[2:3], i[:2], i[2:], i[:], m[1][2], m[1:1][1:2], t[id] FROM arr;
SELECT (i || 4)[4], (ARRAY[1, 2, id])[3], ('{4,5}'::int[])[1], (string_to_array('a b', ' '))[2] FROM arr;
SELECT p[1].x, (p[1]).y, (p[id]).*, p[2] FROM arr;
SELECT (pr).x, (pr).*, pr FROM arr;
SELECT array_length(i, 1), cardinality(i), array_ndims(m), array_dims(m), array_lower(i, 1), array_upper(i, 1) FROM arr;
SELECT array_append(i, 9), array_prepend(0, i), array_cat(i, i), array_remove(i, 2), array_replace(t, 'a', 'z') FROM arr;
SELECT array_position(t, 'b'), array_positions(i, 1), array_fill(id, ARRAY[2]), array_to_string(i, ','), trim_array(i, 1) FROM arr;
SELECT i || i, i || 5, 5 || i, t || 'c'::text, m || i[1:2] FROM arr WHERE id = 1;
SELECT i @> ARRAY[1], i <@ ARRAY[1, 2, 3, 4], i && ARRAY[9], i = t::int[] FROM arr WHERE id = 2;
SELECT i = '{1,2,3}', i < i || 1, i <> ARRAY[id], t > '{}' FROM arr;
SELECT 2 = ANY (i), 2 <> ALL (i), id = SOME (i), 'a' LIKE ANY (t), id IN (SELECT unnest(i)) FROM arr;
SELECT unnest(i), unnest(t) FROM arr;
SELECT u FROM arr, unnest(i) AS u;
SELECT u.v, u.o FROM arr, unnest(t) WITH ORDINALITY AS u (v, o);
SELECT a, b FROM arr, unnest(i, t) AS u (a, b);
SELECT x, y FROM arr, unnest(p);
SELECT q.x, q.y, q.ordinality FROM arr, unnest(p) WITH ORDINALITY AS q;
SELECT q FROM arr, unnest(p) AS q;
SELECT (q).x FROM arr CROSS JOIN LATERAL unnest(p) AS q;
SELECT (unnest(p)).* FROM arr;
SELECT id, s FROM arr, generate_subscripts(i, 1) AS s;
SELECT ARRAY(SELECT t2.id FROM arr t2 ORDER BY 1), ARRAY[[1, 2], [3, id]] FROM arr;
SELECT ARRAY[id, NULL], ARRAY[]::text[], ARRAY['a', NULL]::text[], ARRAY[pr, pr] FROM arr;
SELECT array_agg(i[1]), array_agg(id ORDER BY id DESC), array_agg(t) FILTER (WHERE id = 1) FROM arr;
SELECT i::text, i::bigint[], '{1,2}'::int[], t::varchar[], n::int[], cast(i AS text[]) FROM arr;
SELECT array_to_json(i), to_json(t), row_to_json(arr), jsonb_agg(i) FROM arr GROUP BY arr.id;
SELECT d[1] + 1, d[1]::text FROM arr;
SELECT width_bucket(id, i), int4larger(i[1], i[2]) FROM arr WHERE id = 1;
SELECT array_in(array_out(i)::cstring, 23, -1)::text FROM arr;
SELECT max(i), min(t), count(DISTINCT m) FROM arr;
SELECT * FROM arr WHERE i[1] = 1 AND t @> '{a}' ORDER BY i[2];
SELECT a.i[1] AS first, (a.i)[2] AS second, (SELECT max(e) FROM unnest(a.i) e) AS most FROM arr a;
SELECT a.*, e FROM arr a LEFT JOIN unnest(a.i) e ON e > 1;
UPDATE arr SET i[2] = 20, t[3:4] = ARRAY['c', 'd'] WHERE id = 1 RETURNING i, t;
UPDATE arr SET p[1].y = 'new', pr.x = id + 1 WHERE id = 1;
UPDATE arr SET p[1] = ROW(i[1], t[1])::pair, m[1][1] = id WHERE id = 1 RETURNING p[1].x;
UPDATE arr SET i = i || (SELECT array_agg(x) FROM generate_series(1, 3) x) WHERE id = 2;
INSERT INTO arr (id, i[1], i[2], pr.x, pr.y) VALUES (3, 1, 2, 3, 'four') RETURNING pr, i;
--! error 2202E
SELECT ARRAY[[1, 2], [3]];
--! error 42804
SELECT id[1] FROM arr;
--! error 42809
SELECT 1 = ANY (id) FROM arr;
--! error 22P02
SELECT '{1,2'::int[];
DELETE FROM arr WHERE 2 = ANY (i);
ALTER TYPE pair ADD ATTRIBUTE z date;
SELECT (pr).z, pr, p[1].z FROM arr;
ALTER TYPE pair DROP ATTRIBUTE y;
SELECT (pr).*, (p[1]).* FROM arr;
DROP TABLE arr;
DROP TYPE pair;
