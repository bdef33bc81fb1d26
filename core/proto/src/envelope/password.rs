//! Symmetric keys from passwords, as go-ethereum's nodes and mail servers make them.

use crate::crypto::Secret32;
use sha2::Sha256;
use zeroize::Zeroizing;

/// How often PBKDF2 hashes. Not 65 536: go-ethereum's number is a slip that everyone has to share.
pub const ROUNDS: u32 = 65_356;

/// The symmetric key that everyone derives who knows the password: PBKDF2-HMAC-SHA256 without salt, [`ROUNDS`] rounds.
/// Takes tens of milliseconds, and as much of whoever guesses: a weak password protects nothing.
pub fn key(password: &[u8]) -> Secret32 {
    let mut bytes = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, &[], ROUNDS, bytes.as_mut_slice());
    Secret32::new(*bytes)
}
