//! What survives: one SQLite file in which every value is sealed.
//!
//! A [`Store`] is opened with the host's key, held by one process at a time, and written by one thread that joins
//! the jobs of many callers into one durable commit. The contract with the conversations is
//! [`subrosa_proto::friends::conversation::change`]; [`conversation::apply`] keeps it.
//!
//! | where | what |
//! |---|---|
//! | [`Store`], [`Options`], [`StoreKey`] | open, write, read, close |
//! | [`Session`], [`Tx`] | a consistent view, and a transaction |
//! | [`identity`], [`friend`], [`invite`], [`request`] | who we are and whom we know |
//! | [`conversation`], [`message`], [`outbox`] | what is said, and what is still to be said |
//! | [`event`] | what the host must hear of, until it says that it did |
//! | [`keys`], [`outreach`], [`publication`] | for the dark: one-time keys, requests under way, envelopes of ours |
//! | [`subscription`], [`peer`], [`catch_up`], [`role_key`] | what the host listens to, and whom to ask for it |
//! | [`archive`] | what an archive keeps for others, in a file of its own |
//! | [`retention`] | what is deleted in the end, and what never is |
//!
//! Nothing here knows the network, a runtime or the clock: the time comes in with each call that needs it.
#![forbid(unsafe_code)]

mod argon;
mod disk;
mod group;
mod held;
mod keyed;
mod lane;
mod meta;
mod options;
mod reader;
mod record;
mod ring;
mod schema;
mod seen;
mod session;
mod sqlite;
mod store;
mod writer;

pub mod archive;
#[cfg(feature = "testing")]
pub mod by_hand;
pub mod catch_up;
pub mod conversation;
pub mod event;
pub mod friend;
pub mod identity;
pub mod invite;
pub mod keys;
pub mod message;
pub mod outbox;
pub mod outreach;
pub mod peer;
pub mod publication;
pub mod request;
pub mod retention;
pub mod role_key;
pub mod run;
pub mod standing;
pub mod subscription;

pub use argon::Argon2Params;
pub use group::Chain;
pub use options::{Options, StoreKey};
pub use record::{Secret, SecretText};
pub use run::RunId;
pub use session::{Session, Tx};
pub use store::Store;
