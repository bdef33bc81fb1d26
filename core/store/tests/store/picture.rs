//! A picture of one friend's conversation: what the model says that the store must show, and what it shows.

use crate::home::*;
use crate::model::{Event, Friend, InKey, Model, Out};
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::friends::conversation::change::{
    LaneIn, LaneOut, OutboxItem, Outgoing, Query, Receipts, Stopped,
};
use subrosa_proto::friends::message::{Epoch, Lane, Message, MessageId, Position, SendWay, Way};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};
use subrosa_store::event::EventRecord;
use subrosa_store::message::MessageState;
use subrosa_store::publication::{Belongs, State};
use subrosa_store::{Session, conversation, event, message, publication};

/// All that a store shows of a friend, its numbers of rows and events apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    epoch: Option<Epoch>,
    lanes_out: Vec<LaneOut>,
    lanes_in: Vec<LaneIn>,
    queued: (u64, u64),
    unacked: (u64, u64),
    next_expiry: Option<u64>,
    outbox: Vec<OutboxItem>,
    history: Vec<(Message, MessageState, Way, SendWay)>,
    events: Vec<Event>,
    copied: bool,
    receipts: Receipts,
    missed: Option<Timestamp>,
    /// Messages that an envelope under way carries.
    carried: BTreeSet<MessageId>,
}

/// A lane of which nothing was kept need not be there.
fn tells(lane: &LaneIn) -> bool {
    lane.next.seq > 0 || !lane.held.is_empty()
}

impl Picture {
    /// What the store must show.
    pub(crate) fn expected(model: &Model, who: usize) -> Picture {
        let f = &model.friends[who];
        let lane_out = |(lane, (next, stopped)): (&Lane, &(u64, Option<Stopped>))| {
            let base =
                f.outbox.iter().filter(|o| o.lane == *lane).filter_map(|o| o.seq).min().unwrap_or(*next);
            LaneOut { lane: *lane, next: *next, base, stopped: *stopped }
        };
        let lane_in = |((epoch, lane), (seq, held)): (&InKey, &(u64, BTreeMap<u64, Message>))| LaneIn {
            next: Position { device: 1, epoch: *epoch, lane: *lane, seq: *seq },
            held: held.iter().map(|(seq, m)| (*seq, m.id)).collect(),
        };
        let cost =
            |messages: Vec<&Message>| (messages.len() as u64, messages.iter().map(|m| m.cost()).sum::<u64>());
        let unacked = f.history.iter().filter(|(_, s)| *s == MessageState::Received).map(|(m, _)| m);
        Picture {
            epoch: f.epoch,
            lanes_out: f.lanes_out.iter().map(lane_out).collect(),
            lanes_in: f.lanes_in.iter().map(lane_in).filter(tells).collect(),
            queued: cost(f.outbox.iter().filter_map(|o| o.message.as_ref()).collect()),
            unacked: cost(unacked.collect()),
            next_expiry: f.outbox.iter().filter_map(|o| o.expires).min(),
            outbox: f.outbox.iter().map(|o| item(f, o)).collect(),
            history: f
                .history
                .iter()
                .map(|(m, state)| {
                    let incoming = matches!(state, MessageState::Received | MessageState::Acked);
                    let way = f.ways.get(&m.id).filter(|_| incoming).copied().unwrap_or_default();
                    let send_way = f.send_ways.get(&m.id).filter(|_| !incoming).copied().unwrap_or_default();
                    (m.clone(), *state, way, send_way)
                })
                .collect(),
            events: model.events.iter().filter(|e| e.who() == who).cloned().collect(),
            copied: f.outbox.iter().any(|o| o.message.is_some() && o.copied.is_some()),
            receipts: f.receipts.clone(),
            missed: f.missed,
            carried: f
                .outbox
                .iter()
                .filter(|o| o.carried)
                .filter_map(|o| o.message.as_ref())
                .map(|m| m.id)
                .collect(),
        }
    }

    /// What the store shows of the friend of row `row`, whom the model calls `who`.
    pub(crate) fn shown(s: &Session<'_>, row: i64, who: usize) -> Result<Picture> {
        let saved = conversation::saved(s, row)?;
        let (mut lanes_out, mut lanes_in) = (saved.lanes_out, saved.lanes_in);
        lanes_out.sort_by_key(|l| l.lane);
        lanes_in.sort_by_key(|l| (l.next.epoch, l.next.lane));
        lanes_in.retain(tells);
        let next = Query::Next { after: 0, messages: 10_000, bytes: u64::MAX, skip: vec![] };
        let loaded = conversation::query(s, row, &next)?;
        if loaded.more || !loaded.rows.is_sorted_by_key(|(row, _)| *row) {
            return Err(Error::internal("the outbox is not in order"));
        }
        let mut history: Vec<_> = message::list(s, row, None, 10_000)?
            .into_iter()
            .map(|m| (m.message, m.state, m.way, m.send_way))
            .collect();
        history.reverse();
        let mut events = Vec::new();
        for e in event::after(s, 0, 10_000)? {
            if e.friend.is_some_and(|(friend, _)| friend == row) {
                events.push(Event::of(who, e.what)?);
            }
        }
        Ok(Picture {
            epoch: saved.epoch,
            lanes_out,
            lanes_in,
            queued: (saved.queued_messages, saved.queued_bytes),
            unacked: event::unacked_messages(s, row)?,
            next_expiry: saved.next_expiry.map(|at| at.as_millis()),
            outbox: loaded.rows.into_iter().map(|(_, item)| item).collect(),
            history,
            events,
            copied: saved.copied,
            receipts: saved.receipts,
            missed: saved.missed,
            carried: carried(s, row)?,
        })
    }
}

/// The messages to the friend that an envelope under way carries, each once.
fn carried(s: &Session<'_>, row: i64) -> Result<BTreeSet<MessageId>> {
    let mut out = BTreeSet::new();
    for (_, publication) in publication::list(s, State::Work, 0, 10_000)? {
        if let Belongs::Message { friend, id } = publication.belongs
            && friend == row
            && !out.insert(id)
        {
            return Err(Error::internal("a message in two envelopes at once"));
        }
    }
    Ok(out)
}

impl Event {
    fn who(&self) -> usize {
        match self {
            Event::Message(who, _) | Event::Delivery(who, ..) | Event::Stopped(who, ..) => *who,
        }
    }

    fn of(who: usize, what: EventRecord) -> Result<Event> {
        Ok(match what {
            EventRecord::Message(m) => Event::Message(who, m.message),
            EventRecord::Delivery { message, end } => Event::Delivery(who, message, end),
            EventRecord::LaneStopped { lane, message, why } => Event::Stopped(who, lane, message, why),
            other => return Err(Error::internal(format!("unexpected {other:?}"))),
        })
    }
}

/// A row of the outbox as the store shows it.
pub(crate) fn item(f: &Friend, o: &Out) -> OutboxItem {
    match &o.message {
        Some(m) => OutboxItem::Message(Outgoing {
            message: m.clone(),
            lane: o.lane,
            way: o.way,
            expires: o.expires.map(at),
            position: o.seq.map(|seq| (f.epoch.unwrap(), seq)),
            copied: o.copied.map(at),
        }),
        None => OutboxItem::Void {
            lane: o.lane,
            epoch: f.epoch.unwrap(),
            seq: o.seq.unwrap(),
            copied: o.copied.map(at),
        },
    }
}
