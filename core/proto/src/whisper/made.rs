//! Envelopes for tests: little work, any content.

use crate::envelope::{Draft, Envelope, Topic};

/// An envelope whose work is at least `least`.
pub(crate) fn envelope(sent: u32, ttl: u32, topic: [u8; 4], data: &[u8], least: f64) -> Envelope {
    let draft = Draft::new(sent, ttl, Topic(topic), data).unwrap();
    (0..).map(|nonce| draft.with_nonce(nonce)).find(|envelope| envelope.pow() >= least).unwrap()
}
