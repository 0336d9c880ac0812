-- INSERT, UPDATE, DELETE, MERGE and upserts.
CREATE TABLE item (id int PRIMARY KEY, name text, qty int DEFAULT 0, price numeric, tags text[], meta jsonb DEFAULT '{}', UNIQUE (name));
CREATE TABLE stock (item_id int REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE, place text, n int, PRIMARY KEY (item_id, place));
CREATE TABLE history (at timestamptz DEFAULT clock_timestamp(), what text, item_id int);
INSERT INTO item VALUES (1, 'apple', 5, 1.2, '{fruit}'), (2, 'bolt', 100, 0.1, NULL), (3, 'chair', 0, NULL, NULL);
INSERT INTO item (id, name) VALUES (4, 'desk') RETURNING id, name, qty, item;
INSERT INTO item (name, id) SELECT upper(name), id + 10 FROM item ORDER BY id RETURNING item.*, id * 2 AS twice;
INSERT INTO item AS i (id, name) VALUES (21, DEFAULT) RETURNING i.id, i.name IS NULL;
--! error 23502
INSERT INTO item DEFAULT VALUES ON CONFLICT DO NOTHING;
INSERT INTO item (id, name) VALUES (1, 'again') ON CONFLICT (id) DO NOTHING RETURNING *;
INSERT INTO item (id, name, qty) VALUES (1, 'pear', 7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, qty = item.qty + excluded.qty RETURNING name, qty;
INSERT INTO item AS t (id, name) VALUES (2, 'bolt') ON CONFLICT (name) WHERE name IS NOT NULL DO UPDATE SET qty = 0;
INSERT INTO item (id, name, price) SELECT id, name, price FROM item ON CONFLICT ON CONSTRAINT item_pkey DO UPDATE SET (price, meta) = ROW(excluded.price, to_jsonb(excluded)) WHERE item.qty > 1 RETURNING meta;
INSERT INTO item (id, name) VALUES (30, 'x') ON CONFLICT (id) DO UPDATE SET name = (SELECT max(name) FROM item), tags[1] = excluded.name;
INSERT INTO stock SELECT id, 'shelf', qty FROM item WHERE qty > 0;
INSERT INTO stock (item_id, place, n) VALUES ((SELECT min(id) FROM item), 'floor', (SELECT count(*) FROM stock)) RETURNING (SELECT name FROM item WHERE id = item_id);
--! error 42P01
INSERT INTO history (what, item_id) TABLE nothing_there;
INSERT INTO item (id, meta['a'], tags[2]) VALUES (40, '1', 'second') RETURNING meta, tags;
--! error 42601
INSERT INTO item (id, name) VALUES (1);
--! error 42703
INSERT INTO item (nothing) VALUES (1);
--! error 23503
INSERT INTO stock VALUES (999, 'x', 1);
--! error 21000
INSERT INTO item (id) VALUES (50), (50) ON CONFLICT (id) DO UPDATE SET qty = 1;
UPDATE item SET qty = qty + 1;
UPDATE item SET qty = qty * 2, price = price / 2 WHERE id = 1;
UPDATE ONLY item AS i SET name = i.name || '.' WHERE i.id IN (SELECT item_id FROM stock) RETURNING i.name;
UPDATE item SET qty = s.n FROM stock s WHERE s.item_id = item.id RETURNING item.id, s.n, s.place;
UPDATE item SET (qty, price) = (SELECT sum(n), avg(n) FROM stock WHERE item_id = item.id) WHERE EXISTS (SELECT 1 FROM stock WHERE item_id = item.id);
UPDATE item SET (name, tags) = ('n' || id, tags || 'new'::text), meta = jsonb_set(meta, '{k}', to_jsonb(name)) WHERE id = 2 RETURNING *;
UPDATE item a SET qty = b.qty FROM item b WHERE b.id = a.id + 1 RETURNING a.id, b.name;
UPDATE item SET tags[1:2] = '{a,b}', meta['x']['y'] = '5' WHERE id = 3 RETURNING meta -> 'x', tags[1];
UPDATE item SET id = id + 100 WHERE id = 1;
UPDATE item SET name = name WHERE name LIKE 'a%' OR true;
UPDATE stock SET n = DEFAULT WHERE place = 'floor';
--! error 42P01
UPDATE nothing SET a = 1;
--! error 42601
UPDATE item SET qty = 1, qty = 2;
DELETE FROM stock WHERE n > 50 RETURNING *;
DELETE FROM stock s USING item i WHERE i.id = s.item_id AND i.name = 'x' RETURNING i.name, s.place;
DELETE FROM item WHERE id = 101 RETURNING to_jsonb(item);
DELETE FROM ONLY history;
DELETE FROM item WHERE id IN (SELECT id FROM item ORDER BY id DESC LIMIT 1) RETURNING id;
DELETE FROM stock;
--! since 15
MERGE INTO item t USING (VALUES (2, 'merged'), (60, 'fresh')) AS s (id, name) ON t.id = s.id WHEN MATCHED AND t.qty > 1000 THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name, qty = t.qty + 1 WHEN NOT MATCHED AND s.name <> '' THEN INSERT (id, name) VALUES (s.id, s.name) WHEN NOT MATCHED THEN DO NOTHING;
--! since 15
MERGE INTO stock USING item ON stock.item_id = item.id WHEN NOT MATCHED THEN INSERT VALUES (item.id, coalesce(item.name, '-'), DEFAULT);
--! since 15
MERGE INTO stock s USING (SELECT id, sum(qty) AS q FROM item GROUP BY id) x ON s.item_id = x.id WHEN MATCHED AND s.n IS NULL THEN UPDATE SET n = x.q WHEN MATCHED THEN DELETE;
--! since 15
MERGE INTO ONLY item USING stock ON item.id = stock.item_id AND stock.place = 'x' WHEN MATCHED THEN UPDATE SET (qty, name) = (stock.n, stock.place);
--! error 42P01
--! since 15
MERGE INTO nothing USING item ON true WHEN MATCHED THEN DELETE;
--! analyze
--! unparsed
MERGE INTO item USING stock ON item.id = stock.item_id WHEN MATCHED THEN DELETE RETURNING *;
COPY item TO STDOUT;
COPY item (id, name) TO STDOUT WITH (FORMAT csv, HEADER, QUOTE '"', FORCE_QUOTE (name));
COPY (SELECT upper(name), qty FROM item WHERE price > 0) TO STDOUT (FORMAT text, DELIMITER '|', NULL 'nil');
COPY (DELETE FROM history RETURNING *) TO STDOUT;
COPY (VALUES (1, 'x')) TO STDOUT BINARY;
--! analyze
COPY item FROM STDIN;
--! analyze
COPY item (id, name) FROM STDIN WITH (FORMAT csv) WHERE id > 5;
COPY item TO '/tmp/regress_copy_item.csv' CSV;
--! error 23505
COPY item FROM '/tmp/regress_copy_item.csv' CSV;
COPY item TO PROGRAM 'cat > /dev/null';
COPY history (what) FROM PROGRAM 'echo hello';
EXPLAIN SELECT name FROM item WHERE id = 1;
EXPLAIN (COSTS off, FORMAT json) SELECT max(qty) FROM item;
EXPLAIN ANALYZE DELETE FROM history WHERE what = 'hello';
EXPLAIN (ANALYZE, BUFFERS, TIMING off) INSERT INTO history (what) SELECT name FROM item;
EXPLAIN (ANALYZE false, VERBOSE) UPDATE item SET qty = 0;
EXPLAIN ANALYZE CREATE TABLE explained AS SELECT name FROM item;
EXPLAIN VERBOSE DECLARE c CURSOR FOR SELECT 1;
--! error 26000
EXPLAIN EXECUTE nothing_prepared;
TRUNCATE stock, history;
DROP TABLE stock, history, item, explained;
