-- Enums, domains, composite types, rows.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN positive AS int NOT NULL DEFAULT 1 CONSTRAINT above CHECK (VALUE > 0);
CREATE DOMAIN moods AS mood[] CHECK (cardinality(VALUE) < 5);
CREATE TYPE address AS (street text, zip int, m mood);
CREATE TYPE person_type AS (name text, home address, mail email);
CREATE DOMAIN home_address AS address CHECK ((VALUE).zip > 0);
CREATE TABLE person (id serial PRIMARY KEY, feel mood DEFAULT 'ok', mail email, n positive, ms moods, home address, who person_type, da home_address);
INSERT INTO person (mail, n, ms, home, who, da) VALUES ('a@x', 3, '{sad,ok}', ROW('street', 1, 'ok'), ROW('n', ROW('s', 2, NULL), 'b@x'), ROW('t', 5, 'sad'));
SELECT feel, feel > 'sad', feel::text, enum_range(feel), enum_first(feel), enum_last(NULL::mood), 'happy'::mood FROM person;
SELECT mail, mail || 'x', upper(mail), mail::text, length(mail), n + 1, n * 2.5, ms[1], cardinality(ms) FROM person;
SELECT home, (home).street, (home).zip + 1, (home).m, (home).*, (who).home.zip, ((who).home).street, (who).mail FROM person;
SELECT (p.da).street, p.da, (person.home).zip, (person).mail, (person).home.street, (p).* FROM person, person p;
SELECT p, p.*, ROW(p.*), ROW(p.id, p.mail), (p.home, p.feel) FROM person p;
SELECT p IS NULL, p.home IS NOT NULL, ROW(1, NULL) IS NULL, p = p, (p.id, p.n) = (1, 3), ROW(p.id, p.feel) < ROW(2, 'sad'::mood) FROM person p;
SELECT (id, mail) IN (SELECT id, mail FROM person), (id, n) = ANY (SELECT 1, 3), ROW(id) = ALL (SELECT 1) FROM person;
SELECT person.mail, mail(person), person.id FROM person;
SELECT to_jsonb(person), row_to_json(home), json_agg(who), person::text, hash_record(person) IS NOT NULL FROM person GROUP BY person.id;
SELECT r.street FROM (SELECT home FROM person) q, LATERAL (SELECT (q.home).street) r;
SELECT (r).mail, (r).home.zip FROM (SELECT p AS r FROM person p) x;
SELECT (ROW(mail, id)::text), (SELECT p2 FROM person p2 LIMIT 1), ((SELECT p3 FROM person p3 LIMIT 1)).mail FROM person;
SELECT (CASE WHEN id = 1 THEN p END).mail, (coalesce(p, NULL)).feel FROM person p;
SELECT array_agg(p.home), (array_agg(p))[1].mail, (array_agg(home))[1].zip FROM person p;
SELECT x.a, x.b FROM (VALUES (1, 'ok'::mood), (2, 'sad')) AS x (a, b);
--! error 42704
SELECT 'x'::no_such_type;
CREATE FUNCTION full_name(person) RETURNS text LANGUAGE sql STABLE AS $$ SELECT ($1.mail || ' ' || ($1).feel) $$;
SELECT full_name(person), person.full_name, p.full_name, full_name(p.*) FROM person, person p;
CREATE FUNCTION make_home(text, int) RETURNS address LANGUAGE sql AS $$ SELECT $1, $2, 'ok'::mood $$;
SELECT make_home(mail, id), (make_home(mail, id)).street, (make_home(mail, n)).* FROM person;
SELECT * FROM make_home('x', 1);
SELECT h.street, h FROM person, make_home(mail, id) h;
CREATE FUNCTION zip_of(address) RETURNS int LANGUAGE sql AS 'SELECT $1.zip';
SELECT zip_of(home), (home).zip_of FROM person;
--! error
SELECT (home).zip_of.x FROM person;
--! error 23514
INSERT INTO person (mail) VALUES ('no at');
--! error 23514
UPDATE person SET n = -1;
--! error 22P02
SELECT 'angry'::mood;
UPDATE person SET home.zip = 7, who.home.street = mail, da.zip = id + 4, feel = 'happy' RETURNING home, (who).home, feel;
UPDATE person SET home = ROW('new', (home).zip, feel), who.name = (home).street WHERE id = 1;
INSERT INTO person (home.street, home.zip, who.name, mail, ms[1]) VALUES ('s', 1, 'w', 'c@x', 'ok') RETURNING home, who, ms;
ALTER TYPE mood ADD VALUE 'great' AFTER 'happy';
ALTER TYPE mood RENAME VALUE 'sad' TO 'down';
SELECT 'great'::mood > feel FROM person;
ALTER DOMAIN positive DROP CONSTRAINT above;
ALTER DOMAIN positive ADD CONSTRAINT above_too CHECK (VALUE > 0) NOT VALID;
ALTER DOMAIN positive VALIDATE CONSTRAINT above_too;
ALTER DOMAIN positive SET DEFAULT 5;
ALTER DOMAIN positive DROP NOT NULL;
ALTER DOMAIN email RENAME TO mail_address;
ALTER TYPE address ADD ATTRIBUTE country text CASCADE;
--! error 0A000
ALTER TYPE address ALTER ATTRIBUTE country TYPE varchar(2) CASCADE;
--! error 0A000
ALTER TYPE address ALTER ATTRIBUTE zip TYPE bigint;
ALTER TYPE address RENAME ATTRIBUTE country TO land;
SELECT (home).land, home FROM person;
CREATE FUNCTION is_even(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 % 2 = 0; END $$;
CREATE DOMAIN even AS int CHECK (is_even(VALUE));
SELECT 4::even, CAST(id * 2 AS even) FROM person;
CREATE TYPE shell;
CREATE TABLE even_table (e even, es even[]);
INSERT INTO even_table SELECT id * 2, ARRAY[id * 2] FROM person RETURNING e, es[1];
DROP TYPE shell;
DROP TABLE even_table;
DROP TABLE person CASCADE;
DROP DOMAIN even, home_address CASCADE;
DROP TYPE person_type, address CASCADE;
DROP DOMAIN IF EXISTS mail_address, positive, moods CASCADE;
DROP TYPE mood CASCADE;
