//! Private messaging between friends, for apps to embed.
//!
//! A [`Node`] is one identity with one store. Two people become friends when one redeems the other's invite; then
//! they talk over a direct link, and whatever one sends while the other is away is kept on disk and arrives when
//! both are there, once.
//!
//! ```no_run
//! use std::time::Duration;
//! use subrosa::{Config, EventKind, InviteOptions, Node, Preset, SendOptions, StoreKey};
//!
//! # async fn example() -> subrosa::Result<()> {
//! let config = Config::new(Preset::Desktop, "me.subrosa", StoreKey::passphrase("correct horse"));
//! let node = Node::open(config).await?;
//! println!("hand this over: {}", node.invite_create(InviteOptions::default()).await?.text);
//! loop {
//!     let Some(event) = node.next_event(Duration::from_secs(60)).await? else { continue };
//!     match &event.kind {
//!         EventKind::Request { person, .. } => node.request_accept(*person).await?,
//!         EventKind::Message(m) => {
//!             node.send(m.person, m.body.clone(), SendOptions::default()).await?;
//!         }
//!         _ => {}
//!     }
//!     if let Some(id) = event.id {
//!         node.ack(id).await?; // until here the event would come again after a crash
//!     }
//! }
//! # }
//! ```
//!
//! - **Sending.** [`Node::send`] returns when the message is on disk. From then on it ends in one `delivery` event:
//!   delivered, refused, expired or cancelled.
//! - **Receiving.** [`Node::next_event`] gives what happened. A durable event comes again after a restart until
//!   [`Node::ack`]; a message always comes under the same id, so a host that stores the id with its effect handles
//!   it exactly once.
//! - **Threads.** Every method may be called from any thread and any executor: the node has its own runtime.
//!   Without an executor, [`wait`] drives a future to its end.
//! - **Lifecycle.** [`Node::pause`] closes sockets and database, [`Node::resume`] opens them again;
//!   [`Node::close`] ends the node.
//!
//! Operations are in one file per noun under `node`, the engine behind them under `engine`.
#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
mod engine;
pub mod event;
pub mod node;
pub mod operations;
mod queue;
mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
mod whisper;

pub use clock::{Clock, SystemClock};
pub use config::{ArchiveAddress, ArchiveRole, Config, Preset, RequestPolicy, WhisperConfig};
pub use event::{
    DeliveryState, Event, EventId, EventKind, FriendChange, FullWhat, Opened, OwnStore, PublicationId,
    PublishResult, Received, RequestOrigin, SubscriptionId, WaitReason, Way,
};
pub use node::{
    FriendInfo, FriendState, InviteInfo, InviteOptions, InviteState, MessageInfo, MessageState, NewInvite,
    Node, PeerInfo, PowCost, Publication, PublishTo, RedeemOptions, RequestInfo, SendOptions, Status,
    SubscribeKey, Subscription, SubscriptionInfo, SubscriptionKind, wipe_closed_store,
};
pub use subrosa_net::gossip::PeerAddress;
pub use subrosa_proto::crypto::Secret32;
pub use subrosa_proto::friends::invite::{Invite, InviteId};
pub use subrosa_proto::friends::message::{Lane, MAX_BODY, MessageId, Refusal, SendWay};
pub use subrosa_proto::friends::standing::{Decision as StoreDecision, Role as StoreRole};
pub use subrosa_proto::identity::{Identity, PersonId};
pub use subrosa_proto::time::Timestamp;
pub use subrosa_proto::{Error, ErrorKind, Result};
pub use subrosa_store::StoreKey;
pub use subrosa_store::archive::Leaves;

/// The version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Drives a future to its end on this thread, for hosts without an executor. Not from within an executor's task.
pub fn wait<F: std::future::Future>(future: F) -> F::Output {
    pollster::block_on(future)
}
