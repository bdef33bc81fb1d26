//! What a client asks of an archive, and gives it to keep.

use super::{Cursor, Grant, MAX_ENVELOPES, MAX_QUESTION, MAX_TOPICS};
use crate::envelope::Topic;
use crate::error::{Error, Result};
use crate::whisper::interest::TopicSet;
use crate::wire::{self, Bytes, Record};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use zeroize::Zeroize;

const REQUEST: u8 = 1;
const SUBMIT: u8 = 2;

/// Anything a client says to an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which envelopes do you have? (kind 1)
    Request(Request),
    /// Keep this. (kind 2)
    Submit(Submit),
}

/// Which envelopes do you have?
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | from | unix seconds: sent then or later |
/// | 1 | to | unix seconds: sent then or earlier |
/// | 2 | topics | array of 4 bytes each, ascending, 1 to 256; absent: all topics |
/// | 3 | limit | most envelopes in the answer, 1 to 1 000 |
/// | 4 | cursor | at most 64 bytes, from an earlier answer to the same question; absent: from the beginning |
/// | 5 | grant | 1 to 64 bytes; absent: none |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// First second of the range of times of sending.
    pub from: u32,
    /// Last second of it.
    pub to: u32,
    /// On which topics; none is all. The caller pads (PROTOCOL 9).
    pub topics: Option<TopicSet>,
    /// Most envelopes in the answer.
    pub limit: u16,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// Waives the archive's quota.
    pub grant: Option<Grant>,
}

/// Keep this.
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | envelope | its RLP |
/// | 1 | grant | 1 to 64 bytes; absent: none |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The envelope's RLP.
    pub envelope: Bytes,
    /// Waives the proof of work.
    pub grant: Option<Grant>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RequestRecord {
    #[n(0)]
    from: u32,
    #[n(1)]
    to: u32,
    #[n(2)]
    topics: Option<Vec<ByteArray<4>>>,
    #[n(3)]
    limit: u16,
    #[n(4)]
    cursor: Option<ByteVec>,
    #[n(5)]
    grant: Option<ByteVec>,
}

impl Record for RequestRecord {
    const NAME: &'static str = "archive request";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SubmitRecord {
    #[n(0)]
    envelope: Bytes,
    #[n(1)]
    grant: Option<ByteVec>,
}

impl Record for SubmitRecord {
    const NAME: &'static str = "submitted envelope";
    const KEYS: &'static [u64] = &[0, 1];
}

impl Question {
    /// Its bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, record) = match self {
            Question::Request(request) => (REQUEST, request.encode()),
            Question::Submit(submit) => {
                let mut record =
                    SubmitRecord { envelope: submit.envelope.clone(), grant: said(submit.grant.as_ref()) };
                let bytes = wire::encode(&record);
                record.grant.iter_mut().for_each(|grant| grant.zeroize());
                (SUBMIT, bytes)
            }
        };
        [&[kind], record.as_slice()].concat()
    }

    /// Reads what [`Question::encode`] wrote, from someone who may lie: [`ErrorKind::Damaged`](crate::ErrorKind)
    /// for anything else. Whether an envelope is one, and good, is not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Question> {
        if bytes.len() > MAX_QUESTION {
            return Err(Error::damaged(format!(
                "a question of {} bytes; at most {MAX_QUESTION}",
                bytes.len()
            )));
        }
        match bytes.split_first() {
            Some((&REQUEST, record)) => Request::decode(record).map(Question::Request),
            Some((&SUBMIT, record)) => {
                let record = wire::decode::<SubmitRecord>(record)?;
                let grant = heard(record.grant)?;
                Ok(Question::Submit(Submit { envelope: record.envelope, grant }))
            }
            Some((kind, _)) => Err(Error::damaged(format!("no question is of kind {kind}"))),
            None => Err(Error::damaged("an empty question")),
        }
    }
}

impl Request {
    /// Everything sent from `from` to `to` on `topics`, without cursor and grant.
    pub fn new(from: u32, to: u32, topics: Option<TopicSet>) -> Request {
        Request { from, to, topics, limit: MAX_ENVELOPES, cursor: None, grant: None }
    }

    fn encode(&self) -> Vec<u8> {
        let topics = self
            .topics
            .as_ref()
            .map(|set| set.as_slice().iter().map(|topic| ByteArray::from(topic.0)).collect());
        let mut record = RequestRecord {
            from: self.from,
            to: self.to,
            topics,
            limit: self.limit,
            cursor: self.cursor.as_ref().map(|cursor| cursor.as_bytes().to_vec().into()),
            grant: said(self.grant.as_ref()),
        };
        let bytes = wire::encode(&record);
        record.grant.iter_mut().for_each(|grant| grant.zeroize());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Request> {
        let record = wire::decode::<RequestRecord>(bytes)?;
        let grant = heard(record.grant)?;
        let bad = |what: &str| Error::damaged(format!("archive request: {what}"));
        if record.from > record.to {
            return Err(bad("ends before it begins"));
        }
        if record.limit == 0 || record.limit > MAX_ENVELOPES {
            return Err(bad("a limit is 1 to 1000"));
        }
        let topics = match record.topics {
            None => None,
            Some(list) if list.is_empty() || list.len() > MAX_TOPICS => return Err(bad("1 to 256 topics")),
            Some(list) => {
                if !list.is_sorted_by(|a, b| a < b) {
                    return Err(bad("topics are not in order"));
                }
                Some(list.into_iter().map(|topic| Topic(*topic)).collect())
            }
        };
        let cursor = record.cursor.map(|cursor| Cursor::new(&cursor)).transpose()?;
        Ok(Request { from: record.from, to: record.to, topics, limit: record.limit, cursor, grant })
    }
}

fn said(grant: Option<&Grant>) -> Option<ByteVec> {
    grant.map(|grant| grant.as_bytes().to_vec().into())
}

fn heard(grant: Option<ByteVec>) -> Result<Option<Grant>> {
    grant.map(|grant| Grant::new(grant.into())).transpose().map_err(|e| Error::damaged(e.text().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full() -> Question {
        Question::Request(Request {
            from: 1_700_000_000,
            to: 1_700_086_400,
            topics: Some([Topic([1, 2, 3, 4]), Topic([0, 0, 0, 9])].into_iter().collect()),
            limit: 100,
            cursor: Some(Cursor::new(&[7; 12]).unwrap()),
            grant: Some(Grant::new(vec![8; 16]).unwrap()),
        })
    }

    #[test]
    fn the_bytes_of_a_request_do_not_change() {
        let text = data_encoding::HEXLOWER.encode(&full().encode());
        assert_eq!(
            text,
            "01a6001a6553f100011a655542800282440000000944010203040318640 44c0707070707070707070707070550 08080808080808080808080808080808"
                .replace(' ', "")
        );
        assert_eq!(Question::decode(&full().encode()).unwrap(), full());
        let plain = Question::Request(Request::new(0, u32::MAX, None));
        assert_eq!(data_encoding::HEXLOWER.encode(&plain.encode()), "01a30000011affffffff031903e8");
        assert_eq!(Question::decode(&plain.encode()).unwrap(), plain);
        let submit = Question::Submit(Submit { envelope: vec![0xc0].into(), grant: None });
        assert_eq!(data_encoding::HEXLOWER.encode(&submit.encode()), "02a10041c0");
        assert_eq!(Question::decode(&submit.encode()).unwrap(), submit);
    }

    #[test]
    fn unreasonable_requests_are_refused() {
        let with = |change: &dyn Fn(&mut Request)| {
            let Question::Request(mut request) = full() else { unreachable!() };
            change(&mut request);
            Question::decode(&Question::Request(request).encode())
        };
        assert!(with(&|_| ()).is_ok());
        assert!(with(&|r| r.to = r.from - 1).is_err());
        assert!(with(&|r| r.limit = 0).is_err());
        assert!(with(&|r| r.limit = 1_001).is_err());
        assert!(with(&|r| r.topics = Some(TopicSet::default())).is_err());
        let many = |n: u32| Some((0..n).map(|n| Topic(n.to_be_bytes())).collect());
        assert!(with(&|r| r.topics = many(256)).is_ok() && with(&|r| r.topics = many(257)).is_err());
        assert!(Question::decode(&[]).is_err() && Question::decode(&[3, 0xa0]).is_err());
        let debug = format!("{:?}", full());
        assert!(debug.contains("Grant") && !debug.contains("8, 8"), "{debug}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(kind in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let all = [&[kind], bytes.as_slice()].concat();
            if let Ok(question) = Question::decode(&all) {
                prop_assert_eq!(Question::decode(&question.encode()).unwrap(), question);
            }
        }

        #[test]
        fn damaged_requests_never_panic(at in 0usize..80, to in any::<u8>()) {
            let mut bytes = full().encode();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(question) = Question::decode(&bytes) {
                prop_assert_eq!(Question::decode(&question.encode()).unwrap(), question);
            }
        }
    }
}
