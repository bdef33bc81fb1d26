//! Links: a live QUIC connection with one friend, proved by a knock, that carries frames. Who is a friend and what
//! the frames mean is decided by the node, which hands in a [`Keyring`] and takes [`LinkEvent`]s.
//!
//! An [`Endpoint`] serves one bound address. It accepts whoever comes through a door of its
//! [`Doors`](crate::path::gate::Doors) and dials whom it is told to. Everything it has to say arrives on one bounded
//! channel; when the node reads slowly, friends are slowed through QUIC's flow control, and nothing is dropped.

mod accept;
mod config;
mod dial;
mod endpoint;
mod event;
mod frames;
mod handle;
mod keyring;
mod knocking;
mod limits;
mod outlet;
mod queue;
mod tls;

pub use bytes::Bytes;
pub use config::EndpointConfig;
pub use dial::DialTarget;
pub use endpoint::Endpoint;
pub use event::{DialFailure, DialId, DownReason, Knocked, LinkEvent, LinkId, Role, Up};
#[cfg(feature = "testing")]
pub use frames::FramesByHand;
pub use frames::MAX_FRAME;
pub use handle::LinkHandle;
pub use keyring::{DoorEntry, DoorId, Keyring, OwnKeys};
pub use queue::SendError;
