//! What each side says about itself at the end of a knock, under the Noise keys: M3 of the initiator, M4 of the
//! responder. What is done with it is decided elsewhere.

use crate::error::{Error, ErrorKind, Result};
use crate::friends::message::{Epoch, Position};
use crate::friends::pair::Half;
use crate::time::Timestamp;
use crate::wire::{self, Record};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use zeroize::{Zeroize, Zeroizing};

/// Largest encoded Hello, in bytes: with Noise's tag it fits one message of the knock.
pub const MAX_HELLO: usize = 16 * 1024;
/// Most positions in one Hello. They inform; the opening receipts settle.
pub const MAX_HELLO_POSITIONS: usize = 128;
/// Longest greeting, in bytes of UTF-8.
pub const MAX_GREETING: usize = 256;
/// Most addresses in one Hello.
pub const MAX_HELLO_ADDRESSES: usize = 8;

/// [`Hello::answer`]: you are a friend.
pub const ANSWER_FRIEND: u8 = 0;
/// [`Hello::answer`]: the request was kept and waits for the host of the inviter.
pub const ANSWER_WAITING: u8 = 1;
/// [`Hello::answer`]: the host of the inviter declined.
pub const ANSWER_DECLINED: u8 = 2;

/// What a side says about itself once the other has proved who it is (PROTOCOL 2).
///
/// On the wire a CBOR map:
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | run | 16 bytes |
/// | 1 | last seen run | 16 bytes, may be absent |
/// | 2 | network changes | number |
/// | 3 | epoch | number, may be absent |
/// | 4 | positions | array of `[device, epoch, lane, watermark]`, absent when empty |
/// | 5 | highest certificate counter known | number |
/// | 6 | highest key number known | number |
/// | 7 | half of a pair secret | 32 bytes, may be absent |
/// | 8 | sender's wall clock | milliseconds since 1970 UTC |
/// | 64 | greeting | text, may be absent |
/// | 65 | answer to an invite | number, may be absent |
/// | 66 | addresses | array of `ip (4 or 16 bytes) followed by port (2 bytes, big endian)`, absent when empty |
/// | 67 | claim of the sender's store | number, absent when 0 |
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// Random, drawn at each opening of the sender's store.
    pub run: [u8; 16],
    /// The receiver's run id that the sender saw last; none before the first link.
    pub last_seen_run: Option<[u8; 16]>,
    /// How often the sender's network changed during this run.
    pub network_changes: u64,
    /// The sender's sending epoch; none before its first message.
    pub epoch: Option<Epoch>,
    /// What the sender has of the receiver's messages: `seq` is the watermark. At most [`MAX_HELLO_POSITIONS`].
    pub positions: Vec<Position>,
    /// The highest counter of the receiver's certificates that the sender knows.
    pub certificate_counter: u64,
    /// The highest number of the receiver's one-time keys that the sender knows.
    pub key_number: u64,
    /// The sender's half of a pair secret, where one is due. Wiped on drop, not in `Debug`.
    pub half: Option<Half>,
    /// The sender's wall clock.
    pub time: Timestamp,
    /// What an invite's redeemer says to the inviter; at most [`MAX_GREETING`] bytes.
    pub greeting: Option<String>,
    /// What the inviter answers: [`ANSWER_FRIEND`], [`ANSWER_WAITING`] or [`ANSWER_DECLINED`].
    pub answer: Option<u8>,
    /// Where the sender can be reached; at most [`MAX_HELLO_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// Of several copies of the sender's store the one with the highest number is the one to talk to
    /// ([`Claim`](super::standing::Claim)). 0 as long as there was only one.
    pub claim: u64,
}

impl Hello {
    /// A Hello that says only which run is speaking and what its clock shows.
    pub fn new(run: [u8; 16], time: Timestamp) -> Hello {
        Hello {
            run,
            last_seen_run: None,
            network_changes: 0,
            epoch: None,
            positions: Vec::new(),
            certificate_counter: 0,
            key_number: 0,
            half: None,
            time,
            greeting: None,
            answer: None,
            addresses: Vec::new(),
            claim: 0,
        }
    }

    /// The bytes of M3 or M4 before encryption. [`ErrorKind::TooLarge`] when a limit is passed.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.check().map_err(|what| Error::new(ErrorKind::TooLarge, what))?;
        let mut record = HelloRecord::from(self);
        let bytes = Zeroizing::new(wire::encode(&record));
        record.wipe();
        if bytes.len() > MAX_HELLO {
            return Err(Error::new(ErrorKind::TooLarge, format!("a hello holds at most {MAX_HELLO} bytes")));
        }
        Ok(bytes)
    }

    /// Reads what [`Hello::encode`] wrote, from someone who may lie. [`ErrorKind::Damaged`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Hello> {
        if bytes.len() > MAX_HELLO {
            return Err(Error::damaged(format!("a hello of {} bytes; at most {MAX_HELLO}", bytes.len())));
        }
        let hello = Hello::try_from(wire::decode::<HelloRecord>(bytes)?)?;
        hello.check().map_err(Error::damaged)?;
        Ok(hello)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.positions.len() > MAX_HELLO_POSITIONS {
            return Err("more positions than a hello holds (128)");
        }
        if self.greeting.as_ref().is_some_and(|g| g.len() > MAX_GREETING) {
            return Err("a greeting longer than 256 bytes");
        }
        if self.addresses.len() > MAX_HELLO_ADDRESSES {
            return Err("more addresses than a hello holds (8)");
        }
        Ok(())
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("network_changes", &self.network_changes)
            .field("positions", &self.positions.len())
            .field("half", &self.half.is_some())
            .field("answer", &self.answer)
            .field("addresses", &self.addresses.len())
            .finish_non_exhaustive()
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct HelloRecord {
    #[n(0)]
    run: ByteArray<16>,
    #[n(1)]
    last_seen_run: Option<ByteArray<16>>,
    #[n(2)]
    network_changes: u64,
    #[n(3)]
    epoch: Option<u64>,
    #[n(4)]
    positions: Option<Vec<PositionItem>>,
    #[n(5)]
    certificate_counter: u64,
    #[n(6)]
    key_number: u64,
    #[n(7)]
    half: Option<ByteArray<32>>,
    #[n(8)]
    time: Timestamp,
    #[n(64)]
    greeting: Option<String>,
    #[n(65)]
    answer: Option<u8>,
    #[n(66)]
    addresses: Option<Vec<AddressItem>>,
    #[n(67)]
    claim: Option<u64>,
}

impl Record for HelloRecord {
    const NAME: &'static str = "hello";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 64, 65, 66, 67];
}

impl HelloRecord {
    fn wipe(&mut self) {
        if let Some(half) = &mut self.half {
            half.as_mut_slice().zeroize();
        }
    }
}

impl From<&Hello> for HelloRecord {
    fn from(hello: &Hello) -> HelloRecord {
        HelloRecord {
            run: hello.run.into(),
            last_seen_run: hello.last_seen_run.map(ByteArray::from),
            network_changes: hello.network_changes,
            epoch: hello.epoch.map(|e| e.0),
            positions: non_empty(hello.positions.iter().copied().map(PositionItem).collect()),
            certificate_counter: hello.certificate_counter,
            key_number: hello.key_number,
            half: hello.half.as_ref().map(|h| ByteArray::from(*h.as_bytes())),
            time: hello.time,
            greeting: hello.greeting.clone(),
            answer: hello.answer,
            addresses: non_empty(hello.addresses.iter().copied().map(AddressItem).collect()),
            claim: Some(hello.claim).filter(|claim| *claim > 0),
        }
    }
}

impl TryFrom<HelloRecord> for Hello {
    type Error = Error;
    fn try_from(mut record: HelloRecord) -> Result<Hello> {
        let half = record.half.as_ref().map(|h| Half::from_slice(h.as_slice())).transpose();
        record.wipe();
        Ok(Hello {
            run: record.run.into(),
            last_seen_run: record.last_seen_run.map(<[u8; 16]>::from),
            network_changes: record.network_changes,
            epoch: record.epoch.map(Epoch),
            positions: record.positions.unwrap_or_default().into_iter().map(|p| p.0).collect(),
            certificate_counter: record.certificate_counter,
            key_number: record.key_number,
            half: half?,
            time: record.time,
            greeting: record.greeting,
            answer: record.answer,
            addresses: record.addresses.unwrap_or_default().into_iter().map(|a| a.0).collect(),
            claim: record.claim.unwrap_or_default(),
        })
    }
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

struct PositionItem(Position);

impl<C> Encode<C> for PositionItem {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Position { device, epoch, lane, seq } = self.0;
        e.array(4)?.u32(device)?.u64(epoch.0)?.u32(lane)?.u64(seq)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PositionItem {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<PositionItem, minicbor::decode::Error> {
        if d.array()? != Some(4) {
            return Err(minicbor::decode::Error::message("a position has four parts"));
        }
        let (device, epoch, lane, seq) = (d.u32()?, Epoch(d.u64()?), d.u32()?, d.u64()?);
        Ok(PositionItem(Position { device, epoch, lane, seq }))
    }
}

struct AddressItem(SocketAddr);

impl<C> Encode<C> for AddressItem {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut bytes = match self.0.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        bytes.extend_from_slice(&self.0.port().to_be_bytes());
        e.bytes(&bytes)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AddressItem {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<AddressItem, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        let bad = || minicbor::decode::Error::message("an address is 4 or 16 bytes and a port");
        let (ip, port) = bytes.split_last_chunk::<2>().ok_or_else(bad)?;
        let port = u16::from_be_bytes(*port);
        if let Ok(v4) = <[u8; 4]>::try_from(ip) {
            return Ok(AddressItem((Ipv4Addr::from(v4), port).into()));
        }
        let v6 = <[u8; 16]>::try_from(ip).map_err(|_| bad())?;
        Ok(AddressItem((Ipv6Addr::from(v6), port).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full() -> Hello {
        let position = Position { device: u32::MAX, epoch: Epoch(u64::MAX), lane: u32::MAX, seq: u64::MAX };
        Hello {
            run: [1; 16],
            last_seen_run: Some([2; 16]),
            network_changes: 3,
            epoch: Some(Epoch(4)),
            positions: vec![position; MAX_HELLO_POSITIONS],
            certificate_counter: 5,
            key_number: 6,
            half: Some(Half::from_slice(&[7; 32]).unwrap()),
            time: Timestamp::from_millis(8),
            greeting: Some("g".repeat(MAX_GREETING)),
            answer: Some(ANSWER_WAITING),
            addresses: vec!["127.0.0.1:9".parse().unwrap(), "[::1]:10".parse().unwrap()],
            claim: 11,
        }
    }

    #[test]
    fn the_largest_hello_fits_and_comes_back() {
        let mut hello = full();
        hello.addresses = vec!["[::1]:10".parse().unwrap(); MAX_HELLO_ADDRESSES];
        let bytes = hello.encode().unwrap();
        assert!(bytes.len() <= MAX_HELLO);
        assert_eq!(Hello::decode(&bytes).unwrap(), hello);
    }

    #[test]
    fn the_bytes_never_change() {
        let mut hello = full();
        hello.positions.truncate(1);
        hello.greeting = Some("hi".into());
        let hex = data_encoding::HEXLOWER.encode(&hello.encode().unwrap());
        let expected = [
            "ad",
            "005001010101010101010101010101010101",
            "015002020202020202020202020202020202",
            "0203",
            "0304",
            "0481841affffffff1bffffffffffffffff1affffffff1bffffffffffffffff",
            "0505",
            "0606",
            "0758200707070707070707070707070707070707070707070707070707070707070707",
            "0808",
            "1840626869",
            "184101",
            "18428246",
            "7f0000010009",
            "5200000000000000000000000000000001000a",
            "18430b",
        ];
        assert_eq!(hex, expected.concat());
        let least = Hello::new([0; 16], Timestamp::ZERO);
        let hex = data_encoding::HEXLOWER.encode(&least.encode().unwrap());
        assert_eq!(hex, "a50050000000000000000000000000000000000200050006000800");
    }

    #[test]
    fn limits_hold_both_ways() {
        let mut long = full();
        long.greeting = Some("g".repeat(MAX_GREETING + 1));
        assert_eq!(long.encode().unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(Hello::decode(&wire::encode(&HelloRecord::from(&long))).is_err());

        let mut many = full();
        many.positions.push(many.positions[0]);
        assert!(many.encode().is_err());
        assert!(Hello::decode(&wire::encode(&HelloRecord::from(&many))).is_err());

        let mut reachable = full();
        reachable.addresses = vec!["127.0.0.1:9".parse().unwrap(); MAX_HELLO_ADDRESSES + 1];
        assert!(reachable.encode().is_err());
        assert!(Hello::decode(&wire::encode(&HelloRecord::from(&reachable))).is_err());
        assert!(Hello::decode(&vec![0; MAX_HELLO + 1]).is_err());
    }

    #[test]
    fn debug_does_not_show_the_half() {
        let text = format!("{:?}", full());
        assert!(!text.contains("7, 7"), "{text}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::decode(&bytes);
        }

        #[test]
        fn a_changed_hello_is_refused_or_stays_within_limits(at in 0usize..400, to in any::<u8>()) {
            let mut hello = full();
            hello.positions.truncate(4);
            let mut bytes = hello.encode().unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(read) = Hello::decode(&bytes) {
                prop_assert!(read.encode().is_ok());
            }
        }
    }
}
