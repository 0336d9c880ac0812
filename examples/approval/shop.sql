CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL);
INSERT INTO customers SELECT i, 'Customer ' || i, 'customer' || i || '@example.com' FROM generate_series(1, 50) i;

CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE, status text NOT NULL);
INSERT INTO orders SELECT i, 1 + i % 50, 'open' FROM generate_series(1, 400) i;

CREATE TABLE payments (id int PRIMARY KEY, orders int NOT NULL REFERENCES orders ON DELETE CASCADE, amount numeric(10, 2) NOT NULL);
INSERT INTO payments SELECT i, i, 10 + i FROM generate_series(1, 400) i;

CREATE TABLE import_2019 (line text);
