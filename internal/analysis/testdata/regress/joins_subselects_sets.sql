-- Joins, subselects, set operations, VALUES, DISTINCT, ordering, limits.
CREATE TABLE a (id int PRIMARY KEY, x int, s text);
CREATE TABLE b (id int, a_id int REFERENCES a, y int, s text);
CREATE TABLE c (id int, z numeric, d date);
INSERT INTO a VALUES (1, 10, 'one'), (2, 20, 'two'), (3, NULL, NULL);
INSERT INTO b VALUES (1, 1, 100, 'uno'), (2, 1, 200, 'dos'), (4, NULL, 400, 'quatro');
INSERT INTO c VALUES (1, 1.5, '2024-01-01'), (5, 2.5, NULL);
SELECT * FROM a, b;
SELECT a.*, b.y FROM a JOIN b ON a.id = b.a_id;
SELECT * FROM a LEFT JOIN b ON a.id = b.a_id AND b.y > 100;
SELECT * FROM a RIGHT JOIN b USING (id);
SELECT id, a.id, b.id, a.s, b.s FROM a FULL JOIN b USING (id);
SELECT * FROM a NATURAL JOIN c;
SELECT * FROM a NATURAL LEFT JOIN c NATURAL FULL JOIN b;
SELECT j.id, a.x, c.z FROM a JOIN c USING (id) AS j, a AS other;
--! error 42P01
SELECT a.id FROM a AS renamed;
SELECT u.id FROM a JOIN b USING (id) AS u;
SELECT u.* FROM a JOIN b USING (id, s) AS u;
SELECT u FROM a JOIN b USING (id) AS u;
SELECT ab.id, ab.x, ab.y FROM (a JOIN b USING (id)) AS ab;
SELECT q.k, q.l FROM (a CROSS JOIN c) AS q (k, l);
SELECT x1.id, x2.id FROM a x1 JOIN a x2 ON x1.x < x2.x;
SELECT a.s, b.s, c.z FROM a LEFT JOIN (b JOIN c ON b.id = c.id) ON a.id = b.a_id;
SELECT a.s FROM a LEFT JOIN b ON true LEFT JOIN c ON c.id = b.id WHERE c.z IS NULL;
SELECT a.id FROM ((a JOIN b ON a.id = b.id) JOIN c ON c.id = a.id);
SELECT l.* FROM a, LATERAL (SELECT a.x + b.y AS total, b.s FROM b WHERE b.a_id = a.id) l;
SELECT a.id, l.top FROM a LEFT JOIN LATERAL (SELECT max(y) AS top FROM b WHERE a_id = a.id) l ON true;
SELECT a.id, g FROM a, generate_series(1, a.x / 10) g;
SELECT * FROM a JOIN LATERAL (VALUES (a.x), (a.id)) AS v (n) ON v.n > 1;
SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY['a', 'b'])) WITH ORDINALITY AS r (n, t, o);
SELECT (SELECT s FROM b WHERE b.id = a.id) AS bs, a.id FROM a;
SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a_id = a.id);
SELECT id FROM a WHERE NOT EXISTS (SELECT FROM b WHERE a_id = a.id AND y > (SELECT avg(y) FROM b));
SELECT id FROM a WHERE id IN (SELECT a_id FROM b) AND x NOT IN (SELECT y FROM b);
SELECT x > ALL (SELECT y FROM b WHERE a_id = a.id), x = ANY (SELECT y / 10 FROM b), x <> SOME (VALUES (1), (2)) FROM a;
SELECT (id, x) = (SELECT 1, 10), (id, s) IN (SELECT a_id, s FROM b), (x, id) < (20, 5), ROW(id, x) <> (SELECT id, x FROM a LIMIT 1) FROM a;
SELECT ARRAY(SELECT y FROM b WHERE a_id = a.id ORDER BY y), (SELECT count(*) FROM b WHERE a_id = a.id) FROM a;
SELECT (SELECT (SELECT max(z) FROM c WHERE c.id = b.id) FROM b WHERE b.a_id = a.id LIMIT 1) FROM a;
SELECT (SELECT a.x + b.y + c.z FROM b, c LIMIT 1) FROM a;
SELECT s, (SELECT string_agg(b.s, ',') FROM b WHERE b.a_id = a.id) || a.s FROM a;
SELECT * FROM (SELECT id, x FROM a) AS sub (i, j) WHERE i > 1;
SELECT sub.* FROM (SELECT * FROM a UNION SELECT id, y, s FROM b) sub;
SELECT id FROM a UNION SELECT id FROM b;
SELECT id, s FROM a UNION ALL SELECT y, s FROM b ORDER BY 1 DESC, s NULLS FIRST;
SELECT id FROM a INTERSECT SELECT id FROM b EXCEPT SELECT id FROM c;
SELECT id FROM a EXCEPT ALL (SELECT id FROM b INTERSECT ALL SELECT id FROM c);
(SELECT id AS n FROM a ORDER BY x LIMIT 1) UNION ALL (SELECT y FROM b ORDER BY y DESC LIMIT 1);
SELECT x FROM a UNION SELECT z FROM c;
SELECT NULL UNION SELECT x FROM a;
SELECT 'lit' AS l UNION ALL SELECT s FROM a UNION ALL SELECT NULL;
SELECT NULL AS n UNION ALL SELECT NULL;
SELECT 1, 'x' UNION SELECT id, s FROM b ORDER BY 2;
SELECT a FROM a UNION ALL SELECT a FROM a;
SELECT ROW(id, s) FROM a UNION SELECT ROW(id, s) FROM b;
VALUES (1, 'a'), (2, NULL), (3, 'c');
VALUES (1), (2.5);
VALUES ((SELECT max(x) FROM a)), (5) ORDER BY 1 LIMIT 1;
SELECT column1, column2 FROM (VALUES (1, 'x'), (2, 'y')) v;
SELECT v.n, a.s FROM (VALUES (1), (2)) AS v (n) JOIN a ON a.id = v.n;
TABLE a;
TABLE a ORDER BY x LIMIT 2 OFFSET 1;
SELECT DISTINCT s FROM b;
SELECT DISTINCT ON (a_id) a_id, y, s FROM b ORDER BY a_id, y DESC;
SELECT DISTINCT ON (upper(s), 1) id, s FROM b;
SELECT ALL id FROM a;
SELECT id FROM a ORDER BY x DESC NULLS LAST, s USING > LIMIT 2 OFFSET 1;
SELECT id FROM a ORDER BY x FETCH FIRST 2 ROWS WITH TIES;
SELECT id FROM a OFFSET 1 ROW FETCH NEXT ROW ONLY;
SELECT id FROM a LIMIT ALL;
SELECT id FROM a LIMIT (SELECT count(*) FROM b) - 1;
SELECT x AS total FROM a ORDER BY total, -x, (SELECT max(y) FROM b);
SELECT id AS s FROM a ORDER BY s;
SELECT * FROM a TABLESAMPLE SYSTEM (100);
SELECT id FROM a TABLESAMPLE BERNOULLI (50) REPEATABLE (1) WHERE x IS NOT NULL;
SELECT FROM a;
SELECT count(*) FROM (SELECT FROM a) e;
SELECT id FROM a FOR UPDATE;
SELECT a.id, b.id FROM a JOIN b ON a.id = b.a_id FOR NO KEY UPDATE OF a SKIP LOCKED;
SELECT id FROM a FOR SHARE NOWAIT;
SELECT id FROM a FOR KEY SHARE;
SELECT * FROM (SELECT id FROM a FOR UPDATE) l;
SELECT a.id AS "Quoted Name", a.s AS "select" FROM a;
SELECT "Quoted Name" FROM (SELECT id AS "Quoted Name" FROM a) q;
SELECT public.a.id, a.id, a.x FROM public.a;
--! error 42702
SELECT id FROM a, b;
--! error 42P01
SELECT 1 FROM nowhere;
--! error 42P10
SELECT 1 FROM a ORDER BY 5;
--! error 42601
SELECT id FROM a UNION SELECT id, x FROM a;
--! error 42601
SELECT FROM WHERE;
--! error 21000
SELECT (SELECT id FROM a) FROM b;
--! error 42P10
SELECT DISTINCT ON (a_id) y FROM b ORDER BY y;
--! error 42804
SELECT 1 UNION SELECT date '2024-01-01';
--! error 0A000
SELECT id FROM a UNION SELECT id FROM b FOR UPDATE;
DROP TABLE c, b, a;
