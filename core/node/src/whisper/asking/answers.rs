//! One question to all archives: who is asked, and what their answers are worth.

use super::super::common::Common;
use super::super::subscribing::Subscribing;
use super::super::{Answered, Arrival, Owner};
use super::list::NamedBy;
use super::progress::{Going, wanted};
use super::standing::is_settled;
use super::{AT_ONCE, Archive, Asking, NOTED, Running, seconds};
use std::collections::BTreeMap;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::Refused;
use subrosa_proto::whisper::archive::catch_up::{
    CatchUp, Ending, Input, Limits, Range, Source, Summary, Tale,
};
use subrosa_proto::whisper::interest::TopicSet;
use subrosa_proto::whisper::padding::FOR_ARCHIVES;
use subrosa_store::peer;

/// An archive that gave so many that nobody else had, and none that is wrong, did not flood us: somebody else did.
const FLOOD: u32 = 4_096;
/// Archives of friends that are asked at once.
const OF_FRIENDS: usize = 4;
/// Most envelopes that an archive of a friend gives alone in one answer: all of them together leave most of what we
/// take to others.
const MOST_OF_FRIENDS: usize = 10_000;

impl Asking {
    pub(super) fn start(&mut self, common: &mut Common, subscribing: &mut Subscribing) {
        while self.running.len() < AT_ONCE {
            // Round and round, so that those who ask often leave the others their turn.
            let free = |owner: &&Owner| !self.running.contains_key(owner);
            let after = self.waiting.keys().filter(free).find(|owner| Some(**owner) > self.turn);
            let next = after.or_else(|| self.waiting.keys().find(free)).copied();
            let Some((owner, ask)) = next.and_then(|owner| self.waiting.remove_entry(&owner)) else { return };
            self.turn = Some(owner);
            let wall = common.wall;
            self.lives += 1;
            let (mut asked, mut left_out, mut of_friends) = (Vec::new(), false, Vec::new());
            for (id, archive) in &self.archives {
                let out = archive.standing.is_out(wall);
                match archive.by {
                    NamedBy::Host if out => left_out |= !archive.standing.is_lost(wall),
                    NamedBy::Host => asked.push(Source::new(*id, archive.grant.clone())),
                    // One that does not answer makes room for another.
                    NamedBy::Friends if out => {}
                    NamedBy::Friends => {
                        of_friends.push((archive.standing.last_asked(owner), archive.turn, *id));
                    }
                }
            }
            // They take turns: what answers well and has nothing must not keep us from asking those that have it.
            of_friends.sort_unstable();
            for (.., id) in of_friends.into_iter().take(OF_FRIENDS) {
                let Some(archive) = self.archives.get_mut(&id) else { continue };
                archive.standing.ask(owner, self.lives);
                let from = archive.standing.covered(owner, &ask).map_or(0, seconds);
                let most = MOST_OF_FRIENDS;
                asked.push(Source { from, most, vouched: false, ..Source::new(id, None) });
            }
            let hidden = |topics: &TopicSet| common.padding.hide(topics, &FOR_ARCHIVES);
            let wanted = wanted(&ask);
            let range = Range { topics: wanted.topics.as_ref().map(hidden), ..wanted.clone() };
            // Archives that serve a network with less work are believed as its peers are.
            let usual = Limits::default();
            let limits = Limits { floor: usual.floor.min(common.config().whisper.least_pow), ..usual };
            let (mut sources, mut going) = (Vec::new(), BTreeMap::new());
            for source in asked {
                let (id, floor) = (source.id, if source.grant.is_some() { 0.0 } else { limits.floor });
                let known = self.known(owner, &ask, &wanted, id, floor, common);
                let unfinished = known
                    .as_ref()
                    .and_then(|known| known.unfinished(known.range.topics.as_ref().map(hidden)));
                let goes = Going::new(known, source.from, floor, source.vouched, &wanted);
                sources.push(Source { unfinished, from: goes.from(), ..source });
                going.insert(id, goes);
            }
            let machine = CatchUp::new(limits, range, sources, wall);
            self.running.insert(owner, Running { ask, life: self.lives, left_out, going, machine });
            self.drive(owner, Input::Tick, common, subscribing);
        }
    }

    pub(super) fn done(
        &mut self,
        owner: Owner,
        summary: &Summary,
        common: &mut Common,
        subscribing: &mut Subscribing,
    ) {
        let Some(Running { ask, left_out, going, .. }) = self.running.remove(&owner) else { return };
        let (wall, now) = (common.wall, common.now);
        // One that lies or hides something must not make the others' answers look complete before they are there. One
        // that lies all the time, or is gone for days, does not count; nor does what only a friend named, either way:
        // its lies cost time, and never a message that an archive of the host has.
        let (mut answered, mut by_friends, mut complete) = (false, false, !left_out);
        let (mut gave, mut none) = (Vec::new(), Vec::new());
        for tale in &summary.archives {
            log::debug!("archive {:?}: {:?}, {} envelopes", tale.archive, tale.ending, tale.envelopes);
            let Some(archive) = self.archives.get_mut(&tale.archive) else { continue };
            let verdict = archive.judge(owner, tale, wall, now);
            if verdict == Verdict::Gave {
                gave.push(tale.archive);
            }
            if is_no_answer(tale.ending) {
                none.push(archive.address.to_string());
            }
            let by = going.get(&tale.archive).map_or(archive.by, |going| going.by(archive.by));
            match by {
                NamedBy::Host => {
                    answered |= verdict == Verdict::Gave;
                    complete &= verdict != Verdict::Owes;
                }
                NamedBy::Friends if verdict == Verdict::Gave => {
                    by_friends = true;
                    archive.standing.cover(owner, &ask);
                }
                NamedBy::Friends => {}
            }
            if matches!(tale.ending, Ending::OutOfTime | Ending::Refused(_) | Ending::Lied) {
                continue;
            }
            if tale.ending == Ending::Flooded && !flooded_by_others(archive, tale) {
                continue;
            }
            if tale.failures == 0 {
                archive.standing.answered();
                let noted = archive.standing.noted.is_some_and(|at| wall.distance(at) < NOTED);
                if !noted {
                    archive.standing.noted = Some(wall);
                    common.note_good(peer::List::Archives, archive.address.to_string());
                }
            }
        }
        let answer = match (self.has_of_host(), answered && complete) {
            (true, true) => Answered::Fully,
            (false, _) if by_friends => Answered::ByFriends,
            _ => Answered::Partly,
        };
        // Once the mark over all of them moves, there is nothing of each to be kept.
        if answer != Answered::Fully {
            for id in gave {
                self.keep_end(owner, &ask, id, going.get(&id), common, subscribing);
            }
        }
        self.start_anew_with(owner, none, common);
        self.sweep(common);
        match owner {
            Owner::Subscription(id) => subscribing.caught_up(id, ask.to, answer, common),
            _ => {
                common.parts.whisper.wanted().open.remove(&(owner, ask.tag));
                common.tell(Arrival::CaughtUp { owner, tag: ask.tag, answer });
            }
        }
    }
}

/// What an archive's part in an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It gave all it has, and that is all it should have.
    Gave,
    /// It did not, and may have what we lack.
    Owes,
    /// It did not, and has not for so long that nobody waits for it.
    Lost,
}

impl Archive {
    /// Notes how it did.
    fn judge(&mut self, owner: Owner, tale: &Tale, wall: Timestamp, now: Timestamp) -> Verdict {
        let flooded_by_others = flooded_by_others(self, tale);
        let standing = &mut self.standing;
        let lost = match tale.ending {
            Ending::Complete => {
                standing.lacking.remove(&owner);
                return Verdict::Gave;
            }
            Ending::Short(since) if is_settled(since, now) => {
                standing.lacking.remove(&owner);
                return Verdict::Gave;
            }
            // One that says so all the time may lie.
            Ending::Short(_) => standing.lacks(owner, wall),
            Ending::Flooded if flooded_by_others => standing.lacks(owner, wall),
            Ending::Unreachable => standing.is_lost(wall),
            // Also one that answers each question, but late, has held up everybody.
            Ending::OutOfTime | Ending::Refused(_) | Ending::Lied | Ending::Flooded => {
                standing.failed(wall);
                standing.is_lost(wall)
            }
        };
        if lost { Verdict::Lost } else { Verdict::Owes }
    }
}

/// Whether the question itself may be the reason why nothing came of it: it may have been an earlier one's rest.
fn is_no_answer(ending: Ending) -> bool {
    use Refused::{BadCursor, BadQuestion, Other};
    matches!(ending, Ending::Lied | Ending::Refused(BadQuestion | BadCursor | Other(_)))
}

/// Whether it gave more than we take, and somebody else is to blame. Nobody vouches for those of friends.
fn flooded_by_others(archive: &Archive, tale: &Tale) -> bool {
    let good = tale.wrong == 0 && tale.first >= FLOOD;
    tale.ending == Ending::Flooded && good && archive.by == NamedBy::Host
}
