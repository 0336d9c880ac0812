-- A small schema with one of everything that a lineage can pass through.
CREATE TYPE addr AS (street text, zip int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE person (
  id int PRIMARY KEY, name text NOT NULL, mail varchar(80), born date, pay numeric(10,2), tags text[], nums int[],
  doc jsonb, home addr, feel mood, rank positive, ok boolean DEFAULT true, gone int,
  mail_lower text GENERATED ALWAYS AS (lower(mail)) STORED);
ALTER TABLE person DROP COLUMN gone;
CREATE TABLE child (id int, toy text, parent_id int REFERENCES person, at timestamptz DEFAULT now());
CREATE TABLE grand (extra text) INHERITS (child);
CREATE TABLE bill (id bigint, person_id int, total numeric, day date, memo text) PARTITION BY RANGE (day);
CREATE TABLE bill_a PARTITION OF bill FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE bill_b PARTITION OF bill DEFAULT;
CREATE TABLE "Mixed Case" ("Id" int, "select" text, "a""b" text);
CREATE VIEW v_person AS SELECT id, name, mail AS contact, born FROM person WHERE ok;
CREATE VIEW v_label AS SELECT id, name || ' <' || contact || '>' AS label, upper(contact) AS shout FROM v_person;
CREATE VIEW v_sum AS SELECT person_id, sum(total) AS total, count(*) AS n, max(memo) AS memo FROM bill GROUP BY person_id;
CREATE VIEW v_union AS SELECT id, name AS word FROM person UNION ALL SELECT id, toy FROM child;
CREATE VIEW v_renamed (k, w) AS SELECT p.id, c.toy FROM person p LEFT JOIN child c ON c.parent_id = p.id;
ALTER VIEW v_renamed RENAME COLUMN w TO toy;
CREATE VIEW v_join AS SELECT * FROM person JOIN child USING (id);
CREATE MATERIALIZED VIEW m_person AS SELECT id, mail, count(*) OVER () AS n FROM person;
INSERT INTO person (id, name, mail, born, pay, tags, nums, doc, home, feel, rank)
SELECT i, 'name' || i, 'mail' || i || '@x.test', date '1980-01-01' + i, i * 10.5, ARRAY['t' || i, 'u'], ARRAY[i, i + 1],
  jsonb_build_object('k', 'v' || i, 'n', i, 'l', jsonb_build_array(i)), ROW('street' || i, i)::addr, 'ok', i FROM generate_series(1, 5) i;
INSERT INTO child SELECT i, 'toy' || i, i, timestamptz '2020-01-01' + i * interval '1 day' FROM generate_series(1, 5) i;
INSERT INTO grand SELECT i, 'gtoy' || i, i - 4, timestamptz '2021-01-01' + i * interval '1 day', 'extra' || i FROM generate_series(5, 7) i;
INSERT INTO bill SELECT i, i % 5 + 1, i * 3, date '2015-01-01' + i * 300, 'memo' || i FROM generate_series(1, 12) i;
INSERT INTO "Mixed Case" SELECT i, 'sel' || i, 'ab' || i FROM generate_series(1, 3) i;
REFRESH MATERIALIZED VIEW m_person;
