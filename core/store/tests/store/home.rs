//! What the tests of the store share: a home for a store, people, messages.

use std::path::{Path, PathBuf};
use std::time::Duration;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::{Change, Outcome, Outgoing};
use subrosa_proto::friends::message::{Epoch, Lane, Message, MessageId, Position, SendWay, Way};
use subrosa_proto::identity::{Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, Result};
use subrosa_store::friend::{FriendRecord, FriendState};
use subrosa_store::publication::{Belongs, Publication, PublicationId, State};
use subrosa_store::{Argon2Params, Options, Store, StoreKey, Tx, conversation};

pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a store.subrosa");
        Home { dir, path }
    }

    /// In memory where the system has such a folder, for tests that commit thousands of times.
    pub(crate) fn quick() -> Home {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let path = dir.path().join("quick.subrosa");
        Home { dir, path }
    }

    pub(crate) fn options(&self) -> Options {
        Options { argon2: Argon2Params::fast_for_tests(), ..Options::new(&self.path, raw(1)) }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

pub(crate) fn raw(n: u8) -> StoreKey {
    StoreKey::Raw(Secret32::new([n; 32]))
}

pub(crate) fn words(text: &str) -> StoreKey {
    StoreKey::passphrase(text)
}

pub(crate) fn person(n: u8) -> PersonId {
    let mut secret = [7; 32];
    secret[31] = n;
    Identity::from_secret(&secret).unwrap().person()
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// A day in 2026.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn record() -> FriendRecord {
    FriendRecord::new(FriendState::Friend, NOW)
}

pub(crate) fn text(id: u8, body: &str) -> Message {
    Message {
        id: MessageId([id; 16]),
        conversation: None,
        author: None,
        kind: 0,
        content_type: None,
        reply_to: None,
        sent: NOW,
        body: body.as_bytes().into(),
    }
}

pub(crate) fn outgoing(message: Message, lane: Lane) -> Outgoing {
    Outgoing { message, lane, way: SendWay::Any, expires: None, position: None, copied: None }
}

pub(crate) fn position(lane: Lane, seq: u64) -> Position {
    Position { device: 1, epoch: Epoch(77), lane, seq }
}

/// An envelope of ours that ends in a year.
pub(crate) fn envelope(id: [u8; 16], belongs: Belongs, raw: Bytes) -> Publication {
    Publication {
        id: PublicationId(id),
        belongs,
        state: State::Work,
        pow: 0.5,
        work_limit: Some(Duration::from_secs(30)),
        expires: NOW.after(365 * DAY),
        created: NOW,
        hash: None,
        raw,
    }
}

/// One message arrives at `seq` of lane 0 and is shown.
pub(crate) fn receive(tx: &Tx<'_>, friend: i64, seq: u64, message: &Message) -> Result<()> {
    let batch = vec![
        Change::Receive {
            position: position(0, seq),
            message: message.clone(),
            received: NOW,
            fresh: true,
            way: Way::Link,
        },
        Change::Watermark { next: position(0, seq + 1) },
    ];
    match conversation::apply(tx, friend, &batch, NOW)?.first() {
        Some(Outcome::New) => Ok(()),
        other => Err(Error::internal(format!("not new but {other:?}"))),
    }
}
