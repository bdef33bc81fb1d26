//! From a payload to the data of an envelope and back, for either kind of key.

use super::plaintext::{self, Opened, Padding};
use super::refusal::Refusal;
use super::{ecies, symmetric};
use crate::crypto::Secret32;
use crate::entropy::Entropy;
use crate::error::Result;
use crate::identity::{Identity, PersonId};

/// Who shall be able to open it.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// Everyone with this key ([`password::key`](super::password::key) makes one from a password).
    Symmetric(&'a Secret32),
    /// This person.
    Person(&'a PersonId),
}

/// What opens it.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// A key that is shared.
    Symmetric(&'a Secret32),
    /// The secret key of the person it is for.
    Private(&'a Identity),
}

/// A message that is to go into an envelope.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Who shall be able to open it.
    pub to: To<'a>,
    /// What is said, at most [`plaintext::MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
    /// What hides its length.
    pub padding: Padding<'a>,
    /// Who signs it. Whoever opens it can show the signature to others.
    pub signer: Option<&'a Identity>,
}

impl Letter<'_> {
    /// The data of the envelope. It takes from `entropy`, in this order: random padding, then the nonce of a symmetric
    /// or the ephemeral key and IV of an asymmetric envelope.
    pub fn seal(&self, entropy: &mut dyn Entropy) -> Result<Vec<u8>> {
        let plaintext = plaintext::write(self.payload, self.padding, self.signer, entropy)?;
        match self.to {
            To::Symmetric(key) => symmetric::seal(key, &plaintext, entropy),
            To::Person(person) => ecies::seal(person, &[], &plaintext, entropy),
        }
    }

    /// How many bytes of data [`Letter::seal`] makes, to compare with limits and to estimate the work before.
    pub fn sealed_length(&self) -> usize {
        let around = match self.to {
            To::Symmetric(_) => symmetric::OVERHEAD,
            To::Person(_) => ecies::OVERHEAD,
        };
        plaintext::length(self.payload.len(), self.padding, self.signer.is_some()).saturating_add(around)
    }
}

/// Opens the data of an envelope from someone who may lie.
pub fn open(key: Key<'_>, data: &[u8]) -> Result<Opened, Refusal> {
    decrypt(key, data).and_then(Opened::read)
}

/// The plaintext only, whatever it says.
pub fn decrypt(key: Key<'_>, data: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, Refusal> {
    match key {
        Key::Symmetric(key) => symmetric::open(key, data),
        Key::Private(identity) => ecies::open(identity, &[], data),
    }
}
