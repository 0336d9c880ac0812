CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN positive AS int4 CHECK (VALUE > 0);
CREATE TYPE pair AS (a int4, b text);
CREATE TABLE item (
	id int PRIMARY KEY,
	name varchar(20) NOT NULL,
	price numeric(10,2),
	tags text[],
	made timestamptz,
	mood mood
);
CREATE UNIQUE INDEX item_name ON item (name);
INSERT INTO item VALUES
	(1, 'one', 1.10, '{a,b}', '2024-01-01 00:00:00+00', 'sad'),
	(2, 'two', 2.20, '{}', NULL, 'happy'),
	(3, 'three', NULL, NULL, '2024-03-03 03:03:03+00', NULL);
CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES item DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION boom(text) RETURNS int LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'boom %', $1 USING ERRCODE = 'UX001', DETAIL = 'd', HINT = 'h', COLUMN = 'c', TABLE = 't'; END $$;
CREATE PROCEDURE bump(int) LANGUAGE sql AS $$ UPDATE item SET price = price + 1 WHERE id = $1 $$;
CREATE VIEW cheap AS SELECT id, name FROM item WHERE price < 2;
