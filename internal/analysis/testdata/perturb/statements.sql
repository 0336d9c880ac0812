-- Statements whose results must name every column that changes them. One each line.
SELECT f_sql(id), f_atomic(id), f_return(id), f_sql(1) FROM child
SELECT f_set(), 1
SELECT s FROM f_set() s
SELECT (f_rows()).name, (f_rows()).*
SELECT r.mail, r.doc -> 'k', r FROM f_rows() r
SELECT who, toys FROM f_table(1)
SELECT t.toys FROM person p, f_table(p.id) t WHERE p.id < 3
SELECT (f_out(id)).b, (f_out(id)).a FROM person
SELECT a, b FROM f_out(2)
SELECT o.b FROM person, f_out(id) AS o (x, b)
SELECT (f_inout(name, mail)).a, (f_inout(name, 'k')).b FROM person
SELECT mail FROM f_one_out()
SELECT x.mail, x FROM f_one_out() AS x
SELECT f_row(p), p.f_row, p.initials, initials(p), (p).initials FROM person p
SELECT f_poly(name, mail::text), f_poly(id, rank::int), (f_poly(p, p)).mail, f_poly(NULL::text, name) FROM person p
SELECT f_poly_array(name), (f_poly_array(p))[1].mail FROM person p
SELECT f_variadic(name, mail), f_variadic(VARIADIC tags), f_variadic('a') FROM person
SELECT f_default(), f_default(b => name), f_default('x') FROM person
SELECT f_over(1), f_over('12'::text), f_over(2.0), f_over(id), f_over(name) FROM person
SELECT f_rec(3), p_into(2), p_loop(), p_count()
SELECT a, b FROM p_query()
SELECT p_dynamic(), p_cursor(), p_exception(1), p_case(2), p_array(), p_temp()
SELECT (p_array())[2], (p_row()).name, (p_row()).mail, (p_row()).*
SELECT a, b FROM p_out()
SELECT (p_out()).b
SELECT glue(toy), glue('x') FROM child
SELECT glue(toy) OVER (ORDER BY id), tally(id) OVER () FROM child
SELECT tally(id) FILTER (WHERE id > 1) FROM child
SELECT 1 #> 'x', id OPERATOR(public.#>) toy FROM child
SELECT 'a'::text <# 'b'::text, toy <# 'c'::text FROM child
SELECT (2::addr).street, (id::addr).zip, CAST(id AS addr) FROM person
SELECT upper(ROW(2)::cents), ROW(3)::cents::text, length(ROW(3)::cents)
SELECT toy::checked FROM child
SELECT * FROM v_fn
SELECT s FROM v_deep
SELECT (r).mail, (c).toy, (r).home.street FROM v_rows
SELECT v.r, to_jsonb(v.c) FROM v_rows v
SELECT before, total FROM v_window
SELECT row_to_json(v) ->> 'before' FROM v_window v
SELECT upper('x'), toy FROM child WHERE false OR true
SELECT shade.upper('x'), c.toy FROM shade.child c
SELECT id, toy FROM child ORDER BY (SELECT max(pay) FROM person), id LIMIT (SELECT count(*) FROM bill WHERE total > 6)
SELECT count(*) FROM child WHERE toy < (SELECT max(name) FROM person)
SELECT DISTINCT ok, feel FROM person
SELECT CASE WHEN EXISTS (SELECT 1 FROM person WHERE pay > 40) THEN 'rich' ELSE 'poor' END
SELECT CASE (SELECT count(*) FROM person WHERE name LIKE '%1') WHEN 1 THEN 'one' ELSE 'other' END
SELECT (SELECT 1 WHERE (SELECT max(rank) FROM person) < 100)
SELECT row_number() OVER (ORDER BY name DESC), id FROM person
SELECT width_bucket(pay, 0, 100, 3), ntile(2) OVER (ORDER BY pay), percent_rank() OVER (ORDER BY born) FROM person
SELECT max(name) FILTER (WHERE pay > 20), min(id) FILTER (WHERE mail LIKE '%2%') FROM person
SELECT string_agg(toy, ',' ORDER BY at DESC) FROM child
SELECT array_agg(id ORDER BY name DESC) FROM person
SELECT grouping(ok), count(*) FROM person GROUP BY ROLLUP (ok)
SELECT mode() WITHIN GROUP (ORDER BY name), percentile_disc(0.5) WITHIN GROUP (ORDER BY pay) FROM person
SELECT p.id FROM person p JOIN child c ON p.name = 'name' || c.id::text WHERE c.toy <> 'x'
SELECT g FROM person, generate_series(1, length(name) - 4) g WHERE id = 1
SELECT unnest(tags), unnest(nums) FROM person
SELECT regexp_split_to_table(name, 'm'), id FROM person
SELECT jsonb_object_keys(doc || jsonb_build_object(name, 1)) FROM person
SELECT e.key, e.value FROM person p, jsonb_each(to_jsonb(p)) e
SELECT e.key FROM person p, jsonb_each_text(jsonb_build_object(p.mail, p.name)) e
SELECT length(p::text), hash_record(p), p = p2, p < p2 FROM person p, person p2
SELECT x.value FROM person, jsonb_array_elements(jsonb_build_array(name, mail)) x
SELECT to_jsonb(p) -> 'mail', (to_jsonb(p) - 'mail')::text FROM person p
SELECT (json_populate_record(NULL::person, to_json(p))).mail FROM person p
SELECT (jsonb_populate_record(p, '{}')).name FROM person p
SELECT r.a FROM person p, jsonb_to_record(to_jsonb(p)) AS r (a text, name text)
SELECT r.name FROM person p, jsonb_to_record(to_jsonb(p)) AS r (a text, name text)
SELECT xpath('/a/text()', xmlelement(name a, name)) FROM person
SELECT ts_headline(name, to_tsquery('x')), to_tsvector(mail) FROM person
SELECT * FROM person NATURAL JOIN (SELECT id, 'name' || id AS name FROM child) c
SELECT name FROM person FULL JOIN (SELECT toy AS name FROM child) c USING (name)
SELECT id FROM person UNION SELECT length(toy) FROM child
SELECT name FROM person INTERSECT SELECT 'name' || id FROM child
SELECT 'name' || id FROM child EXCEPT SELECT name FROM person
SELECT (VALUES (f_sql(1)))
WITH RECURSIVE r (i, t) AS (SELECT 1, (SELECT name FROM person WHERE id = 1) UNION ALL SELECT i + 1, (SELECT mail FROM person WHERE id = i) FROM r WHERE i < 3) SELECT t FROM r
WITH RECURSIVE r (i, a, b) AS (SELECT 1, name, mail::text FROM person WHERE id = 1 UNION ALL SELECT i + 1, b, a FROM r WHERE i < 2) SELECT a FROM r
WITH RECURSIVE r (i, t) AS (SELECT id, toy FROM child WHERE id = 1 UNION ALL SELECT c.id, c.toy FROM child c, r WHERE c.id = r.i + 1) SEARCH DEPTH FIRST BY t SET o CYCLE t SET m USING p SELECT o, m, p FROM r
WITH child AS (SELECT id, mail AS toy FROM person) SELECT toy FROM child
WITH a AS (UPDATE target SET b = 'x' WHERE id = 1 RETURNING a, b, c) SELECT * FROM a
WITH a AS (INSERT INTO target (id) VALUES (5) RETURNING *) SELECT b, c, a FROM a
WITH a AS (DELETE FROM child WHERE id = 1 RETURNING toy), b AS (INSERT INTO target (id, d) SELECT 6, toy FROM a RETURNING d) SELECT * FROM b
INSERT INTO target (id) VALUES (4) RETURNING a, b, c, target
INSERT INTO target (id, b, d) VALUES (1, 'x', 'y') ON CONFLICT (id) DO UPDATE SET d = excluded.b RETURNING a, b, c, d
INSERT INTO target (id, d) SELECT id + 10, name FROM person RETURNING id, d
INSERT INTO target (id, d) VALUES (1, 'y') ON CONFLICT (id) DO UPDATE SET d = excluded.a RETURNING d
UPDATE target SET d = 'q' RETURNING a, b, c
UPDATE target SET d = DEFAULT, a = DEFAULT WHERE id = 2 RETURNING a
UPDATE target t SET d = p.mail FROM person p WHERE p.id = t.id RETURNING t.d, p.name, t
UPDATE child SET (toy, at) = (SELECT mail, at FROM person WHERE id = child.id) RETURNING toy, at
DELETE FROM child USING person WHERE person.id = child.id AND person.name < 'name3' RETURNING toy, mail
INSERT INTO v_target VALUES (2, 'a', 'b') RETURNING *
UPDATE v_target SET b = 'z' WHERE id = 2 RETURNING a, b
UPDATE v_ruled SET b = 'ruled' WHERE id = 2 RETURNING b
INSERT INTO v_ruled VALUES (9, 'in') RETURNING b
EXPLAIN (COSTS off) SELECT * FROM child
VALUES ((SELECT name FROM person WHERE id = 1)), ('x')
SELECT (ARRAY[name, mail])[rank] FROM person WHERE rank < 3
SELECT tags[array_length(nums, 1) - 1], nums[1:rank] FROM person
SELECT lpad('x', length(name), toy), repeat(toy, rank) FROM person, child WHERE person.id = child.id
SELECT (p.home).zip + (SELECT (home).zip FROM person WHERE id = 1), (SELECT h.street FROM (SELECT (p.home).*) h) FROM person p
SELECT mail_lower, "a""b", "select" FROM person, "Mixed Case" WHERE id = "Id"
SELECT tableoid::regclass, memo, bill_a FROM bill_a
SELECT toy, extra FROM grand
SELECT child FROM child
SELECT c::child FROM grand c
SELECT total FROM v_sum
SELECT n, mail FROM m_person
SELECT pg_typeof(name), name IS NULL, (name IS NOT NULL)::int, coalesce(nullif(name, 'name1'), mail) FROM person
SELECT greatest(name, mail), least(born, date '1980-01-03'), name BETWEEN 'name2' AND mail FROM person
SELECT name LIKE ANY (ARRAY['%1', mail]), name = ANY (tags), rank <> ALL (nums), id IN (SELECT parent_id FROM child WHERE toy > 'toy2') FROM person
SELECT (id, name) IN (SELECT id, 'name' || id FROM child), (id, mail) = (SELECT 1, name FROM person WHERE id = 1), ROW(id, name) < ROW(3, mail) FROM person
SELECT extract(year FROM born), born - (SELECT min(born) FROM person), age(born, date '1970-01-01') FROM person
INSERT INTO bill (id, person_id, day) VALUES (99, 2, '2015-05-05') RETURNING memo
INSERT INTO bill_a (id, person_id, day) VALUES (99, 2, '2015-05-05') RETURNING memo, bill_a
UPDATE bill SET total = 1 WHERE id = 1 RETURNING memo
WITH i AS (INSERT INTO bill (id, person_id, day) VALUES (99, 2, '2015-05-05') RETURNING *) SELECT memo || '!' FROM i
INSERT INTO v_plain_target (k) VALUES (20) RETURNING x, y, z
INSERT INTO v_plain_target (k, y) VALUES (20, DEFAULT) RETURNING y, v_plain_target
INSERT INTO v_twice (k, d) VALUES (21, 'd') RETURNING xx, yy
UPDATE v_twice SET d = 'e' WHERE k = 1 RETURNING xx, yy
UPDATE v_plain_target SET x = DEFAULT WHERE k = 1 RETURNING x
INSERT INTO v_plain_target (k, d) VALUES (1, 'y') ON CONFLICT (k) DO UPDATE SET d = excluded.x RETURNING d
INSERT INTO target (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET d = excluded.c RETURNING d
INSERT INTO target (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET d = to_jsonb(excluded) ->> 'b' RETURNING d
SELECT f_secdef('x')
SELECT f_named(), f_named('x'), f_named(third => name), f_named('x', third => 'y') FROM person WHERE id = 1
SELECT p_named(), p_named(second => 'x'), p_named(first => 'y')
SELECT p_refcursor(), p_nested(), p_getdiag(), p_found('name1'), p_raise_loop(), p_while(), p_exit(), p_for_bounds(), p_assert()
SELECT p_sqlerrm()
SELECT p_stacked()
SELECT x, y FROM p_swap()
SELECT (p_record_out()).name, (p_record_out()).mail
SELECT p_array_slice(), p_index()
SELECT to_jsonb(p) ->> 'name', to_jsonb(p) - 'mail', to_jsonb(p) - ARRAY['mail', 'name'], row_to_json(p) #>> '{home,street}' FROM person p
SELECT to_jsonb(p) ->> 'name', to_jsonb(p) ->> 'mail' FROM person AS p (id, mail, name)
SELECT to_jsonb(s) ->> 'a', to_jsonb(s) ->> 'b' FROM (SELECT name AS a, mail AS b FROM person OFFSET 0) s (b, a)
SELECT to_jsonb(q.s) ->> 'a', to_jsonb(q.s) ->> 'b' FROM (SELECT s FROM (SELECT name AS a, mail AS b FROM person OFFSET 0) s (b, a)) q
SELECT to_jsonb(q.s) ->> 'a', to_jsonb(q.s) ->> 'b' FROM (SELECT s FROM (SELECT name AS a, mail AS b FROM person) s (b, a)) q
SELECT q.d ->> 'a', q.d ->> 'b' FROM (SELECT jsonb_build_object('a', name, 'b', mail, 'a', id) AS d FROM person) q
SELECT to_jsonb(v) ->> 'x', to_jsonb(v) ->> 'y' FROM person p, LATERAL (VALUES (p.name, p.mail)) v (y, x)
SELECT (to_jsonb(p) || jsonb_build_object('name', p.mail)) ->> 'name' FROM person p
SELECT to_jsonb(x) -> 'p' ->> 'name', to_jsonb(x) -> 'p' -> 'home' ->> 'street' FROM (SELECT p FROM person p) x
SELECT d ->> 'a', d ->> 'b' FROM (SELECT jsonb_build_object('a', name, 'b', mail) AS d FROM person UNION ALL SELECT jsonb_build_object('b', name, 'a', mail) FROM person) u
WITH RECURSIVE r (n, d) AS (SELECT 1, jsonb_build_object('a', name, 'b', mail) FROM person UNION ALL SELECT n + 1, jsonb_build_object('b', d ->> 'a', 'a', d ->> 'b') FROM r WHERE n < 2) SELECT d ->> 'a', d ->> 'b' FROM r
SELECT ((ARRAY[p, q])[1 + length(r.mail) % 2]).name, to_jsonb((ARRAY[p, q])[1 + length(r.mail) % 2]) ->> 'name' FROM person p, person q, person r WHERE p.id = 1 AND q.id = 2
SELECT to_jsonb(t) ->> 'toy', to_jsonb(t) ->> 'name' FROM (person p JOIN child c ON c.id = p.id) t
