//! Requests and accepts: how two people become friends through envelopes when one knows only the other's key, or an
//! invite whose address does not answer (PROTOCOL 3 and 4). The formats and who repeats what until when; rows are in
//! `subrosa-store`, envelopes in [`crate::envelope`].
//!
//! | | request | accept |
//! |---|---|---|
//! | envelope | asymmetric, to the identity | symmetric |
//! | topic | [`contact_topic`](crate::friends::topics::contact_topic) of the identity | of the day, from the [`AcceptRoot`] |
//! | inside | `"subrosa request 1"` and the padded offer | version 1, key number, Noise_Xpsk0 of the padded offer |
//! | proven by | tag: HMAC under a key of both identities | the same, and the device key, and psk |
//! | afterwards readable with | the asked one's identity key | a one-time key that is gone |
//!
//! Neither is signed, and neither proves anything to a third: whoever is named in one could have made it.

mod accept;
mod machine;
mod offer;
mod rows;
mod sealing;

pub use accept::{AcceptPeek, AcceptRoot, AcceptRoute, open_accept, peek_accept, seal_accept};
pub use machine::{Due, Policy, Requests, Standing, Verdict, Why};
pub use offer::{LONGEST_OFFER, Offer, PADDED};
pub use rows::{Answer, Outgoing, RequestChange, Saved, Seen};
pub use sealing::{Claim, Request, open_request, seal_request};

use std::time::Duration;

/// Longest life of a request; a later end is not believed.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// Requests are still taken so long after their end, for clocks that go wrong (PROTOCOL 8).
pub const SLACK: Duration = Duration::from_secs(48 * 3_600);
/// Remembered ids of requests, at most; when so many are remembered, new strangers are dropped.
pub const MOST_SEEN: usize = 4_096;
/// Further ids that only friends, holders of an invite of ours and people whom we asked may take up.
pub const MOST_SEEN_KNOWN: usize = 256;
/// Most requests of ours that are out.
pub const MOST_OUTGOING: usize = 256;
/// Most accepts of ours that are repeated.
pub const MOST_ANSWERS: usize = 1_024;
/// How long one envelope of a request or an accept lives: longer than the longest pause between two of them
/// ([`LONGEST_PAUSE`]), so that archives always have one.
pub const ENVELOPE_TTL: Duration = Duration::from_secs(4 * 86_400);
/// The longest pause between two envelopes of a request or an accept.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3 * 86_400);
/// The shortest: nobody makes us repeat an accept more often.
pub const SHORTEST_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
