-- What many identities share. A role that is no superuser, so that row level
-- security holds for it.
DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crowd') THEN
		CREATE ROLE crowd LOGIN PASSWORD 'crowd';
	END IF;
END $$;
CREATE TABLE people (id int PRIMARY KEY, mail text NOT NULL, pin int NOT NULL, note text NOT NULL, token text NOT NULL);
INSERT INTO people SELECT g, 'clear' || g || '@x.test', 100000 + g, 'clear note ' || 1000 + g, 'clear token ' || g FROM generate_series(1, 64) g;
-- Rows of the identities, by the tag that the guard puts into the session.
CREATE TABLE own (owner text NOT NULL, n int NOT NULL, code text NOT NULL, PRIMARY KEY (owner, n));
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON own USING (owner = current_setting('guardedpg.issuer') || '/' || current_setting('guardedpg.subject'));
GRANT ALL ON people, own TO crowd;
