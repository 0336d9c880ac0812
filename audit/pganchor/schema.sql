-- Heads of audit trails. Rows are added and never changed: nobody but the owner
-- has the right to, and the triggers stop the owner's accidents too.
create schema if not exists guardedpg_anchor;

create table if not exists guardedpg_anchor.heads (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    origin text not null,
    seq    bigint not null check (seq > 0),
    hash   bytea not null check (length(hash) = 32),
    key    bytea not null check (length(key) = 32)
);

create or replace function guardedpg_anchor.refuse() returns trigger
    language plpgsql set search_path = pg_catalog as
$$ begin raise exception 'heads of audit trails are never changed'; end $$;

create or replace trigger no_change before update or delete or truncate on guardedpg_anchor.heads
    for each statement execute function guardedpg_anchor.refuse();

revoke all on schema guardedpg_anchor from public;
revoke all on guardedpg_anchor.heads from public;
