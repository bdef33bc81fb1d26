//! Connection ids of our own: recognisable by us alone. quinn's default ids carry a hash without a key that links
//! all ids of one endpoint across addresses.

use quinn::{ConnectionId, ConnectionIdGenerator};
use ring::hmac;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;

/// Length of a connection id of our own: 8 random bytes and 8 bytes of their HMAC.
pub const OWN_ID: usize = 16;
const NONCE: usize = 8;

/// Makes and recognises the connection ids of one endpoint. The keys are fresh for each endpoint and never leave it.
#[derive(Clone)]
pub struct OwnIds {
    check: hmac::Key,
    nonces: hmac::Key,
    /// How many were made. Nonces are the HMAC of this number: nobody else can tell them from random bytes, and
    /// making one cannot fail.
    made: Arc<AtomicU64>,
}

impl OwnIds {
    /// Ids under new random keys.
    pub fn random() -> Result<OwnIds> {
        let key = || -> Result<hmac::Key> {
            let secret = Secret32::random(&mut OsEntropy)?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
        };
        Ok(OwnIds { check: key()?, nonces: key()?, made: Arc::default() })
    }

    /// Whether `id` was made under our key.
    pub fn is_ours(&self, id: &[u8]) -> bool {
        let Some((nonce, check)) = id.split_at_checked(NONCE) else { return false };
        let tag = hmac::sign(&self.check, nonce);
        let expected = tag.as_ref().get(..OWN_ID - NONCE).unwrap_or_default();
        // In constant time: a sender must not learn the check byte by byte.
        check.len() == expected.len()
            && check.iter().zip(expected).fold(0u8, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl ConnectionIdGenerator for OwnIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let number = self.made.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut id = [0; OWN_ID];
        let (nonce, check) = id.split_at_mut(NONCE);
        copy(nonce, hmac::sign(&self.nonces, &number).as_ref());
        copy(check, hmac::sign(&self.check, nonce).as_ref());
        ConnectionId::new(&id)
    }

    /// Refuses every id, also ours: quinn asks only before it sends a stateless reset for a connection it does not
    /// know, and nobody gets one from us.
    fn validate(&self, _: &ConnectionId) -> Result<(), quinn_proto::InvalidCid> {
        Err(quinn_proto::InvalidCid)
    }

    fn cid_len(&self) -> usize {
        OWN_ID
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

impl fmt::Debug for OwnIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnIds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ours_alone() {
        let mut ours = OwnIds::random().unwrap();
        let mut theirs = OwnIds::random().unwrap();
        for _ in 0..200 {
            let id = ours.generate_cid();
            assert!(ours.is_ours(&id));
            assert!(!theirs.is_ours(&id));
            assert!(!ours.is_ours(&theirs.generate_cid()));
            assert!(!ours.is_ours(&id[..15]));
            assert!(!ours.is_ours(&[&id[..], &[0]].concat()));
            for at in 0..OWN_ID {
                let mut changed = id.to_vec();
                changed[at] ^= 1;
                assert!(!ours.is_ours(&changed));
            }
            assert!(ours.validate(&id).is_err(), "or quinn would send stateless resets");
        }
        assert!(!ours.is_ours(&[]));
    }
}
