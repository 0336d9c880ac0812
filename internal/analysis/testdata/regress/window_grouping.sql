-- Window functions and grouping sets.
CREATE TABLE sale (id int PRIMARY KEY, region text, rep text, amount numeric, day date, qty int);
INSERT INTO sale SELECT i, (ARRAY['n', 's'])[i % 2 + 1], 'rep' || i % 3, i * 1.5, date '2024-01-01' + i, i FROM generate_series(1, 9) i;
SELECT row_number() OVER (), rank() OVER (ORDER BY amount), dense_rank() OVER (ORDER BY qty) FROM sale;
SELECT percent_rank() OVER w, cume_dist() OVER w, ntile(3) OVER w FROM sale WINDOW w AS (PARTITION BY region ORDER BY amount);
SELECT lag(amount) OVER (ORDER BY day), lead(rep, 2, 'none') OVER (ORDER BY day), lag(amount, qty, 0.0) OVER (ORDER BY id) FROM sale;
SELECT first_value(rep) OVER w, last_value(rep) OVER w, nth_value(rep, 2) OVER w FROM sale WINDOW w AS (PARTITION BY region ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);
SELECT sum(amount) OVER (PARTITION BY region ORDER BY day ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM sale;
SELECT sum(amount) OVER (ORDER BY qty RANGE BETWEEN 2 PRECEDING AND CURRENT ROW), count(*) OVER (ORDER BY qty GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM sale;
SELECT sum(amount) OVER (ORDER BY day RANGE BETWEEN interval '2 days' PRECEDING AND interval '1 day' FOLLOWING EXCLUDE CURRENT ROW) FROM sale;
SELECT avg(amount) OVER (w ROWS 2 PRECEDING), max(qty) OVER w FROM sale WINDOW w AS (PARTITION BY region ORDER BY day);
SELECT sum(qty) OVER v, sum(qty) OVER w FROM sale WINDOW w AS (PARTITION BY rep), v AS (w ORDER BY day);
SELECT sum(amount) FILTER (WHERE qty > 3) OVER (PARTITION BY region) FROM sale;
SELECT region, sum(sum(amount)) OVER (ORDER BY region), rank() OVER (ORDER BY count(*)) FROM sale GROUP BY region;
SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY rep ORDER BY amount DESC) AS place FROM sale) s WHERE place = 1;
SELECT id FROM sale ORDER BY rank() OVER (ORDER BY amount DESC), id;
SELECT array_agg(rep) OVER (ORDER BY id), string_agg(rep, ',') OVER (PARTITION BY region), json_agg(sale) OVER () FROM sale;
SELECT amount - avg(amount) OVER () AS diff, amount / sum(amount) OVER (PARTITION BY region) * 100 AS pct FROM sale;
SELECT lag(s) OVER (ORDER BY id) FROM sale s;
SELECT (lag(s) OVER (ORDER BY id)).rep FROM sale s;
SELECT ntile(qty) OVER (ORDER BY id), nth_value(amount, qty) OVER (ORDER BY id) FROM sale;
SELECT region, rep, sum(amount) FROM sale GROUP BY GROUPING SETS ((region, rep), (region), ());
SELECT region, rep, sum(amount), grouping(region, rep), grouping(rep) AS g FROM sale GROUP BY ROLLUP (region, rep) ORDER BY g;
SELECT region, rep, count(*) FROM sale GROUP BY CUBE (region, rep) HAVING grouping(region) = 0;
SELECT region, day, rep, sum(qty) FROM sale GROUP BY region, ROLLUP (day, (rep, qty)), CUBE (id);
SELECT upper(region) AS r, sum(qty) FROM sale GROUP BY GROUPING SETS (r, ROLLUP (rep)), rep;
SELECT region, count(*) FROM sale GROUP BY DISTINCT ROLLUP (region, rep), ROLLUP (region, day);
SELECT CASE WHEN grouping(region) = 1 THEN 'all' ELSE region END AS r, sum(amount) FROM sale GROUP BY ROLLUP (region);
SELECT date_trunc('month', day) AS m, extract(dow FROM day), sum(amount) FROM sale GROUP BY 1, 2;
SELECT region || rep AS who, max(day) - min(day) FROM sale GROUP BY region, rep, region || rep;
SELECT sum(qty) FROM sale GROUP BY ();
SELECT 1 FROM sale GROUP BY region HAVING sum(qty) > 1;
SELECT grouping(id) FROM sale GROUP BY id;
--! error 42P20
SELECT id FROM sale WHERE rank() OVER () = 1;
--! error 42803
SELECT rep, grouping(region) FROM sale GROUP BY rep;
--! error 42704
SELECT sum(qty) OVER nowhere FROM sale;
CREATE FUNCTION running(int) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4abs';
--! unknown written in internal
SELECT running(qty) FROM sale;
CREATE FUNCTION my_rank() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number';
--! unknown written in internal
SELECT my_rank() OVER (ORDER BY id) FROM sale;
DROP FUNCTION running(int), my_rank();
DROP TABLE sale;
