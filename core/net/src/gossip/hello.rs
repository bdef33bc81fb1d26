//! The first message each way: which node is there, proved by a signature over what only this TLS connection has.
//! `u16 length, big-endian | record`. The record holds a statement and r and s of the ECDSA signature (64 bytes) over
//! `exporter (32 bytes) | role (1 byte: 1 dialler, 2 dialled) | statement` in the domain below.

use super::key::{NodeId, NodeKey};
use minicbor::{Decode, Encode};
use quinn::{Connection, RecvStream, SendStream};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::{self, Record};
use zeroize::Zeroizing;

/// What hellos are signed in, so that the signature is good for nothing else.
const DOMAIN: &str = "subrosa gossip hello 1";
/// RFC 8446, section 7.5; with an empty context.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-subrosa-gossip-1";
/// The version that is spoken here.
const VERSION: u16 = 1;
/// Longest hello looked at, with room to grow.
const LONGEST: usize = 1024;

/// What a node says it can do. Nothing here looks at it; bits without a name are handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// It keeps envelopes and answers requests for them.
    pub const ARCHIVE: Capabilities = Capabilities(1);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Whether all of `other` is there.
    pub const fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Dialler = 1,
    Dialled = 2,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) node: NodeId,
    pub(super) capabilities: Capabilities,
    pub(super) longest_packet: usize,
    pub(super) requests_at_once: u16,
    pub(super) clock: Option<Timestamp>,
}

/// What binds a hello to its TLS connection.
pub(super) type Exporter = Zeroizing<[u8; 32]>;

impl Hello {
    /// The record, signed under `key`, whose id is the node's.
    pub(super) fn sign(&self, key: &NodeKey, exporter: &Exporter, role: Role) -> Vec<u8> {
        let statement = wire::encode(&Statement {
            version: VERSION,
            node: self.node.as_bytes().to_vec(),
            capabilities: self.capabilities.0,
            longest_packet: u32::try_from(self.longest_packet).unwrap_or(u32::MAX),
            requests_at_once: self.requests_at_once,
            clock: self.clock.map(|now| now.as_millis() / 1000),
        });
        let signature = key.sign(DOMAIN, &signed(exporter, role, &statement));
        wire::encode(&Signed { statement, signature })
    }

    /// Reads the record and checks the signature. What is wrong otherwise.
    pub(super) fn verify(bytes: &[u8], exporter: &Exporter, role: Role) -> Result<Hello, &'static str> {
        let unreadable = "the hello is not readable";
        let Signed { statement, signature } = wire::decode(bytes).map_err(|_| unreadable)?;
        let said: Statement = wire::decode(&statement).map_err(|_| unreadable)?;
        if said.version != VERSION {
            return Err("it speaks another version");
        }
        let node = NodeId::from_slice(&said.node).map_err(|_| "the key of the node is none")?;
        if !node.verify(DOMAIN, &signed(exporter, role, &statement), &signature) {
            return Err("the hello is not signed by its node");
        }
        Ok(Hello {
            node,
            capabilities: Capabilities(said.capabilities),
            longest_packet: usize::try_from(said.longest_packet).unwrap_or(usize::MAX),
            requests_at_once: said.requests_at_once,
            clock: said.clock.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
        })
    }
}

fn signed(exporter: &Exporter, role: Role, statement: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([exporter.as_slice(), &[role as u8], statement].concat())
}

/// What both sides of a connection have once TLS is done. None when the connection has ended.
pub(super) fn exporter(connection: &Connection) -> Option<Exporter> {
    let mut bytes = Zeroizing::new([0; 32]);
    connection.export_keying_material(bytes.as_mut_slice(), EXPORTER_LABEL, b"").ok()?;
    Some(bytes)
}

/// Writes one hello. None when the connection has ended.
pub(super) async fn write(send: &mut SendStream, hello: &[u8]) -> Option<()> {
    let length = u16::try_from(hello.len()).ok()?;
    send.write_all(&[&length.to_be_bytes(), hello].concat()).await.ok()
}

/// Reads one hello.
pub(super) async fn read(recv: &mut RecvStream) -> Result<Vec<u8>, Unread> {
    let mut head = [0; 2];
    recv.read_exact(&mut head).await.map_err(|_| Unread::Ended)?;
    let length = usize::from(u16::from_be_bytes(head));
    if length == 0 || length > LONGEST {
        return Err(Unread::Length);
    }
    let mut hello = vec![0; length];
    recv.read_exact(&mut hello).await.map_err(|_| Unread::Ended)?;
    Ok(hello)
}

/// Why no hello came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The connection or its stream ended.
    Ended,
    /// A length that no hello has.
    Length,
}

/// The statement and its signature.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Signed {
    #[cbor(n(0), with = "minicbor::bytes")]
    statement: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Record for Signed {
    const NAME: &'static str = "hello of a node";
    const KEYS: &'static [u64] = &[0, 1];
}

/// What is signed.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Statement {
    #[n(0)]
    version: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    node: Vec<u8>,
    #[n(2)]
    capabilities: u64,
    #[n(3)]
    longest_packet: u32,
    #[n(4)]
    requests_at_once: u16,
    /// Seconds since 1970 UTC.
    #[n(64)]
    clock: Option<u64>,
}

impl Record for Statement {
    const NAME: &'static str = "statement of a node";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 64];
}

/// Hellos without an endpoint, for tests of strange peers and for fuzzers.
#[cfg(feature = "testing")]
pub mod by_hand {
    use super::{Capabilities, Exporter, Hello, NodeId, NodeKey, Role, Zeroizing};

    /// What TLS gives both sides of this connection for a hello; zeros when it has ended.
    pub fn exporter(connection: &quinn::Connection) -> [u8; 32] {
        super::exporter(connection).map_or([0; 32], |bytes| *bytes)
    }

    /// A signed hello of `key`, without the length before it.
    pub fn hello(key: &NodeKey, exporter: [u8; 32], dialler: bool, longest_packet: usize) -> Vec<u8> {
        let hello = Hello {
            node: key.id(),
            capabilities: Capabilities::default(),
            longest_packet,
            requests_at_once: 4,
            clock: None,
        };
        hello.sign(key, &Zeroizing::new(exporter), role(dialler))
    }

    /// Who signed it, if it is a hello.
    pub fn verify(bytes: &[u8], exporter: [u8; 32], dialler: bool) -> Option<NodeId> {
        let exporter: Exporter = Zeroizing::new(exporter);
        Hello::verify(bytes, &exporter, role(dialler)).ok().map(|hello| hello.node)
    }

    fn role(dialler: bool) -> Role {
        if dialler { Role::Dialler } else { Role::Dialled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use subrosa_proto::entropy::SeededEntropy;

    fn key(seed: u64) -> NodeKey {
        NodeKey::generate(&mut SeededEntropy::new(seed)).unwrap()
    }

    fn exporter(n: u8) -> Exporter {
        Zeroizing::new([n; 32])
    }

    fn hello(key: &NodeKey) -> Hello {
        Hello {
            node: key.id(),
            capabilities: Capabilities(1 | 1 << 63),
            longest_packet: 70_000,
            requests_at_once: 3,
            clock: Some(Timestamp::from_millis(1_800_000_000_000)),
        }
    }

    #[test]
    fn a_hello_is_good_for_one_connection_one_role_and_one_key() {
        let key = key(1);
        let bytes = hello(&key).sign(&key, &exporter(1), Role::Dialler);
        assert!(bytes.len() < 200);
        assert_eq!(Hello::verify(&bytes, &exporter(1), Role::Dialler), Ok(hello(&key)));
        assert!(Hello::verify(&bytes, &exporter(2), Role::Dialler).is_err(), "another connection");
        assert!(Hello::verify(&bytes, &exporter(1), Role::Dialled).is_err(), "sent back");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Hello::verify(&changed, &exporter(1), Role::Dialler).is_err(), "byte {at}");
        }
        let stranger = super::tests::key(2);
        let stolen = hello(&key).sign(&stranger, &exporter(1), Role::Dialler);
        assert!(Hello::verify(&stolen, &exporter(1), Role::Dialler).is_err(), "signed by another");
    }

    #[test]
    fn another_version_is_refused_and_time_is_cut_to_seconds() {
        let key = key(1);
        let statement = Statement {
            version: 2,
            node: key.id().as_bytes().to_vec(),
            capabilities: 0,
            longest_packet: 1,
            requests_at_once: 1,
            clock: None,
        };
        let statement = wire::encode(&statement);
        let signature = key.sign(DOMAIN, &signed(&exporter(1), Role::Dialler, &statement));
        let bytes = wire::encode(&Signed { statement, signature });
        assert_eq!(Hello::verify(&bytes, &exporter(1), Role::Dialler), Err("it speaks another version"));
        let fine = Hello { clock: Some(Timestamp::from_millis(5_999)), ..hello(&key) };
        let bytes = fine.sign(&key, &exporter(1), Role::Dialled);
        let read = Hello::verify(&bytes, &exporter(1), Role::Dialled).unwrap();
        assert_eq!(read.clock, Some(Timestamp::from_millis(5_000)));
    }

    /// The format must not change silently: the same key, connection and words give these bytes.
    #[test]
    fn a_hello_has_always_these_bytes() {
        let key = NodeKey::from_secret(&[1; 32]).unwrap();
        let bytes = Hello { node: key.id(), ..hello(&key) }.sign(&key, &exporter(2), Role::Dialler);
        let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(text, VECTOR);
    }

    const VECTOR: &str = concat!(
        "a2005840a60001015821031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f02",
        "1b8000000000000001031a00011170040318401a6b49d2000158400bc45bd9306fa2789b21ee7c5e8d4be061",
        "cb80a4c501ac799a32aa607616d8fd56878e8605ff64f553a39b798afbfedda608102edf047f933d33eaa86c",
        "6ac10f",
    );

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Hello::verify(&bytes, &exporter(1), Role::Dialler).is_err());
            let signed = wire::encode(&Signed { statement: bytes, signature: [1; 64] });
            prop_assert!(Hello::verify(&signed, &exporter(1), Role::Dialler).is_err());
        }
    }
}
