//! What carries: datagrams between two nodes, and a live connection with one friend over them.
//!
//! | where | what |
//! |---|---|
//! | [`path`] | anything that carries datagrams: direct UDP now; the door that keeps strangers out sits here |
//! | [`gossip`] | QUIC between node ports, open to strangers under throw-away keys: packets and requests |
//! | [`link`] | QUIC with one friend over whatever path there is: dialling, accepting, the knock, frames |
//!
//! Who is a friend, which secrets belong to a door and what the frames mean is decided above, by the node: it hands
//! in [`path::gate::Doors`] and a [`link::Keyring`], and takes [`link::LinkEvent`]s. Nothing here keeps anything.
#![forbid(unsafe_code)]

pub mod gossip;
pub mod link;
pub mod path;

mod caught;
mod farewell;
mod tls;
