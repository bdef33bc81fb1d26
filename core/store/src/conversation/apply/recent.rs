//! What is remembered of a conversation from one batch to the next, and written once for many.

use super::super::{Conversation, count, put};
use crate::lane::{self, InRow, OutRow};
use crate::outbox::Queued;
use crate::session::Tx;
use std::collections::HashMap;
use subrosa_proto::Result;
use subrosa_proto::friends::conversation::change::Receipts;
use subrosa_proto::friends::message::{Epoch, Lane, MessageId};
use subrosa_proto::time::Timestamp;

pub(super) type LaneKey = (u32, Epoch, Lane);

/// Messages of the outbox that are remembered of one conversation: about what is under way to a friend at once.
const MOST_QUEUED: usize = 1024;

/// A conversation as it stands, remembered from one batch to the next.
#[derive(Debug)]
pub(crate) struct Recent {
    pub(super) row: i64,
    pub(super) epoch: Option<Epoch>,
    pub(super) receipts: Receipts,
    pub(super) missed: Option<Timestamp>,
    /// Whether a message with a way of its own was queued once.
    pub(super) ways: bool,
    /// Whether one of the four is still to be written.
    pub(super) changed: bool,
    /// Lanes we send on that were touched, and whether that is still to be written.
    pub(super) lanes_out: HashMap<Lane, (OutRow, bool)>,
    /// The friend's lanes that were touched, and whether that is still to be written.
    pub(super) lanes_in: HashMap<LaneKey, (InRow, bool)>,
    /// Changes of the counts that are still to be written.
    pub(super) counts: [i64; 4],
    /// Rows of the outbox that were touched, as they stand.
    pub(super) queued: HashMap<MessageId, Queued>,
}

impl Recent {
    /// The sending epoch.
    pub(in super::super) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// How the row of the outbox that holds the message stands.
    pub(in super::super) fn remember(&mut self, id: MessageId, queued: Queued) {
        if self.queued.len() >= MOST_QUEUED {
            self.queued.clear();
        }
        self.queued.insert(id, queued);
    }

    /// Writes what is still to be written.
    pub(in super::super) fn write(&mut self, tx: &Tx<'_>, friend: i64) -> Result<()> {
        if std::mem::take(&mut self.changed) {
            put(tx, self.row, friend, (self.epoch, &self.receipts, self.missed, self.ways))?;
        }
        for (row, changed) in self.lanes_out.values_mut() {
            if std::mem::take(changed) {
                lane::put_out(tx, friend, row)?;
            }
        }
        for (row, changed) in self.lanes_in.values_mut() {
            if std::mem::take(changed) {
                lane::put_in(tx, friend, row)?;
            }
        }
        count(tx, friend, std::mem::take(&mut self.counts))
    }
}

impl From<Conversation> for Recent {
    fn from(c: Conversation) -> Recent {
        Recent {
            row: c.row,
            epoch: c.epoch,
            receipts: c.receipts,
            missed: c.missed,
            ways: c.ways,
            changed: false,
            lanes_out: HashMap::new(),
            lanes_in: HashMap::new(),
            counts: [0; 4],
            queued: HashMap::new(),
        }
    }
}
