-- The first schema: identity, ownership, links, the feed, and the counts.
-- Times are microseconds since 1970 UTC by this machine's clock.

CREATE TABLE cluster (
  one         integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
  cluster_id  text NOT NULL,
  slots       integer NOT NULL CHECK (slots = 64),
  shard_id    text NOT NULL,
  ordinal     integer NOT NULL,
  generation  integer NOT NULL,
  secret      blob NOT NULL
) STRICT;

CREATE TABLE cluster_data (
  key      text PRIMARY KEY,
  version  integer NOT NULL,
  value    text NOT NULL
) STRICT;

-- The truth about ownership. States: active, importing, frozen, gone.
CREATE TABLE slot_owner (
  slot         integer PRIMARY KEY CHECK (slot BETWEEN 0 AND 63),
  state        text NOT NULL CHECK (state IN ('active', 'importing', 'frozen', 'gone')),
  owner_epoch  integer NOT NULL,
  capture      integer NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE slot_changes (
  id    integer PRIMARY KEY,
  tbl   text NOT NULL,
  slot  integer NOT NULL,
  pk    text NOT NULL
) STRICT;

CREATE TABLE links (
  code             text PRIMARY KEY,
  slot             integer NOT NULL,
  version          integer NOT NULL,
  state            integer NOT NULL,
  long_url         text NOT NULL,
  url_hash         integer NOT NULL,
  redirect_status  integer NOT NULL,
  valid_from       integer,
  expires_at       integer,
  expired_url      text,
  query_forward    integer NOT NULL,
  hide_referrer    integer NOT NULL,
  indexable        integer NOT NULL,
  title            text,
  notes            text,
  tags             text NOT NULL,
  owner            text,
  created_at       integer NOT NULL,
  updated_at       integer NOT NULL
) STRICT;
CREATE INDEX links_newest ON links (created_at DESC, code DESC);
CREATE INDEX links_reuse ON links (url_hash, owner) WHERE state = 0;

-- Changes of the last 15 minutes: how every process learns of them.
CREATE TABLE link_changes (
  id       integer PRIMARY KEY,
  slot     integer NOT NULL,
  code     text NOT NULL,
  version  integer NOT NULL,
  at       integer NOT NULL
) STRICT;
CREATE INDEX link_changes_at ON link_changes (at);

CREATE TABLE progress (
  slot           integer PRIMARY KEY,
  owner          text,
  lease_epoch    integer NOT NULL DEFAULT 0,
  expires        integer NOT NULL DEFAULT 0,
  next_offset    integer NOT NULL DEFAULT 0,
  last_producer  blob,
  last_seq       integer,
  caught_up_at   integer,
  stopped        text
) STRICT;

CREATE TABLE producer_seq (
  slot         integer NOT NULL,
  producer_id  blob NOT NULL,
  last_seq     integer NOT NULL,
  PRIMARY KEY (slot, producer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE producer_gaps (
  slot         integer NOT NULL,
  producer_id  blob NOT NULL,
  from_seq     integer NOT NULL,
  to_seq       integer NOT NULL,
  PRIMARY KEY (slot, producer_id, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX producer_gaps_producer ON producer_gaps (producer_id);

CREATE TABLE producers (
  id                  blob PRIMARY KEY,
  host                text NOT NULL,
  seen_at             integer NOT NULL,
  oldest_unshipped_at integer,
  closed_at           integer
) STRICT;

CREATE TABLE workers (
  id       text PRIMARY KEY,
  seen_at  integer NOT NULL
) STRICT;

CREATE TABLE dead_events (
  id       integer PRIMARY KEY,
  slot     integer NOT NULL,
  reason   text NOT NULL,
  payload  blob NOT NULL,
  at       integer NOT NULL
) STRICT;

CREATE TABLE lost_ranges (
  id           integer PRIMARY KEY,
  slot         integer NOT NULL,
  from_offset  integer NOT NULL,
  to_offset    integer NOT NULL,
  at           integer NOT NULL
) STRICT;

CREATE TABLE clicks_total (
  slot     integer NOT NULL,
  code     text PRIMARY KEY,
  human    integer NOT NULL,
  bot      integer NOT NULL,
  preview  integer NOT NULL,
  head     integer NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each link and quarter of an hour (quarter = microseconds / 900,000,000).
CREATE TABLE clicks_quarter (
  slot     integer NOT NULL,
  code     text NOT NULL,
  quarter  integer NOT NULL,
  human    integer NOT NULL,
  bot      integer NOT NULL,
  preview  integer NOT NULL,
  head     integer NOT NULL,
  PRIMARY KEY (code, quarter)
) STRICT, WITHOUT ROWID;

-- One row for each link, UTC day, dimension and value.
CREATE TABLE clicks_value (
  slot       integer NOT NULL,
  code       text NOT NULL,
  day        integer NOT NULL,
  dimension  integer NOT NULL,
  value      text NOT NULL,
  human      integer NOT NULL,
  bot        integer NOT NULL,
  preview    integer NOT NULL,
  PRIMARY KEY (code, day, dimension, value)
) STRICT, WITHOUT ROWID;

-- A mergeable sketch of the people of one link and UTC day; the first byte is its version.
CREATE TABLE clicks_visitors (
  slot    integer NOT NULL,
  code    text NOT NULL,
  day     integer NOT NULL,
  sketch  blob NOT NULL,
  PRIMARY KEY (code, day)
) STRICT, WITHOUT ROWID;

-- Refuses writes where the slot is not active; the one writer makes a lock needless.
CREATE TRIGGER guard_links_insert BEFORE INSERT ON links
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_links_update BEFORE UPDATE ON links
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_links_delete BEFORE DELETE ON links
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_progress_insert BEFORE INSERT ON progress
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_progress_update BEFORE UPDATE ON progress
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_progress_delete BEFORE DELETE ON progress
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_seq_insert BEFORE INSERT ON producer_seq
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_seq_update BEFORE UPDATE ON producer_seq
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_seq_delete BEFORE DELETE ON producer_seq
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_gaps_insert BEFORE INSERT ON producer_gaps
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_gaps_update BEFORE UPDATE ON producer_gaps
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_producer_gaps_delete BEFORE DELETE ON producer_gaps
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_total_insert BEFORE INSERT ON clicks_total
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_total_update BEFORE UPDATE ON clicks_total
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_total_delete BEFORE DELETE ON clicks_total
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_quarter_insert BEFORE INSERT ON clicks_quarter
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_quarter_update BEFORE UPDATE ON clicks_quarter
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_quarter_delete BEFORE DELETE ON clicks_quarter
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_value_insert BEFORE INSERT ON clicks_value
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_value_update BEFORE UPDATE ON clicks_value
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_value_delete BEFORE DELETE ON clicks_value
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_visitors_insert BEFORE INSERT ON clicks_visitors
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_visitors_update BEFORE UPDATE ON clicks_visitors
WHEN (SELECT state FROM slot_owner WHERE slot = NEW.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
CREATE TRIGGER guard_clicks_visitors_delete BEFORE DELETE ON clicks_visitors
WHEN (SELECT state FROM slot_owner WHERE slot = OLD.slot) IS NOT 'active'
BEGIN SELECT RAISE(ABORT, 'US001'); END;
