-- What random statements found.
CREATE TABLE pair (a int, b int, c text);
INSERT INTO pair VALUES (1, 2, 'x');
SELECT (1, 2) = (SELECT a, b FROM pair) AS same, (a, c) < (SELECT b, 'z' FROM pair LIMIT 1) AS less FROM pair;
SELECT a FROM pair WHERE (1, 2) = (SELECT a, b LIMIT 1);
DROP TABLE pair;
