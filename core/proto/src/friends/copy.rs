//! An envelope copy: what one friend says to the other while both need not be online, sealed into an ordinary
//! symmetric envelope (PROTOCOL 5). Which keys there are is in [`crate::friends::onetime`], under which topic it
//! travels in [`crate::friends::topics`], how an envelope spreads in [`crate::envelope`].
//!
//! From the outside in:
//!
//! | layer | what | opens with |
//! |---|---|---|
//! | envelope | topic, symmetric ciphertext | the day's key of the pair and direction |
//! | head | version 1 (1 byte), number of the recipient's key (8 bytes, big-endian) | |
//! | Noise | Noise_Kpsk0_25519_ChaChaPoly_SHA256, 48 bytes longer than its payload | the recipient's key of that number |
//! | payload | length (2 bytes, big-endian), record, zeros to a multiple of 256 | |
//!
//! Noise's initiator is the sender's device key; psk is [`derive()`] of the pair secret with the label "copy psk" and
//! the context `from, to`; the prologue is `"subrosa copy 1" | from | to | key number`. The record is a CBOR map: 0 the
//! frames (array of byte strings, each an encoded [`Frame`](crate::friends::frame::Frame)), 1 the [`KeyNews`]
//! (byte string; absent when there are none).
//!
//! A copy is not signed. It is proven by the sender's device key in Diffie-Hellman, which the recipient could have
//! done as well.

use crate::crypto::{Secret32, derive};
use crate::entropy::Entropy;
use crate::envelope::Topic;
use crate::error::{Error, ErrorKind, Result};
use crate::friends::onetime::{FriendKey, KeyNews, LONGEST_NEWS, OwnKey};
use crate::friends::oneway::{self, OVERHEAD, Pattern, Terms};
use crate::friends::pair::PairSecret;
use crate::friends::topics::{Day, DayKeys, day_keys};
use crate::friends::wrap;
use crate::identity::{DeviceKey, DevicePublic, PersonId};
use crate::wire::{self, Bytes, Record};
use minicbor::{Decode, Encode};
use std::fmt;
use zeroize::Zeroizing;

/// Most frames in one copy.
pub const MOST_FRAMES: usize = 64;
/// Most bytes of frames in one copy, counting 4 more for each frame: the largest message and its head fit.
pub const MAX_FRAMES: usize = 60_416;
/// Payloads of Noise are padded to a multiple of this, so that sizes tell little.
pub const PADDING: usize = 256;

const VERSION: u8 = 1;
const HEAD: usize = 1 + 8;
const LENGTH: usize = 2;
/// Longest payload of Noise; with every layer around it the envelope stays below 64 KiB.
const LONGEST_PAYLOAD: usize = 243 * PADDING;
/// Device keys of one sender that are tried: the certified one and the one before.
const MOST_SENDERS: usize = 4;

/// What one copy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// Encoded frames: a message, or small ones together. At most [`MOST_FRAMES`] and [`MAX_FRAMES`] bytes.
    pub frames: Vec<Bytes>,
    /// What the sender says about keys.
    pub news: KeyNews,
}

impl Copy {
    /// The bytes its frames count against [`MAX_FRAMES`].
    pub fn size(&self) -> usize {
        self.frames.iter().map(|frame| frame.len() + 4).sum()
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.frames.len() > MOST_FRAMES {
            return Err("more frames than a copy holds (64)");
        }
        if self.size() > MAX_FRAMES {
            return Err("more bytes of frames than a copy holds (60 416)");
        }
        Ok(())
    }
}

/// From whom to whom, and under which keys.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The secret of the friendship.
    pub pair: &'a PairSecret,
    /// Ourselves.
    pub from: &'a PersonId,
    /// The friend.
    pub to: &'a PersonId,
    /// Our device key.
    pub device: &'a DeviceKey,
    /// The friend's key that [`PairKeys::take`](crate::friends::onetime::PairKeys::take) gave.
    pub key: &'a FriendKey,
    /// Today, by the corrected clock.
    pub day: Day,
}

/// A sealed copy: what goes into an envelope that still needs time and work.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The envelope's topic.
    pub topic: Topic,
    /// The envelope's data.
    pub data: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.data.len())
    }
}

/// Seals a copy. [`ErrorKind::TooLarge`] beyond the bounds of [`Copy::frames`]; [`ErrorKind::Io`] when there is no
/// randomness.
pub fn seal(route: &Route<'_>, copy: &Copy, source: &mut dyn Entropy) -> Result<Sealed> {
    copy.check().map_err(|what| Error::new(ErrorKind::TooLarge, what))?;
    let news = (copy.news != KeyNews::default()).then(|| Bytes::from(copy.news.encode()));
    let record = CopyRecord { frames: copy.frames.clone(), news };
    let payload = pad(&Zeroizing::new(wire::encode(&record)))?;
    let psk = psk(route.pair, route.from, route.to);
    let prologue = prologue(route.from, route.to, route.key.number);
    let terms = Terms { pattern: Pattern::Known, psk: &psk, prologue: &prologue };
    let message = oneway::seal(terms, route.device, &route.key.public, &payload, source)?;
    let mut inner = Vec::with_capacity(HEAD + message.len());
    inner.push(VERSION);
    inner.extend_from_slice(&route.key.number.to_be_bytes());
    inner.extend_from_slice(&message);
    let DayKeys { topic, key } = day_keys(route.pair.as_bytes(), route.from, route.to, route.day);
    Ok(Sealed { topic, data: wrap::seal(&key, &inner, source)? })
}

/// A copy whose envelope is open: it came from the pair, and its key number can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Peeked {
    number: u64,
    message: Vec<u8>,
}

/// Opens the envelope of a copy with the keys of the day and direction whose topic it has.
/// [`ErrorKind::Damaged`] when it is not of this pair, day and direction (another's, by a topic in common), or of a
/// version that is not known.
pub fn peek(keys: &DayKeys, data: &[u8]) -> Result<Peeked> {
    let inner = wrap::open(&keys.key, data)?;
    let Some((&[version, ref number @ ..], message)) = inner.split_first_chunk::<HEAD>() else {
        return Err(Error::damaged("a copy without a head"));
    };
    if version != VERSION {
        return Err(Error::damaged(format!(
            "a copy of version {version}; this program reads version {VERSION}"
        )));
    }
    Ok(Peeked { number: u64::from_be_bytes(*number), message: message.to_vec() })
}

impl Peeked {
    /// The number of our key that opens it. Unproven until it is open, but for the pair's day key.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Opens it with the key of that number. `senders` are the friend's device keys, the newest first; at most 4 are
    /// tried. Gives what the copy says; the key dies only when that is committed.
    ///
    /// [`ErrorKind::Damaged`] when pair, direction, number, key or sender are others, or the content is not readable.
    pub fn open(
        &self,
        pair: &PairSecret,
        from: &PersonId,
        to: &PersonId,
        key: &OwnKey,
        senders: &[DevicePublic],
    ) -> Result<Copy> {
        if key.number != self.number {
            return Err(Error::damaged("a copy under another key"));
        }
        let (psk, prologue) = (psk(pair, from, to), prologue(from, to, self.number));
        let terms = Terms { pattern: Pattern::Known, psk: &psk, prologue: &prologue };
        let mut result = Err(Error::damaged("a copy from a friend without a device"));
        for sender in senders.iter().take(MOST_SENDERS) {
            result = oneway::open(terms, &key.secret, Some(sender), &self.message);
            if result.is_ok() {
                break;
            }
        }
        read(&result?.0)
    }
}

impl fmt::Debug for Peeked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peeked(key {}, {} bytes)", self.number, self.message.len())
    }
}

/// Reads the payload of a copy, from a friend who may lie. Public for tests of the format.
pub fn read(payload: &[u8]) -> Result<Copy> {
    let record = unpad(payload)?;
    let CopyRecord { frames, news } = wire::decode(record)?;
    let news = news.map(|news| KeyNews::decode(&news)).transpose()?.unwrap_or_default();
    let copy = Copy { frames, news };
    copy.check().map_err(Error::damaged)?;
    Ok(copy)
}

/// `length | record | zeros` to a multiple of [`PADDING`].
fn pad(record: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let whole = (LENGTH + record.len()).next_multiple_of(PADDING);
    let length = u16::try_from(record.len()).ok().filter(|_| whole <= LONGEST_PAYLOAD);
    let length = length.ok_or_else(|| Error::new(ErrorKind::TooLarge, "more than a copy holds"))?;
    let mut payload = Zeroizing::new(Vec::with_capacity(whole));
    payload.extend_from_slice(&length.to_be_bytes());
    payload.extend_from_slice(record);
    payload.resize(whole, 0);
    Ok(payload)
}

fn unpad(payload: &[u8]) -> Result<&[u8]> {
    let cut = || Error::damaged("a copy cut short");
    let (length, rest) = payload.split_first_chunk::<LENGTH>().ok_or_else(cut)?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)
}

fn psk(pair: &PairSecret, from: &PersonId, to: &PersonId) -> Secret32 {
    derive(pair.as_bytes(), "copy psk", &[from.as_bytes(), to.as_bytes()])
}

fn prologue(from: &PersonId, to: &PersonId, number: u64) -> Vec<u8> {
    [b"subrosa copy 1".as_slice(), from.as_bytes(), to.as_bytes(), &number.to_be_bytes()].concat()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct CopyRecord {
    #[n(0)]
    frames: Vec<Bytes>,
    #[n(1)]
    news: Option<Bytes>,
}

impl Record for CopyRecord {
    const NAME: &'static str = "copy";
    const KEYS: &'static [u64] = &[0, 1];
}

// Every layer at its longest: frames and their heads, news, the record's own heads, Noise, the head, and Whisper's
// flags, length, padding, tag and nonce.
const _: () = assert!(MAX_FRAMES + LONGEST_NEWS + 32 + LENGTH <= LONGEST_PAYLOAD);
const _: () = assert!(HEAD + OVERHEAD + LONGEST_PAYLOAD + 4 + 256 + 28 < 64 * 1024);

#[cfg(test)]
mod tests;
