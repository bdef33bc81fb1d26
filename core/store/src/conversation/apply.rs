//! Applies a batch: one function per change. What many changes move on, lanes and counts, is kept in memory and
//! written once per job, or once for all jobs of a chain that are committed together.

mod recent;

pub(crate) use recent::Recent;

use super::{Sealer, ensure};
use crate::held;
use crate::keys;
use crate::lane::{self, InRow, OutRow};
use crate::message::{self, Head, MessageState};
use crate::outbox::{self, Queued};
use crate::publication;
use crate::seen::{self, Known};
use crate::session::Tx;
use crate::{event, outbox::cost};
use recent::LaneKey;
use subrosa_proto::friends::conversation::change::{
    Change, LaneOut, MOST_OWED, Outcome, Outgoing, Receipts, Stopped,
};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{
    End, Epoch, Lane, Message, MessageId, Position, Refusal, SendWay, Way,
};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};

/// A message that came with this batch and has not been shown.
struct Pending {
    position: Position,
    look: [u8; 16],
    message: Message,
    received: Timestamp,
    way: Way,
}

impl Pending {
    fn head(&self) -> Head {
        let p = self.position;
        Head::new(&self.message, p.lane, self.received, Some(p)).by(self.way)
    }
}

struct Applying<'t, 'c> {
    tx: &'t Tx<'c>,
    sealer: &'t mut dyn Sealer,
    friend: i64,
    now: Timestamp,
    recent: Recent,
    /// In the order they came. What no watermark passes by the end of the batch is held.
    pending: Vec<Pending>,
}

pub(super) fn apply(
    tx: &Tx<'_>,
    friend: i64,
    batch: &[Change],
    now: Timestamp,
    sealer: &mut dyn Sealer,
) -> Result<Vec<Outcome>> {
    let recent = match tx.recall(friend) {
        Some(recent) => recent,
        None => ensure(tx, friend)?.into(),
    };
    let mut applying = Applying { tx, sealer, friend, now, recent, pending: Vec::new() };
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
            Change::CopyRefused { id, seq } => self.copy_refused(*id, *seq),
            Change::Start(lane) => self.start(*lane),
            Change::Receive { position, message, received, fresh, way } => {
                self.receive(*position, message, (*received, *way), *fresh)
            }
            Change::Watermark { next } => self.watermark(*next),
            Change::Retire { device, epoch } => self.retire(*device, *epoch),
            Change::Copy { frames, until } => self.copy(frames, *until),
            Change::KeyUsed(number) => self.key_used(*number),
            Change::Owed(receipts) => self.owed(receipts),
            Change::Missed(since) => {
                self.recent.missed = *since;
                self.recent.changed = true;
                Ok(Outcome::Done)
            }
            Change::CopiesLost => {
                outbox::lose_copies(self.tx, self.friend)?;
                Ok(Outcome::Done)
            }
        }
    }

    fn queue(&mut self, out: &Outgoing) -> Result<Outcome> {
        let lane = self.lane_out(out.lane)?.row;
        if let Some((epoch, seq)) = out.position {
            self.given(out.lane, epoch, seq)?;
        }
        let look = message::look_out(self.tx, out.message.id)?;
        let head = Head::new(&out.message, out.lane, self.now, None).going(out.way);
        if out.way != SendWay::Any && !self.recent.ways {
            self.recent.ways = true;
            self.recent.changed = true;
        }
        let row =
            message::insert(self.tx, self.recent.row, look, MessageState::Queued, &head, &out.message.body)?;
        let queued = outbox::push(self.tx, self.friend, row, lane, out)?;
        // Without a number it waits for its turn, and is read again then.
        if out.position.is_some() {
            self.recent.remember(out.message.id, queued);
        }
        self.recent.counts[0] += 1;
        self.recent.counts[1] += cost(out.message.cost());
        Ok(Outcome::Done)
    }

    fn assign(&mut self, id: MessageId, lane: Lane, epoch: Epoch, seq: u64) -> Result<Outcome> {
        self.given(lane, epoch, seq)?;
        if let Some(mut queued) = self.queued(id)? {
            outbox::assign(self.tx, &mut queued, seq)?;
            self.recent.remember(id, queued);
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
            self.recent.changed = true;
        }
        self.set_lane_out(lane, |lane| lane.next = seq.saturating_add(1))
    }

    fn renumber(&mut self, epoch: Epoch) -> Result<Outcome> {
        self.recent.epoch = Some(epoch);
        self.recent.changed = true;
        outbox::renumber(self.tx, self.friend)?;
        publication::remove_of_messages(self.tx, self.friend)?;
        self.recent.queued.clear();
        for row in lane::list_out(self.tx, self.friend)? {
            self.recent.lanes_out.entry(row.lane.lane).or_insert((row, false));
        }
        for (row, changed) in self.recent.lanes_out.values_mut() {
            row.lane.next = 0;
            *changed = true;
        }
        Ok(Outcome::Done)
    }

    fn end(&mut self, id: MessageId, end: End, left: Left) -> Result<Outcome> {
        let Some(queued) = self.queued(id)? else { return Ok(Outcome::Gone) };
        self.ended(id, end, &queued)?;
        // A void tells the friend about a position, so there is none without one.
        match left {
            Left::Void if queued.has_position() => outbox::hollow(self.tx, queued.row)?,
            _ => outbox::delete(self.tx, queued.row)?,
        }
        Ok(Outcome::Done)
    }

    /// The row of the outbox that holds the message.
    fn queued(&mut self, id: MessageId) -> Result<Option<Queued>> {
        if let Some(queued) = self.recent.queued.get(&id) {
            return Ok(Some(*queued));
        }
        let found = outbox::find(self.tx, self.friend, id)?;
        if let Some(queued) = found {
            self.recent.remember(id, queued);
        }
        Ok(found)
    }

    /// The message leaves the outbox; its row there is left to the caller.
    fn ended(&mut self, id: MessageId, end: End, queued: &Queued) -> Result<()> {
        self.recent.queued.remove(&id);
        message::set_state(self.tx, queued.message, end.into())?;
        if queued.copied {
            publication::remove_of_message(self.tx, queued.message)?;
        }
        event::push_delivery(self.tx, self.friend, queued.message, id, end)?;
        self.recent.counts[0] -= 1;
        self.recent.counts[1] -= queued.cost;
        Ok(())
    }

    fn drop_voids(&mut self, lane: Lane, below: u64) -> Result<Outcome> {
        let row = self.lane_out(lane)?.row;
        outbox::drop_voids(self.tx, row, below)?;
        Ok(Outcome::Done)
    }

    fn cancel(&mut self, id: MessageId) -> Result<Outcome> {
        let Some(queued) = self.queued(id)? else { return Ok(Outcome::Gone) };
        if queued.had_position() {
            return Ok(Outcome::TooLate);
        }
        self.ended(id, End::Cancelled, &queued)?;
        outbox::delete(self.tx, queued.row)?;
        Ok(Outcome::Done)
    }

    fn stop(&mut self, lane: Lane, id: MessageId, why: Refusal) -> Result<Outcome> {
        let queued = self.queued(id)?;
        if let Some(queued) = queued.filter(|queued| queued.copied) {
            outbox::set_copied(self.tx, queued.row, Timestamp::ZERO)?;
        }
        let cost = queued.map_or(0, |queued| queued.cost);
        let stopped = Stopped { id, why, cost: u64::try_from(cost).unwrap_or_default() };
        self.set_lane_out(lane, |lane| lane.stopped = Some(stopped))?;
        event::push_stopped(self.tx, self.friend, lane, id, why)?;
        Ok(Outcome::Done)
    }

    fn copy_refused(&mut self, id: MessageId, seq: u64) -> Result<Outcome> {
        let Some(queued) = self.queued(id)?.filter(|queued| queued.copied && queued.stands_at(seq)) else {
            return Ok(Outcome::Gone);
        };
        outbox::set_copied(self.tx, queued.row, Timestamp::ZERO)?;
        Ok(Outcome::Done)
    }

    fn start(&mut self, lane: Lane) -> Result<Outcome> {
        self.set_lane_out(lane, |lane| lane.stopped = None)?;
        Ok(Outcome::Done)
    }

    fn receive(
        &mut self,
        position: Position,
        message: &Message,
        (received, way): (Timestamp, Way),
        fresh: bool,
    ) -> Result<Outcome> {
        let look = message::look_in(self.tx, self.friend, message.id)?;
        if let Some(index) = self.pending.iter().position(|p| p.look == look) {
            let outcome = self.again(position, fresh, self.pending.get(index).map(|p| p.position))?;
            if let Some(pending) = self.pending.get_mut(index).filter(|_| outcome == Outcome::Moved) {
                pending.position = position;
            }
            return Ok(outcome);
        }
        match seen::known(self.tx, look)? {
            Known::Shown => Ok(Outcome::Duplicate),
            Known::Held => self.move_held(look, position, fresh),
            Known::No if !fresh || self.taken(position)? => Ok(Outcome::Conflict),
            Known::No => {
                self.pending.push(Pending { position, look, message: message.clone(), received, way });
                Ok(Outcome::New)
            }
        }
    }

    /// A message that was not shown came again.
    fn again(&mut self, position: Position, fresh: bool, stands: Option<Position>) -> Result<Outcome> {
        if stands == Some(position) {
            return Ok(Outcome::Duplicate);
        }
        Ok(if fresh && !self.taken(position)? { Outcome::Moved } else { Outcome::Conflict })
    }

    fn move_held(&mut self, look: [u8; 16], position: Position, fresh: bool) -> Result<Outcome> {
        let Some((row, held)) = held::find(self.tx, look)? else {
            return Err(Error::internal("a message that waits is not there"));
        };
        let outcome = self.again(position, fresh, held.head.position())?;
        if outcome == Outcome::Moved {
            held::delete(self.tx, row)?;
            let (received, way) = (held.head.received(), held.head.way());
            let message = held.head.message(&held.body);
            self.pending.push(Pending { position, look, message, received, way });
        }
        Ok(outcome)
    }

    /// The machine says that a fresh position is empty; a second message there would never be shown, so look.
    fn taken(&mut self, position: Position) -> Result<bool> {
        let lane = self.lane_in(position)?;
        Ok(position.seq < lane.next.seq
            || self.pending.iter().any(|p| p.position == position)
            || lane.waits && held::occupied(self.tx, lane.row, position.seq)?)
    }

    fn watermark(&mut self, next: Position) -> Result<Outcome> {
        let lane = self.lane_in(next)?;
        let (mut passed, rest): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|p| key(p.position) == key(next) && p.position.seq < next.seq);
        self.pending = rest;
        passed.sort_by_key(|p| p.position.seq);
        let (waiting, waits) = match lane.waits {
            true => (held::take(self.tx, lane.row, next.seq)?, held::any(self.tx, lane.row)?),
            false => (Vec::new(), false),
        };
        let mut waiting = waiting.into_iter().peekable();
        for p in passed {
            while let Some(earlier) = waiting.next_if(|h| h.seq < p.position.seq) {
                self.show_held(&earlier)?;
            }
            let head = p.head();
            self.show(p.look, &head, &p.message.body, p.message.cost())?;
        }
        for held in waiting {
            self.show_held(&held)?;
        }
        let used = self.tx.next_row();
        self.recent.lanes_in.entry(key(next)).and_modify(|(row, changed)| {
            row.next.seq = row.next.seq.max(next.seq);
            row.used = used;
            row.waits = waits;
            *changed = true;
        });
        Ok(Outcome::Done)
    }

    fn show_held(&mut self, held: &held::Held) -> Result<()> {
        self.show(held.look, &held.head, &held.body, held.head.cost(held.body.len()))
    }

    fn show(&mut self, look: [u8; 16], head: &Head, body: &[u8], bytes: u64) -> Result<()> {
        let row = message::insert(self.tx, self.recent.row, look, MessageState::Received, head, body)?;
        event::push_message(self.tx, self.friend, row, cost(bytes))?;
        self.recent.counts[2] += 1;
        self.recent.counts[3] += cost(bytes);
        Ok(())
    }

    fn retire(&mut self, device: u32, epoch: Epoch) -> Result<Outcome> {
        let of_epoch = |p: &Position| p.device == device && p.epoch == epoch;
        for row in lane::list_in(self.tx, self.friend)?.iter().filter(|row| of_epoch(&row.next)) {
            lane::delete_in(self.tx, row.row)?;
        }
        self.recent.lanes_in.retain(|_, (row, _)| !of_epoch(&row.next));
        self.pending.retain(|p| !of_epoch(&p.position));
        Ok(Outcome::Done)
    }

    fn copy(&mut self, frames: &[Frame], until: Timestamp) -> Result<Outcome> {
        let epoch = self.recent.epoch;
        let mut messages = Vec::new();
        for frame in frames {
            let Frame::Message { position, message, .. } = frame else { continue };
            let queued = self.queued(message.id)?;
            match queued.filter(|q| q.stands_at(position.seq) && epoch == Some(position.epoch)) {
                Some(queued) => messages.push((message.id, queued)),
                None => return Ok(Outcome::Gone),
            }
        }
        let sealed = self.sealer.seal(self.tx, self.friend, frames, until)?;
        let until = if sealed { until } else { Timestamp::ZERO };
        for (id, mut queued) in messages {
            outbox::set_copied(self.tx, queued.row, until)?;
            queued.copied = true;
            if sealed {
                publication::keep_last_of_message(self.tx, queued.message)?;
            }
            self.recent.remember(id, queued);
        }
        if !sealed {
            return Ok(Outcome::NotCopied);
        }
        for frame in frames {
            match frame {
                Frame::Void(position) if epoch == Some(position.epoch) => {
                    let lane = self.lane_out(position.lane)?.row;
                    outbox::set_void_copied(self.tx, lane, position.seq, until)?;
                }
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }

    fn key_used(&mut self, number: u64) -> Result<Outcome> {
        Ok(if keys::used(self.tx, self.friend, number)? { Outcome::Done } else { Outcome::Gone })
    }

    fn owed(&mut self, receipts: &Receipts) -> Result<Outcome> {
        if receipts.ids.len() > MOST_OWED {
            return Err(Error::invalid(format!("at most {MOST_OWED} receipts are remembered")));
        }
        if self.recent.receipts != *receipts {
            self.recent.receipts = receipts.clone();
            self.recent.changed = true;
        }
        Ok(Outcome::Done)
    }

    /// The lane we send on, made if it is new.
    fn lane_out(&mut self, lane: Lane) -> Result<OutRow> {
        if let Some((row, _)) = self.recent.lanes_out.get(&lane) {
            return Ok(*row);
        }
        let found = lane::find_out(self.tx, self.friend, lane)?;
        let row = found.unwrap_or_else(|| OutRow {
            row: self.tx.next_row(),
            lane: LaneOut { lane, next: 0, base: 0, stopped: None },
        });
        // Written at once: rows of the outbox point at it, and name the lane by it when they are read.
        if found.is_none() {
            lane::put_out(self.tx, self.friend, &row)?;
        }
        self.recent.lanes_out.insert(lane, (row, false));
        Ok(row)
    }

    fn set_lane_out(&mut self, lane: Lane, set: impl FnOnce(&mut LaneOut)) -> Result<()> {
        self.lane_out(lane)?;
        self.recent.lanes_out.entry(lane).and_modify(|(row, changed)| {
            set(&mut row.lane);
            *changed = true;
        });
        Ok(())
    }

    /// The friend's lane of this position, made if it is new; written only if something comes of it.
    fn lane_in(&mut self, position: Position) -> Result<InRow> {
        if let Some((row, _)) = self.recent.lanes_in.get(&key(position)) {
            return Ok(*row);
        }
        let row = lane::find_in(self.tx, self.friend, position)?.unwrap_or_else(|| InRow {
            row: self.tx.next_row(),
            used: 0,
            next: Position { seq: 0, ..position },
            waits: false,
        });
        self.recent.lanes_in.insert(key(position), (row, false));
        Ok(row)
    }

    fn finish(mut self) -> Result<()> {
        for p in std::mem::take(&mut self.pending) {
            let lane = self.lane_in(p.position)?;
            let head = p.head();
            held::insert(self.tx, lane.row, p.position.seq, p.look, &head, &p.message)?;
            let used = self.tx.next_row();
            self.recent.lanes_in.entry(key(p.position)).and_modify(|(row, changed)| {
                row.used = used;
                row.waits = true;
                *changed = true;
            });
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
