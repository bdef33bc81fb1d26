//! Thin, typed wrappers over HKDF, HMAC, SHA-256 and AES-GCM, and the type that holds a secret.
//! Identities and device keys are in [`crate::identity`]; Noise is in [`crate::friends`].

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The salt of every derivation of ours, so that none meets one of another program.
const SALT: &[u8] = b"subrosa 1";
/// Bytes that [`seal`] adds: the tag of AES-GCM.
pub const TAG: usize = 16;

/// 32 secret bytes. Wiped on drop, compared in constant time, never shown. They live on the heap, so that moving
/// the value leaves no copy behind.
#[derive(Clone)]
pub struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    /// These bytes. The caller's own copy is the caller's to wipe.
    pub fn new(bytes: [u8; 32]) -> Secret32 {
        Secret32(Box::new(bytes))
    }

    /// Exactly 32 bytes ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<Secret32> {
        let mut secret = Secret32::new([0; 32]);
        if bytes.len() != secret.0.len() {
            return Err(Error::invalid(format!("a secret is 32 bytes, not {}", bytes.len())));
        }
        secret.0.copy_from_slice(bytes);
        Ok(secret)
    }

    /// Fresh random bytes.
    pub fn random(source: &mut dyn Entropy) -> Result<Secret32> {
        let mut secret = Secret32::new([0; 32]);
        source.fill(secret.0.as_mut_slice())?;
        Ok(secret)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Secret32) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32")
    }
}

/// A key for one purpose, made from `secret`: HKDF-SHA256 (RFC 5869) with the salt "subrosa 1" and the info
/// `label | context...`, each of them after its length (16 bits, big-endian), so that no two lists of parts meet.
pub fn derive(secret: &[u8], label: &str, context: &[&[u8]]) -> Secret32 {
    let lengths: Vec<Length> = context.iter().map(|part| Length::of(part)).collect();
    let label_length = Length::of(label.as_bytes());
    let mut info: Vec<&[u8]> = vec![label_length.as_bytes(), label.as_bytes()];
    for (length, part) in lengths.iter().zip(context) {
        info.extend([length.as_bytes(), part]);
    }
    hkdf(SALT, secret, &info)
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8 160 bytes, and this asks for 32")]
fn hkdf(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Secret32 {
    let mut out = Secret32::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, out.0.as_mut_slice())
        .expect("32 bytes are below the limit of HKDF");
    out
}

/// HMAC-SHA256 (RFC 2104) under `key` of the concatenation of `parts`. Whoever passes several parts makes sure
/// that their borders are known.
#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256 of the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of `length of domain (16 bits, big-endian) | domain | bytes`: what signatures of ours sign, so that a
/// signature made for one purpose is none for another.
pub(crate) fn hash_in_domain(domain: &str, bytes: &[u8]) -> [u8; 32] {
    sha256(&[Length::of(domain.as_bytes()).as_bytes(), domain.as_bytes(), bytes])
}

/// AES-256-GCM: `ciphertext | tag (16 bytes)`. A nonce must never come twice under one key. Fails only beyond the
/// 64 GiB that the cipher takes ([`ErrorKind::TooLarge`]).
pub fn seal(key: &Secret32, nonce: &[u8; 12], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    Cipher::new(key).seal(nonce, aad, plain)
}

/// Opens what [`seal`] made. [`ErrorKind::Damaged`] when key, nonce, associated data, ciphertext or tag is another:
/// which of them cannot be told.
pub fn open(key: &Secret32, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    Cipher::new(key).open(nonce, aad, sealed)
}

/// A key of AES-256-GCM that is used again and again: what is computed from it is computed once. Never shown. It lives on
/// the heap, so that moving the value leaves no copy behind.
///
/// The round keys are wiped on drop. The key of GHASH, which the tags are made with, is not, here as in [`seal`]: `polyval`
/// drops nothing where it chooses its implementation at run time. Who finds it can forge tags, and reads nothing.
#[derive(Clone)]
pub struct Cipher(Box<Aes256Gcm>);

impl Cipher {
    /// For `key`.
    pub fn new(key: &Secret32) -> Cipher {
        Cipher(Box::new(Aes256Gcm::new(key.as_bytes().into())))
    }

    /// As [`seal`].
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        self.0
            .encrypt(Nonce::from_slice(nonce), Payload { msg: plain, aad })
            .map_err(|_| Error::new(ErrorKind::TooLarge, "AES-GCM seals at most 64 GiB at once"))
    }

    /// As [`open`].
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad }).map(Zeroizing::new).map_err(
            |_| Error::damaged("a sealed value does not open: it was changed, moved, or has another key"),
        )
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// The length of a part, 16 bits big-endian; from 65 535 on, 0xffff and then the length in 64 bits, so that the
/// function stays one-to-one for any input.
struct Length {
    bytes: [u8; 10],
    used: usize,
}

impl Length {
    fn of(part: &[u8]) -> Length {
        let mut bytes = [0xff; 10];
        let used = match u16::try_from(part.len()) {
            Ok(short) if short != u16::MAX => {
                bytes[..2].copy_from_slice(&short.to_be_bytes());
                2
            }
            _ => {
                bytes[2..].copy_from_slice(&(part.len() as u64).to_be_bytes());
                10
            }
        };
        Length { bytes, used }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A, cases 1 to 3: the first 32 bytes of what is expected, since more is never asked.
    #[test]
    fn hkdf_sha256() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let run = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let cases = [
            (
                run(0x00, 0x0c),
                vec![0x0b; 22],
                run(0xf0, 0xf9),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
            ),
            (
                run(0x60, 0xaf),
                run(0x00, 0x4f),
                run(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
            ),
            (
                vec![],
                vec![0x0b; 22],
                vec![],
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
            ),
        ];
        for (salt, secret, info, expected) in cases {
            let (start, end) = info.split_at(info.len() / 2);
            assert_eq!(hkdf(&salt, &secret, &[start, end]).as_bytes().as_slice(), hex(expected));
        }
    }
}
