//! The key that is the person (secp256k1) and its public name. It signs device certificates and nothing that
//! names two people.

use crate::crypto::{Secret32, hash_in_domain};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use bech32::primitives::decode::UncheckedHrpstring;
use bech32::{Bech32m, Hrp};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SecretKey, ecdh, ecdsa};
use std::fmt;
use zeroize::Zeroizing;

/// What the text form starts with, before the separator `1`.
const PREFIX: &str = "subrosa";
/// Longest text looked at; the text form has 67 characters, the rest is room for white space around it.
const LONGEST_TEXT: usize = 512;
/// Random scalars tried before the generator is called broken: one in 2^128 is unusable.
const TRIES: usize = 4;

/// A person: the compressed secp256k1 public key, 33 bytes (SEC 1, section 2.3.3). Always a valid point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId([u8; PersonId::LEN]);

impl PersonId {
    /// How many bytes it has.
    pub const LEN: usize = 33;

    /// From exactly 33 bytes: 2 or 3, then the x coordinate of a point of the curve
    /// ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<PersonId> {
        let bytes: [u8; PersonId::LEN] = bytes.try_into().map_err(|_| {
            Error::invalid(format!("an identity is {} bytes, not {}", PersonId::LEN, bytes.len()))
        })?;
        PublicKey::from_byte_array_compressed(bytes)
            .map_err(|_| Error::invalid("these 33 bytes are no secp256k1 public key"))?;
        Ok(PersonId(bytes))
    }

    /// From exactly 65 bytes: 4, then both coordinates of a point of the curve, as Ethereum writes keys
    /// ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_uncompressed(bytes: &[u8]) -> Result<PersonId> {
        let bytes: [u8; 65] = bytes.try_into().map_err(|_| {
            Error::invalid(format!("an uncompressed public key is 65 bytes, not {}", bytes.len()))
        })?;
        // The library also takes the hybrid form, which nobody writes.
        match PublicKey::from_byte_array_uncompressed(bytes) {
            Ok(key) if bytes.first() == Some(&4) => Ok(PersonId(key.serialize())),
            _ => Err(Error::invalid("these 65 bytes are no uncompressed secp256k1 public key")),
        }
    }

    /// The 65 bytes that [`PersonId::from_uncompressed`] reads.
    pub fn uncompressed(&self) -> [u8; 65] {
        // Always a point: checked when it was made.
        PublicKey::from_byte_array_compressed(self.0).map_or([0; 65], |key| key.serialize_uncompressed())
    }

    /// Who signed `digest`, by a signature that Ethereum's way of signing made ([`Identity::sign_recoverable`]). `v` is
    /// 0 or 1, or 27 or 28, which means the same; a high S is taken. None if no key could have made it. Anyone can make
    /// a signature that gives some key: it proves nothing unless the key is one that is expected.
    pub fn recover(digest: [u8; 32], signature: &[u8; 65]) -> Option<PersonId> {
        let (v, compact) = signature.split_last()?;
        let id = match v {
            0 | 27 => RecoveryId::Zero,
            1 | 28 => RecoveryId::One,
            _ => return None,
        };
        let signature = RecoverableSignature::from_compact(compact, id).ok()?;
        let key = signature.recover_ecdsa(Message::from_digest(digest)).ok()?;
        Some(PersonId(key.serialize()))
    }

    /// The 33 bytes.
    pub fn as_bytes(&self) -> &[u8; PersonId::LEN] {
        &self.0
    }

    /// The text form: bech32m (BIP 350) with the prefix `subrosa`, 67 lower-case characters.
    pub fn text(&self) -> String {
        // 67 characters are below the limit of bech32m, so this cannot fail.
        bech32::encode_lower::<Bech32m>(Hrp::parse_unchecked(PREFIX), &self.0).unwrap_or_default()
    }

    /// Reads the text form, in lower or upper case, white space around it ignored.
    ///
    /// [`ErrorKind::InvalidArgument`] when the text is something else, [`ErrorKind::Damaged`] when it is an identity
    /// with a character wrong or missing.
    pub fn parse(text: &str) -> Result<PersonId> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::invalid("the text is too long for an identity"));
        }
        let text = text.trim();
        let start = text.get(..=PREFIX.len()).unwrap_or_default();
        if start.eq_ignore_ascii_case("subrosa:") {
            return Err(Error::invalid("this is an invite, not an identity: redeem it"));
        }
        if !start.eq_ignore_ascii_case("subrosa1") {
            return Err(Error::invalid("an identity starts with `subrosa1`"));
        }
        let damaged =
            || Error::damaged("the identity has a character that is wrong or missing: copy it again");
        let unchecked = UncheckedHrpstring::new(text).map_err(|_| damaged())?;
        let checked = unchecked.validate_and_remove_checksum::<Bech32m>().map_err(|_| damaged())?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let person = PersonId::from_slice(&bytes)
            .map_err(|e| Error::damaged(format!("the identity was never valid: {}", e.text())))?;
        // One bit is left over in the last character; one person has one text.
        if !text.eq_ignore_ascii_case(&person.text()) {
            return Err(damaged());
        }
        Ok(person)
    }

    /// Whether `signature` is this person's over `bytes` in `domain` ([`Identity::sign`]). Signatures with a high S
    /// are refused, so that nobody but the signer can make a second one.
    pub fn verify(&self, domain: &str, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = PublicKey::from_byte_array_compressed(self.0) else {
            return false;
        };
        let Ok(signature) = ecdsa::Signature::from_compact(signature) else {
            return false;
        };
        signature.verify(Message::from_digest(hash_in_domain(domain, bytes)), &key).is_ok()
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

/// The first characters of the text form: enough to tell people apart in a log.
impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        write!(f, "{}...", text.get(..18).unwrap_or(&text))
    }
}

impl std::str::FromStr for PersonId {
    type Err = Error;
    fn from_str(text: &str) -> Result<PersonId> {
        PersonId::parse(text)
    }
}

impl<C> minicbor::Encode<C> for PersonId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for PersonId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<PersonId, minicbor::decode::Error> {
        PersonId::from_slice(d.bytes()?).map_err(|_| minicbor::decode::Error::message("no valid identity"))
    }
}

/// The secret key that is the person. Kept as bytes that are wiped; the key of the library lives only during a call.
#[derive(Clone)]
pub struct Identity {
    secret: Secret32,
    person: PersonId,
}

impl Identity {
    /// A new identity from random bytes.
    pub fn generate(source: &mut dyn Entropy) -> Result<Identity> {
        for _ in 0..TRIES {
            let secret = Secret32::random(source)?;
            if let Ok(identity) = Identity::from_secret(secret.as_bytes()) {
                return Ok(identity);
            }
        }
        Err(Error::new(ErrorKind::Io, "the random generator gives no usable keys: it seems to be broken"))
    }

    /// The identity with this secret key: 32 bytes, big-endian, not zero and below the order of the curve
    /// ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_secret(bytes: &[u8]) -> Result<Identity> {
        let secret = Secret32::from_slice(bytes).map_err(|_| {
            Error::invalid(format!("the secret key of an identity is 32 bytes, not {}", bytes.len()))
        })?;
        let person = PersonId(Scalar::of(&secret)?.0.public_key().serialize());
        Ok(Identity { secret, person })
    }

    /// The secret key, 32 bytes, for the host to keep.
    pub fn secret(&self) -> Secret32 {
        self.secret.clone()
    }

    /// The public name of this identity.
    pub fn person(&self) -> PersonId {
        self.person
    }

    /// ECDSA over SHA-256 of `length of domain (16 bits, big-endian) | domain | bytes`: r and s, 32 bytes each,
    /// low S. The nonce is that of RFC 6979, so the same input always gives the same signature.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        let digest = Message::from_digest(hash_in_domain(domain, bytes));
        match Scalar::of(&self.secret) {
            Ok(scalar) => ecdsa::sign(digest, &scalar.0).serialize_compact(),
            // The secret was checked when the identity was made; no signature verifies as these bytes.
            Err(_) => [0; 64],
        }
    }
}

impl Identity {
    /// What both sides can compute, each from its own secret key and the other's public one (ECDH): the x coordinate,
    /// 32 bytes big-endian. Not a key before it went through a derivation.
    pub fn agree(&self, with: &PersonId) -> Result<Secret32> {
        let scalar = Scalar::of(&self.secret)?;
        let point = PublicKey::from_byte_array_compressed(with.0)
            .map_err(|_| Error::invalid("these 33 bytes are no secp256k1 public key"))?;
        let both = Zeroizing::new(ecdh::shared_secret_point(&point, &scalar.0));
        Secret32::from_slice(both.get(..32).unwrap_or_default())
    }

    /// ECDSA over `digest` in Ethereum's form: r and s, 32 bytes each, low S, then `v`: 0 or 1. The nonce is that of
    /// RFC 6979. Only for what Whisper and RLPx sign, whose digests others choose too: everything of ours is signed
    /// in a domain ([`Identity::sign`]).
    pub fn sign_recoverable(&self, digest: [u8; 32]) -> Result<[u8; 65]> {
        let scalar = Scalar::of(&self.secret)?;
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), &scalar.0);
        let (id, compact) = signature.serialize_compact();
        let mut out = [0; 65];
        for (out, byte) in out.iter_mut().zip(compact.into_iter().chain([id.to_u8()])) {
            *out = byte;
        }
        Ok(out)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.person)
    }
}

/// The library's key for the length of one call, overwritten afterwards: it does not do so by itself.
struct Scalar(SecretKey);

impl Scalar {
    fn of(secret: &Secret32) -> Result<Scalar> {
        SecretKey::from_secret_bytes(*secret.as_bytes())
            .map(Scalar)
            .map_err(|_| Error::invalid("these 32 bytes are no secret key of secp256k1"))
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}
