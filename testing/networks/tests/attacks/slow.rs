//! A friend that holds a link and never reads from it, or never says what it has.

use crate::peer::Peer;
use crate::siege::{Bounds, MIB, Siege};
use std::time::Duration;
use subrosa_networks::process::PROMPTLY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_that_never_reads() {
    let mut siege = Siege::new().await;
    let invite = siege.invite();
    let mut peer = Peer::new([127, 0, 0, 1], Duration::from_secs(5));
    let friend = peer.redeem(&invite).await;
    let _up = peer.link(&friend).await;
    siege.measure();
    // 10 MB for a friend whose channel of events is full before long, since nobody takes them out.
    let (body, count) = ("x".repeat(20_000), 500);
    siege.node.tell(&format!("send {} {body} 0 {count}", peer.person()));
    siege.node.until("send", PROMPTLY);
    siege.serves_friends("while another does not read");
    // The window of the conversation, the link's queue, what QUIC holds; the rest waits on disk.
    siege.holds(
        "500 messages of 20 kB to a friend that does not read",
        &Bounds { memory: 16 * MIB, descriptors: 4 },
    );
    let queued = siege.node.ask("status")["queued"].as_u64().unwrap();
    assert_eq!(queued, count, "nothing is given up");
}
