//! A snapshot for a debug screen.

use super::{Node, State};
use crate::queue::not_in_callback;
use std::net::SocketAddr;
use subrosa_proto::Result;
use subrosa_proto::friends::standing::Role as StoreRole;
use subrosa_proto::identity::PersonId;

/// How a node stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The version of the library.
    pub version: String,
    /// Who we are, in text form.
    pub person: String,
    /// Whether the node is paused; then the numbers are 0.
    pub paused: bool,
    /// The addresses that are bound.
    pub addresses: Vec<SocketAddr>,
    /// Friends, friends-to-be not counted.
    pub friends: u64,
    /// Friends with a link.
    pub links: u64,
    /// Messages that wait for friends.
    pub queued_messages: u64,
    /// What those count against the limits of queues, in bytes.
    pub queued_bytes: u64,
    /// Messages from friends that the host has not acked.
    pub unacked_messages: u64,
    /// The node ports that are bound, for peers in Whisper; none while it is off.
    pub node_addresses: Vec<SocketAddr>,
    /// The names of their keys (`subrosanode1...`).
    pub node_ids: Vec<String>,
    /// Peers that exchange envelopes with us.
    pub peers: u64,
    /// Archives that are asked.
    pub archives: u64,
    /// Whether a friend confirmed the wall clock since it last jumped.
    pub clock_confirmed: bool,
    /// What this store is to its copies, as far as friends have met them.
    pub store: StoreRole,
}

impl Node {
    /// How the node stands. Works while it is paused, too.
    pub async fn status(&self) -> Result<Status> {
        not_in_callback()?;
        let mut status =
            Status { version: crate::VERSION.to_owned(), person: self.person_text(), ..Status::default() };
        if matches!(&*self.state(), State::Paused) {
            status.paused = true;
            return Ok(status);
        }
        status.addresses = self.0.board.addresses();
        let whisper = self.running()?.whisper;
        let (ports, nodes) = whisper.ports();
        let (peers, archives) = whisper.reach();
        (status.node_addresses, status.node_ids) = (ports, nodes.iter().map(ToString::to_string).collect());
        (status.peers, status.archives) = (peers as u64, archives as u64);
        self.ask(move |engine, reply| {
            engine.describe(&mut status);
            let _ = reply.send(Ok(status));
        })
        .await
    }

    /// Tells the node that the network changed (another Wi-Fi, mobile data, a VPN): sockets are bound anew, friends
    /// dialled again at once and told the new addresses; what was on its way goes again. Hosts on phones must call
    /// this, since the system tells only them. [`ErrorKind::Network`](crate::ErrorKind::Network) when no address can
    /// be bound at the moment; the node goes on trying.
    pub async fn network_changed(&self) -> Result<()> {
        self.running()?.whisper.change(|wanted| wanted.network = true);
        self.ask(|engine, reply| drop(reply.send(engine.network_changed()))).await
    }

    fn person_text(&self) -> String {
        let person: PersonId = self.identity();
        person.text()
    }
}
