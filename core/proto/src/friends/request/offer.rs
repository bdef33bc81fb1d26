//! What a request and an accept say: the offer of a friendship, and its padded form.

use crate::crypto::{Secret32, mac};
use crate::error::{Error, ErrorKind, Result};
use crate::friends::hello::MAX_GREETING;
use crate::friends::invite::InviteId;
use crate::friends::onetime::KeyNews;
use crate::friends::pair::Half;
use crate::identity::{Certificate, PersonId};
use crate::time::Timestamp;
use crate::wire::{self, Bytes, Record};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Every request and accept has this many bytes inside, whatever it says.
pub const PADDED: usize = 2_432;
/// Longest encoded offer, in bytes.
pub const LONGEST_OFFER: usize = PADDED - LENGTH - PROOFS;

const LENGTH: usize = 2;
/// Tag, invite and their heads.
const PROOFS: usize = 112;

/// An offer of friendship, from somebody to somebody.
///
/// On the wire a CBOR map:
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | from | 33 bytes |
/// | 1 | to | 33 bytes |
/// | 2 | certificate of the sender's device | byte string, at most 300 |
/// | 3 | keys | byte string, an encoded [`KeyNews`] |
/// | 4 | id | 16 bytes |
/// | 5 | counter | number |
/// | 6 | end | milliseconds since 1970 UTC |
/// | 7 | half of the pair secret | 32 bytes |
/// | 8 | id of the request that is accepted | 16 bytes, in accepts only |
/// | 64 | greeting | text, at most 256 bytes, may be absent |
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who offers.
    pub from: PersonId,
    /// To whom.
    pub to: PersonId,
    /// The device of who offers; its person is `from`.
    pub certificate: Certificate,
    /// One-time keys and the last-resort key for copies, and for the accept.
    pub news: KeyNews,
    /// Random; what it is. The same at each repeat.
    pub id: [u8; 16],
    /// Among requests of one person the highest counter wins.
    pub counter: u64,
    /// When it ends, by the sender's clock.
    pub expires: Timestamp,
    /// The sender's half of the pair secret. Wiped on drop, not in `Debug`.
    pub half: Half,
    /// In an accept: the id of the request.
    pub answers: Option<[u8; 16]>,
    /// At most 256 bytes.
    pub greeting: Option<String>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer({:?} to {:?}, counter {})", self.from, self.to, self.counter)
    }
}

/// What proves an offer.
pub(super) struct Proofs<'a> {
    /// Names the purpose: no proof for a request is one for an accept.
    pub(super) purpose: &'static [u8],
    /// Made of the two identities.
    pub(super) tag_key: &'a Secret32,
    /// The invite by which it comes, and a key made of its secret.
    pub(super) invite: Option<(InviteId, &'a Secret32)>,
}

/// An offer whose form is right and whose proofs are still to be checked.
pub(super) struct Unproven {
    bytes: Zeroizing<Vec<u8>>,
    tag: [u8; 32],
    pub(super) invite: Option<(InviteId, [u8; 32])>,
    pub(super) offer: Offer,
}

impl Unproven {
    /// Whether the tag is that of `key`.
    pub(super) fn tagged(&self, purpose: &[u8], key: &Secret32) -> bool {
        mac(key.as_bytes(), &[purpose, &self.bytes]).ct_eq(&self.tag).into()
    }

    /// Whether the invite's proof is that of `key`.
    pub(super) fn invited(&self, purpose: &[u8], key: &Secret32) -> bool {
        let proof = mac(key.as_bytes(), &[purpose, &self.bytes]);
        self.invite.as_ref().is_some_and(|(_, given)| proof.ct_eq(given).into())
    }
}

/// `length | record | zeros`, [`PADDED`] bytes: the offer, its tag, and the proof of an invite.
/// [`ErrorKind::TooLarge`] when a limit is passed.
pub(super) fn write(offer: &Offer, proofs: &Proofs<'_>) -> Result<Zeroizing<Vec<u8>>> {
    offer.check().map_err(|what| Error::new(ErrorKind::TooLarge, what))?;
    let mut record = OfferRecord {
        from: offer.from,
        to: offer.to,
        certificate: offer.certificate.encode().into(),
        news: offer.news.encode().into(),
        id: offer.id.into(),
        counter: offer.counter,
        expires: offer.expires,
        half: ByteArray::from(*offer.half.as_bytes()),
        answers: offer.answers.map(ByteArray::from),
        greeting: offer.greeting.clone(),
    };
    let bytes = Zeroizing::new(wire::encode(&record));
    record.half.as_mut_slice().zeroize();
    if bytes.len() > LONGEST_OFFER {
        return Err(Error::new(ErrorKind::TooLarge, format!("an offer has at most {LONGEST_OFFER} bytes")));
    }
    let proof = |key: &Secret32| ByteArray::from(mac(key.as_bytes(), &[proofs.purpose, &bytes]));
    let mut proven = ProvenRecord {
        offer: bytes.to_vec(),
        tag: proof(proofs.tag_key),
        invite: proofs.invite.map(|(id, _)| id.0.into()),
        invite_proof: proofs.invite.map(|(_, key)| proof(key)),
    };
    let record = Zeroizing::new(wire::encode(&proven));
    proven.offer.zeroize();
    let mut padded = Zeroizing::new(Vec::with_capacity(PADDED));
    // At most 2 432, as the assertion below says.
    padded.extend_from_slice(&(record.len() as u16).to_be_bytes());
    padded.extend_from_slice(&record);
    padded.resize(PADDED, 0);
    Ok(padded)
}

/// Reads what [`write`] wrote, from anybody. [`ErrorKind::Damaged`] for anything else.
pub(super) fn read(padded: &[u8]) -> Result<Unproven> {
    let cut = || Error::damaged("an offer of the wrong length");
    let (length, rest) =
        padded.split_first_chunk::<LENGTH>().filter(|_| padded.len() == PADDED).ok_or_else(cut)?;
    let record = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)?;
    let proven: ProvenRecord = wire::decode(record)?;
    let bytes = Zeroizing::new(proven.offer);
    let invite = match (proven.invite, proven.invite_proof) {
        (Some(id), Some(proof)) => Some((InviteId(id.into()), proof.into())),
        (None, None) => None,
        _ => return Err(Error::damaged("half of an invite's proof")),
    };
    let mut record: OfferRecord = wire::decode(&bytes)?;
    let half = Half::from_slice(record.half.as_slice());
    record.half.as_mut_slice().zeroize();
    let certificate = Certificate::decode(&record.certificate)?;
    let offer = Offer {
        from: record.from,
        to: record.to,
        certificate,
        news: KeyNews::decode(&record.news)?,
        id: record.id.into(),
        counter: record.counter,
        expires: record.expires,
        half: half?,
        answers: record.answers.map(<[u8; 16]>::from),
        greeting: record.greeting,
    };
    offer.check().map_err(Error::damaged)?;
    Ok(Unproven { bytes, tag: proven.tag.into(), invite, offer })
}

impl Offer {
    fn check(&self) -> Result<(), &'static str> {
        if self.from == self.to {
            return Err("an offer to oneself");
        }
        if self.certificate.person() != self.from {
            return Err("an offer with the certificate of another");
        }
        if self.greeting.as_ref().is_some_and(|greeting| greeting.len() > MAX_GREETING) {
            return Err("a greeting longer than 256 bytes");
        }
        Ok(())
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OfferRecord {
    #[n(0)]
    from: PersonId,
    #[n(1)]
    to: PersonId,
    #[n(2)]
    certificate: Bytes,
    #[n(3)]
    news: Bytes,
    #[n(4)]
    id: ByteArray<16>,
    #[n(5)]
    counter: u64,
    #[n(6)]
    expires: Timestamp,
    #[n(7)]
    half: ByteArray<32>,
    #[n(8)]
    answers: Option<ByteArray<16>>,
    #[n(64)]
    greeting: Option<String>,
}

impl Record for OfferRecord {
    const NAME: &'static str = "offer";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 64];
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ProvenRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    offer: Vec<u8>,
    #[n(1)]
    tag: ByteArray<32>,
    #[n(2)]
    invite: Option<ByteArray<16>>,
    #[n(3)]
    invite_proof: Option<ByteArray<32>>,
}

impl Record for ProvenRecord {
    const NAME: &'static str = "proven offer";
    const KEYS: &'static [u64] = &[0, 1, 2, 3];
}

// Map head; offer with its head; tag; invite; proof.
const _: () = assert!(1 + 4 + 35 + 18 + 35 <= PROOFS && PADDED < u16::MAX as usize);
