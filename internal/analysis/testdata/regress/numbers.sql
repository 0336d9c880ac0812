-- Numbers, booleans, casts between them.
CREATE TABLE num (i2 smallint, i4 int, i8 bigint, n numeric, n2 numeric(8,2), r real, d double precision, m money, b boolean, o oid);
INSERT INTO num VALUES (1, 2, 3, 4.5, 5.25, 1.5, 2.5, '7.10', true, 42), (-1, -2, -3, -4.5, -5.25, -1.5, 'Infinity', '0', false, 0), (NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT i2 + i4, i4 + i8, i8 - i2, i4 * n, n / 2, i4 / 2, i4 % 3, 2 ^ i4 FROM num;
SELECT i2 + r, r * d, n + d, n2 - i8, -n, +d, @ i4, |/ abs(d), ||/ d FROM num WHERE d < 1e9;
SELECT i4 & i2, i4 | 1, i4 # 3, ~i8, i4 << 2, i8 >> 1 FROM num;
SELECT abs(i4), sign(n), ceil(n), floor(d), round(n2, 1), trunc(n, 1), round(d), ceiling(r) FROM num WHERE d < 1e9;
SELECT sqrt(abs(n)), cbrt(d), exp(1), ln(2.0), log(10), log(2.0, 8.0), power(n, 2), power(d, 2) FROM num WHERE i4 = 2;
SELECT sin(d), cos(d), tan(d), asin(0), acos(1), atan(d), atan2(d, r), cot(1), sinh(r), cosh(r), tanh(r) FROM num WHERE i4 = 2;
SELECT degrees(d), radians(d), pi(), sind(d), div(n, 2), mod(i4, 3), gcd(i4, 4), lcm(i4, 3), factorial(4) FROM num WHERE i4 = 2;
SELECT width_bucket(n, 0, 10, 5), width_bucket(i4, ARRAY[1, 2, 3]), scale(n), min_scale(n), trim_scale(n) FROM num WHERE i4 = 2;
SELECT i4 = n, i2 < i8, n2 <> d, i4 IS DISTINCT FROM i2, i4 BETWEEN 1 AND 5, i4 NOT BETWEEN SYMMETRIC 5 AND 1 FROM num;
SELECT greatest(i2, i4, i8), least(n, d), greatest(1, 2.5, NULL) FROM num;
SELECT coalesce(i4, n, 0), nullif(i4, 2), coalesce(i2, 0)::text FROM num;
SELECT i4::bigint, n::int, d::numeric, b::int, i4::boolean, '12'::int, o::regclass FROM num WHERE i4 = 2;
SELECT CAST(n AS numeric(4,1)), CAST(i4 AS smallint), int4(n), float8(i4), int8(i4) FROM num WHERE i4 = 2;
SELECT m + m, m * 2, m / 2, m::numeric, 5::money FROM num;
SELECT b AND i4 > 1, b OR NOT b, NOT b, b IS TRUE, b IS NOT FALSE, b IS UNKNOWN, b IS NOT UNKNOWN FROM num;
SELECT i4 IN (1, 2, 3), i4 NOT IN (4, 5), n IN (1, i4), i4 = ANY (ARRAY[1, 2]), i4 <> ALL ('{3,4}') FROM num;
SELECT 0 AS x1f;
SELECT 1e10, 1.5e-3, .5, 10., 123456789012, 12345678901234567890;
SELECT to_char(n, 'FM999.00'), to_char(i4, 'S9'), to_char(d, '9.9EEEE') FROM num WHERE i4 = 2;
SELECT random() < 2, setseed(0.5);
SELECT n::text || '%' AS pct, (n * 100)::int AS cents FROM num WHERE i4 = 2;
SELECT sum(i2), sum(i4), sum(i8), sum(n), sum(r), sum(d), sum(m) FROM num WHERE i4 = 2;
SELECT avg(i2), avg(i4), avg(i8), avg(n), avg(r) FROM num WHERE i4 = 2;
SELECT CASE WHEN i4 > 0 THEN n ELSE d END, CASE i4 WHEN 2 THEN 'two' WHEN -2 THEN 'minus' END FROM num;
SELECT CASE WHEN b THEN 1 WHEN NOT b THEN 2.5 END AS mixed FROM num;
SELECT int4larger(i4, 1), int8inc(i8), i4::oid, o::int FROM num WHERE i4 = 2;
SELECT hashint4(i4), numeric_send(n), float8send(d), int4send(i4) FROM num WHERE i4 = 2;
SELECT pg_lsn '0/10' - pg_lsn '0/1', '0/10'::pg_lsn > '0/1';
SELECT txid_current() > 0, pg_current_xact_id() IS NOT NULL;
--! error 22012
SELECT i4 / 0 FROM num;
--! error 22003
SELECT i4::smallint * 100000::smallint FROM num;
--! error 22003
SELECT 1e400::float8;
--! error 42883
SELECT i4 + b FROM num;
--! error 42804
SELECT i4 FROM num WHERE i4;
--! error 42804
SELECT 1 WHERE 1;
UPDATE num SET i4 = i4 + 1, n = n * 2, d = DEFAULT WHERE i2 = 1 RETURNING i4, n, d IS NULL;
UPDATE num SET b = i4 > 0;
INSERT INTO num (i4, n) SELECT i4 * 2, n + i8 FROM num WHERE i4 IS NOT NULL RETURNING i4 AS doubled;
DELETE FROM num WHERE n = 'NaN';
CREATE FUNCTION triple(int) RETURNS int LANGUAGE sql RETURN $1 * 3;
CREATE FUNCTION triple(numeric) RETURNS numeric LANGUAGE sql RETURN $1 * 3;
SELECT triple(i4), triple(n), triple(1) FROM num;
SELECT triple(i4)::text, -triple(i4), triple(i4) + triple(n) FROM num;
CREATE OPERATOR @+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl, COMMUTATOR = @+@);
SELECT i4 @+@ 1, i4 OPERATOR(public.@+@) i4, 1 OPERATOR(pg_catalog.+) 2 FROM num;
CREATE OPERATOR <!> (RIGHTARG = int, FUNCTION = triple);
SELECT <!> i4 FROM num;
DROP OPERATOR @+@ (int, int);
DROP OPERATOR <!> (NONE, int);
DROP FUNCTION triple(int), triple(numeric);
DROP TABLE num;
