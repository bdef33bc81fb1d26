//! One-way Noise messages: a sender with a device key, a recipient who may be away, one message. The two patterns
//! that copies and accepts use; what they carry is elsewhere.

use crate::crypto::Secret32;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{DeviceKey, DevicePublic};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

/// What Noise adds beside an encrypted static key: the ephemeral key and one tag.
pub(super) const OVERHEAD: usize = 32 + 16;
/// What an encrypted static key adds: the key and one tag.
pub(super) const STATIC: usize = 32 + 16;
/// Longest message of Noise (revision 34, section 3).
const LONGEST: usize = 65_535;

/// Which message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The recipient knows the sender's device key.
    Known,
    /// The sender's device key comes along, encrypted.
    Introduced,
}

impl Pattern {
    const fn name(self) -> &'static str {
        match self {
            Pattern::Known => "Noise_Kpsk0_25519_ChaChaPoly_SHA256",
            Pattern::Introduced => "Noise_Xpsk0_25519_ChaChaPoly_SHA256",
        }
    }
}

/// What both ends must agree on.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) pattern: Pattern,
    pub(super) psk: &'a Secret32,
    pub(super) prologue: &'a [u8],
}

/// Seals `payload` from `device` to the holder of `to`. The ephemeral key comes from `source`.
pub(super) fn seal(
    terms: Terms<'_>,
    device: &DeviceKey,
    to: &DevicePublic,
    payload: &[u8],
    source: &mut dyn Entropy,
) -> Result<Vec<u8>> {
    let resolver = Drawing(Secret32::random(source)?);
    let build = |_| Error::new(ErrorKind::Internal, "Noise does not take our keys");
    let mut state = builder(terms, Box::new(resolver))?
        .local_private_key(device.secret().as_bytes())
        .and_then(|b| b.remote_public_key(to.as_bytes()))
        .and_then(snow::Builder::build_initiator)
        .map_err(build)?;
    let mut message = vec![0; payload.len() + OVERHEAD + STATIC];
    if payload.len() + OVERHEAD + STATIC > LONGEST {
        return Err(Error::new(ErrorKind::TooLarge, "more than one Noise message holds"));
    }
    let length = state.write_message(payload, &mut message).map_err(build)?;
    message.truncate(length);
    Ok(message)
}

/// Opens `message` with the recipient's secret. `from` is the sender's device key where the recipient must know it.
/// Gives the payload and the sender's device key. [`ErrorKind::Damaged`] when anything is another.
pub(super) fn open(
    terms: Terms<'_>,
    secret: &Secret32,
    from: Option<&DevicePublic>,
    message: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, DevicePublic)> {
    let closed = |_| Error::damaged("it does not open: other keys, another place, or changed");
    let mut builder =
        builder(terms, Box::new(DefaultResolver))?.local_private_key(secret.as_bytes()).map_err(closed)?;
    if let Some(from) = from {
        builder = builder.remote_public_key(from.as_bytes()).map_err(closed)?;
    }
    let mut state = builder.build_responder().map_err(closed)?;
    let mut plain = Zeroizing::new(vec![0; message.len()]);
    let length = state.read_message(message, &mut plain).map_err(closed)?;
    let remote = state.get_remote_static().map(DevicePublic::from_slice);
    let Some(Ok(remote)) = remote else {
        return Err(Error::damaged("it names no sender"));
    };
    plain.truncate(length);
    Ok((plain, remote))
}

fn builder(terms: Terms<'_>, resolver: Box<dyn CryptoResolver + Send>) -> Result<snow::Builder<'_>> {
    let unknown = |_| Error::new(ErrorKind::Internal, "the Noise pattern is not known");
    let params = terms.pattern.name().parse().map_err(unknown)?;
    snow::Builder::with_resolver(params, resolver)
        .psk(0, terms.psk.as_bytes())
        .and_then(|b| b.prologue(terms.prologue))
        .map_err(unknown)
}

/// The usual algorithms, and 32 bytes drawn beforehand as the only randomness: the ephemeral key.
struct Drawing(Secret32);

impl CryptoResolver for Drawing {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Some(self.0.clone()))))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Gives its bytes once.
struct Drawn(Option<Secret32>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> std::result::Result<(), snow::Error> {
        match self.0.take() {
            Some(bytes) if out.len() == 32 => {
                out.copy_from_slice(bytes.as_bytes());
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}
