//! The limits and times of a conversation. What the host sets of them is in the node's own configuration.

use crate::friends::message::MAX_BODY;
use std::time::Duration;

/// Limits and times of a conversation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our device number.
    pub device: u32,
    /// Most messages in the outbox.
    pub queue_messages: u64,
    /// Most bytes in the outbox ([`Message::cost`](crate::friends::message::Message::cost)).
    pub queue_bytes: u64,
    /// Most lanes either side may use.
    pub lanes: usize,
    /// Largest body we take from the friend.
    pub largest_body: usize,
    /// Most messages transmitted and not receipted.
    pub window_messages: usize,
    /// Most bytes transmitted and not receipted.
    pub window_bytes: u64,
    /// Most messages of the friend kept above a watermark.
    pub held: usize,
    /// Most epochs of the friend that are remembered.
    pub epochs: usize,
    /// Longest time a receipt waits for more to say.
    pub receipt_delay: Duration,
    /// Receipt at once when so many messages wait for it.
    pub receipt_after: usize,
    /// First and longest wait before transmitting again on a link that lives.
    pub retransmit: (Duration, Duration),
    /// Longest wait for the friend's opening receipts.
    pub opening: Duration,
    /// So long there is no open link before messages are copied into envelopes; without wait if the friend is not
    /// direct.
    pub fallback: Duration,
    /// Most messages copied and not receipted. No more than a friend holds above its watermarks, since archives answer
    /// in any order.
    pub copy_messages: usize,
    /// Most bytes copied and not receipted.
    pub copy_bytes: u64,
    /// How long an envelope copy lives; shorter where the host's own time to live ends before.
    pub copy_ttl: Duration,
    /// A copy is made anew when it ends within this time (a quarter of `copy_ttl` at most).
    pub copy_slack: Duration,
    /// Without a link a receipt leaves so long after the last message, or after `receipt_after` messages.
    pub receipt_wait: Duration,
    /// What was receipted before is receipted again by envelope at most so often.
    pub receipt_again: Duration,
    /// Archives are asked again for what was not kept at most so often.
    pub ask_again: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            device: 0,
            queue_messages: 100_000,
            queue_bytes: 256 << 20,
            lanes: 1_024,
            largest_body: MAX_BODY,
            window_messages: 256,
            window_bytes: 1 << 20,
            held: 512,
            epochs: 64,
            receipt_delay: Duration::from_millis(20),
            receipt_after: 32,
            retransmit: (Duration::from_secs(10), Duration::from_secs(300)),
            opening: Duration::from_secs(20),
            fallback: Duration::from_secs(20),
            copy_messages: 512,
            copy_bytes: 4 << 20,
            copy_ttl: Duration::from_secs(14 * 24 * 3_600),
            copy_slack: Duration::from_secs(3_600),
            receipt_wait: Duration::from_secs(30),
            receipt_again: Duration::from_secs(3_600),
            ask_again: Duration::from_secs(600),
        }
    }
}
