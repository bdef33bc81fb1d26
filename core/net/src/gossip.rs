//! Gossip: QUIC between node ports. A node port is open to strangers by design, so it is never a friend's port: another
//! socket, other keys, other connection ids, another protocol name. It carries packets and requests between nodes and
//! gives them no meaning; that is for `subrosa_proto::whisper`.
//!
//! A [`GossipEndpoint`] serves one bound address under a node key, which is thrown away with it unless the host keeps
//! one. It takes whoever comes, within limits, and dials whom it is told to; [`peer_set`] decides whom. Everything it
//! has to say arrives on one bounded channel; when that is full, peers are no longer read and QUIC slows them.
//!
//! On the wire, inside QUIC version 1 and TLS 1.3 with a fresh raw public key per handshake, ALPN `subrosa-gossip/1`:
//!
//! | stream | what |
//! |---|---|
//! | the first, opened by who was dialled | hello of the dialled (`u16 length, big-endian \| record`), hello of the dialler, one byte 0 (welcome), then packets each way |
//! | packets | `u32 length of the rest, big-endian \| code (1 byte) \| payload` |
//! | every other, opened by who asks | `u32 length, big-endian \| request`, and back `u32 length, big-endian \| answer` |

mod accept;
mod address;
mod bans;
mod config;
mod dial;
mod endpoint;
mod event;
mod handle;
mod hello;
mod key;
mod packets;
pub mod peer_set;
mod places;
mod queue;
mod quic;
mod registry;
mod requests;

pub use address::PeerAddress;
pub use bans::Ban;
pub use bytes::Bytes;
pub use config::GossipConfig;
pub use endpoint::GossipEndpoint;
pub use event::{DialFailure, DialId, DownReason, GossipEvent, PeerId, Up};
pub use handle::PeerHandle;
pub use hello::Capabilities;
#[cfg(feature = "testing")]
pub use hello::by_hand;
pub use key::{NodeId, NodeKey};
#[cfg(feature = "testing")]
pub use packets::PacketsByHand;
pub use queue::SendError;
pub use requests::{RequestError, Responder};
