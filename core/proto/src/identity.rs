//! The person, the device, and the certificate that joins them.
use std::fmt;

/// A person: the compressed secp256k1 public key, 33 bytes. Always a valid point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId([u8; 33]);

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonId")
    }
}
