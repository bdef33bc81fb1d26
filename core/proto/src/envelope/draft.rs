//! An envelope before its proof of work: everything but the nonce.

use super::hash::EnvelopeHash;
use super::{AROUND, Envelope, HEADER, Header, MAX_SIZE, Topic, rlp};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// An envelope that lacks its nonce. [`work::Search`](super::work::Search) finds one.
#[derive(Clone)]
pub struct Draft {
    header: Header,
    /// Expiry, TTL, topic and data as RLP, without the list around them.
    items: Vec<u8>,
    /// Length of the data, which ends the items.
    data: usize,
}

impl Draft {
    /// What is sent at `sent` (unix seconds) and lives for `ttl` seconds. Whoever wants to hide when it was made sets
    /// `sent` back a little; the work is found after this.
    ///
    /// [`ErrorKind::InvalidArgument`] for a TTL of 0 or one that ends after 2106, [`ErrorKind::TooLarge`] above
    /// [`MAX_SIZE`].
    pub fn new(sent: u32, ttl: u32, topic: Topic, data: &[u8]) -> Result<Draft> {
        let expiry =
            sent.checked_add(ttl).ok_or_else(|| Error::invalid("the envelope would end after 2106"))?;
        if ttl == 0 {
            return Err(Error::invalid("the TTL of an envelope is at least 1 s"));
        }
        if data.len() > MAX_SIZE - HEADER {
            let text = format!("{} bytes of data, above {} bytes", data.len(), MAX_SIZE - HEADER);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let mut items = Vec::with_capacity(data.len() + AROUND);
        rlp::put_uint(&mut items, expiry.into());
        rlp::put_uint(&mut items, ttl.into());
        rlp::put_bytes(&mut items, &topic.0);
        rlp::put_bytes(&mut items, data);
        Ok(Draft { header: Header { expiry, ttl, topic, nonce: 0 }, items, data: data.len() })
    }

    /// What stands in the clear; the nonce is 0.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What is compared with limits: [`HEADER`] and the length of the data, in bytes.
    pub fn size(&self) -> usize {
        HEADER + self.data
    }

    /// The envelope with this nonce, whatever its work.
    pub fn with_nonce(&self, nonce: u64) -> Envelope {
        let mut tail = Vec::with_capacity(9);
        rlp::put_uint(&mut tail, nonce);
        let length = self.items.len() + tail.len();
        let mut raw = Vec::with_capacity(length + 9);
        rlp::put_list_header(&mut raw, length);
        let start = raw.len();
        raw.extend_from_slice(&self.items);
        let end = raw.len();
        raw.extend_from_slice(&tail);
        // Far below 4 GiB: `new` bounds the data.
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Envelope {
            header: Header { nonce, ..self.header },
            hash: EnvelopeHash::of(&raw),
            raw: raw.into(),
            items: place(start),
            data: (place(end - self.data), place(end)),
        }
    }

    /// The four items as RLP, without the list around them.
    pub(super) fn items(&self) -> &[u8] {
        &self.items
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("header", &self.header).field("size", &self.size()).finish()
    }
}
