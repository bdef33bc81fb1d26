//! Paths: whatever carries datagrams between two nodes, under one socket abstraction. A link does not know which
//! path it runs over. The door filter is in [`gate`], direct UDP in [`udp`]; nothing here speaks QUIC.

pub mod gate;
pub mod udp;

#[cfg(feature = "testing")]
pub mod fault;
#[cfg(feature = "testing")]
pub mod tap;

mod address;
mod header;
mod ids;
mod seen;
mod sieve;

pub(crate) use address::{bound, canonical, neighbourhood};
pub use ids::{OWN_ID, OwnIds};
pub(crate) use sieve::{Sieve, Sieved};

/// Anything that sends and receives datagrams, as quinn asks for it.
pub type Path = std::sync::Arc<dyn quinn::AsyncUdpSocket>;

/// Puts something around a path, below the door: a fault injector in tests, a relay later.
pub type PathWrap = std::sync::Arc<dyn Fn(Path) -> Path + Send + Sync>;
