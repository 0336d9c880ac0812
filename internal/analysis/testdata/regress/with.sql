-- WITH: plain, nested, recursive, SEARCH and CYCLE, data-modifying.
CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node, label text, weight int DEFAULT 1);
CREATE TABLE log (n serial, what text, at timestamptz DEFAULT now());
INSERT INTO node VALUES (1, NULL, 'root', 1), (2, 1, 'left', 2), (3, 1, 'right', 3), (4, 2, 'leaf', 4);
WITH r AS (SELECT * FROM node WHERE parent IS NULL) SELECT label FROM r;
WITH r (i, l) AS (SELECT id, label FROM node), q AS (SELECT i, upper(l) AS u FROM r) SELECT q.u, r.l FROM q JOIN r USING (i);
WITH r AS MATERIALIZED (SELECT id FROM node), s AS NOT MATERIALIZED (SELECT * FROM r) SELECT * FROM r, s;
WITH node AS (SELECT 1 AS one) SELECT * FROM node;
WITH node AS (SELECT label FROM node) SELECT * FROM node;
WITH node AS (SELECT label FROM node) SELECT n.* FROM node n, public.node p;
WITH x AS (SELECT id FROM node) SELECT * FROM (WITH x AS (SELECT label FROM node) SELECT * FROM x) y, x;
WITH x AS (WITH x AS (SELECT weight FROM node) SELECT max(weight) AS m FROM x) SELECT m FROM x;
SELECT (WITH z AS (SELECT label FROM node WHERE node.id = outside.id) SELECT * FROM z) FROM node outside;
SELECT * FROM node WHERE id IN (WITH w AS (SELECT parent FROM node) SELECT parent FROM w);
WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t;
WITH RECURSIVE tree AS (SELECT id, label, 0 AS depth FROM node WHERE parent IS NULL UNION ALL SELECT n.id, n.label, depth + 1 FROM node n JOIN tree t ON n.parent = t.id) SELECT * FROM tree ORDER BY depth;
WITH RECURSIVE up (id, path) AS (SELECT id, label FROM node WHERE id = 4 UNION SELECT n.id, up.path || '/' || n.label FROM up JOIN node c ON c.id = up.id JOIN node n ON n.id = c.parent) SELECT path FROM up;
WITH RECURSIVE tree AS (SELECT id, parent, label FROM node WHERE id = 1 UNION ALL SELECT n.id, n.parent, n.label FROM node n, tree t WHERE n.parent = t.id) SEARCH DEPTH FIRST BY id SET ordering SELECT label, ordering FROM tree ORDER BY ordering;
WITH RECURSIVE tree AS (SELECT id, parent, label FROM node WHERE id = 1 UNION ALL SELECT n.id, n.parent, n.label FROM node n, tree t WHERE n.parent = t.id) SEARCH BREADTH FIRST BY label, id SET ordering SELECT * FROM tree;
WITH RECURSIVE g AS (SELECT id, parent FROM node UNION ALL SELECT n.id, n.parent FROM node n, g WHERE n.id = g.parent) CYCLE id SET is_cycle USING path SELECT * FROM g;
WITH RECURSIVE g (a, b) AS (SELECT id, parent FROM node UNION ALL SELECT n.id, n.parent FROM node n, g WHERE n.id = g.b) SEARCH DEPTH FIRST BY a SET s CYCLE a, b SET mark TO 'Y' DEFAULT 'N' USING p SELECT a, mark, p, s FROM g;
WITH RECURSIVE x AS (SELECT id FROM y), y AS (SELECT id FROM node) SELECT * FROM x;
WITH RECURSIVE swap (a, b, i) AS (SELECT label, weight::text, 1 FROM node UNION ALL SELECT b, a, i + 1 FROM swap WHERE i < 3) SELECT a, b FROM swap;
WITH RECURSIVE plain AS (SELECT label FROM node) SELECT * FROM plain;
WITH RECURSIVE t AS (SELECT node AS r, 1 AS i FROM node UNION ALL SELECT r, i + 1 FROM t WHERE i < 2) SELECT (r).label FROM t;
--! error 42P19
WITH RECURSIVE bad AS (SELECT n FROM bad) SELECT * FROM bad;
--! error 42P01
WITH x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x;
--! error 42712
WITH x AS (SELECT 1), x AS (SELECT 2) SELECT * FROM x;
WITH gone AS (DELETE FROM node WHERE id = 4 RETURNING *) SELECT label, weight FROM gone;
WITH ins AS (INSERT INTO node VALUES (5, 1, 'new') RETURNING id, label), l AS (INSERT INTO log (what) SELECT label FROM ins) SELECT id FROM ins;
WITH upd AS (UPDATE node SET weight = weight * 2 WHERE parent = 1 RETURNING id, weight) INSERT INTO log (what) SELECT 'node ' || id FROM upd RETURNING n, what;
WITH moved AS (DELETE FROM log RETURNING *) INSERT INTO log SELECT n, upper(what), at FROM moved;
WITH w AS (SELECT id FROM node WHERE weight > 4) UPDATE node SET label = label || '!' FROM w WHERE node.id = w.id RETURNING node.label;
WITH w AS (SELECT max(id) AS id FROM node) DELETE FROM node USING w WHERE node.id = w.id RETURNING node.*, w.id;
WITH a AS (UPDATE node SET weight = 0 WHERE id = 2), b AS (DELETE FROM log) SELECT 1;
WITH n AS (INSERT INTO log (what) VALUES ('x') RETURNING n) SELECT count(*) FROM node, n;
WITH x AS (SELECT 1 AS v) INSERT INTO log (what) SELECT v::text FROM x UNION ALL SELECT label FROM node;
INSERT INTO log (what) WITH x AS (SELECT label FROM node) SELECT label FROM x RETURNING what;
WITH up AS (INSERT INTO node VALUES (1, NULL, 'again') ON CONFLICT (id) DO UPDATE SET label = excluded.label || node.label RETURNING label) SELECT * FROM up;
--! error 0A000
SELECT * FROM (WITH d AS (DELETE FROM log RETURNING *) SELECT * FROM d) sub;
--! since 15
MERGE INTO log USING (WITH s AS (SELECT label FROM node) SELECT * FROM s) s ON log.what = s.label WHEN NOT MATCHED THEN INSERT (what) VALUES (s.label);
--! since 15
WITH src AS (SELECT label FROM node) MERGE INTO log l USING src ON l.what = src.label WHEN MATCHED THEN UPDATE SET what = upper(src.label) WHEN NOT MATCHED THEN DO NOTHING;
DROP TABLE log, node;
