//! The key that proves a device in the handshake of a link (X25519, RFC 7748). The identity certifies it.

use crate::crypto::Secret32;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};

/// The secret key of a device.
#[derive(Clone)]
pub struct DeviceKey {
    secret: Secret32,
    public: DevicePublic,
}

impl DeviceKey {
    /// A new key from random bytes.
    pub fn generate(source: &mut dyn Entropy) -> Result<DeviceKey> {
        Secret32::random(source).map(DeviceKey::from_secret)
    }

    /// The key with these secret bytes; all of them are possible, since X25519 clamps on use.
    pub fn from_secret(secret: Secret32) -> DeviceKey {
        let public = DevicePublic(PublicKey::from(&StaticSecret::from(*secret.as_bytes())).to_bytes());
        DeviceKey { secret, public }
    }

    /// The secret bytes, for the store and for Noise.
    pub fn secret(&self) -> &Secret32 {
        &self.secret
    }

    /// The public key.
    pub fn public(&self) -> DevicePublic {
        self.public
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({:?})", self.public)
    }
}

/// The public key of a device: the u coordinate, 32 bytes, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePublic(pub [u8; 32]);

impl DevicePublic {
    /// From exactly 32 bytes ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<DevicePublic> {
        bytes
            .try_into()
            .map(DevicePublic)
            .map_err(|_| Error::invalid(format!("a device key is 32 bytes, not {}", bytes.len())))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Refuses the few keys with which every secret gives the same shared secret (RFC 7748, section 6.1): whoever
    /// names such a key proves nothing with it.
    pub fn check(&self) -> Result<()> {
        // Every clamped scalar is a multiple of 8 and sends those points to zero, so any scalar tells.
        let probe = StaticSecret::from([0x42; 32]);
        if probe.diffie_hellman(&PublicKey::from(self.0)).was_contributory() {
            return Ok(());
        }
        Err(Error::damaged("the device key is one that proves nothing"))
    }
}

impl fmt::Debug for DevicePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePublic({}...)", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

impl<C> minicbor::Encode<C> for DevicePublic {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for DevicePublic {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<DevicePublic, minicbor::decode::Error> {
        DevicePublic::from_slice(d.bytes()?).map_err(|_| minicbor::decode::Error::message("no device key"))
    }
}
