-- The first schema: identity, ownership, links, the feed, and the counts.
-- Times are microseconds since 1970 UTC by this database's clock; everything stands in the
-- schema "urlshort" (the runner has set search_path).

CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS
  $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

CREATE TABLE cluster (
  one         boolean PRIMARY KEY DEFAULT true CHECK (one),
  cluster_id  text NOT NULL,
  slots       integer NOT NULL CHECK (slots = 64),
  shard_id    text NOT NULL,
  ordinal     integer NOT NULL,
  generation  bigint NOT NULL,
  secret      bytea NOT NULL
);

CREATE TABLE cluster_data (
  key      text COLLATE "C" PRIMARY KEY,
  version  bigint NOT NULL,
  value    text NOT NULL
);

-- The truth about ownership. States: active, importing, frozen, gone.
CREATE TABLE slot_owner (
  slot         smallint PRIMARY KEY CHECK (slot BETWEEN 0 AND 63),
  state        text NOT NULL CHECK (state IN ('active', 'importing', 'frozen', 'gone')),
  owner_epoch  bigint NOT NULL,
  capture      boolean NOT NULL DEFAULT false
);

CREATE TABLE slot_changes (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tbl   text NOT NULL,
  slot  smallint NOT NULL,
  pk    text NOT NULL
);

CREATE TABLE links (
  code             text COLLATE "C" PRIMARY KEY,
  slot             smallint NOT NULL,
  version          bigint NOT NULL,
  state            smallint NOT NULL,
  long_url         text NOT NULL,
  url_hash         bigint NOT NULL,
  redirect_status  smallint NOT NULL,
  valid_from       bigint,
  expires_at       bigint,
  expired_url      text,
  query_forward    smallint NOT NULL,
  hide_referrer    boolean NOT NULL,
  indexable        boolean NOT NULL,
  title            text,
  notes            text,
  tags             text[] NOT NULL,
  owner            text COLLATE "C",
  created_at       bigint NOT NULL,
  updated_at       bigint NOT NULL
);
CREATE INDEX links_newest ON links (created_at DESC, code DESC);
CREATE INDEX links_reuse ON links (url_hash, owner) WHERE state = 0;
CREATE INDEX links_tags ON links USING gin (tags);

-- Changes of the last 15 minutes: how every process learns of them.
CREATE TABLE link_changes (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slot     smallint NOT NULL,
  code     text COLLATE "C" NOT NULL,
  version  bigint NOT NULL,
  at       bigint NOT NULL
);
CREATE INDEX link_changes_at ON link_changes (at);

CREATE TABLE progress (
  slot           smallint PRIMARY KEY,
  owner          text,
  lease_epoch    bigint NOT NULL DEFAULT 0,
  expires        bigint NOT NULL DEFAULT 0,
  next_offset    bigint NOT NULL DEFAULT 0,
  last_producer  uuid,
  last_seq       bigint,
  caught_up_at   bigint,
  stopped        text
);

CREATE TABLE producer_seq (
  slot         smallint NOT NULL,
  producer_id  uuid NOT NULL,
  last_seq     bigint NOT NULL,
  PRIMARY KEY (slot, producer_id)
);

CREATE TABLE producer_gaps (
  slot         smallint NOT NULL,
  producer_id  uuid NOT NULL,
  from_seq     bigint NOT NULL,
  to_seq       bigint NOT NULL,
  PRIMARY KEY (slot, producer_id, from_seq)
);
CREATE INDEX producer_gaps_producer ON producer_gaps (producer_id);

CREATE TABLE producers (
  id                  uuid PRIMARY KEY,
  host                text NOT NULL,
  seen_at             bigint NOT NULL,
  oldest_unshipped_at bigint,
  closed_at           bigint
);

CREATE TABLE workers (
  id       text PRIMARY KEY,
  seen_at  bigint NOT NULL
);

CREATE TABLE dead_events (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slot     smallint NOT NULL,
  reason   text NOT NULL,
  payload  bytea NOT NULL,
  at       bigint NOT NULL
);

CREATE TABLE lost_ranges (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slot         smallint NOT NULL,
  from_offset  bigint NOT NULL,
  to_offset    bigint NOT NULL,
  at           bigint NOT NULL
);

CREATE TABLE clicks_total (
  slot     smallint NOT NULL,
  code     text COLLATE "C" PRIMARY KEY,
  human    bigint NOT NULL,
  bot      bigint NOT NULL,
  preview  bigint NOT NULL,
  head     bigint NOT NULL
) WITH (fillfactor = 80);

-- One row for each link and quarter of an hour (quarter = microseconds / 900,000,000).
CREATE TABLE clicks_quarter (
  slot     smallint NOT NULL,
  code     text COLLATE "C" NOT NULL,
  quarter  bigint NOT NULL,
  human    bigint NOT NULL,
  bot      bigint NOT NULL,
  preview  bigint NOT NULL,
  head     bigint NOT NULL,
  PRIMARY KEY (code, quarter)
) WITH (fillfactor = 80);

-- One row for each link, UTC day, dimension and value.
CREATE TABLE clicks_value (
  slot       smallint NOT NULL,
  code       text COLLATE "C" NOT NULL,
  day        integer NOT NULL,
  dimension  smallint NOT NULL,
  value      text COLLATE "C" NOT NULL,
  human      bigint NOT NULL,
  bot        bigint NOT NULL,
  preview    bigint NOT NULL,
  PRIMARY KEY (code, day, dimension, value)
) WITH (fillfactor = 80);

-- A mergeable sketch of the people of one link and UTC day; the first byte is its version.
CREATE TABLE clicks_visitors (
  slot    smallint NOT NULL,
  code    text COLLATE "C" NOT NULL,
  day     integer NOT NULL,
  sketch  bytea NOT NULL,
  PRIMARY KEY (code, day)
);

-- Refuses writes where the slot is not active. The lock is shared; a move of the slot takes it
-- alone and so waits for running writers. READ COMMITTED: the state is read after the wait.
CREATE FUNCTION guard_slot() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  wanted smallint;
  found text;
BEGIN
  IF TG_OP = 'DELETE' THEN wanted := OLD.slot; ELSE wanted := NEW.slot; END IF;
  PERFORM pg_advisory_xact_lock_shared(7001, wanted);
  SELECT state INTO found FROM urlshort.slot_owner WHERE slot = wanted;
  IF found IS DISTINCT FROM 'active' THEN
    RAISE EXCEPTION 'slot % is not active here', wanted USING ERRCODE = 'US001';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['links', 'progress', 'producer_seq', 'producer_gaps',
                              'clicks_total', 'clicks_quarter', 'clicks_value', 'clicks_visitors']
  LOOP
    EXECUTE format('CREATE TRIGGER guard_slot BEFORE INSERT OR UPDATE OR DELETE ON %I
                    FOR EACH ROW EXECUTE FUNCTION guard_slot()', name);
  END LOOP;
END $$;
