//! What an archive replies.

use super::{Cursor, MAX_ENVELOPES, MAX_REPLY};
use crate::error::{Error, Result};
use crate::wire::{self, Bytes, Record};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::fmt;
use std::time::Duration;

const ANSWER: u8 = 1;
const TAKEN: u8 = 2;
const REFUSED: u8 = 3;

/// Longest wait an archive may ask for, in seconds; a longer one is read as this.
const LONGEST_WAIT: u32 = 86_400;

/// Anything an archive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A page of what was asked for. (kind 1)
    Answer(Answer),
    /// The submitted envelope is kept. (kind 2)
    Taken,
    /// No. (kind 3)
    Refused(Refused),
}

/// A page of what was asked for.
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | envelopes | array of byte strings, each an envelope's RLP |
/// | 1 | more | whether there is another page |
/// | 2 | cursor | at most 64 bytes: where the next page begins, or what comes in later |
/// | 3 | oldest | unix seconds: everything accepted since then, and not past its time to live, is kept |
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// RLP of each envelope.
    pub envelopes: Vec<Bytes>,
    /// Whether there is another page.
    pub more: bool,
    /// Where to go on, now or later; none if the archive has nothing yet.
    pub cursor: Option<Cursor>,
    /// Since when the archive keeps everything it accepts, in unix seconds. It may have older envelopes, not all.
    pub oldest: u32,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (envelopes, more, oldest) = (self.envelopes.len(), self.more, self.oldest);
        write!(f, "Answer {{ envelopes: {envelopes}, more: {more}, oldest: {oldest} }}")
    }
}

/// Why an archive refuses. The numbers are on the wire; an unknown one is read as [`Refused::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// 1: too many questions; ask again after this time.
    Busy(Duration),
    /// 2: the question cannot be read, or asks for what this archive does not do.
    BadQuestion,
    /// 3: the cursor is not one of this archive's (any more): begin anew.
    BadCursor,
    /// 4: too little work and no grant.
    LowWork,
    /// 5: the envelope is expired, too large, from the future, or not an envelope.
    BadEnvelope,
    /// 6: the grant is not known.
    BadGrant,
    /// 7: no room, or no store.
    Full,
    /// Anything else.
    Other(u8),
}

impl Refused {
    fn number(self) -> u8 {
        match self {
            Refused::Busy(_) => 1,
            Refused::BadQuestion => 2,
            Refused::BadCursor => 3,
            Refused::LowWork => 4,
            Refused::BadEnvelope => 5,
            Refused::BadGrant => 6,
            Refused::Full => 7,
            Refused::Other(number) => number,
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AnswerRecord {
    #[n(0)]
    envelopes: Vec<Bytes>,
    #[n(1)]
    more: bool,
    #[n(2)]
    cursor: Option<ByteVec>,
    #[n(3)]
    oldest: u32,
}

impl Record for AnswerRecord {
    const NAME: &'static str = "archive answer";
    const KEYS: &'static [u64] = &[0, 1, 2, 3];
}

/// Key 0: the number of the reason; key 64: seconds to wait.
#[derive(Encode, Decode)]
#[cbor(map)]
struct RefusedRecord {
    #[n(0)]
    why: u8,
    #[n(64)]
    wait: Option<u32>,
}

impl Record for RefusedRecord {
    const NAME: &'static str = "archive refusal";
    const KEYS: &'static [u64] = &[0, 64];
}

impl Reply {
    /// Its bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, record) = match self {
            Reply::Answer(answer) => {
                let record = AnswerRecord {
                    envelopes: answer.envelopes.clone(),
                    more: answer.more,
                    cursor: answer.cursor.as_ref().map(|cursor| cursor.as_bytes().to_vec().into()),
                    oldest: answer.oldest,
                };
                (ANSWER, wire::encode(&record))
            }
            Reply::Taken => (TAKEN, Vec::new()),
            Reply::Refused(why) => {
                let wait = match why {
                    Refused::Busy(wait) => Some(u32::try_from(wait.as_secs()).unwrap_or(LONGEST_WAIT)),
                    _ => None,
                };
                (REFUSED, wire::encode(&RefusedRecord { why: why.number(), wait }))
            }
        };
        [&[kind], record.as_slice()].concat()
    }

    /// Reads what [`Reply::encode`] wrote, from someone who may lie: [`ErrorKind::Damaged`](crate::ErrorKind) for
    /// anything else. The envelopes are not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Reply> {
        if bytes.len() > MAX_REPLY {
            return Err(Error::damaged(format!("a reply of {} bytes; at most {MAX_REPLY}", bytes.len())));
        }
        match bytes.split_first() {
            Some((&ANSWER, record)) => {
                let record = wire::decode::<AnswerRecord>(record)?;
                if record.envelopes.len() > usize::from(MAX_ENVELOPES) {
                    return Err(Error::damaged("an answer with more than 1000 envelopes"));
                }
                let cursor = record.cursor.map(|cursor| Cursor::new(&cursor)).transpose()?;
                let (envelopes, more, oldest) = (record.envelopes, record.more, record.oldest);
                Ok(Reply::Answer(Answer { envelopes, more, cursor, oldest }))
            }
            Some((&TAKEN, [])) => Ok(Reply::Taken),
            Some((&REFUSED, record)) => {
                let record = wire::decode::<RefusedRecord>(record)?;
                let wait = Duration::from_secs(record.wait.unwrap_or(60).min(LONGEST_WAIT).into());
                Ok(Reply::Refused(match record.why {
                    1 => Refused::Busy(wait),
                    2 => Refused::BadQuestion,
                    3 => Refused::BadCursor,
                    4 => Refused::LowWork,
                    5 => Refused::BadEnvelope,
                    6 => Refused::BadGrant,
                    7 => Refused::Full,
                    other => Refused::Other(other),
                }))
            }
            Some((kind, _)) => Err(Error::damaged(format!("no reply is of kind {kind}"))),
            None => Err(Error::damaged("an empty reply")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<(Reply, &'static str)> {
        let answer = Answer {
            envelopes: vec![vec![0xc0].into(), vec![1, 2].into()],
            more: true,
            cursor: Some(Cursor::new(&[9; 2]).unwrap()),
            oldest: 7,
        };
        let empty = Answer { envelopes: Vec::new(), more: false, cursor: None, oldest: u32::MAX };
        vec![
            (Reply::Answer(answer), "01a4008241c042010201f5024209090307"),
            (Reply::Answer(empty), "01a3008001f4031affffffff"),
            (Reply::Taken, "02"),
            (Reply::Refused(Refused::Busy(Duration::from_secs(30))), "03a200011840181e"),
            (Reply::Refused(Refused::LowWork), "03a10004"),
            (Reply::Refused(Refused::Other(99)), "03a1001863"),
        ]
    }

    #[test]
    fn the_bytes_of_replies_do_not_change() {
        for (reply, hex) in all() {
            assert_eq!(data_encoding::HEXLOWER.encode(&reply.encode()), hex, "{reply:?}");
            assert_eq!(Reply::decode(&reply.encode()).unwrap(), reply);
        }
    }

    #[test]
    fn unreasonable_replies_are_refused() {
        let answer = |envelopes| Answer { envelopes, more: false, cursor: None, oldest: 0 };
        let one = |length| Reply::Answer(answer(vec![vec![0u8; length].into()])).encode();
        assert!(Reply::decode(&one(MAX_REPLY - 64)).is_ok() && Reply::decode(&one(MAX_REPLY)).is_err());
        let many = |n| Reply::Answer(answer(vec![vec![0u8; 1].into(); n])).encode();
        assert!(Reply::decode(&many(1_000)).is_ok() && Reply::decode(&many(1_001)).is_err());
        assert!(
            Reply::decode(&[]).is_err() && Reply::decode(&[2, 0]).is_err() && Reply::decode(&[9]).is_err()
        );
        let long = Reply::Refused(Refused::Busy(Duration::MAX)).encode();
        assert_eq!(Reply::decode(&long).unwrap(), Reply::Refused(Refused::Busy(Duration::from_secs(86_400))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(kind in 0u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let all = [&[kind], bytes.as_slice()].concat();
            if let Ok(reply) = Reply::decode(&all) {
                prop_assert_eq!(Reply::decode(&reply.encode()).unwrap(), reply);
            }
        }

        #[test]
        fn damaged_replies_never_panic(which in 0usize..6, at in 0usize..80, to in any::<u8>()) {
            let mut bytes = all()[which].0.encode();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Reply::decode(&bytes);
        }
    }
}
