create schema app;
create schema "Odd ""Schema";
create type app.mood as enum ('ok', 'bad');
create type app.pair as (a int, b text);
create domain app.email as text default 'x@y' check (value ~ '@') constraint short check (length(value) < 100);
create type app.span as range (subtype = float8);
create table app.customers (
	id int8 generated always as identity primary key,
	gone int,
	email app.email not null,
	name text collate "C" default lower('X'),
	full_name text generated always as (name || '!') stored,
	mood app.mood
);
alter table app.customers drop column gone;
comment on table app.customers is 'people';
comment on column app.customers.email is '@mask(email)';
create unique index customers_email on app.customers (email);
create unique index customers_lower on app.customers (lower(name)) where id > 10;
create unique index customers_pattern on app.customers (name text_pattern_ops);
create table app.orders (
	id int primary key,
	customer int8 not null constraint orders_customer references app.customers on update cascade on delete set null,
	amount numeric check (amount > 0),
	note text unique deferrable
);
alter table app.orders enable row level security;
create policy mine on app.orders for all using (note = current_user) with check (exists (select from app.customers c where c.id = customer));
create table app.events (at date not null, kind text) partition by range (at, lower(kind));
create table app.base (a int);
create table app.child (b int) inherits (app.base);
create table app.grandchild () inherits (app.child);
create table app.parts (at date not null, kind text) partition by range (at);
create table app.parts_2020 partition of app.parts for values from ('2020-01-01') to ('2021-01-01');
create view app.contacts as select c.id, c.email as mail from app.customers c join app.orders o on o.customer = c.id;
create materialized view app.totals as select customer, sum(amount) from app.orders group by 1;
create rule log as on insert to app.contacts do instead insert into app.base values (1);
create function app.touch() returns trigger language plpgsql as $$ begin insert into app.base values (2); return new; end $$;
create trigger touch before insert or update of amount on app.orders for each row when (new.note is distinct from 'a) when (b' and new."amount" > 1) execute function app.touch('x when (y)');
create trigger parts_touch after insert on app.parts for each row execute function app.touch();
create function app.add(x int, y int default 1 + 1, out total int, variadic z int[] default '{}') language sql immutable strict as 'select x + y';
create function app.body(x int) returns text language sql begin atomic select email from app.customers where id = x; end;
create function app.many() returns table (id int8, mail text) language sql stable security definer set work_mem = '4MB' as 'select id, email from app.customers';
create procedure app.proc(inout x int) language plpgsql as $$ begin x := 1; end $$;
create aggregate app.total (int) (sfunc = int4pl, stype = int4, initcond = '0');
create operator app.### (leftarg = int, rightarg = int, function = int4pl);
create function app.to_pair(text) returns app.pair language sql as 'select row(1, $1)::app.pair';
create cast (text as app.pair) with function app.to_pair(text) as assignment;
create foreign data wrapper nowhere;
create server far foreign data wrapper nowhere options (host 'h');
create foreign table app.remote (a int options (column_name 'A "x"')) server far options (table_name 't,{}\ "');
create table "Odd ""Schema"."Odd ""Table" ("Odd Column" int);
create sequence app.seq;
create unlogged table app.secret (a int);
revoke all on app.secret from public;
