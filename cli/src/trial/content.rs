//! What a message of a trial is called and what is in it. Both follow from the seed, so that each side can tell
//! without asking the other.

use super::chance::Chance;
use sha2::{Digest, Sha256};
use subrosa::MessageId;

/// The id of a message: chosen by the host, so that a `send` that may or may not have happened can be repeated.
pub(crate) fn id(seed: u64, side: usize, lane: u32, index: u64) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(b"subrosa trial");
    hash.update(seed.to_be_bytes());
    hash.update((side as u64).to_be_bytes());
    hash.update(lane.to_be_bytes());
    hash.update(index.to_be_bytes());
    let mut id = [0u8; 16];
    for (to, from) in id.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    MessageId(id)
}

/// The body of a message: printable characters that follow from its id.
pub(crate) fn body(id: &MessageId, size: usize) -> Vec<u8> {
    let mut seed = [0u8; 8];
    for (to, from) in seed.iter_mut().zip(id.0) {
        *to = from;
    }
    let mut chance = Chance::new(u64::from_le_bytes(seed));
    (0..size).map(|_| b' ' + (chance.next() % 95) as u8).collect()
}

/// The digest a body is compared by.
pub(crate) fn digest(body: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_bodies_differ_and_repeat() {
        let first = id(1, 0, 2, 3);
        assert_eq!(first, id(1, 0, 2, 3));
        for other in [id(2, 0, 2, 3), id(1, 1, 2, 3), id(1, 0, 3, 3), id(1, 0, 2, 4)] {
            assert_ne!(first, other);
            assert_ne!(body(&first, 64), body(&other, 64));
        }
        assert_eq!(body(&first, 64), body(&first, 64));
        assert_eq!(body(&first, 0).len(), 0);
    }
}
