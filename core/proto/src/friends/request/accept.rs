//! The envelope of an accept: on topics only the two can compute, sealed to a one-time key of the request.
//!
//! The one who asked does not know the other's device key, so the pattern is Noise's X, where it comes along
//! encrypted, and not K as in copies. A key of the request, and not the identity, opens it: it is gone once the accept
//! is read, so that whoever gets the identity key later reads the request in a recording, but not the accept, and
//! does not learn the pair secret.

use super::offer::{self, Offer, PADDED, Proofs};
use crate::crypto::{Secret32, derive};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::friends::copy::Sealed;
use crate::friends::onetime::{FriendKey, OwnKey};
use crate::friends::oneway::{self, OVERHEAD, Pattern, STATIC, Terms};
use crate::friends::pair::Half;
use crate::friends::topics::{Day, DayKeys, day_keys};
use crate::friends::wrap;
use crate::identity::{DeviceKey, Identity, PersonId};
use std::fmt;

const PURPOSE: &[u8] = b"subrosa accept 1";
const VERSION: u8 = 1;
const HEAD: usize = 1 + 8;

/// The secret of one request, known to the one who asked and the one asked: topics, keys and psk of the accept come
/// from it. Wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptRoot(Secret32);

impl AcceptRoot {
    /// [`derive()`] of `x of the shared point of the two identities | half of the one who asked` with the label "accept" and the
    /// context `who asked, who was asked, id of the request`. `own` is one of the two, `other` the other.
    pub fn of_request(
        own: &Identity,
        other: &PersonId,
        asker: &PersonId,
        half: &Half,
        id: &[u8; 16],
    ) -> Result<AcceptRoot> {
        let asked = if *asker == own.person() { *other } else { own.person() };
        let mut secrets = zeroize::Zeroizing::new([0; 64]);
        secrets[..32].copy_from_slice(own.agree(other)?.as_bytes());
        secrets[32..].copy_from_slice(half.as_bytes());
        Ok(AcceptRoot(derive(secrets.as_slice(), "accept", &[asker.as_bytes(), asked.as_bytes(), id])))
    }

    /// From the store: exactly 32 bytes ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument)
    /// otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<AcceptRoot> {
        Secret32::from_slice(bytes).map(AcceptRoot)
    }

    /// The bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Topic and key of the accept on `day`, from the one who was asked.
    pub fn day_keys(&self, asked: &PersonId, asker: &PersonId, day: Day) -> DayKeys {
        day_keys(self.as_bytes(), asked, asker, day)
    }

    fn psk(&self) -> Secret32 {
        derive(self.as_bytes(), "accept psk", &[])
    }
}

impl fmt::Debug for AcceptRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptRoot")
    }
}

/// Under which keys an accept goes.
#[derive(Clone, Copy, Debug)]
pub struct AcceptRoute<'a> {
    /// Of the request.
    pub root: &'a AcceptRoot,
    /// Our identity, for the tag.
    pub own: &'a Identity,
    /// Our device key, that of the offer's certificate.
    pub device: &'a DeviceKey,
    /// The key of the request that we took first, the same at each repeat.
    pub key: &'a FriendKey,
    /// Today, by the corrected clock.
    pub day: Day,
}

/// Seals an accept. `offer.answers` names the request. [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) beyond the
/// limits of an [`Offer`]; `InvalidArgument` when the offer is not ours or accepts nothing.
pub fn seal_accept(route: &AcceptRoute<'_>, offer: &Offer, source: &mut dyn Entropy) -> Result<Sealed> {
    let ours = offer.from == route.own.person() && offer.certificate.key() == route.device.public();
    let Some(request) = offer.answers.filter(|_| ours) else {
        return Err(Error::invalid("this is no accept of ours"));
    };
    let tag_key = tag_key(route.own, &offer.to, offer)?;
    let padded = offer::write(offer, &Proofs { purpose: PURPOSE, tag_key: &tag_key, invite: None })?;
    let (psk, prologue) = (route.root.psk(), prologue(&offer.from, &offer.to, &request, route.key.number));
    let terms = Terms { pattern: Pattern::Introduced, psk: &psk, prologue: &prologue };
    let message = oneway::seal(terms, route.device, &route.key.public, &padded, source)?;
    let mut inner = Vec::with_capacity(HEAD + message.len());
    inner.push(VERSION);
    inner.extend_from_slice(&route.key.number.to_be_bytes());
    inner.extend_from_slice(&message);
    let DayKeys { topic, key } = route.root.day_keys(&offer.from, &offer.to, route.day);
    Ok(Sealed { topic, data: wrap::seal(&key, &inner, source)? })
}

/// An accept whose envelope is open: the number of the key that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptPeek {
    number: u64,
    message: Vec<u8>,
}

impl AcceptPeek {
    /// The number of our key.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Debug for AcceptPeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcceptPeek(key {})", self.number)
    }
}

/// Opens the envelope of an accept with the keys of the day whose topic it has ([`AcceptRoot::day_keys`]).
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) when it is something else.
pub fn peek_accept(keys: &DayKeys, data: &[u8]) -> Result<AcceptPeek> {
    let inner = wrap::open(&keys.key, data)?;
    match inner.split_first_chunk::<HEAD>() {
        Some((&[VERSION, ref number @ ..], message)) if message.len() == OVERHEAD + STATIC + PADDED => {
            Ok(AcceptPeek { number: u64::from_be_bytes(*number), message: message.to_vec() })
        }
        _ => Err(Error::damaged("no accept that this version reads")),
    }
}

/// Opens an accept of our request `id` to `asked` with our key of that number.
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) when key, people or request are others, when it is not proven, or
/// the certificate is not of the device that sealed it.
pub fn open_accept(
    root: &AcceptRoot,
    own: &Identity,
    asked: &PersonId,
    id: &[u8; 16],
    key: &OwnKey,
    peek: &AcceptPeek,
) -> Result<Offer> {
    if key.number != peek.number {
        return Err(Error::damaged("an accept under another key"));
    }
    let (psk, prologue) = (root.psk(), prologue(asked, &own.person(), id, key.number));
    let terms = Terms { pattern: Pattern::Introduced, psk: &psk, prologue: &prologue };
    let (padded, device) = oneway::open(terms, &key.secret, None, &peek.message)?;
    let unproven = offer::read(&padded)?;
    let offer = &unproven.offer;
    let ours = offer.to == own.person() && offer.from == *asked && offer.answers == Some(*id);
    if !ours || offer.certificate.key() != device {
        return Err(Error::damaged("an accept of another, or to another"));
    }
    if !unproven.tagged(PURPOSE, &tag_key(own, asked, offer)?) {
        return Err(Error::damaged("an accept that is not from whom it names"));
    }
    Ok(unproven.offer)
}

fn tag_key(own: &Identity, other: &PersonId, offer: &Offer) -> Result<Secret32> {
    let shared = own.agree(other)?;
    Ok(derive(shared.as_bytes(), "accept tag", &[offer.from.as_bytes(), offer.to.as_bytes()]))
}

fn prologue(asked: &PersonId, asker: &PersonId, request: &[u8; 16], number: u64) -> Vec<u8> {
    [PURPOSE, asked.as_bytes(), asker.as_bytes(), request, &number.to_be_bytes()].concat()
}
