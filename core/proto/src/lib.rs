//! What Subrosa says: identities and keys, invites, the handshake of a link, and conversations.
//!
//! Nothing here opens a socket or a file, reads a clock or starts a thread. Protocols are state machines: bytes,
//! events and the time go in; bytes, events and deadlines come out. The crates above (`subrosa-store`,
//! `subrosa-net`, `subrosa`) do what the machines ask for, and the simulator drives thousands of them in virtual
//! time.
//!
//! | where | what |
//! |---|---|
//! | [`error`] | the one table of error kinds |
//! | [`time`], [`clock`], [`entropy`] | readings of the clock, whether to believe them, and randomness, all handed in |
//! | [`wire`] | the codec of our own messages: CBOR records, unknown critical fields refused |
//! | [`crypto`] | thin, typed wrappers over HKDF, HMAC and AES-GCM |
//! | [`whisper`] | how envelopes spread between nodes, and where they are kept: gossip and archives |
//! | [`identity`] | the person, the device, and the certificate that joins them |
//! | [`envelope`] | Whisper's envelopes: codec, proof of work, topics, and the keys around what is inside |
//! | [`friends`] | invites, pair secrets, the door, the knock, messages and conversations |
#![forbid(unsafe_code)]

pub mod clock;
pub mod crypto;
pub mod entropy;
pub mod envelope;
pub mod error;
pub mod friends;
pub mod identity;
pub mod time;
pub mod whisper;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
