//! Records before they are sealed and after they are opened: encoding into memory that is wiped, and secret bytes.

use std::fmt;
use subrosa_proto::wire::{self, Record};
use subrosa_proto::{Error, Result};
use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes in a record. Wiped on drop and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// These bytes.
    pub fn new(bytes: [u8; N]) -> Secret<N> {
        Secret(Box::new(bytes))
    }

    /// From exactly `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Secret<N>> {
        let mut secret = Secret::new([0; N]);
        if bytes.len() != N {
            return Err(Error::invalid(format!("a secret of {N} bytes came as {}", bytes.len())));
        }
        secret.0.copy_from_slice(bytes);
        Ok(secret)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>")
    }
}

/// A text in a record that holds a secret: an invite. Wiped on drop and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> SecretText {
        SecretText(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> SecretText {
        SecretText(Zeroizing::new(text.to_owned()))
    }
}

impl std::ops::Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

impl<C> minicbor::Encode<C> for SecretText {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for SecretText {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<SecretText, minicbor::decode::Error> {
        d.str().map(SecretText::from)
    }
}

impl<C, const N: usize> minicbor::Encode<C> for Secret<N> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(self.0.as_slice())?.ok()
    }
}

impl<'b, C, const N: usize> minicbor::Decode<'b, C> for Secret<N> {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Secret<N>, minicbor::decode::Error> {
        Secret::from_slice(d.bytes()?)
            .map_err(|_| minicbor::decode::Error::message("a secret of another length"))
    }
}

/// The bytes of `record`, wiped on drop.
pub(crate) fn encode<R: Record>(record: &R) -> Zeroizing<Vec<u8>> {
    // Room for nearly every record, so that growing leaves no copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(1024));
    // Writing into a Vec cannot fail, and no record of ours has an encoder that does.
    let _ = minicbor::encode(record, &mut *out);
    out
}

/// What [`encode`] made.
pub(crate) fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    wire::decode(bytes)
}

/// Exactly 16 bytes of an open column.
pub(crate) fn look_of(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes.try_into().map_err(|_| Error::damaged("the store is damaged: a look-up value is not 16 bytes"))
}
