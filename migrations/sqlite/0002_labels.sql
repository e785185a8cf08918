-- Labels: what a link is about, how dangerous it looks, and how far the labellers have read.

ALTER TABLE links ADD COLUMN category integer;
ALTER TABLE links ADD COLUMN confidence real;
ALTER TABLE links ADD COLUMN verdict integer NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN risk_score real;
ALTER TABLE links ADD COLUMN risk_reasons text;
ALTER TABLE links ADD COLUMN label_model text;
-- Which labeller has spoken: 0 is none, a better one has a higher number.
ALTER TABLE links ADD COLUMN label_rank integer NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN labelled_at integer;
ALTER TABLE links ADD COLUMN risk_override integer;
ALTER TABLE links ADD COLUMN legal integer NOT NULL DEFAULT 0;
CREATE INDEX links_label_rank ON links (label_rank, code) WHERE state < 2;
CREATE INDEX links_category ON links (category, created_at DESC, code DESC)
  WHERE category IS NOT NULL;

-- The labellers' leases and places in the topic of links; the columns are those of `progress`.
CREATE TABLE label_progress (
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
INSERT INTO label_progress (slot) SELECT slot FROM slot_owner;
