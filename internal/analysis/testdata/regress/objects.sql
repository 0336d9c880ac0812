-- Schemas, sequences, roles, privileges, policies, large objects, foreign data, extensions, replication, databases.
CREATE SCHEMA s1;
CREATE SCHEMA IF NOT EXISTS s1;
CREATE SCHEMA AUTHORIZATION CURRENT_USER;
CREATE SCHEMA s2 CREATE TABLE inside (a int) CREATE VIEW inside_v AS SELECT a FROM inside;
SELECT a FROM s2.inside_v;
ALTER SCHEMA s1 RENAME TO s3;
ALTER SCHEMA s3 OWNER TO CURRENT_USER;
COMMENT ON SCHEMA s3 IS 's';
CREATE SEQUENCE seq START 5 INCREMENT 2 MINVALUE 1 MAXVALUE 1000 CACHE 1 CYCLE;
CREATE TEMP SEQUENCE temp_seq AS smallint;
SELECT nextval('seq'), currval('seq'), lastval(), setval('seq', 50), setval('seq', 60, false);
SELECT last_value, is_called FROM seq;
ALTER SEQUENCE seq RESTART WITH 7 NO CYCLE OWNED BY NONE;
ALTER SEQUENCE seq RENAME TO seq2;
ALTER SEQUENCE seq2 SET SCHEMA s3;
COMMENT ON SEQUENCE s3.seq2 IS 'q';
DROP SEQUENCE s3.seq2, temp_seq;
CREATE ROLE reg_a LOGIN PASSWORD 'pw' CONNECTION LIMIT 5 VALID UNTIL '2099-01-01';
CREATE USER reg_b;
CREATE GROUP reg_g ROLE reg_a;
ALTER ROLE reg_a NOLOGIN CREATEDB;
ALTER ROLE reg_a RENAME TO reg_c;
ALTER ROLE reg_c SET work_mem = '1MB';
ALTER ROLE reg_c IN DATABASE postgres RESET ALL;
ALTER ROLE ALL SET work_mem TO DEFAULT;
ALTER USER reg_b WITH PASSWORD NULL;
ALTER GROUP reg_g ADD USER reg_b;
GRANT reg_g TO reg_c WITH ADMIN OPTION;
REVOKE ADMIN OPTION FOR reg_g FROM reg_c;
COMMENT ON ROLE reg_c IS 'r';
CREATE TABLE s3.data (id int, owner text DEFAULT current_user, secret text);
INSERT INTO s3.data VALUES (1, 'reg_b', 'x'), (2, 'nobody', 'y');
GRANT SELECT, INSERT ON s3.data TO reg_b;
GRANT SELECT (id), UPDATE (secret) ON s3.data TO reg_c WITH GRANT OPTION;
GRANT ALL ON ALL TABLES IN SCHEMA s3 TO reg_g;
GRANT USAGE ON SCHEMA s3 TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO reg_b;
GRANT CREATE, CONNECT ON DATABASE postgres TO reg_b;
GRANT USAGE ON LANGUAGE plpgsql TO reg_b;
GRANT USAGE ON TYPE int4 TO reg_b;
--! since 15
GRANT SET ON PARAMETER work_mem TO reg_b;
REVOKE INSERT ON s3.data FROM reg_b CASCADE;
REVOKE GRANT OPTION FOR SELECT (id) ON s3.data FROM reg_c;
REVOKE ALL ON SCHEMA s3 FROM PUBLIC;
--! since 15
REVOKE SET ON PARAMETER work_mem FROM reg_b;
REVOKE USAGE ON TYPE int4 FROM reg_b;
REVOKE USAGE ON LANGUAGE plpgsql FROM reg_b;
REVOKE CREATE, CONNECT ON DATABASE postgres FROM reg_b;
ALTER DEFAULT PRIVILEGES IN SCHEMA s3 GRANT SELECT ON TABLES TO reg_b;
ALTER DEFAULT PRIVILEGES FOR ROLE reg_c REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER TABLE s3.data ENABLE ROW LEVEL SECURITY;
ALTER TABLE s3.data FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON s3.data FOR SELECT TO reg_b USING (owner = current_user);
CREATE POLICY ins ON s3.data AS RESTRICTIVE FOR INSERT WITH CHECK (secret <> 'bad');
ALTER POLICY own ON s3.data USING (owner = current_user AND id > 0);
ALTER POLICY own ON s3.data RENAME TO mine;
COMMENT ON POLICY mine ON s3.data IS 'p';
SET ROLE reg_b;
RESET ROLE;
SELECT id, secret FROM s3.data;
DROP POLICY mine ON s3.data;
DROP POLICY IF EXISTS ins ON s3.data;
ALTER TABLE s3.data NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
REASSIGN OWNED BY reg_b TO CURRENT_USER;
DROP OWNED BY reg_b, reg_c, reg_g;
DROP ROLE reg_b, reg_c;
DROP GROUP IF EXISTS reg_g;
SELECT lo_create(4242);
SELECT lo_from_bytea(4243, convert_to(secret, 'UTF8')) FROM s3.data WHERE id = 1;
SELECT lo_get(4243), lo_get(4243, 0, 1);
SELECT lo_put(4242, 0, '\x01');
SELECT loread(lo_open(4242, 262144), 10);
SELECT lo_unlink(4242);
SELECT lo_export(4243, '/tmp/regress_lo'), lo_import('/tmp/regress_lo') > 0;
COMMENT ON LARGE OBJECT 4243 IS 'l';
ALTER LARGE OBJECT 4243 OWNER TO CURRENT_USER;
GRANT SELECT ON LARGE OBJECT 4243 TO PUBLIC;
SELECT data FROM pg_largeobject WHERE loid = 4243;
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE EXTENSION pgcrypto;
SELECT crypt(secret, gen_salt('md5')), digest(secret, 'sha256'), hmac(secret, 'k', 'md5') FROM s3.data;
SELECT pgp_sym_decrypt(pgp_sym_encrypt(secret, 'k'), 'k') FROM s3.data;
ALTER EXTENSION pgcrypto SET SCHEMA s3;
SELECT s3.digest(secret, 'sha1') FROM s3.data;
COMMENT ON EXTENSION pgcrypto IS 'c';
DROP EXTENSION pgcrypto CASCADE;
CREATE EXTENSION hstore;
SELECT hstore(data), hstore('a', secret) -> 'a', akeys(hstore(data)), (each(hstore(data))).value FROM s3.data;
SELECT e.key, e.value FROM s3.data, each(hstore(data)) e;
DROP EXTENSION hstore;
CREATE EXTENSION pg_trgm;
SELECT similarity(secret, 'x'), secret % 'x', show_trgm(secret), secret <-> 'y' FROM s3.data;
DROP EXTENSION pg_trgm;
CREATE EXTENSION dblink;
--! error 08001
SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS d (x int);
DROP EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'localhost', dbname 'nowhere');
ALTER SERVER remote OPTIONS (SET dbname 'elsewhere') ;
ALTER SERVER remote OWNER TO CURRENT_USER;
CREATE USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (user 'u', password 'p');
ALTER USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (SET password 'q');
CREATE FOREIGN TABLE s3.far (id int OPTIONS (column_name 'ident'), secret text) SERVER remote OPTIONS (schema_name 'public', table_name 'near');
ALTER FOREIGN TABLE s3.far ALTER secret OPTIONS (ADD column_name 's');
ALTER FOREIGN TABLE s3.far ADD COLUMN more text;
--! analyze
SELECT id, secret FROM s3.far;
--! analyze
INSERT INTO s3.far VALUES (1, 'x', 'y');
--! analyze
IMPORT FOREIGN SCHEMA public LIMIT TO (near) FROM SERVER remote INTO s3;
DROP FOREIGN TABLE s3.far;
DROP USER MAPPING FOR CURRENT_USER SERVER remote;
DROP SERVER remote CASCADE;
CREATE FOREIGN DATA WRAPPER dummy;
ALTER FOREIGN DATA WRAPPER dummy OPTIONS (ADD a 'b');
COMMENT ON FOREIGN DATA WRAPPER dummy IS 'w';
DROP FOREIGN DATA WRAPPER dummy;
DROP EXTENSION postgres_fdw CASCADE;
--! since 15
CREATE PUBLICATION pub FOR TABLE s3.data (id) WHERE (id > 1);
--! since 15
ALTER PUBLICATION pub SET (publish = 'insert');
--! error 22023
--! since 15
ALTER PUBLICATION pub ADD TABLES IN SCHEMA s2;
--! since 15
ALTER PUBLICATION pub RENAME TO pub2;
--! since 15
COMMENT ON PUBLICATION pub2 IS 'p';
--! since 15
DROP PUBLICATION pub2;
CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION pub WITH (connect = false, slot_name = NONE, enabled = false);
ALTER SUBSCRIPTION sub SET (synchronous_commit = off);
ALTER SUBSCRIPTION sub RENAME TO sub2;
DROP SUBSCRIPTION sub2;
CREATE COLLATION german (LOCALE = 'C');
ALTER COLLATION german RENAME TO deutsch;
DROP COLLATION deutsch;
CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
ALTER CONVERSION conv RENAME TO conv2;
DROP CONVERSION conv2;
CREATE LANGUAGE plsample HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
ALTER LANGUAGE plsample RENAME TO plother;
DROP LANGUAGE plother;
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
DROP ACCESS METHOD heap2;
CREATE DATABASE reg_db;
ALTER DATABASE reg_db CONNECTION LIMIT 3;
ALTER DATABASE reg_db SET work_mem = '1MB';
ALTER DATABASE reg_db RENAME TO reg_db2;
COMMENT ON DATABASE reg_db2 IS 'd';
DROP DATABASE reg_db2;
DROP DATABASE IF EXISTS reg_db WITH (FORCE);
ALTER SYSTEM SET work_mem = '5MB';
ALTER SYSTEM RESET work_mem;
--! error 42P17
CREATE TABLESPACE ts LOCATION 'relative';
--! error 42704
DROP TABLESPACE no_such_space;
--! error 22023
SECURITY LABEL ON TABLE s3.data IS 'label';
DROP SCHEMA s2, s3 CASCADE;
