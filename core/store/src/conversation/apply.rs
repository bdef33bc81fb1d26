//! Applies a batch: one function per change. What many changes move on, lanes and counts, is kept in memory and
//! written once per job, or once for all jobs of a chain that are committed together.

use super::{Conversation, count, ensure, set_epoch};
use crate::held;
use crate::lane::{self, InRow, OutRow};
use crate::message::{self, Head, MessageState};
use crate::outbox;
use crate::seen::{self, Known};
use crate::session::Tx;
use crate::{event, outbox::cost};
use std::collections::HashMap;
use subrosa_proto::friends::conversation::change::{Change, LaneOut, Outcome, Outgoing, Stopped};
use subrosa_proto::friends::message::{End, Epoch, Lane, Message, MessageId, Position, Refusal};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};

type LaneKey = (u32, Epoch, Lane);

/// A message that came with this batch and has not been shown.
struct Pending {
    position: Position,
    look: [u8; 16],
    message: Message,
    received: Timestamp,
}

/// A conversation as it stands, remembered from one batch to the next.
#[derive(Debug)]
pub(crate) struct Recent {
    row: i64,
    epoch: Option<Epoch>,
    /// Lanes we send on that were touched, and whether that is still to be written.
    lanes_out: HashMap<Lane, (OutRow, bool)>,
    /// The friend's lanes that were touched, and whether that is still to be written.
    lanes_in: HashMap<LaneKey, (InRow, bool)>,
    /// Changes of the counts that are still to be written.
    counts: [i64; 4],
}

impl Recent {
    /// Writes what is still to be written.
    pub(super) fn write(&mut self, tx: &Tx<'_>, friend: i64) -> Result<()> {
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
            lanes_out: HashMap::new(),
            lanes_in: HashMap::new(),
            counts: [0; 4],
        }
    }
}

struct Applying<'t, 'c> {
    tx: &'t Tx<'c>,
    friend: i64,
    now: Timestamp,
    recent: Recent,
    /// In the order they came. What no watermark passes by the end of the batch is held.
    pending: Vec<Pending>,
}

pub(super) fn apply(tx: &Tx<'_>, friend: i64, batch: &[Change], now: Timestamp) -> Result<Vec<Outcome>> {
    let recent = match tx.recall(friend) {
        Some(recent) => recent,
        None => ensure(tx, friend)?.into(),
    };
    let mut applying = Applying { tx, friend, now, recent, pending: Vec::new() };
    let outcomes = batch.iter().map(|change| applying.change(change)).collect::<Result<_>>()?;
    applying.finish()?;
    Ok(outcomes)
}

impl Applying<'_, '_> {
    fn change(&mut self, change: &Change) -> Result<Outcome> {
        match change {
            Change::Queue(outgoing) => self.queue(outgoing),
            Change::Assign { id, lane, epoch, seq } => self.assign(*id, *lane, *epoch, *seq),
            Change::Renumber(epoch) => self.renumber(*epoch),
            Change::Done { id, end } => self.end(*id, *end, Left::Nothing),
            Change::Void { id, end } => self.end(*id, *end, Left::Void),
            Change::DropVoids { lane, below } => self.drop_voids(*lane, *below),
            Change::Cancel(id) => self.cancel(*id),
            Change::Stop { lane, id, why } => self.stop(*lane, *id, *why),
            Change::Start(lane) => self.start(*lane),
            Change::Receive { position, message, received, fresh } => {
                self.receive(*position, message, *received, *fresh)
            }
            Change::Watermark { next } => self.watermark(*next),
            Change::Retire { device, epoch } => self.retire(*device, *epoch),
        }
    }

    fn queue(&mut self, out: &Outgoing) -> Result<Outcome> {
        let lane = self.lane_out(out.lane)?.row;
        if let Some((epoch, seq)) = out.position {
            self.given(out.lane, epoch, seq)?;
        }
        let look = message::look_out(self.tx, out.message.id)?;
        let head = Head::new(&out.message, out.lane, self.now, None);
        let row =
            message::insert(self.tx, self.recent.row, look, MessageState::Queued, &head, &out.message.body)?;
        outbox::push(self.tx, self.friend, row, lane, out)?;
        self.recent.counts[0] += 1;
        self.recent.counts[1] += cost(out.message.cost());
        Ok(Outcome::Done)
    }

    fn assign(&mut self, id: MessageId, lane: Lane, epoch: Epoch, seq: u64) -> Result<Outcome> {
        self.given(lane, epoch, seq)?;
        if outbox::assign(self.tx, self.friend, id, seq)? {
            return Ok(Outcome::Done);
        }
        let row = self.lane_out(lane)?.row;
        outbox::push_void(self.tx, self.friend, row, seq)?;
        Ok(Outcome::Gone)
    }

    /// A number of the lane was given.
    fn given(&mut self, lane: Lane, epoch: Epoch, seq: u64) -> Result<()> {
        if self.recent.epoch != Some(epoch) {
            self.recent.epoch = Some(epoch);
            set_epoch(self.tx, self.recent.row, self.friend, Some(epoch))?;
        }
        self.set_lane_out(lane, |lane| lane.next = seq.saturating_add(1))
    }

    fn renumber(&mut self, epoch: Epoch) -> Result<Outcome> {
        self.recent.epoch = Some(epoch);
        set_epoch(self.tx, self.recent.row, self.friend, Some(epoch))?;
        outbox::renumber(self.tx, self.friend)?;
        for row in lane::list_out(self.tx, self.friend)? {
            self.recent.lanes_out.entry(row.lane.lane).or_insert((row, false));
        }
        self.tx.remember(self.friend, self.recent);
        Ok(())
    }
}

/// What stays of a message in the outbox.
enum Left {
    Nothing,
    Void,
}

fn key(p: Position) -> LaneKey {
    (p.device, p.epoch, p.lane)
}
