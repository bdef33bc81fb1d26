-- Version 1 of an archive: envelopes, which anybody may see, so nothing is sealed. See docs/store.md.

-- Which archive this is, and what all rows of envelope come to. Exactly one row.
CREATE TABLE about (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    archive BLOB NOT NULL,
    -- Numbers of rows are never used again: cursors name them.
    next_row INTEGER NOT NULL,
    -- The latest time of sending of all rows that there ever were.
    newest INTEGER NOT NULL,
    envelopes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- Envelopes sent before this (seconds since 1970) may be missing, though not expired.
    whole_since INTEGER NOT NULL
) STRICT;

-- The hash is of raw, and raw says when it was sent, so both together are as unique as the hash alone; with the time
-- in front new rows go to the end of the index. newest is the latest sent of this row and all before it.
CREATE TABLE envelope (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    sent INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    pow REAL NOT NULL,
    raw BLOB NOT NULL,
    UNIQUE (sent, hash)
) STRICT;
CREATE INDEX envelope_by_topic ON envelope (topic, id, sent);
CREATE INDEX envelope_by_expiry ON envelope (expiry);
CREATE INDEX envelope_by_pow ON envelope (pow, sent);
