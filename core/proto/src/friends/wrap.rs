//! The envelope around what friends say to each other: unsigned, with random padding to a multiple of 256.

use crate::crypto::Secret32;
use crate::entropy::Entropy;
use crate::envelope::plaintext::Padding;
use crate::envelope::seal::{Key, Letter, To};
use crate::error::{Error, Result};
use crate::identity::{Identity, PersonId};
use zeroize::Zeroizing;

/// The data of a symmetric envelope.
pub(super) fn seal(key: &Secret32, payload: &[u8], source: &mut dyn Entropy) -> Result<Vec<u8>> {
    letter(To::Symmetric(key), payload, source)
}

/// The payload of a symmetric envelope's data.
pub(super) fn open(key: &Secret32, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    unsigned(Key::Symmetric(key), data)
}

/// The data of an asymmetric envelope.
pub(super) fn seal_to(person: &PersonId, payload: &[u8], source: &mut dyn Entropy) -> Result<Vec<u8>> {
    letter(To::Person(person), payload, source)
}

/// The payload of an asymmetric envelope's data.
pub(super) fn open_as(identity: &Identity, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    unsigned(Key::Private(identity), data)
}

fn letter(to: To<'_>, payload: &[u8], source: &mut dyn Entropy) -> Result<Vec<u8>> {
    Letter { to, payload, padding: Padding::Random, signer: None }.seal(source)
}

/// Nothing of ours is signed, so what is signed is something else.
fn unsigned(key: Key<'_>, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let opened = crate::envelope::seal::open(key, data)?;
    if opened.signer().is_some() {
        return Err(Error::damaged("a signed envelope where friends sign nothing"));
    }
    Ok(Zeroizing::new(opened.payload().to_vec()))
}
