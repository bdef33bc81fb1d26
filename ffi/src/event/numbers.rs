//! The kinds of events, and the numbers that their fields have.

/// Durable. A friend's message: person, message_id, body, lane, sent, received, way; and if the sender said so
/// content_type, reply_to.
pub const SUBROSA_EVENT_MESSAGE: i32 = 1;
/// Durable. A message we sent came to its end: person, message_id, state (SUBROSA_DELIVERY_); refusal if that is why.
pub const SUBROSA_EVENT_DELIVERY: i32 = 2;
/// Durable. Somebody wants to be a friend: person, text (their greeting, maybe empty), state (SUBROSA_ORIGIN_); label
/// of the invite if it has one. Answer with subrosa_request_accept() or subrosa_request_decline().
pub const SUBROSA_EVENT_REQUEST: i32 = 3;
/// Durable. A friendship began, changed or ended: person, state (SUBROSA_FRIEND_).
pub const SUBROSA_EVENT_FRIEND: i32 = 4;
/// Durable. A friend refused a message for good, and its lane stands still until subrosa_lane_retry() or
/// subrosa_lane_skip(): person, lane, message_id, refusal.
pub const SUBROSA_EVENT_LANE_STOPPED: i32 = 5;
/// Durable. Somebody else came with an invite that was used already: its text has leaked. invite_id; label if it has
/// one.
pub const SUBROSA_EVENT_INVITE_REUSED: i32 = 6;
/// Durable. An invite of ours ended unused (label if it has one), or one we redeemed was never answered (person).
/// invite_id.
pub const SUBROSA_EVENT_INVITE_EXPIRED: i32 = 7;
/// Durable. This store is an older copy of itself, or there are two of it: a friend met another one. person, state
/// (SUBROSA_OWN_STORE_). SUBROSA_SNAPSHOT_STORE tells whether it goes on sending, subrosa_store_decide() decides.
pub const SUBROSA_EVENT_OWN_STORE: i32 = 8;
/// A friend says something for now only: person, body.
pub const SUBROSA_EVENT_TRANSIENT: i32 = 9;
/// The link with a friend came up or went down: person, state (SUBROSA_LINK_); text (the address of the friend) when it
/// came up.
pub const SUBROSA_EVENT_LINK: i32 = 10;
/// A bound was reached, or there is room again: what (SUBROSA_FULL_), state (1 full, 0 room again); person where it is
/// one friend's.
pub const SUBROSA_EVENT_FULL: i32 = 11;
/// Our clock and a friend's differ by more than a minute: number (ours minus theirs, in milliseconds).
pub const SUBROSA_EVENT_CLOCK: i32 = 12;
/// A part of the library crashed and was started again, or the store cannot be written at the moment: text.
pub const SUBROSA_EVENT_FAULT: i32 = 13;
/// Events that are not durable were lost because nobody pulled them: number (how many).
pub const SUBROSA_EVENT_DROPPED: i32 = 14;

/// Durable. A publication came to its end: publication_id, state (SUBROSA_PUBLISHED_).
pub const SUBROSA_EVENT_PUBLISHED: i32 = 15;
/// Durable. An envelope that a subscription opened, once per subscription: subscription_id, body, topic, sent, expires,
/// pow, hash; person if it is signed.
pub const SUBROSA_EVENT_ENVELOPE: i32 = 16;
/// A search for proof of work goes on: publication_id, number (hashes so far), expected.
pub const SUBROSA_EVENT_PROGRESS: i32 = 17;
/// A message cannot go for now, and waits with what follows on its lane: person, lane, message_id, state
/// (SUBROSA_WAITS_). Said once for each message and reason until a link comes up.
pub const SUBROSA_EVENT_WAITING: i32 = 18;

/// State of a request event: it came by an invite of ours.
pub const SUBROSA_ORIGIN_INVITE: i32 = 1;
/// State of a request event: it came by our identity alone, through Whisper.
pub const SUBROSA_ORIGIN_WHISPER: i32 = 2;

/// State of a published event: a peer took it, and it spreads until its time to live ends.
pub const SUBROSA_PUBLISHED_SENT: i32 = 1;
/// State of a published event: its proof of work was not found within the limit.
pub const SUBROSA_PUBLISHED_TOO_DEAR: i32 = 2;
/// State of a published event: it ended before a peer took it.
pub const SUBROSA_PUBLISHED_EXPIRED: i32 = 3;
/// State of a published event: it was taken back.
pub const SUBROSA_PUBLISHED_CANCELLED: i32 = 4;
/// State of a published event: the network takes no such envelope.
pub const SUBROSA_PUBLISHED_REFUSED: i32 = 5;

/// State of a waiting event: the message does not fit one envelope.
pub const SUBROSA_WAITS_TOO_LARGE: i32 = 1;
/// State of a waiting event: its proof of work would take longer than SUBROSA_CONFIG_MOST_WORK_MS.
pub const SUBROSA_WAITS_TOO_DEAR: i32 = 2;
/// State of a waiting event: there is no key of the friend's to seal it with, or too much is under way.
pub const SUBROSA_WAITS_NO_KEY: i32 = 3;
/// State of a waiting event: the message goes over a link only, and none is up.
pub const SUBROSA_WAITS_NO_LINK: i32 = 4;
/// State of a waiting event: the message goes over a link only, and the friend is not direct any more. It waits until that
/// is turned on again, it is cancelled, or its time to live ends.
pub const SUBROSA_WAITS_NOT_DIRECT: i32 = 5;
/// State of a waiting event: the message goes by envelope only, or its friend is not direct, and there is neither a peer
/// nor an archive.
pub const SUBROSA_WAITS_NO_PEERS: i32 = 6;

/// State of a delivery: the friend's device has it.
pub const SUBROSA_DELIVERY_DELIVERED: i32 = 1;
/// State of a delivery: the friend refused it and it was skipped, or the friend was removed.
pub const SUBROSA_DELIVERY_REFUSED: i32 = 2;
/// State of a delivery: its time to live ran out.
pub const SUBROSA_DELIVERY_EXPIRED: i32 = 3;
/// State of a delivery: it was cancelled.
pub const SUBROSA_DELIVERY_CANCELLED: i32 = 4;

/// State of a friend event: both sides said so, friends.
pub const SUBROSA_FRIEND_ADDED: i32 = 1;
/// State of a friend event: we removed the friend.
pub const SUBROSA_FRIEND_REMOVED: i32 = 2;
/// State of a friend event: the other side declined.
pub const SUBROSA_FRIEND_DECLINED: i32 = 3;
/// State of a friend event: a friendship that was there got new keys.
pub const SUBROSA_FRIEND_RENEWED: i32 = 4;
/// State of a friend event: the friend's store is an older copy of itself; what came after the copy may be lost there.
pub const SUBROSA_FRIEND_ROLLED_BACK: i32 = 5;
/// State of a friend event: two copies of the friend's store are in use; one that another had replaced was sent away.
pub const SUBROSA_FRIEND_CLONED: i32 = 6;
/// State of a friend event: our request ended without an answer.
pub const SUBROSA_FRIEND_NO_ANSWER: i32 = 7;
/// State of a friend event: the friend uses another device, and proved to be the same person. Renewed follows.
pub const SUBROSA_FRIEND_NEW_DEVICE: i32 = 8;

/// State of an own_store event: this store is an older copy, restored or the second of two. It goes on sending.
pub const SUBROSA_OWN_STORE_ROLLED_BACK: i32 = 1;
/// State of an own_store event: the other copy was met after this one, so both are in use. This one sends nothing until
/// subrosa_store_decide().
pub const SUBROSA_OWN_STORE_CLONED: i32 = 2;

/// State of a link event: the link went down.
pub const SUBROSA_LINK_LOST: i32 = 0;
/// State of a link event: the link came up.
pub const SUBROSA_LINK_CONNECTED: i32 = 1;

/// What is full: messages that were not acked; friends wait.
pub const SUBROSA_FULL_INBOX: i32 = 1;
/// What is full: the disk; nothing can be written.
pub const SUBROSA_FULL_DISK: i32 = 2;
/// What is full: the pool of envelopes; those with the least proof of work leave.
pub const SUBROSA_FULL_POOL: i32 = 3;

/// How a message came: over a link.
pub const SUBROSA_WAY_LINK: i32 = 1;
/// How a message came: in an envelope.
pub const SUBROSA_WAY_ENVELOPE: i32 = 2;
