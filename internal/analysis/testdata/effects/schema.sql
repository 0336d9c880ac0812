-- What a write can lead to, one small chain per feature. Protected, in the
-- reader's mind: secret.person.email. The data does not matter.
CREATE SCHEMA secret;
CREATE TABLE secret.person (id int PRIMARY KEY, email text NOT NULL, name text, note text);

-- A table without anything attached to it.
CREATE TABLE plain (id int PRIMARY KEY, a text, b text, n int NOT NULL DEFAULT 0, UNIQUE (a, n));

-- Functions.
CREATE FUNCTION bump(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE plain SET n = n + 1 WHERE id = i; RETURN i; END $$;
CREATE FUNCTION mail(i int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT email FROM secret.person WHERE id = i); END $$;
CREATE FUNCTION folded(i int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.mail(i); END $$;
CREATE FUNCTION writes_folded(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bump(i); RETURN 1; END $$;

-- Defaults, generated columns, checks, domains, indexes.
CREATE DOMAIN checked AS int CHECK (bump(VALUE) > 0);
CREATE TABLE filled (id int PRIMARY KEY, who text DEFAULT mail(1), up text GENERATED ALWAYS AS (upper(who)) STORED,
  k serial, made timestamptz DEFAULT now());
CREATE TABLE checks (id int PRIMARY KEY, v checked);
CREATE TABLE tested (id int PRIMARY KEY, v int, CONSTRAINT tested_ck CHECK (bump(v) > 0), CONSTRAINT cheap CHECK (v > 0));
CREATE FUNCTION keyed(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bump(1); RETURN t; END $$;
CREATE TABLE indexed (id int PRIMARY KEY, t text);
CREATE INDEX indexed_ix ON indexed (keyed(t));

-- Foreign keys: three deep, and in a circle.
CREATE TABLE k1 (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE k2 (id int PRIMARY KEY, k1 int CONSTRAINT k2_k1 REFERENCES k1 ON DELETE CASCADE, code text CONSTRAINT k2_code REFERENCES k1 (code) ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE k3 (id int PRIMARY KEY, k2 int CONSTRAINT k3_k2 REFERENCES k2 ON DELETE CASCADE);
CREATE TABLE ring_a (id int PRIMARY KEY, b int);
CREATE TABLE ring_b (id int PRIMARY KEY, a int CONSTRAINT ring_b_a REFERENCES ring_a ON DELETE CASCADE);
ALTER TABLE ring_a ADD CONSTRAINT ring_a_b FOREIGN KEY (b) REFERENCES ring_b ON DELETE SET NULL;

-- Triggers.
CREATE TABLE audit (id serial, who text, old_row jsonb, new_row jsonb, email text);
CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO audit (who, old_row, new_row) VALUES (current_user, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
  END $$;
CREATE TABLE audited (id int PRIMARY KEY, v text, w text);
CREATE TRIGGER audited_trg AFTER INSERT OR UPDATE OF v OR DELETE ON audited FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TABLE silent (id int PRIMARY KEY, v text);
CREATE TRIGGER silent_trg AFTER INSERT ON silent FOR EACH ROW EXECUTE FUNCTION audit_row();
ALTER TABLE silent DISABLE TRIGGER silent_trg;
CREATE FUNCTION enrich() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    NEW.mail := (SELECT p.email FROM secret.person p WHERE p.id = NEW.id);
    NEW.changed := now();
    RETURN NEW;
  END $$;
CREATE TABLE enriched (id int PRIMARY KEY, mail text, changed timestamptz);
CREATE TRIGGER enriched_trg BEFORE INSERT OR UPDATE ON enriched FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION enrich();
CREATE FUNCTION batch() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO audit (who) SELECT v FROM added; RETURN NULL; END $$;
CREATE TABLE batched (id int PRIMARY KEY, v text);
CREATE TRIGGER batched_trg AFTER INSERT ON batched REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION batch();
CREATE FUNCTION emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM audit WHERE who = TG_TABLE_NAME; RETURN NULL; END $$;
CREATE TABLE watched (id int PRIMARY KEY);
CREATE TRIGGER watched_trg BEFORE TRUNCATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION emptied();
CREATE TABLE echo (id int PRIMARY KEY, n int);
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE echo SET n = n + 1 WHERE id = NEW.id + 1; RETURN NULL; END $$;
CREATE TRIGGER echo_trg AFTER UPDATE ON echo FOR EACH ROW EXECUTE FUNCTION again();
CREATE FUNCTION by_name() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('INSERT INTO %I (who) VALUES ($1)', TG_TABLE_NAME || '_log') USING NEW.v; RETURN NEW; END $$;
CREATE TABLE named (id int PRIMARY KEY, v text);
CREATE TABLE named_log (who text);
CREATE TRIGGER named_trg AFTER INSERT ON named FOR EACH ROW EXECUTE FUNCTION by_name();
CREATE TABLE searched (id int PRIMARY KEY, body text, words tsvector);
CREATE TRIGGER searched_trg BEFORE INSERT OR UPDATE ON searched FOR EACH ROW
  EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', body);

-- Rules.
CREATE TABLE ruled (id int PRIMARY KEY, v text);
CREATE TABLE ruled_copy (id int, v text);
CREATE RULE ruled_ins AS ON INSERT TO ruled DO ALSO INSERT INTO ruled_copy VALUES (NEW.id, NEW.v);
CREATE RULE ruled_del AS ON DELETE TO ruled DO INSTEAD UPDATE ruled SET v = NULL WHERE id = OLD.id;
CREATE RULE ruled_upd AS ON UPDATE TO ruled WHERE NEW.v = 'x' DO INSTEAD NOTHING;

-- Views.
CREATE VIEW person_v AS SELECT id, email AS contact, name FROM secret.person WHERE id > 0;
CREATE VIEW person_vv AS SELECT contact, id AS num FROM person_v WITH CHECK OPTION;
CREATE VIEW counted AS SELECT a, count(*) AS n FROM plain GROUP BY a;
CREATE FUNCTION counted_ins() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO plain (id, a) VALUES (1, NEW.a); RETURN NEW; END $$;
CREATE TRIGGER counted_trg INSTEAD OF INSERT ON counted FOR EACH ROW EXECUTE FUNCTION counted_ins();
CREATE VIEW returning_v AS SELECT 1 AS a, ''::text AS b;
CREATE RULE returning_r AS ON INSERT TO returning_v DO INSTEAD UPDATE secret.person SET name = name WHERE id = 1 RETURNING id, email;

-- Partitions and inheritance.
CREATE TABLE parted (id int, at date, v text) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
CREATE TRIGGER parted_all AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TRIGGER parted_own AFTER DELETE ON parted_2 FOR EACH ROW EXECUTE FUNCTION audit_row();
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra text) INHERITS (parent);
CREATE TRIGGER child_trg AFTER UPDATE ON child FOR EACH ROW EXECUTE FUNCTION audit_row();

-- Row security.
CREATE TABLE owned (id int PRIMARY KEY, owner text);
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY owned_p ON owned USING (owner = mail(id)) WITH CHECK (bump(id) > 0);

-- Materialized.
CREATE MATERIALIZED VIEW people AS SELECT id, lower(email) AS e FROM secret.person;

-- PL/pgSQL.
CREATE FUNCTION looped() RETURNS SETOF text LANGUAGE plpgsql AS $$
  DECLARE r record; last text; carried text;
  BEGIN
    FOR r IN SELECT id, email, name FROM secret.person LOOP
      RETURN NEXT carried;
      carried := last;
      last := r.email;
    END LOOP;
  END $$;
CREATE FUNCTION outs(i int, OUT a text, OUT b int) LANGUAGE plpgsql AS $$
  BEGIN SELECT email, id INTO a, b FROM secret.person WHERE id = i; END $$;
CREATE FUNCTION tabled() RETURNS TABLE (x text, y text) LANGUAGE plpgsql AS $$
  BEGIN RETURN QUERY SELECT name, email FROM secret.person; x := 'more'; y := note FROM secret.person; RETURN NEXT; END $$;
CREATE FUNCTION whole(i int) RETURNS secret.person LANGUAGE plpgsql AS $$
  DECLARE p secret.person; BEGIN SELECT * INTO p FROM secret.person WHERE id = i; p.note := p.email; RETURN p; END $$;
CREATE FUNCTION branched(i int) RETURNS text LANGUAGE plpgsql AS $$
  BEGIN IF (SELECT email FROM secret.person WHERE id = i) LIKE 'a%' THEN RETURN 'yes'; END IF; RETURN 'no'; END $$;
CREATE FUNCTION cursed() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE c CURSOR (k int) FOR SELECT email FROM secret.person WHERE id = k; e text;
  BEGIN OPEN c (1); FETCH NEXT FROM c INTO e; CLOSE c; RETURN e; END $$;
CREATE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS $$ BEGIN OPEN c FOR SELECT email FROM secret.person; RETURN c; END $$;
CREATE FUNCTION closes(c refcursor) RETURNS void LANGUAGE plpgsql AS $$ BEGIN CLOSE c; END $$;
CREATE FUNCTION dynamic_constant() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE q text := 'SELECT email FROM '; r text;
  BEGIN q := q || 'secret.person'; EXECUTE q || ' WHERE id = $1' INTO r USING 1; RETURN r; END $$;
CREATE FUNCTION dynamic_argument(t text) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text; BEGIN EXECUTE 'SELECT max(id)::text FROM ' || t INTO r; RETURN r; END $$;
CREATE FUNCTION caught() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE m text;
  BEGIN
    PERFORM email::int FROM secret.person;
    RETURN 'none';
  EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT;
    RETURN m;
  END $$;
CREATE FUNCTION raised() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN RAISE NOTICE 'the mail is %', (SELECT email FROM secret.person WHERE id = 1) USING HINT = (SELECT note FROM secret.person WHERE id = 2); END $$;
CREATE FUNCTION defaulted() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r record := ROW(public.bump(1)); BEGIN RETURN 1; END $$;
CREATE FUNCTION arrays(i int) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE a text[]; e text; o text := '';
  BEGIN
    a[1] := (SELECT email FROM secret.person WHERE id = i);
    FOREACH e IN ARRAY a LOOP o := o || e; END LOOP;
    RETURN o;
  END $$;
CREATE FUNCTION nested(i int) RETURNS text LANGUAGE plpgsql AS $$
  <<top>>
  DECLARE v text := 'a';
  BEGIN
    DECLARE v text := (SELECT email FROM secret.person WHERE id = nested.i);
    BEGIN top.v := v; END;
    RETURN v;
  END $$;
CREATE FUNCTION pathed() RETURNS text LANGUAGE plpgsql SET search_path = secret, pg_temp AS $$ BEGIN RETURN (SELECT max(email) FROM person); END $$;
CREATE PROCEDURE proc(INOUT x text) LANGUAGE plpgsql AS $$ BEGIN x := (SELECT email FROM secret.person WHERE name = x); COMMIT; END $$;
CREATE FUNCTION calls_proc() RETURNS text LANGUAGE plpgsql AS $$ DECLARE y text := 'n'; BEGIN CALL public.proc(y); RETURN y; END $$;
CREATE FUNCTION recursive(i int) RETURNS text LANGUAGE plpgsql AS $$
  BEGIN IF i = 0 THEN RETURN (SELECT email FROM secret.person WHERE id = 0); END IF; RETURN public.recursive(i - 1); END $$;
CREATE FUNCTION upserts(i int) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO audited (id, v) SELECT p.id, p.email FROM secret.person p WHERE p.id = i
      ON CONFLICT (id) DO UPDATE SET w = EXCLUDED.v;
    IF NOT FOUND THEN RAISE EXCEPTION 'nobody'; END IF;
  END $$;
CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL search_path = secret; PERFORM set_config('my.mail', (SELECT email FROM secret.person LIMIT 1), false); END $$;
CREATE FUNCTION prepares() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PREPARE hidden AS SELECT email FROM secret.person; END $$;
CREATE FUNCTION variadic_first(VARIADIC v text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN v[1]; END $$;
CREATE FUNCTION conflict(id int) RETURNS text LANGUAGE plpgsql AS $$
  #variable_conflict use_column
  DECLARE email text := 'x'; BEGIN RETURN (SELECT email FROM secret.person p WHERE p.id = $1); END $$;

-- A trigger that reaches another trigger of the same table by another column.
CREATE TABLE chained (id int PRIMARY KEY, a int, b int);
CREATE FUNCTION chained_a() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE chained SET b = NEW.a WHERE id = NEW.id; RETURN NULL; END $$;
CREATE FUNCTION chained_b() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM plain WHERE n = NEW.b; RETURN NULL; END $$;
CREATE TRIGGER chained_a AFTER UPDATE OF a ON chained FOR EACH ROW EXECUTE FUNCTION chained_a();
CREATE TRIGGER chained_b AFTER UPDATE OF b ON chained FOR EACH ROW EXECUTE FUNCTION chained_b();

-- One trigger function for two tables, the second reached through it.
CREATE FUNCTION shared() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE format('INSERT INTO %I (v) VALUES ($1)', TG_TABLE_NAME || '_next') USING NEW.v;
    RETURN NEW;
  END $$;
CREATE TABLE s1 (v text);
CREATE TABLE s1_next (v text);
CREATE TABLE s1_next_next (v text);
CREATE TRIGGER shared_1 AFTER INSERT ON s1 FOR EACH ROW EXECUTE FUNCTION shared();
CREATE TRIGGER shared_2 AFTER INSERT ON s1_next FOR EACH ROW EXECUTE FUNCTION shared();

-- Whole rows in trigger functions.
CREATE TABLE rows_of (id int PRIMARY KEY, v text);
CREATE TABLE rows_log (id int, v text);
CREATE FUNCTION rows_copy() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN INSERT INTO rows_log SELECT NEW.*; END IF;
    IF TG_OP = 'UPDATE' THEN INSERT INTO rows_log VALUES (NEW.*); END IF;
    IF OLD IS DISTINCT FROM NEW THEN INSERT INTO rows_log SELECT (OLD).*; END IF;
    RETURN NEW;
  END $$;
CREATE TRIGGER rows_trg AFTER INSERT OR UPDATE ON rows_of FOR EACH ROW EXECUTE FUNCTION rows_copy();
CREATE TRIGGER rows_when AFTER UPDATE ON rows_of FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION rows_copy();

-- A cursor variable that is made to name another cursor.
CREATE FUNCTION moved() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE c refcursor; t text; BEGIN OPEN c FOR SELECT 'a'; c := 'other'; FETCH c INTO t; RETURN t; END $$;
CREATE FUNCTION named_cursor() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE c refcursor := 'mine'; t text; BEGIN OPEN c FOR SELECT email FROM secret.person; FETCH c INTO t; CLOSE c; RETURN t; END $$;
CREATE FUNCTION looped_text() RETURNS void LANGUAGE plpgsql AS $$
  DECLARE q text := 'SELECT 1';
  BEGIN FOR i IN 1..2 LOOP EXECUTE q; q := 'DELETE FROM plain'; END LOOP; END $$;
CREATE FUNCTION exit_text() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text := 'none';
  BEGIN
    FOR i IN 1..10 LOOP
      EXIT WHEN (SELECT substr(email, i, 1) FROM secret.person WHERE id = 1) = 'x';
      r := i::text;
    END LOOP;
    RETURN r;
  END $$;
CREATE FUNCTION aliased(text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE p ALIAS FOR $1; BEGIN RETURN p || $1; END $$;
CREATE FUNCTION selected_into() RETURNS text LANGUAGE plpgsql AS $$
  DECLARE p secret.person%ROWTYPE; e secret.person.email%TYPE; q text;
  BEGIN
    SELECT * INTO p FROM secret.person LIMIT 1;
    e := p.email;
    q := 'SELECT ' || e;
    EXECUTE q;
    RETURN p.name;
  END $$;
