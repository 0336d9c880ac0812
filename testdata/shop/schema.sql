CREATE SCHEMA hr;
CREATE TABLE customers (
	id int PRIMARY KEY,
	name text NOT NULL,
	email text NOT NULL UNIQUE,
	nick text,
	card text,
	born date
);
INSERT INTO customers VALUES
	(1, 'Ann', 'ann@canary.test', 'annie', '4111111111111111', '1990-05-06'),
	(2, 'Bob', 'bob@canary.test', 'bobby', '5500000000000004', '1985-01-02'),
	(3, 'Cid', 'cid@canary.test', NULL, NULL, NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, total numeric(10,2));
INSERT INTO orders VALUES (1, 1, 10.50), (2, 1, 20.00), (3, 2, 5.25);
CREATE TABLE hr.notes (id int PRIMARY KEY, body text);
INSERT INTO hr.notes VALUES (1, 'canary.test secret note');
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes VALUES (1, 'a public note');
CREATE VIEW customer_list AS SELECT id, name, email AS contact FROM customers;
CREATE TABLE scratch (id int, note text);
CREATE FUNCTION shout(int) RETURNS int LANGUAGE plpgsql AS
	$$ BEGIN RAISE NOTICE 'the mail is %', (SELECT email FROM customers WHERE id = $1); RETURN $1; END $$;
