//! Drives the conversations: inputs in, and what they want done by store, links, hosts and events.

use super::dark::Kept;
use super::friend::{Sending, Talk};
use super::{Engine, Reply};
use crate::event::{EventKind, FullWhat};
use subrosa_proto::friends::conversation::change::{Batch, Change, Outcome, Outgoing, Query};
use subrosa_proto::friends::conversation::{Input, Output};
use subrosa_proto::friends::message::{Lane, MessageId, SendWay};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::{self, Acked};
use subrosa_store::message::{self, MessageRow};
use subrosa_store::{Tx, conversation};

/// Messages and bytes of a friend that are being committed, at most: many times the window of whoever keeps to it
/// (512 messages, 1 MiB), and far less than memory.
const MOST_ARRIVING: (u64, u64) = (4_096, 16 << 20);

impl Engine {
    /// Gives `input` to the friend's conversation and does what it wants.
    pub(super) fn drive(&mut self, row: i64, input: Input) {
        let now = self.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        if let Some(talk) = self.friends.get_mut(&row).and_then(|f| f.talk.as_mut()) {
            talk.machine.handle(input, now, &mut outputs);
            let life = talk.life;
            for output in outputs.drain(..) {
                self.perform(row, life, output);
            }
        }
        outputs.clear();
        self.outputs = outputs;
        // Only now, since it may drive again, and batches must not overtake each other.
        self.inbox_changed(row);
        self.end_flood(row);
        self.set_timer(row);
    }

    /// Ends the link of a friend that sends more than the disk takes, without waiting for receipts.
    fn end_flood(&mut self, row: i64) {
        let floods = |f: &super::friend::Friend| {
            f.link.is_some() && (f.arriving.0 > MOST_ARRIVING.0 || f.arriving.1 > MOST_ARRIVING.1)
        };
        if self.friends.get(&row).is_some_and(floods) {
            log::info!("the link with friend {row} is closed: it sends more than its window");
            self.close_link(row);
        }
    }

    fn perform(&mut self, row: i64, life: u64, output: Output) {
        match output {
            Output::Commit(number, batch) => self.commit(row, life, number, batch),
            Output::Load(query) => self.load(row, life, query),
            Output::Transmit { link, frame, urgent } => {
                let Some(link) = self.link_of(row, link) else { return };
                let bytes = frame.encode();
                let sent = if urgent { link.send_first(bytes) } else { link.send(bytes) };
                if let Err(error) = sent {
                    // The window is smaller than the link's queue, so this is rare; what matters goes again.
                    log::debug!("a frame for friend {row} found no room: {error:?}");
                }
            }
            Output::Close(link, why) => {
                log::info!("the link with friend {row} is closed: {why}");
                if self.link_of(row, link).is_some() {
                    self.close_link(row);
                }
            }
            Output::Sent(id) => {
                if let Some(friend) = self.friends.get_mut(&row) {
                    let replies = friend.sends.remove(&id).map(|s| s.replies).unwrap_or_default();
                    replies.into_iter().for_each(|r| drop(r.send(Ok(id))));
                }
            }
            Output::Cancelled(id, outcome) => {
                if let Some(friend) = self.friends.get_mut(&row) {
                    let replies = friend.cancels.remove(&id).unwrap_or_default();
                    replies.into_iter().for_each(|r| drop(r.send(Ok(outcome == Outcome::Done))));
                }
            }
            Output::Started(lane, was_stopped) => self.started(row, lane, was_stopped),
            Output::Transient(body) => {
                if let Some(friend) = self.friends.get(&row) {
                    self.events.push(EventKind::Transient { person: friend.person, body: body.to_vec() });
                }
            }
            Output::Events => self.events.durable(),
            Output::Stopped(lane, id, why) => {
                log::info!("lane {lane} to friend {row} stopped at {id}: {}", why.text());
            }
            Output::Rollback { own } => self.rolled_back(row, own),
            Output::Waiting { lane, id, why } => self.waits(row, lane, id, why),
            Output::AskAgain(since) => self.ask_again(row, since),
        }
    }

    fn commit(&mut self, row: i64, life: u64, number: u64, batch: Batch) {
        // What counts against the inbox once it is kept.
        let kept: Vec<Option<u64>> = batch
            .iter()
            .map(|change| match change {
                Change::Receive { message, .. } => Some(message.cost()),
                _ => None,
            })
            .collect();
        let arriving = sum(kept.iter().flatten());
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.arriving.0 += arriving.0;
            friend.arriving.1 += arriving.1;
        }
        let now = self.now();
        let Some(chain) = self.chain(row) else { return };
        let desk = self.desk_for(row, &batch);
        let done =
            self.begin_write(move |engine, result: Result<(Vec<Outcome>, Option<Kept>)>| match result {
                Ok((outcomes, copies)) => {
                    if let Some(copies) = copies {
                        engine.kept(row, copies);
                    }
                    if engine.life(row) == Some(life) {
                        let news = kept.iter().zip(&outcomes).filter(|(_, o)| **o == Outcome::New);
                        engine.arrived(row, arriving, sum(news.filter_map(|(cost, _)| cost.as_ref())));
                        engine.drive(row, Input::Committed(number, outcomes));
                    }
                }
                Err(error) => engine.conversation_failed(row, life, &error),
            });
        let apply = move |tx: &Tx<'_>| match desk {
            Some(desk) => desk.apply(tx, &batch).map(|(outcomes, kept)| (outcomes, Some(kept))),
            None => Ok((conversation::apply(tx, row, &batch, now)?, None)),
        };
        let _ = self.store.write_chained(&chain, apply, |result| done.finish(result));
    }

    fn load(&mut self, row: i64, life: u64, query: Query) {
        let Some(chain) = self.chain(row) else { return };
        // Through the writer, so that it sees all earlier batches.
        let done = self.begin_read(move |engine, result| match result {
            Ok(loaded) => {
                if engine.life(row) == Some(life) {
                    engine.drive(row, Input::Loaded(loaded));
                }
            }
            Err(error) => engine.conversation_failed(row, life, &error),
        });
        let read = move |tx: &Tx<'_>| conversation::query_in(tx, row, &query);
        let _ = self.store.read_chained(&chain, read, |result| done.finish(result));
    }

    fn chain(&self, row: i64) -> Option<subrosa_store::Chain> {
        self.friends.get(&row).and_then(|f| f.talk.as_ref()).map(|t| t.chain.clone())
    }

    fn life(&self, row: i64) -> Option<u64> {
        self.friends.get(&row).and_then(|f| f.talk.as_ref()).map(|t| t.life)
    }

    /// A write of a conversation failed: what it holds in memory is ahead of the disk. Begins a new life of it from
    /// what the store has; the link goes, so that both sides say again what the other lacks.
    fn conversation_failed(&mut self, row: i64, life: u64, error: &Error) {
        if self.life(row) != Some(life) {
            return;
        }
        log::warn!("a write for friend {row} failed: {error}");
        if error.kind() != ErrorKind::DiskFull {
            self.events.push(EventKind::Fault { text: format!("the store cannot be written: {error}") });
        }
        self.close_link(row);
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.fail_waiting(error);
            friend.talk = None;
            friend.lives += 1;
            friend.arriving = (0, 0);
            friend.pair.failed();
        }
        self.revive(row);
    }

    /// Makes the conversation of a friend that lost it, if the store can be read.
    pub(super) fn revive(&mut self, row: i64) {
        let now = self.now();
        let Some(friend) = self.friends.get_mut(&row) else { return };
        if friend.talk.is_some() {
            return;
        }
        let (life, config, held) = (friend.lives, &self.config, !self.standing.role.sends());
        match self.store.read(|s| Talk::load(s, row, life, config, held, now)) {
            Ok(talk) => {
                friend.talk = Some(talk);
                let (trusted, full) = (self.watch.confirmed(), friend.inbox_full);
                self.drive(row, Input::ClockTrusted(trusted));
                if full {
                    self.drive(row, Input::InboxFull(true));
                }
                self.brief(row);
            }
            Err(error) => log::warn!("the conversation with friend {row} cannot be read: {error}"),
        }
    }

    /// Whether a message with an id that the host chose is being committed: then it is the same message, and this is
    /// one more who waits for it, or the id is another's. Gives the reply back otherwise.
    pub(crate) fn joins(
        &mut self,
        row: i64,
        outgoing: &Outgoing,
        reply: Reply<MessageId>,
    ) -> Option<Reply<MessageId>> {
        let id = outgoing.message.id;
        let mut friends = self.friends.iter_mut();
        match friends.find_map(|(row, friend)| Some((*row, friend.sends.get_mut(&id)?))) {
            Some((at, s)) if at == row && s.lane == outgoing.lane && s.body == outgoing.message.body => {
                s.replies.push(reply);
            }
            Some(_) => drop(reply.send(Err(taken(id)))),
            None => return Some(reply),
        }
        None
    }

    /// A host sends. Answers when the message is committed.
    pub(crate) fn send(&mut self, row: i64, outgoing: Outgoing, reply: Reply<MessageId>) {
        let id = outgoing.message.id;
        let now = self.now();
        if let Err(error) = self.may_send() {
            let _ = reply.send(Err(error));
            return;
        }
        let Some(friend) = self.friends.get_mut(&row) else {
            let _ = reply.send(Err(not_a_friend()));
            return;
        };
        let admitted = friend.talk().and_then(|talk| talk.machine.admit(&outgoing));
        if let Err(error) = admitted {
            let _ = reply.send(Err(error));
            return;
        }
        if let Err(error) = self.never_goes(row, &outgoing) {
            let _ = reply.send(Err(error));
            return;
        }
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let (lane, body) = (outgoing.lane, outgoing.message.body.clone());
        friend.sends.insert(id, Sending { lane, body, replies: vec![reply] });
        if friend.link.is_none() && outgoing.way != SendWay::EnvelopesOnly {
            friend.dialer.hurry(now);
        }
        self.drive(row, Input::Send(outgoing));
    }

    /// A host takes a message back.
    pub(crate) fn cancel(&mut self, row: i64, id: MessageId, cost: u64, reply: Reply<bool>) {
        let Some(friend) = self.friends.get_mut(&row).filter(|f| f.talk.is_some()) else {
            let _ = reply.send(Ok(false));
            return;
        };
        friend.cancels.entry(id).or_default().push(reply);
        self.drive(row, Input::Cancel(id, cost));
    }

    /// A host lets a stopped lane go on, with the refused message (`skip` false) or without it.
    pub(crate) fn restart_lane(&mut self, row: i64, lane: Lane, skip: bool, reply: Reply<()>) {
        let Some(friend) = self.friends.get_mut(&row) else {
            let _ = reply.send(Err(not_a_friend()));
            return;
        };
        if let Err(error) = friend.talk() {
            let _ = reply.send(Err(error));
            return;
        }
        friend.restarts.push((lane, reply));
        self.drive(row, if skip { Input::Skip(lane) } else { Input::Retry(lane) });
    }

    fn started(&mut self, row: i64, lane: Lane, was_stopped: bool) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let Some(at) = friend.restarts.iter().position(|(l, _)| *l == lane) else { return };
        let (_, reply) = friend.restarts.remove(at);
        let answer = if was_stopped {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("lane {lane} is not stopped: there is nothing to retry or skip"),
            ))
        };
        let _ = reply.send(answer);
    }

    /// Deletes a message that is not in the outbox.
    pub(crate) fn message_delete(&mut self, row: MessageRow, reply: Reply<()>) {
        let friend = row.friend;
        self.write(
            move |tx| match message::delete(tx, row.row)? {
                true => event::unacked_messages(tx, friend),
                false => Err(Error::new(ErrorKind::NotFound, "there is no such message, or it was deleted")),
            },
            move |engine, result| {
                let result = result.map(|inbox| engine.inbox_is(friend, inbox));
                let _ = reply.send(result);
            },
        );
    }

    /// Deletes up to `limit` messages of a conversation; answers how many.
    pub(crate) fn conversation_delete(&mut self, row: i64, limit: usize, reply: Reply<usize>) {
        self.write(
            move |tx| {
                let deleted = message::delete_conversation(tx, row, limit)?;
                Ok((deleted, event::unacked_messages(tx, row)?))
            },
            move |engine, result| {
                let result = result.map(|(deleted, inbox)| {
                    engine.inbox_is(row, inbox);
                    deleted
                });
                let _ = reply.send(result);
            },
        );
    }

    /// The store has counted anew what the host has not acked.
    fn inbox_is(&mut self, row: i64, inbox: (u64, u64)) {
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.inbox = inbox;
        }
        self.inbox_changed(row);
    }

    /// What was arriving is committed, and this much of it was new.
    fn arrived(&mut self, row: i64, arriving: (u64, u64), new: (u64, u64)) {
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.arriving.0 = friend.arriving.0.saturating_sub(arriving.0);
            friend.arriving.1 = friend.arriving.1.saturating_sub(arriving.1);
            friend.inbox.0 += new.0;
            friend.inbox.1 += new.1;
        }
    }

    /// The host acks an event.
    pub(crate) fn ack(&mut self, id: i64, reply: Reply<()>) {
        self.write(
            move |tx| event::ack(tx, id),
            move |engine, result| {
                if let Ok(Some(Acked { friend, message_cost: Some(cost) })) = result {
                    engine.inbox_shrank(friend, cost);
                }
                let _ = reply.send(result.map(|_| ()));
            },
        );
    }

    /// The host acked a message of this cost.
    fn inbox_shrank(&mut self, row: i64, cost: u64) {
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.inbox.0 = friend.inbox.0.saturating_sub(1);
            friend.inbox.1 = friend.inbox.1.saturating_sub(cost);
        }
        self.inbox_changed(row);
    }

    /// Whether so many messages, of twice so many bytes as frames, surely fit the inbox. The bytes of a message count for
    /// somewhat more there than on a link.
    pub(super) fn inbox_has_room_for(&self, row: i64, (messages, bytes): (usize, usize)) -> bool {
        let Some(friend) = self.friends.get(&row) else { return false };
        let held = (friend.inbox.0 + friend.arriving.0, friend.inbox.1 + friend.arriving.1);
        held.0 + (messages as u64) < self.config.inbox_messages
            && held.1 + 2 * (bytes as u64) + messages as u64 * 1024 < self.config.inbox_bytes
    }

    /// Tells conversation and host when the inbox has become full, and when a tenth of it is free again.
    pub(super) fn inbox_changed(&mut self, row: i64) {
        let (most, bytes) = (self.config.inbox_messages.max(1), self.config.inbox_bytes.max(1));
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let held = (friend.inbox.0 + friend.arriving.0, friend.inbox.1 + friend.arriving.1);
        let full = if friend.inbox_full {
            held.0 > most - most.div_ceil(10) || held.1 > bytes - bytes / 10
        } else {
            held.0 >= most || held.1 >= bytes
        };
        if full != friend.inbox_full {
            friend.inbox_full = full;
            let person = Some(friend.person);
            self.events.push(EventKind::Full { what: FullWhat::Inbox, person, full });
            self.drive(row, Input::InboxFull(full));
        }
    }
}

/// The id that a host chose is that of another message.
pub(crate) fn taken(id: MessageId) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("the id {id} belongs to another message: choose a new one"))
}

fn not_a_friend() -> Error {
    Error::new(ErrorKind::NotAFriend, "no friend with this identity: exchange an invite first")
}

/// How many messages, and their bytes.
fn sum<'a>(costs: impl Iterator<Item = &'a u64>) -> (u64, u64) {
    costs.fold((0, 0), |(messages, bytes), cost| (messages + 1, bytes + cost))
}
