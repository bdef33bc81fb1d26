//! The hello of a node that is a stranger: bytes as they come, and well-formed ones with a signature, so that what lies
//! behind the signature is read, too.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use minicbor::Encode;
use std::sync::OnceLock;
use subrosa_net::gossip::{NodeKey, by_hand};
use subrosa_proto::identity::Identity;

const EXPORTER: [u8; 32] = [7; 32];
/// Another connection, for which nothing is ever signed: the seeds hold what was signed for the first.
const OTHER: [u8; 32] = [8; 32];
/// What hellos are signed in (PROTOCOL 8).
const DOMAIN: &str = "subrosa gossip hello 1";

#[derive(Debug, arbitrary::Arbitrary)]
enum Said {
    Bytes(Vec<u8>),
    /// A statement of its own, rightly signed.
    Signed(Vec<u8>, bool),
    /// An honest one: longest packet, role, and a byte that is changed on the way.
    Honest(u32, bool, u8, u8),
}

#[derive(Encode)]
#[cbor(map)]
struct Signed {
    #[cbor(n(0), with = "minicbor::bytes")]
    statement: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
}

fn keys() -> &'static (Identity, NodeKey) {
    static KEYS: OnceLock<(Identity, NodeKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let identity = Identity::from_secret(&[1; 32]).expect("these bytes are a key");
        (identity, NodeKey::from_secret(&[1; 32]).expect("these bytes are a key"))
    })
}

fuzz_target!(|said: Said| {
    let (identity, key) = keys();
    match said {
        Said::Bytes(bytes) => {
            assert_eq!(by_hand::verify(&bytes, OTHER, true), None, "nobody signed it");
        }
        Said::Signed(statement, dialler) => {
            let role = if dialler { 1 } else { 2 };
            let content = [EXPORTER.as_slice(), &[role], &statement].concat();
            let signature = identity.sign(DOMAIN, &content);
            let mut bytes = Vec::new();
            minicbor::encode(Signed { statement, signature }, &mut bytes).expect("memory");
            let read = by_hand::verify(&bytes, EXPORTER, dialler);
            assert!(read.is_none_or(|node| node == key.id()), "only who signed it");
            assert_eq!(by_hand::verify(&bytes, EXPORTER, !dialler), None, "sent back");
        }
        Said::Honest(longest, dialler, at, by) => {
            let mut bytes = by_hand::hello(key, EXPORTER, dialler, longest as usize);
            assert_eq!(by_hand::verify(&bytes, EXPORTER, dialler), Some(key.id()));
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= by;
            let read = by_hand::verify(&bytes, EXPORTER, dialler);
            assert_eq!(read, (by == 0).then(|| key.id()), "byte {at}");
        }
    }
});
