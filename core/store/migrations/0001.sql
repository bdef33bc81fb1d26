-- Version 1. What each open column tells is in docs/store.md.
-- Values named record, head, body, payload and wrapped are sealed; look is a keyed hash of 16 bytes.

-- Which store this is, and how its key is checked. Exactly one row.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store BLOB NOT NULL,
    kdf INTEGER NOT NULL,
    salt BLOB NOT NULL,
    memory INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    lanes INTEGER NOT NULL,
    key_check BLOB NOT NULL,
    sum BLOB NOT NULL
) STRICT;

-- Moves with every commit: the number of the commit and the next row number of all tables. Exactly one row.
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    serial INTEGER NOT NULL,
    next_row INTEGER NOT NULL
) STRICT;

CREATE TABLE data_key (
    id INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL,
    seals INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE secret (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE friend (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE invite (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL UNIQUE,
    queued_messages INTEGER NOT NULL,
    queued_bytes INTEGER NOT NULL,
    unacked_messages INTEGER NOT NULL,
    unacked_bytes INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX message_by_conversation ON message (conversation, id, hour);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL,
    device INTEGER NOT NULL,
    message INTEGER,
    lane INTEGER NOT NULL,
    seq INTEGER,
    expires INTEGER,
    cost INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_by_friend ON outbox (friend);
CREATE UNIQUE INDEX outbox_by_message ON outbox (message, friend, device) WHERE message IS NOT NULL;
CREATE INDEX outbox_by_expiry ON outbox (friend, expires) WHERE expires IS NOT NULL;
CREATE INDEX outbox_void ON outbox (lane, seq) WHERE message IS NULL;

CREATE TABLE lane_out (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX lane_out_by_friend ON lane_out (friend);

CREATE TABLE lane_in (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    used INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX lane_in_by_friend ON lane_in (friend);

-- Messages that came before those ahead of them. They move to message when their turn comes.
CREATE TABLE held (
    id INTEGER PRIMARY KEY,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    head BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (lane, seq)
) STRICT;

-- Ids of messages whose row was deleted.
CREATE TABLE seen (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    conversation INTEGER NOT NULL,
    state INTEGER NOT NULL,
    hour INTEGER NOT NULL
) STRICT;
CREATE INDEX seen_by_hour ON seen (hour);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    friend INTEGER NOT NULL,
    message INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
