//! The envelope of a request: sealed to an identity, opened by it, and proven without a signature.

use super::offer::{self, Offer, Proofs};
use crate::crypto::{Secret32, derive};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::friends::copy::Sealed;
use crate::friends::invite::{InviteId, InviteSecret};
use crate::friends::topics::contact_topic;
use crate::friends::wrap;
use crate::identity::{Identity, PersonId};

const PURPOSE: &[u8] = b"subrosa request 1";
/// Bytes of the data of every request: the payload with its head (3) up to a multiple of 256, and what ECIES adds.
const DATA: usize = (3 + PURPOSE.len() + offer::PADDED).next_multiple_of(256) + 65 + 16 + 32;

/// By which invite a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// By none.
    None,
    /// By this invite of ours: its secret is proven.
    Proven(InviteId),
    /// By one that is not ours, or not any more: what it proves cannot be told.
    Unknown,
}

/// A request that was proven: `offer.from` made it, or somebody with our own identity key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it says.
    pub offer: Offer,
    /// By which invite it comes.
    pub claim: Claim,
}

/// Seals a request to `offer.to`. `invite` is the one it redeems. [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge)
/// beyond the limits of an [`Offer`]; `InvalidArgument` when the offer is not ours.
pub fn seal_request(
    own: &Identity,
    offer: &Offer,
    invite: Option<&InviteSecret>,
    source: &mut dyn Entropy,
) -> Result<Sealed> {
    if offer.from != own.person() || offer.answers.is_some() {
        return Err(Error::invalid("this is no request of ours"));
    }
    let tag_key = tag_key(own, &offer.to, offer)?;
    let invite_key = invite.map(|secret| (secret.id(), invite_key(secret, offer)));
    let invite = invite_key.as_ref().map(|(id, key)| (*id, key));
    let padded = offer::write(offer, &Proofs { purpose: PURPOSE, tag_key: &tag_key, invite })?;
    let mut payload = zeroize::Zeroizing::new(Vec::with_capacity(PURPOSE.len() + padded.len()));
    payload.extend_from_slice(PURPOSE);
    payload.extend_from_slice(&padded);
    Ok(Sealed { topic: contact_topic(&offer.to), data: wrap::seal_to(&offer.to, &payload, source)? })
}

/// Opens the data of an envelope on our contact topic, from anybody. `invite` gives the secret of an invite of ours
/// that is open or spent. Whether the request has ended, was seen before, or is welcome is for
/// [`Requests::incoming`](super::Requests::incoming).
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for all that is not a request to us, or not proven.
pub fn open_request(
    own: &Identity,
    data: &[u8],
    invite: impl FnOnce(InviteId) -> Option<InviteSecret>,
) -> Result<Request> {
    // Before anything dear is done: strangers pay for the work of envelopes by their size, and small ones cost little.
    if data.len() != DATA {
        return Err(Error::damaged("no request has this size"));
    }
    let payload = wrap::open_as(own, data)?;
    let padded = payload.strip_prefix(PURPOSE).ok_or_else(|| Error::damaged("no request"))?;
    let unproven = offer::read(padded)?;
    let offer = &unproven.offer;
    if offer.to != own.person() || offer.answers.is_some() {
        return Err(Error::damaged("a request to another"));
    }
    if !unproven.tagged(PURPOSE, &tag_key(own, &offer.from, offer)?) {
        return Err(Error::damaged("a request that is not from whom it names"));
    }
    let claim = match &unproven.invite {
        None => Claim::None,
        Some((id, _)) => match invite(*id) {
            None => Claim::Unknown,
            Some(secret) if unproven.invited(PURPOSE, &invite_key(&secret, offer)) => Claim::Proven(*id),
            Some(_) => return Err(Error::damaged("a request with another invite's proof")),
        },
    };
    Ok(Request { offer: unproven.offer, claim })
}

fn tag_key(own: &Identity, other: &PersonId, offer: &Offer) -> Result<Secret32> {
    let shared = own.agree(other)?;
    Ok(derive(shared.as_bytes(), "request tag", &[offer.from.as_bytes(), offer.to.as_bytes()]))
}

fn invite_key(secret: &InviteSecret, offer: &Offer) -> Secret32 {
    derive(secret.as_bytes(), "request invite", &[offer.from.as_bytes(), offer.to.as_bytes()])
}
