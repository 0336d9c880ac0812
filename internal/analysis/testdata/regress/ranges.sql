-- Ranges and multiranges.
CREATE TABLE booking (id int, room int, during tsrange, days daterange, price int4range, many int4multirange, num numrange, big int8range, tz tstzrange);
INSERT INTO booking VALUES (1, 10, '[2024-01-01 10:00,2024-01-01 12:00)', '[2024-01-01,2024-02-01)', '[1,10)', '{[1,3),[5,7)}', '[1.5,2.5]', '[1,)', '[2024-01-01 00:00+00,)'), (2, 10, 'empty', NULL, '(,5]', '{}', NULL, NULL, NULL);
SELECT lower(price), upper(price), lower_inc(price), upper_inc(price), lower_inf(price), upper_inf(price), isempty(price) FROM booking;
SELECT during && tsrange('2024-01-01 11:00', '2024-01-01 13:00'), price @> 3, 3 <@ price, price @> int4range(2, 3) FROM booking;
SELECT price << int4range(20, 30), price >> int4range(0, 1), price &< '[1,2)', price &> '[1,2)', price -|- '[10,20)' FROM booking;
SELECT price + int4range(2, 12), price * int4range(2, 5), price - int4range(5, 20), range_merge(price, '[50,60)') FROM booking;
SELECT int4range(id, room), int4range(id, room, '[]'), numrange(1.0, id + 0.5), daterange(lower(days), NULL) FROM booking;
SELECT lower(many), many @> 2, many + int4multirange(int4range(8, 9)), many * '{[1,2)}', many - '{[1,2)}' FROM booking;
SELECT unnest(many), range_merge(many), multirange(price), int4multirange(price, '[100,101)'::int4range) FROM booking;
SELECT r, lower(r) FROM booking, unnest(many) AS r;
--! since 15
SELECT range_agg(price), range_intersect_agg(price), range_agg(many) FROM booking;
SELECT price = '[1,10)', price < '[2,3)', price::text, '[1,2]'::int4range, many::text FROM booking;
SELECT upper(during) - lower(during) AS length, upper(days) - lower(days) AS n FROM booking;
SELECT a.id, b.id FROM booking a JOIN booking b ON a.price && b.price AND a.id < b.id;
SELECT id FROM booking ORDER BY price, during DESC NULLS LAST;
CREATE TYPE floatrange AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
SELECT floatrange(0.5, id), floatmultirange(floatrange(0, 1)) FROM booking;
CREATE TABLE reserved (room int, during tsrange, EXCLUDE USING gist (during WITH &&));
INSERT INTO reserved SELECT room, during FROM booking WHERE id = 1 RETURNING lower(during);
--! error 23P01
INSERT INTO reserved VALUES (10, '[2024-01-01 11:00,2024-01-01 11:30)');
INSERT INTO reserved VALUES (10, '[2024-01-01 11:00,2024-01-01 11:30)') ON CONFLICT DO NOTHING RETURNING *;
--! error 22000
SELECT int4range(5, 1);
UPDATE booking SET price = int4range(lower(price), 20) WHERE id = 1 RETURNING upper(price);
DROP TYPE floatrange;
DROP TABLE booking, reserved;
