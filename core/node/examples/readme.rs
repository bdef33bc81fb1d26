//! Invites a friend, and sends back whatever the friend says.

use std::time::Duration;
use subrosa::{Config, EventKind, InviteOptions, Node, Preset, SendOptions, StoreKey, wait};

fn main() -> subrosa::Result<()> {
    let key = StoreKey::passphrase("correct horse battery staple");
    let config = Config::new(Preset::Desktop, "me.subrosa", key);
    let node = wait(Node::open(config))?; // makes the store, and an identity in it

    let options = InviteOptions { auto_accept: true, ..InviteOptions::default() };
    println!("Hand this to a friend: {}", wait(node.invite_create(options))?.text);

    loop {
        let Some(event) = wait(node.next_event(Duration::from_secs(60)))? else { continue };
        if let EventKind::Message(said) = event.kind {
            wait(node.send(said.person, said.body, SendOptions::default()))?; // it is on disk
        }
        if let Some(id) = event.id {
            wait(node.ack(id))?; // until here the event comes again after a crash
        }
    }
}
