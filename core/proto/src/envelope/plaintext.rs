//! What is inside an envelope once it is opened: payload, padding, signature.
//!
//! | part | length | what |
//! |---|---|---|
//! | flags | 1 | bits 0 and 1: how many bytes the length has; bit 2: signed; the others mean nothing |
//! | length | 0 to 3 | of the payload, little-endian; without it the payload is empty |
//! | payload | | |
//! | padding | | the rest |
//! | signature | 65 if signed | r, s, v over keccak-256 of all that stands before it |

use super::hash::keccak256;
use super::refusal::Refusal;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Identity, PersonId};
use std::fmt;
use std::ops::Range;
use zeroize::Zeroizing;

/// The longest payload, in bytes: its length has at most 24 bits.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;
/// Padding of ours makes the plaintext a multiple of this, in bytes.
pub const BLOCK: usize = 256;
/// Length of a signature, in bytes.
pub const SIGNATURE: usize = 65;

const LENGTH_MASK: u8 = 3;
const SIGNED: u8 = 4;

/// What hides the length of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<'a> {
    /// 1 to 256 random bytes, up to the next multiple of [`BLOCK`].
    Random,
    /// These bytes, whatever length that gives.
    Given(&'a [u8]),
}

/// The plaintext with this payload, signed if there is a signer, to be sealed.
///
/// [`ErrorKind::TooLarge`] above [`MAX_PAYLOAD`], for payload or padding. Fails otherwise only as `entropy` does.
pub fn write(
    payload: &[u8],
    padding: Padding<'_>,
    signer: Option<&Identity>,
    entropy: &mut dyn Entropy,
) -> Result<Zeroizing<Vec<u8>>> {
    let given = if let Padding::Given(bytes) = padding { bytes.len() } else { 0 };
    let longest = payload.len().max(given);
    if longest > MAX_PAYLOAD {
        let text = format!("{longest} bytes are too many for an envelope, which takes {MAX_PAYLOAD}");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    let length = payload.len().to_le_bytes();
    let digits = digits(payload.len());
    let total = self::length(payload.len(), padding, signer.is_some());
    let flags = u8::try_from(digits).unwrap_or(LENGTH_MASK);
    let unsigned = if signer.is_some() { total - SIGNATURE } else { total };
    // All at once: growing would leave pieces behind that nobody wipes.
    let mut out = Zeroizing::new(Vec::with_capacity(total));
    out.push(if signer.is_some() { flags | SIGNED } else { flags });
    out.extend_from_slice(length.get(..digits).unwrap_or_default());
    out.extend_from_slice(payload);
    match padding {
        Padding::Random => {
            let bare = out.len();
            out.resize(unsigned, 0);
            entropy.fill(out.get_mut(bare..).unwrap_or_default())?;
        }
        Padding::Given(bytes) => out.extend_from_slice(bytes),
    }
    if let Some(signer) = signer {
        let signature = signer.sign_recoverable(keccak256(&out))?;
        out.extend_from_slice(&signature);
    }
    Ok(out)
}

/// How long the plaintext with such a payload is, in bytes.
pub(super) fn length(payload: usize, padding: Padding<'_>, signed: bool) -> usize {
    let signature = if signed { SIGNATURE } else { 0 };
    let bare = (1 + digits(payload) + signature).saturating_add(payload);
    let padded = match padding {
        Padding::Random => BLOCK - bare % BLOCK,
        Padding::Given(bytes) => bytes.len(),
    };
    bare.saturating_add(padded)
}

/// How many bytes the length of a payload has: at least one, as go-ethereum writes it.
fn digits(payload: usize) -> usize {
    match payload {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    }
}

/// What was inside an envelope. Wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    payload: Range<usize>,
    padding: Range<usize>,
    signer: Option<PersonId>,
}

impl Opened {
    /// Reads a plaintext from someone who may lie. Longer length fields than needed are taken, and every padding.
    pub fn read(bytes: Zeroizing<Vec<u8>>) -> Result<Opened, Refusal> {
        let flags = *bytes.first().ok_or(Refusal::Empty)?;
        let (body, signature) = if flags & SIGNED == 0 {
            (bytes.as_slice(), None)
        } else {
            let (body, signature) =
                bytes.split_last_chunk::<SIGNATURE>().ok_or(Refusal::SignatureCutShort)?;
            // go-ethereum asks for more than the flags in front of a signature, and so do we: the same are taken.
            if body.len() < 2 {
                return Err(Refusal::SignatureCutShort);
            }
            (body, Some(signature))
        };
        let digits = usize::from(flags & LENGTH_MASK);
        let field = body.get(1..=digits).ok_or(Refusal::LengthCutShort)?;
        let length = field.iter().rev().fold(0, |length, digit| length << 8 | usize::from(*digit));
        let start = 1 + digits;
        let end = start + length;
        if end > body.len() {
            return Err(Refusal::PayloadCutShort);
        }
        let signer = match signature {
            Some(signature) => {
                Some(PersonId::recover(keccak256(body), signature).ok_or(Refusal::BadSignature)?)
            }
            None => None,
        };
        let padding = end..body.len();
        Ok(Opened { payload: start..end, padding, signer, bytes })
    }

    /// What was said.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }

    /// What hid its length.
    pub fn padding(&self) -> &[u8] {
        self.bytes.get(self.padding.clone()).unwrap_or_default()
    }

    /// Who signed it: the key that the signature gives. Anyone can sign as someone unknown, so it only means something
    /// if it is a key that is expected.
    pub fn signer(&self) -> Option<PersonId> {
        self.signer
    }

    /// All of it, as it was sealed.
    pub fn plaintext(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("payload", &self.payload.len()).field("signer", &self.signer).finish()
    }
}
