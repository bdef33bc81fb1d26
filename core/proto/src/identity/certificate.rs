//! What joins a device to a person: a statement signed by the identity. It names one person only, so it proves
//! nothing about who knows whom.

use crate::error::{Error, ErrorKind, Result};
use crate::identity::device::DevicePublic;
use crate::identity::person::{Identity, PersonId};
use crate::time::Timestamp;
use crate::wire::{self, Record};
use minicbor::{Decode, Encode};
use std::fmt;
use std::time::Duration;

/// The purpose of a certificate whose device speaks with friends, the only one so far.
pub const PURPOSE_FRIENDS: u16 = 1;
/// Longest encoded certificate, in bytes, so that it fits the padded payload of the handshake.
pub const LONGEST: usize = 300;
/// How long after its end a certificate is still taken, for clocks that go wrong.
pub const SLACK: Duration = Duration::from_secs(48 * 3600);

/// The domain of the signature, with the version of the format.
const DOMAIN: &str = "subrosa certificate 1";

/// A device of a person, certified by the person. The signature was checked when the value was made.
///
/// Encoded, it is a [`Record`] of two fields: 0, the statement, as a byte string that holds a record of its own
/// (0 person, 1 purpose, 2 device, 3 key, 4 counter, 5 expires), and 1, the signature (64 bytes) over the bytes of
/// the statement in the domain "subrosa certificate 1". Statements of later versions may have more fields, which
/// the signature covers too; they are kept and given on as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    statement: Statement,
    signed: Signed,
}

impl Certificate {
    /// Certifies `key` as device number `device` of `identity`. Among certificates of one device the highest
    /// `counter` wins; the caller gives a higher one each time.
    pub fn issue(
        identity: &Identity,
        device: u32,
        key: &DevicePublic,
        counter: u64,
        expires: Timestamp,
    ) -> Certificate {
        let purpose = PURPOSE_FRIENDS;
        let statement = Statement { person: identity.person(), purpose, device, key: *key, counter, expires };
        let bytes = wire::encode(&statement);
        let signature = identity.sign(DOMAIN, &bytes);
        Certificate { statement, signed: Signed { statement: bytes, signature } }
    }

    /// The bytes of it, at most [`LONGEST`].
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&self.signed)
    }

    /// Reads and checks a certificate: its form, its signature, its device key. Whether it has expired and whether
    /// its counter is the highest is for the caller, who knows the time and the person.
    ///
    /// [`ErrorKind::Damaged`]; [`ErrorKind::NotSupported`] when the signature is good and the purpose unknown.
    pub fn decode(bytes: &[u8]) -> Result<Certificate> {
        if bytes.len() > LONGEST {
            return Err(Error::damaged(format!(
                "a certificate has at most {LONGEST} bytes, not {}",
                bytes.len()
            )));
        }
        let signed: Signed = wire::decode(bytes)?;
        // The signature does not cover what is around the statement: only the one way of writing it is taken.
        if wire::encode(&signed) != bytes {
            return Err(Error::damaged(
                "certificate: written in another way than the shortest, or with additions",
            ));
        }
        let statement: Statement = wire::decode(&signed.statement)?;
        if !statement.person.verify(DOMAIN, &signed.statement, &signed.signature) {
            return Err(Error::damaged("certificate: the signature is not that of the person it names"));
        }
        if statement.purpose != PURPOSE_FRIENDS {
            return Err(Error::new(
                ErrorKind::NotSupported,
                format!(
                    "certificate: made for purpose {}, which this version does not know",
                    statement.purpose
                ),
            ));
        }
        statement.key.check()?;
        Ok(Certificate { statement, signed })
    }

    /// The person whose device it is, and who signed.
    pub fn person(&self) -> PersonId {
        self.statement.person
    }

    /// What the device may do: [`PURPOSE_FRIENDS`].
    pub fn purpose(&self) -> u16 {
        self.statement.purpose
    }

    /// The number of the device among those of the person.
    pub fn device(&self) -> u32 {
        self.statement.device
    }

    /// The key of the device.
    pub fn key(&self) -> DevicePublic {
        self.statement.key
    }

    /// The highest counter of a device wins.
    pub fn counter(&self) -> u64 {
        self.statement.counter
    }

    /// When it ends, by the clock of the person.
    pub fn expires(&self) -> Timestamp {
        self.statement.expires
    }

    /// r and s of the signature, 32 bytes each.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signed.signature
    }

    /// Whether it ended more than [`SLACK`] before `now`. An expired certificate of a known friend is renewed, not
    /// refused.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.statement.expires.after(SLACK)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statement { person, device, key, counter, .. } = &self.statement;
        write!(f, "Certificate({person:?}, device {device}, {key:?}, counter {counter})")
    }
}

/// The statement and its signature.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Signed {
    #[cbor(n(0), with = "minicbor::bytes")]
    statement: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Record for Signed {
    const NAME: &'static str = "certificate";
    const KEYS: &'static [u64] = &[0, 1];
}

/// What is signed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Statement {
    #[n(0)]
    person: PersonId,
    #[n(1)]
    purpose: u16,
    #[n(2)]
    device: u32,
    #[n(3)]
    key: DevicePublic,
    #[n(4)]
    counter: u64,
    #[n(5)]
    expires: Timestamp,
}

impl Record for Statement {
    const NAME: &'static str = "statement of a certificate";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}
