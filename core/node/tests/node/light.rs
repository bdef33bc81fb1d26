//! A light node says what it listens to, among topics that hide it.

use crate::host::Host;
use crate::whisper::{TOPIC, listen, quick};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use subrosa::Config;
use subrosa_net::gossip::{GossipConfig, GossipEndpoint, GossipEvent};
use subrosa_proto::envelope::Topic;
use subrosa_proto::friends::topics::contact_block;
use subrosa_proto::whisper::interest::{Demand, TopicSet};
use subrosa_proto::whisper::packet::{self, Packet};
use subrosa_proto::whisper::status::Status;

/// A peer, on a thread of its own, that compares what those who dial it want.
fn curious() -> (SocketAddr, Receiver<TopicSet>) {
    let (told, address) = channel();
    let (wanted, heard) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (events, mut happened) = tokio::sync::mpsc::channel(64);
            let bound = GossipEndpoint::bind(GossipConfig::default(), ([127, 0, 0, 1], 0).into(), events);
            let endpoint = bound.unwrap();
            told.send(endpoint.local_addr().unwrap()).unwrap();
            let mut peers = Vec::new();
            while let Some(event) = happened.recv().await {
                let topics = match event {
                    GossipEvent::Up(up) => {
                        let demand = Demand::EVERYTHING;
                        let status = Status { demand, light: false, largest: None, time: None };
                        up.peer.try_send(packet::STATUS, status.encode_own().into()).unwrap();
                        peers.push(up.peer);
                        continue;
                    }
                    GossipEvent::Packet { code: packet::STATUS, payload, .. } => {
                        Status::decode(&payload, true).unwrap().demand.topics
                    }
                    GossipEvent::Packet { code, payload, .. } => {
                        match Packet::decode(code, &payload, true).unwrap() {
                            Packet::Interest(topics) => topics,
                            _ => continue,
                        }
                    }
                    _ => continue,
                };
                if topics.is_some_and(|topics| wanted.send(topics).is_err()) {
                    return;
                }
            }
        });
    });
    (address.recv().unwrap(), heard)
}

#[test]
fn two_runs_of_a_light_node_ask_for_the_same_topics() {
    let (port, heard) = curious();
    let light = |config: &mut Config| {
        quick(config);
        config.whisper.light = true;
        config.whisper.peers = vec![port.to_string()];
    };
    let mut host = Host::with(light);
    listen(&host);
    let block: Vec<Topic> = contact_block(&host.id()).to_vec();
    let whole = |set: &TopicSet| {
        set.contains(Topic(TOPIC)) && set.len() == 64 && block.iter().all(|topic| set.contains(*topic))
    };
    let next = || loop {
        let set = heard.recv_timeout(Duration::from_secs(60)).expect("what it wants");
        if whole(&set) {
            return set;
        }
    };
    let first = next();
    host.restart_with(light);
    assert_eq!(next(), first);
}
