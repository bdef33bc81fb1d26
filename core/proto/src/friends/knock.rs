//! The knock: how two friends prove to each other who they are, inside an encrypted connection that proves
//! nothing about anybody. The machines only; sockets, streams and deadlines are in `subrosa-net`.
//!
//! Noise_IKpsk1_25519_ChaChaPoly_SHA256. The prologue is
//! `"subrosa knock 1" | TLS exporter (32 bytes) | responder's identity as the initiator believes it (33 bytes)`.
//!
//! | message | from | bytes | what |
//! |---|---|---|---|
//! | M1 | initiator | 608 | e, s, payload |
//! | M2 | responder | 560 | e, payload |
//! | M3 | initiator | at most 16 400 | [`Hello`] under the Noise keys |
//! | M4 | responder | at most 16 400 | [`Hello`] under the Noise keys |
//!
//! The payload of M1 and M2 is `lowest version u16 | highest version u16 | length u16 | certificate | zeros`, all
//! numbers big-endian, always 512 bytes. What follows the certificate is ignored, so that later versions may add.
//!
//! M1 alone proves nothing to the responder: whoever stole the responder's own device key can forge one in anyone's
//! name. M3 proves the initiator, since its key mixes the responder's ephemeral key with the initiator's static one.

mod initiator;
mod responder;

pub use initiator::Initiator;
pub use responder::{Input, Output, Proven, Responder};

use crate::friends::hello::{Hello, MAX_HELLO};
use crate::identity::{Certificate, DeviceKey, PersonId};
use snow::TransportState;
use std::fmt;
use zeroize::Zeroizing;

/// The label under which both sides export keying material from TLS; its context is empty.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-subrosa-knock-1";
/// Length of M1, in bytes.
pub const M1_LEN: usize = DH_LEN + DH_LEN + TAG_LEN + PAYLOAD + TAG_LEN;
/// Length of M2, in bytes.
pub const M2_LEN: usize = DH_LEN + PAYLOAD + TAG_LEN;
/// Greatest length of M3 and M4, in bytes.
pub const LONGEST_HELLO_MESSAGE: usize = MAX_HELLO + TAG_LEN;

const PATTERN: &str = "Noise_IKpsk1_25519_ChaChaPoly_SHA256";
const DH_LEN: usize = 32;
const TAG_LEN: usize = 16;
const PAYLOAD: usize = 512;
const PAYLOAD_HEAD: usize = 6;
/// The version of the knock this code speaks.
const VERSION: u16 = 1;

/// Whom a door is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The door of a friend: nobody else may come through it.
    Friend(PersonId),
    /// The door of an invite: whoever has its secret.
    Anyone,
}

/// A device key of ours and the certificate that goes with it. After a change of keys both the new and the old one
/// open M1, and each answers with its own certificate.
#[derive(Clone, Debug)]
pub struct OwnDevice {
    /// The secret key.
    pub key: DeviceKey,
    /// The encoded certificate of this key.
    pub certificate: Vec<u8>,
}

/// The knock failed. What is seen from outside is always the same; the reason is for the local log at `debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mute {
    why: &'static str,
}

impl Mute {
    pub(crate) const fn because(why: &'static str) -> Mute {
        Mute { why }
    }

    /// The reason, without secrets and without names.
    pub fn why(self) -> &'static str {
        self.why
    }
}

impl fmt::Debug for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mute({})", self.why)
    }
}

fn prologue(exporter: &[u8; 32], responder: &PersonId) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(15 + 32 + 33));
    bytes.extend_from_slice(b"subrosa knock 1");
    bytes.extend_from_slice(exporter);
    bytes.extend_from_slice(responder.as_bytes());
    bytes
}

/// A builder for the one pattern we speak.
fn noise<'a>() -> Result<snow::Builder<'a>, Mute> {
    PATTERN.parse().map(snow::Builder::new).map_err(|_| Mute::because("the Noise pattern is not known"))
}

/// The payload of M1 and M2.
fn payload(certificate: &[u8]) -> Result<[u8; PAYLOAD], Mute> {
    let mut bytes = [0; PAYLOAD];
    let length =
        u16::try_from(certificate.len()).map_err(|_| Mute::because("our certificate is too long"))?;
    let (head, body) = bytes.split_at_mut(PAYLOAD_HEAD);
    head.copy_from_slice(&[VERSION.to_be_bytes(), VERSION.to_be_bytes(), length.to_be_bytes()].concat());
    body.get_mut(..certificate.len())
        .ok_or(Mute::because("our certificate is too long"))?
        .copy_from_slice(certificate);
    Ok(bytes)
}

/// The certificate in the payload of M1 or M2, its form and signature checked.
fn certificate(payload: &[u8]) -> Result<Certificate, Mute> {
    let cut = Mute::because("a payload of the wrong length");
    let payload: &[u8; PAYLOAD] = payload.try_into().map_err(|_| cut)?;
    let (head, body) = payload.split_at(PAYLOAD_HEAD);
    let &[lowest, lowest2, highest, highest2, length, length2] = head else { return Err(cut) };
    let (lowest, highest) = (u16::from_be_bytes([lowest, lowest2]), u16::from_be_bytes([highest, highest2]));
    if !(lowest..=highest).contains(&VERSION) {
        return Err(Mute::because("no version in common"));
    }
    let length = usize::from(u16::from_be_bytes([length, length2]));
    let bytes = body.get(..length).ok_or(Mute::because("a certificate longer than its payload"))?;
    Certificate::decode(bytes).map_err(|_| Mute::because("the certificate is not valid"))
}

fn write_hello(transport: &mut TransportState, hello: &Hello) -> Result<Vec<u8>, Mute> {
    let plain = hello.encode().map_err(|_| Mute::because("our hello is too large"))?;
    let mut message = vec![0; plain.len() + TAG_LEN];
    let length = transport
        .write_message(&plain, &mut message)
        .map_err(|_| Mute::because("our hello does not encrypt"))?;
    message.truncate(length);
    Ok(message)
}

fn read_hello(transport: &mut TransportState, message: &[u8]) -> Result<Hello, Mute> {
    if message.len() > LONGEST_HELLO_MESSAGE {
        return Err(Mute::because("a hello that is too long"));
    }
    let mut plain = Zeroizing::new(vec![0; message.len()]);
    let length = transport
        .read_message(message, &mut plain)
        .map_err(|_| Mute::because("the hello does not open: the keys are not theirs"))?;
    let plain = plain.get(..length).ok_or(Mute::because("a hello of no length"))?;
    Hello::decode(plain).map_err(|_| Mute::because("the hello is not readable"))
}

#[cfg(test)]
mod tests;
