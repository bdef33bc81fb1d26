//! What hosts see of the engine's state: lists and debug screens, and the small operations that only look.

use super::Engine;
use crate::node::Status;
use std::net::SocketAddr;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};

/// What the store does not know of a friend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) queued_messages: u64,
    pub(crate) queued_bytes: u64,
}

impl Engine {
    pub(crate) fn live_friend(&self, row: i64) -> Option<Live> {
        let friend = self.friends.get(&row)?;
        let stats = friend.talk.as_ref().map(|t| t.machine.stats()).unwrap_or_default();
        Some(Live {
            remote: friend.link.as_ref().map(|l| l.handle.remote()),
            last_seen: friend.record.last_seen,
            queued_messages: stats.queued_messages,
            queued_bytes: stats.queued_bytes,
        })
    }

    pub(crate) fn describe(&self, status: &mut Status) {
        for friend in self.friends.values() {
            status.friends += u64::from(friend.is_friend());
            status.links += u64::from(friend.link.is_some());
            status.unacked_messages += friend.inbox.0;
            if let Some(talk) = &friend.talk {
                let stats = talk.machine.stats();
                status.queued_messages += stats.queued_messages;
                status.queued_bytes += stats.queued_bytes;
            }
        }
        status.clock_confirmed = self.watch.confirmed();
        status.store = self.standing.role;
    }

    /// The row of a friend or friend-to-be.
    pub(crate) fn row_of(&self, person: &PersonId) -> Result<i64> {
        self.friend_row(person)
    }

    pub(crate) fn send_transient(&mut self, person: &PersonId, body: Vec<u8>) -> Result<()> {
        let row = self.friend_row(person)?;
        if self.friends.get(&row).is_none_or(|f| f.link.is_none()) {
            return Err(Error::new(ErrorKind::NoWay, "there is no link with this friend at the moment"));
        }
        self.drive(row, Input::Transient(body.into()));
        Ok(())
    }
}
