-- Labels: what a link is about, how dangerous it looks, and how far the labellers have read.

ALTER TABLE links
  ADD COLUMN category       smallint,
  ADD COLUMN confidence     real,
  ADD COLUMN verdict        smallint NOT NULL DEFAULT 0,
  ADD COLUMN risk_score     real,
  ADD COLUMN risk_reasons   text,
  ADD COLUMN label_model    text,
  -- Which labeller has spoken: 0 is none, a better one has a higher number.
  ADD COLUMN label_rank     integer NOT NULL DEFAULT 0,
  ADD COLUMN labelled_at    bigint,
  ADD COLUMN risk_override  smallint,
  ADD COLUMN legal          boolean NOT NULL DEFAULT false;
CREATE INDEX links_label_rank ON links (label_rank, code) WHERE state < 2;
CREATE INDEX links_category ON links (category, created_at DESC, code DESC)
  WHERE category IS NOT NULL;

-- The labellers' leases and places in the topic of links; the columns are those of `progress`.
CREATE TABLE label_progress (
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
INSERT INTO label_progress (slot) SELECT slot FROM slot_owner;
