-- Version 2: what is said in the dark. What each open column tells is in docs/store.md.
-- Values named record, head and body are sealed; look is a keyed hash of 16 bytes.

-- What the host wants to hear of.
CREATE TABLE subscription (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

-- Envelopes that a subscription was told of, until they end: archives say them again.
CREATE TABLE envelope_seen (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    hour INTEGER NOT NULL
) STRICT;
CREATE INDEX envelope_seen_by_hour ON envelope_seen (hour);
-- How many of these events wait, and how large they are.
CREATE INDEX event_of_envelope ON event (cost) WHERE kind = 10;

-- Envelopes of ours that are to leave, or have left and may be asked for again. friend is 0 for the host's own;
-- message is the row of the message that is inside, 0 for none.
CREATE TABLE publication (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    friend INTEGER NOT NULL,
    message INTEGER NOT NULL,
    state INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX publication_by_friend ON publication (friend, cost);
CREATE INDEX publication_by_message ON publication (message) WHERE message <> 0;
CREATE INDEX publication_by_state ON publication (state, id);
CREATE INDEX publication_by_hour ON publication (hour);

-- Nodes to gossip with, and archives to ask.
CREATE TABLE node_peer (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE archive_peer (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

-- How far the archives were asked. friend is 0 for what belongs to none.
CREATE TABLE catch_up (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    friend INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX catch_up_by_friend ON catch_up (friend);

-- One-time keys: the private ones of those we gave a friend, the public ones they gave us, and how far both came.
CREATE TABLE key_own (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX key_own_by_friend ON key_own (friend);

CREATE TABLE key_theirs (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX key_theirs_by_friend ON key_theirs (friend);

CREATE TABLE key_marks (
    id INTEGER PRIMARY KEY,
    friend INTEGER NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

-- Requests through Whisper: those we repeat, the answers we repeat, and the ids of those that came.
CREATE TABLE request_out (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE request_answer (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE request_seen (
    id INTEGER PRIMARY KEY,
    look BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

-- When the last envelope copy of the message, or of the void, ends; 0: of which nothing is left.
ALTER TABLE outbox ADD COLUMN copied INTEGER;
CREATE INDEX outbox_copied ON outbox (friend) WHERE copied IS NOT NULL;
