-- Events are only added: nothing here updates or deletes one, and nobody but the
-- owner has the right to. The primary key is what makes a decision count once:
-- of two processes that add to a stream from the same state, one is refused.

create table guardedpg_approve.events (
    stream  text not null,
    seq     integer not null check (seq > 0),
    kind    text not null check (kind in ('asked', 'decided', 'used', 'revoked')),
    request text not null,
    shape   text not null,
    at      timestamptz not null,
    body    json not null,
    primary key (stream, seq)
);

create index on guardedpg_approve.events (request);
create index on guardedpg_approve.events (shape) where shape <> '';
create index on guardedpg_approve.events (at);

-- The time is the server's, whatever a client says, and does not go back within
-- a stream. An event without the one before it is not added.
create function guardedpg_approve.place() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare before timestamptz;
begin
    if new.seq <> 1 then
        select at into before from guardedpg_approve.events where stream = new.stream and seq = new.seq - 1;
        if not found then
            return null;
        end if;
    end if;
    new.at := greatest(clock_timestamp(), before);
    return new;
end $$;

create trigger place before insert on guardedpg_approve.events
    for each row execute function guardedpg_approve.place();

create function guardedpg_approve.tell() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('guardedpg_approve', '');
    return null;
end $$;

create trigger tell after insert on guardedpg_approve.events
    for each statement execute function guardedpg_approve.tell();

-- Without a policy for it, a role sees and adds nothing; see Store.Separate.
alter table guardedpg_approve.events enable row level security;
