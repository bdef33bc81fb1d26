//! Copies of stores: our own, when a friend last met one that is not this; and a friend's, when an older one of two
//! comes (PROTOCOL 6, "Rollback and clones"; docs/restore.md). The rules are in `subrosa_proto::friends::standing`.

use super::events::{OWN_CLONE, OWN_ROLLBACK, friend_event};
use super::{Engine, Reply};
use crate::event::FriendChange;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::standing::{Claim, Decision, FriendCopy, Notice, Role};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::{self, EventRecord};
use subrosa_store::friend::FriendRecord;
use subrosa_store::run::{self, MOST_RUNS};
use subrosa_store::{RunId, standing};

fn record(notice: Notice) -> EventRecord {
    match notice {
        Notice::OwnRolledBack => EventRecord::OwnStore { what: OWN_ROLLBACK },
        Notice::OwnCloned => EventRecord::OwnStore { what: OWN_CLONE },
        Notice::FriendRolledBack => friend_event(FriendChange::RolledBack),
        Notice::FriendCloned => friend_event(FriendChange::Cloned),
    }
}

impl Engine {
    /// The friend says which run of our store it met last; `newest` is whether it is talked to. Whether the run was one
    /// of another copy, so that numbers are given anew.
    pub(super) fn reported(&mut self, row: i64, run: Option<RunId>, newest: bool) -> bool {
        let other = run.and_then(|run| self.other_copy(&run));
        let (before, restored_now) = (self.standing, self.restored_now);
        let Some(friend) = self.friends.get_mut(&row) else { return false };
        let seen = friend.sightings.clone();
        let standing = &mut self.standing;
        let reported = match newest {
            true => friend.sightings.reported(other, standing, restored_now),
            false => friend.sightings.reported_in_passing(other, standing, restored_now),
        };
        let Some(reported) = reported else { return false };
        log::info!("friend {row} met another copy of our store: {:?}", reported.verdict);
        let Some(notice) = reported.notice else { return reported.renumbers() };
        self.restored_now |= reported.begins_run();
        // At once, not only when it is on disk.
        self.hold_conversations();
        let standing = self.standing;
        self.write(
            move |tx| {
                event::push(tx, Some(row), &record(notice))?;
                if !reported.changes() {
                    return Ok(None);
                }
                standing::save(tx, &standing)?;
                reported.begins_run().then(|| run::begin(tx)).transpose()
            },
            move |engine, result| match result {
                Ok(begun) => {
                    engine.events.durable();
                    if let Some(run) = begun {
                        engine.begin_run(run, standing.claim);
                    }
                }
                Err(error) => {
                    log::warn!("what a copy of our store means could not be kept: {error}");
                    // It is judged anew at the next link.
                    if engine.standing == standing {
                        engine.standing = before;
                    }
                    if let Some(friend) = engine.friends.get_mut(&row) {
                        friend.sightings.not_kept(&seen);
                    }
                    engine.hold_conversations();
                    engine.close_link(row);
                    engine.set_timer(row);
                }
            },
        );
        reported.renumbers()
    }

    /// Whether this friend is left to another copy of our store: no link with it is made.
    pub(super) fn gives_way(&self, row: i64) -> bool {
        self.friends.get(&row).is_some_and(|f| f.sightings.gives_way(self.standing.role))
    }

    /// The claim of the copy whose run this is; none if it is a run of this one, or nobody's.
    fn other_copy(&self, run: &RunId) -> Option<Claim> {
        if self.runs.contains(run) {
            return None;
        }
        let read = |run: &RunId| self.store.read(|s| run::read(s, run));
        let mark = match read(run) {
            Ok(Some(mark)) => mark,
            Ok(None) => {
                log::info!("a friend reports a run that no store of ours had");
                return None;
            }
            Err(error) => {
                log::warn!("the run that a friend reports cannot be read: {error}");
                return None;
            }
        };
        // So old that we would have forgotten it, were it ours: then it tells nothing.
        let oldest = self.runs.last().filter(|_| self.runs.len() >= MOST_RUNS);
        let oldest = oldest.and_then(|run| read(run).ok().flatten());
        let forgotten =
            oldest.is_some_and(|o| mark.opening < o.opening && mark.claim.number <= o.claim.number);
        (!forgotten).then_some(mark.claim)
    }

    /// A run begins within this opening: every friend must hear of it, so all links are made anew.
    fn begin_run(&mut self, run: RunId, claim: Claim) {
        self.run = run;
        self.claim = claim.number.into();
        self.runs.insert(0, run);
        self.runs.truncate(MOST_RUNS);
        let now = self.now();
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            self.close_link(row);
            if let Some(friend) = self.friends.get_mut(&row) {
                // A dial under way names the run before.
                if let Some(dial) = friend.dial.take() {
                    friend.give_dial_up();
                    self.dials.remove(&dial);
                    friend.dialer.failed(now, &mut self.entropy);
                }
                friend.dialer.now(now);
            }
            self.set_timer(row);
        }
    }

    /// Lets conversations send, or not, by how the store stands.
    fn hold_conversations(&mut self) {
        let held = self.is_held();
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            self.drive(row, Input::Held(held));
        }
    }

    pub(super) fn is_held(&self) -> bool {
        !self.standing.role.sends()
    }

    /// Whether another copy is the one, so that no friend is met.
    pub(super) fn stood_down(&self) -> bool {
        self.standing.role == Role::StoodDown
    }

    /// The host decides what becomes of this store.
    pub(crate) fn store_decide(&mut self, decision: Decision, reply: Reply<()>) {
        let mut standing = self.standing;
        let may = match self.deciding {
            true => {
                Err(Error::new(ErrorKind::WrongState, "an earlier decision is not kept yet; decide after it"))
            }
            false => standing.decide(decision),
        };
        if let Err(error) = may {
            let _ = reply.send(Err(error));
            return;
        }
        self.deciding = true;
        self.write(
            move |tx| {
                standing::save(tx, &standing)?;
                match decision {
                    Decision::GoOn => run::begin(tx).map(Some),
                    Decision::StandDown => Ok(None),
                }
            },
            move |engine, result| {
                engine.deciding = false;
                let result = result.map(|begun| {
                    engine.standing = standing;
                    engine.restored_now = false;
                    engine.decided(begun, standing.claim);
                });
                let _ = reply.send(result);
            },
        );
    }

    fn decided(&mut self, begun: Option<RunId>, claim: Claim) {
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in &rows {
            if let Some(friend) = self.friends.get_mut(row) {
                friend.sightings.decided();
            }
            if begun.is_some() {
                // The other copy may have given the numbers that we would give.
                self.drive(*row, Input::OlderStore);
            } else {
                self.close_link(*row);
            }
        }
        self.hold_conversations();
        if let Some(run) = begun {
            self.begin_run(run, claim);
        }
        for row in rows {
            self.set_timer(row);
        }
    }

    /// Whether a copy of the friend's store that comes with this Hello is the one to talk to. If another one is in use,
    /// our host is told; theirs hears of it from our Hello.
    pub(super) fn is_newest_copy(&mut self, row: i64, hello: &Hello) -> bool {
        let Some(friend) = self.friends.get_mut(&row) else { return false };
        let copy = FriendCopy { run: hello.run, claim: hello.claim };
        let (newest, notice) = friend.sightings.comes(seen(&friend.record), copy);
        self.tell_notice(row, notice);
        newest
    }

    /// This copy of the friend's store is there and talks.
    pub(super) fn friend_copy(&mut self, row: i64, copy: FriendCopy) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let notice = friend.sightings.stays(seen(&friend.record), copy);
        if friend.record.run_seen.replace(copy.run).is_some_and(|before| before != copy.run) {
            // A dial under way would tell another copy of the friend's store that this one was never met.
            friend.give_dial_up();
        }
        friend.record.claim_seen = Some(copy.claim);
        self.tell_notice(row, notice);
    }

    /// The numbers of a conversation go back behind what was receipted: ours, or the friend's.
    pub(super) fn rolled_back(&mut self, row: i64, own: bool) {
        let notice = self.friends.get_mut(&row).and_then(|f| f.sightings.by_numbers(own));
        self.tell_notice(row, notice);
    }

    fn tell_notice(&mut self, row: i64, notice: Option<Notice>) {
        if let Some(notice) = notice {
            self.tell(Some(row), record(notice));
        }
    }

    /// Nothing new is taken on by a store whose host decided for another.
    pub(super) fn may_send(&self) -> Result<()> {
        if self.stood_down() {
            return Err(Error::new(
                ErrorKind::WrongState,
                "this store stood down: another copy of it is the one; decide that this one goes on to send from it",
            ));
        }
        Ok(())
    }
}

/// The copy of the friend's store that was met last.
fn seen(record: &FriendRecord) -> Option<FriendCopy> {
    Some(FriendCopy { run: record.run_seen?, claim: record.claim_seen? })
}
