//! The safety number of two people: 60 digits that both see alike, to compare by voice or side by side. If they
//! match, each has the other's real identity.
//!
//! For each identity (33 bytes): `h0 = SHA-256("subrosa safety number 1" | identity)`, then 5 200 times
//! `h = SHA-256(h | identity)`. Six times five bytes of the last `h`, from its start, are read as a big-endian number
//! modulo 100 000: 30 digits. The 30 digits of the smaller identity come first. The scheme is that of Signal's
//! numeric fingerprints (version 1 of libsignal's `NumericFingerprintGenerator`) with SHA-256 in place of SHA-512;
//! the repeated hashing makes it dear to search for an identity whose digits look alike.

use crate::crypto::sha256;
use crate::identity::PersonId;

/// How often the hash is repeated, as in Signal's.
const ROUNDS: u32 = 5_200;
const GROUPS: usize = 6;

/// The safety number of two people, the same whichever comes first: 60 digits, without spaces.
pub fn safety_number(one: &PersonId, other: &PersonId) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    digits(first) + &digits(second)
}

fn digits(person: &PersonId) -> String {
    let mut hash = sha256(&[b"subrosa safety number 1", person.as_bytes()]);
    for _ in 0..ROUNDS {
        hash = sha256(&[&hash, person.as_bytes()]);
    }
    let group = |bytes: &[u8]| {
        let number = bytes.iter().fold(0u64, |n, b| (n << 8) | u64::from(*b)) % 100_000;
        format!("{number:05}")
    };
    hash.chunks_exact(5).take(GROUPS).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn person(secret: u8) -> PersonId {
        let mut bytes = [0; 32];
        bytes[31] = secret;
        Identity::from_secret(&bytes).unwrap().person()
    }

    /// Checked against an independent program. The identities are those of the secrets 1 and 2.
    #[test]
    fn known_answer() {
        let number = safety_number(&person(1), &person(2));
        assert_eq!(number, "103194688351916927444661021296827753001167807348735145427132");
        assert_eq!(safety_number(&person(2), &person(1)), number, "the same for both");
    }

    #[test]
    fn another_person_has_another_number() {
        let numbers: std::collections::HashSet<_> =
            (2..20).map(|i| safety_number(&person(1), &person(i))).collect();
        assert_eq!(numbers.len(), 18);
        assert!(numbers.iter().all(|n| n.len() == 60 && n.bytes().all(|b| b.is_ascii_digit())));
    }
}
