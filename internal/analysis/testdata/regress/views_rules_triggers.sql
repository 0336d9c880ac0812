-- Views, materialized views, updatable views, rules, triggers.
CREATE TABLE acct (id int PRIMARY KEY, owner text, balance numeric DEFAULT 0, secret text, active boolean DEFAULT true);
CREATE TABLE acct_log (n serial, acct int, old_balance numeric, new_balance numeric, who text DEFAULT current_user, note text);
INSERT INTO acct VALUES (1, 'ann', 10, 's1'), (2, 'bob', 20, 's2');
CREATE VIEW v_acct AS SELECT id, owner, balance FROM acct WHERE active;
CREATE VIEW v_rich (i, who, how_much) AS SELECT id, upper(owner), balance * 2 FROM v_acct WHERE balance > 5;
CREATE OR REPLACE VIEW v_acct AS SELECT id, owner, balance, secret AS hidden FROM acct WHERE active;
CREATE VIEW v_checked AS SELECT * FROM acct WHERE balance < 1000 WITH CASCADED CHECK OPTION;
CREATE VIEW v_barrier WITH (security_barrier) AS SELECT id, owner FROM acct WHERE owner = current_user;
--! since 15
CREATE VIEW v_invoker WITH (security_invoker = true) AS SELECT id, secret FROM acct;
CREATE VIEW v_agg AS SELECT owner, sum(balance) AS total, count(*) FROM acct GROUP BY owner;
CREATE RECURSIVE VIEW v_nums (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v_nums WHERE n < 3;
CREATE TEMP VIEW v_temp AS SELECT secret FROM acct;
CREATE VIEW v_join AS SELECT a.id, l.note, a.owner FROM acct a JOIN acct_log l ON l.acct = a.id;
CREATE MATERIALIZED VIEW mv AS SELECT owner, secret, balance FROM acct;
CREATE MATERIALIZED VIEW mv_later (o) AS SELECT owner FROM acct WITH NO DATA;
SELECT * FROM v_acct;
SELECT who, how_much FROM v_rich ORDER BY 2;
SELECT v, v.hidden FROM v_acct v;
SELECT n FROM v_nums;
SELECT secret FROM v_temp;
SELECT owner, secret FROM mv WHERE balance > 1;
SELECT total, count FROM v_agg;
--! since 15
SELECT id FROM v_barrier UNION SELECT id FROM v_invoker;
REFRESH MATERIALIZED VIEW mv_later;
CREATE UNIQUE INDEX ON mv (owner);
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
REFRESH MATERIALIZED VIEW mv WITH NO DATA;
--! error 55000
SELECT * FROM mv;
REFRESH MATERIALIZED VIEW mv WITH DATA;
INSERT INTO v_acct (id, owner, hidden) VALUES (3, 'cat', 's3') RETURNING *;
UPDATE v_acct SET balance = balance + 5, hidden = owner WHERE id = 1 RETURNING hidden, balance;
--! error 0A000
UPDATE v_rich SET how_much = 1;
DELETE FROM v_acct WHERE id = 3 RETURNING owner;
UPDATE v_checked SET balance = 5 WHERE id = 2 RETURNING secret;
--! error 44000
UPDATE v_checked SET balance = 5000 WHERE id = 2;
--! error 55000
INSERT INTO v_agg VALUES ('x', 1, 1);
--! error 55000
DELETE FROM v_join;
INSERT INTO v_acct (id, owner) VALUES (1, 'dup') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner RETURNING owner, hidden;
--! since 15
MERGE INTO acct USING v_acct v ON acct.id = v.id WHEN MATCHED THEN UPDATE SET secret = v.owner;
ALTER VIEW v_acct ALTER COLUMN balance SET DEFAULT 3;
INSERT INTO v_acct (id, owner) VALUES (4, 'dan') RETURNING balance;
ALTER VIEW v_acct RENAME COLUMN hidden TO covered;
ALTER VIEW v_acct RENAME TO v_account;
ALTER VIEW v_account SET (security_barrier = true);
ALTER VIEW v_account OWNER TO CURRENT_USER;
SELECT covered FROM v_account;
SELECT how_much FROM v_rich;
COMMENT ON VIEW v_account IS 'accounts';
CREATE RULE log_ins AS ON INSERT TO acct DO ALSO INSERT INTO acct_log (acct, new_balance, note) VALUES (new.id, new.balance, 'ins ' || new.owner);
CREATE RULE log_upd AS ON UPDATE TO acct WHERE old.balance <> new.balance DO INSERT INTO acct_log (acct, old_balance, new_balance) VALUES (old.id, old.balance, new.balance);
INSERT INTO acct VALUES (5, 'eve', 7, 's5');
UPDATE acct SET balance = 8 WHERE id = 5;
SELECT note, who FROM acct_log;
CREATE RULE no_del AS ON DELETE TO acct WHERE old.id = 1 DO INSTEAD NOTHING;
DELETE FROM acct WHERE id = 1;
CREATE RULE v_join_ins AS ON INSERT TO v_join DO INSTEAD (INSERT INTO acct (id, owner) VALUES (new.id, new.owner); INSERT INTO acct_log (acct, note) VALUES (new.id, new.note));
INSERT INTO v_join VALUES (6, 'note', 'fay');
CREATE RULE v_join_del AS ON DELETE TO v_join DO INSTEAD DELETE FROM acct_log WHERE acct = old.id RETURNING acct_log.acct, acct_log.note, acct_log.who;
DELETE FROM v_join WHERE id = 6 RETURNING note, owner;
CREATE RULE v_join_upd AS ON UPDATE TO v_join DO INSTEAD UPDATE acct SET owner = new.owner WHERE id = old.id RETURNING id, secret, owner;
UPDATE v_join SET owner = 'x' WHERE id = 5 RETURNING id, note, owner;
ALTER TABLE acct DISABLE RULE log_ins;
ALTER TABLE acct ENABLE ALWAYS RULE log_ins;
ALTER RULE log_ins ON acct RENAME TO log_insert;
COMMENT ON RULE log_insert ON acct IS 'r';
DROP RULE log_insert ON acct;
DROP RULE IF EXISTS log_upd ON acct CASCADE;
DROP RULE no_del ON acct;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.secret := coalesce(new.secret, '') || '/' || new.owner; RETURN new; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF owner ON acct FOR EACH ROW WHEN (new.active) EXECUTE FUNCTION stamp();
INSERT INTO acct (id, owner) VALUES (7, 'gus') RETURNING secret;
UPDATE acct SET owner = 'gustav' WHERE id = 7 RETURNING secret, owner;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF tg_op = 'DELETE' THEN
    INSERT INTO acct_log (acct, old_balance, note) VALUES (old.id, old.balance, tg_name || tg_argv[0]);
    RETURN old;
  END IF;
  INSERT INTO acct_log (acct, new_balance, note) VALUES (new.id, new.balance, new.secret);
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON acct FOR EACH ROW EXECUTE FUNCTION audit('arg');
INSERT INTO acct (id, owner, secret) VALUES (8, 'hal', 's8');
UPDATE acct SET balance = balance + 1 WHERE id IN (7, 8);
DELETE FROM acct WHERE id = 8 RETURNING secret;
CREATE FUNCTION summary() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO acct_log (note, new_balance) SELECT string_agg(owner, ','), sum(balance) FROM changed; RETURN NULL; END $$;
CREATE TRIGGER summary AFTER UPDATE ON acct REFERENCING NEW TABLE AS changed OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION summary();
UPDATE acct SET active = NOT active;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON acct DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit('late');
INSERT INTO acct (id, owner) VALUES (9, 'ida');
CREATE FUNCTION view_ins() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO acct (id, owner, balance) VALUES (new.owner::int, new.owner, new.total); new.count := 1; RETURN new; END $$;
CREATE TRIGGER agg_ins INSTEAD OF INSERT ON v_agg FOR EACH ROW EXECUTE FUNCTION view_ins();
INSERT INTO v_agg (owner, total) VALUES ('77', 5) RETURNING owner, total, count;
--! error 42883
CREATE TRIGGER truncated AFTER TRUNCATE ON acct EXECUTE FUNCTION no_such_function();
CREATE FUNCTION on_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM acct_log; RETURN NULL; END $$;
CREATE TRIGGER truncated BEFORE TRUNCATE ON acct EXECUTE FUNCTION on_truncate();
TRUNCATE acct;
ALTER TABLE acct DISABLE TRIGGER audit;
INSERT INTO acct (id, owner) VALUES (10, 'jo');
ALTER TABLE acct ENABLE REPLICA TRIGGER audit;
INSERT INTO acct (id, owner) VALUES (11, 'kim');
ALTER TABLE acct ENABLE ALWAYS TRIGGER audit;
ALTER TRIGGER audit ON acct RENAME TO audit_all;
CREATE OR REPLACE TRIGGER audit_all AFTER DELETE ON acct FOR EACH ROW EXECUTE FUNCTION audit('again');
COMMENT ON TRIGGER stamp ON acct IS 't';
DROP TRIGGER stamp ON acct;
DROP TRIGGER IF EXISTS nothing ON acct;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
ALTER EVENT TRIGGER watch DISABLE;
ALTER EVENT TRIGGER watch OWNER TO CURRENT_USER;
ALTER EVENT TRIGGER watch RENAME TO watcher;
COMMENT ON EVENT TRIGGER watcher IS 'e';
DROP EVENT TRIGGER watcher;
DROP MATERIALIZED VIEW mv, mv_later;
DROP VIEW v_rich, v_temp;
DROP TABLE acct, acct_log CASCADE;
DROP FUNCTION stamp, audit, summary, view_ins, on_truncate, on_ddl;
