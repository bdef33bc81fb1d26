//! Copies of stores: our own, when a friend last met one that is not this; and a friend's, when an older one of two
//! comes (PROTOCOL 6, "Rollback and clones"; docs/restore.md). The rules are in `subrosa_proto::friends::standing`.

use super::events::{OWN_CLONE, OWN_ROLLBACK, friend_event};
use super::{Engine, Reply};
use crate::event::FriendChange;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::standing::{Circumstances, Claim, Decision, Role, Verdict};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::{self, EventRecord};
use subrosa_store::run::{self, MOST_RUNS};
use subrosa_store::{RunId, standing};

/// What the host was told of a friend's copies, so that one incident is one event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// That this friend met another copy of our store.
    pub(super) own: bool,
    /// That a copy of the friend's store came which another one had replaced.
    cloned: bool,
    /// Of an older copy by its numbers, and not yet by its claim; and the other way round.
    numbers: bool,
    claim: bool,
    /// How often of a claim that grew. Whoever makes them up is told of a few times.
    claims: u8,
}

/// Events about new claims of one friend, for each opening of our store.
const MOST_CLAIMS: u8 = 16;

impl Engine {
    /// The friend says which run of our store it met last. Whether it was one of another copy.
    pub(super) fn reported(&mut self, row: i64, run: Option<RunId>) -> bool {
        let other = run.and_then(|run| self.other_copy(&run));
        let Some(friend) = self.friends.get_mut(&row) else { return false };
        let met = std::mem::replace(&mut friend.met, true);
        let Some(other) = other else { return false };
        let before = self.standing;
        let when = Circumstances { met, restored_now: self.restored_now };
        let verdict = self.standing.judge(other, when);
        log::info!("friend {row} met another copy of our store: {verdict:?}");
        let known = std::mem::replace(&mut friend.told.own, true);
        let what = match verdict {
            Verdict::Known => return false,
            Verdict::Past if known => return true,
            Verdict::Past | Verdict::Restored => OWN_ROLLBACK,
            Verdict::Cloned => OWN_CLONE,
        };
        self.restored_now |= verdict == Verdict::Restored;
        // At once, not only when it is on disk.
        self.hold_conversations();
        let standing = self.standing;
        self.write(
            move |tx| {
                event::push(tx, Some(row), &EventRecord::OwnStore { what })?;
                if verdict == Verdict::Past {
                    return Ok(None);
                }
                standing::save(tx, &standing)?;
                (verdict == Verdict::Restored).then(|| run::begin(tx)).transpose()
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
                        (friend.met, friend.told.own) = (met, known);
                    }
                    engine.hold_conversations();
                    engine.close_link(row);
                }
            },
        );
        true
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
        if let Err(error) = standing.decide(decision) {
            let _ = reply.send(Err(error));
            return;
        }
        self.write(
            move |tx| {
                standing::save(tx, &standing)?;
                match decision {
                    Decision::GoOn => run::begin(tx).map(Some),
                    Decision::StandDown => Ok(None),
                }
            },
            move |engine, result| {
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
                (friend.met, friend.told.own) = (false, false);
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

    /// Whether a copy of the friend's store that comes with this Hello is the one to talk to. If another was met that
    /// replaced it, our host is told; theirs hears of it from our Hello.
    pub(super) fn is_newest_copy(&mut self, row: i64, hello: &Hello) -> bool {
        let Some(friend) = self.friends.get_mut(&row) else { return false };
        let newest = friend.record.claim_seen.is_none_or(|seen| hello.claim >= seen);
        if !newest && !std::mem::replace(&mut friend.told.cloned, true) {
            self.tell(Some(row), friend_event(FriendChange::Cloned));
        }
        newest
    }

    /// The newest copy of the friend's store is there.
    pub(super) fn friend_copy(&mut self, row: i64, hello: &Hello) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        if friend.record.run_seen.replace(hello.run).is_some_and(|before| before != hello.run) {
            // A dial under way would tell another copy of the friend's store that this one was never met.
            friend.give_dial_up();
        }
        let before = friend.record.claim_seen.replace(hello.claim);
        if before.is_none_or(|before| hello.claim <= before) {
            return;
        }
        friend.told.cloned = false;
        if !std::mem::take(&mut friend.told.numbers) && friend.told.claims < MOST_CLAIMS {
            friend.told.claim = true;
            friend.told.claims += 1;
            self.tell(Some(row), friend_event(FriendChange::RolledBack));
        }
    }

    /// The numbers of a conversation go back behind what was receipted: ours, or the friend's.
    pub(super) fn rolled_back(&mut self, row: i64, own: bool) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let told = &mut friend.told;
        if own {
            if !std::mem::replace(&mut told.own, true) {
                self.tell(Some(row), EventRecord::OwnStore { what: OWN_ROLLBACK });
            }
        } else if !std::mem::take(&mut told.claim) {
            told.numbers = true;
            self.tell(Some(row), friend_event(FriendChange::RolledBack));
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
