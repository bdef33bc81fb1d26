//! Which topics we listen to: those of each friend today and on the nearer neighbour's day, our own contact topic, and
//! those of answers to our requests.

use super::super::Engine;
use crate::whisper::Owner;
use subrosa_proto::envelope::Topic;
use subrosa_proto::friends::request::ENVELOPE_TTL;
use subrosa_proto::friends::topics::{Day, catch_up, contact_topic, day_keys, listen, listen_until};
use subrosa_proto::time::Timestamp;

impl Engine {
    /// Listens to the topics of today, if they are other ones than before.
    pub(super) fn listen_if_due(&mut self) {
        let (at, offset) = (self.whisper_now(), self.whisper.clock_offset());
        let until = listen_until(at);
        if self.dark.listen_until == until && self.dark.offset.abs_diff(offset) < 60_000 {
            return;
        }
        (self.dark.listen_until, self.dark.offset) = (until, offset);
        self.whisper.listen(Owner::Contact, vec![contact_topic(&self.me)]);
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            self.listen_to(row);
        }
        self.listen_for_answers();
    }

    /// Listens to the friend's topics, or not any more.
    pub(in crate::engine) fn listen_to(&mut self, row: i64) {
        let (at, me) = (self.whisper_now(), self.me);
        let on = self.dark.on;
        let Some(friend) = self.friends.get_mut(&row) else {
            return self.whisper.listen(Owner::Friend(row), Vec::new());
        };
        friend.pair.days.clear();
        let secret = friend.record.pair_secret.clone().filter(|_| on && friend.is_friend());
        let Some(secret) = secret else { return self.whisper.listen(Owner::Friend(row), Vec::new()) };
        let topic = |day: Day| day_keys(secret.as_bytes(), &friend.person, &me, day).topic;
        // Archives may give something of any day on which an envelope that lives may have been made.
        friend.pair.days = catch_up(None, at).map(|day| (topic(day), day)).collect();
        let topics = listen(at).map(topic).to_vec();
        self.whisper.listen(Owner::Friend(row), topics);
    }

    /// Listens to the topics of answers to our requests.
    pub(super) fn listen_for_answers(&mut self) {
        let (at, me) = (self.whisper_now(), self.me);
        self.dark.answers.clear();
        let mut topics: Vec<Topic> = Vec::new();
        let first = Day::of(at.before(ENVELOPE_TTL)).previous();
        for out in self.dark.requests.all_outgoing() {
            let topic = |day: Day| out.root.day_keys(&out.person, &me, day).topic;
            topics.extend(listen(at).map(topic));
            let mut day = first;
            while day <= Day::of(at).next() {
                self.dark.answers.insert(topic(day), (out.person, day));
                day = day.next();
            }
        }
        if self.dark.on {
            self.whisper.listen(Owner::Answers, topics);
        }
        if self.dark.answers.is_empty() {
            self.dark.answering.start_anew();
        } else {
            self.dark_due(Timestamp::ZERO);
        }
    }
}
