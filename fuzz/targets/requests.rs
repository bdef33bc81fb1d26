//! Requests under way, whatever people send and hosts decide, with a store from which it starts again at any time, and
//! clocks that jump: a start changes nothing, what is repeated waits longer and longer, and everything is bounded.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use subrosa_fuzz::people::{NOW, them};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::onetime::{FriendKey, KeyKind, PairKeys};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{
    Answer, Claim, Due, Offer, Outgoing, Policy, Request, RequestChange, Requests, Saved, Seen, Standing,
    Verdict,
};
use subrosa_proto::identity::{Certificate, DeviceKey, Identity, PersonId};
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// To whom, hours to live, bytes of greeting.
    Send(u8, i16, u16),
    /// A request: from whom, which id, counter, hours until it ends, and what the owner knows.
    Incoming(u8, u8, u8, i16, [bool; 4], u8),
    /// The last request that came from this one is accepted.
    Accept(u8),
    /// An accept of this one came; whether it names our request.
    Accepted(u8, bool),
    AcceptAgain(u8),
    Met(u8),
    Cancel(u8),
    Due(bool),
    /// Time passes, in minutes, with everything done when it is due.
    Wait(u16),
    /// The clock jumps so many hours.
    Jump(i8),
    Restart,
}

const PEOPLE: u8 = 6;

struct Fixed {
    own: Identity,
    people: Vec<PersonId>,
    certificate: Certificate,
    offer_half: Half,
    news: subrosa_proto::friends::onetime::KeyNews,
    key: FriendKey,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| {
        let person = |n: u8| Identity::from_secret(&[n + 10; 32]).expect("these bytes are a key").person();
        let public = DeviceKey::from_secret(Secret32::new([5; 32])).public();
        Fixed {
            own: Identity::from_secret(&[1; 32]).expect("these bytes are a key"),
            people: (0..PEOPLE).map(person).collect(),
            certificate: Certificate::decode(&them().own.certificate).expect("a certificate"),
            offer_half: Half::from_slice(&[1; 32]).expect("32 bytes"),
            news: PairKeys::new()
                .news_for_request(&mut SeededEntropy::new(1), NOW, &mut Vec::new())
                .expect("keys"),
            key: FriendKey { number: 1, public, kind: KeyKind::OneTime },
        }
    })
}

/// What the store holds.
#[derive(Default)]
struct Rows {
    outgoing: BTreeMap<PersonId, Outgoing>,
    answers: BTreeMap<PersonId, Answer>,
    seen: BTreeMap<[u8; 16], Timestamp>,
}

struct Run {
    requests: Requests,
    rows: Rows,
    entropy: SeededEntropy,
    now: Timestamp,
    last: BTreeMap<PersonId, Offer>,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut run = Run {
        requests: Requests::load(fixed().own.person(), Saved::default()),
        rows: Rows::default(),
        entropy: SeededEntropy::new(3),
        now: NOW,
        last: BTreeMap::new(),
    };
    for step in steps.iter().take(200) {
        run.step(step);
    }
});

fn person(n: u8) -> PersonId {
    fixed().people[usize::from(n % PEOPLE)]
}

impl Run {
    fn step(&mut self, step: &Step) {
        let (now, own, mut changes) = (self.now, &fixed().own, Vec::new());
        match step {
            Step::Send(to, hours, greeting) => {
                let greeting = Some("x".repeat(usize::from(*greeting) % 300));
                let expires = hours_from(now, *hours);
                let before = self.requests.outgoing(&person(*to)).cloned();
                let sent = self.requests.send(
                    own,
                    person(*to),
                    greeting,
                    None,
                    expires,
                    now,
                    &mut self.entropy,
                    &mut changes,
                );
                assert!(sent.is_ok() || self.requests.outgoing(&person(*to)) == before.as_ref());
            }
            Step::Incoming(from, id, counter, hours, [blocked, friend, invite, proven], policy) => {
                let offer = self.offer(person(*from), [*id; 16], (*counter).into(), hours_from(now, *hours));
                let claim = if *proven { Claim::Proven(InviteId([1; 16])) } else { Claim::None };
                let policies = [Policy::Show, Policy::InvitesOnly, Policy::Drop];
                let standing = Standing {
                    policy: policies[usize::from(policy % 3)],
                    blocked: *blocked,
                    friend: *friend,
                    counter: u64::from(policy >> 4),
                    invite: *invite,
                };
                let request = Request { offer: offer.clone(), claim };
                let verdict = self.requests.incoming(&request, &standing, now, &mut changes);
                let drops = matches!(verdict, Verdict::Drop(_));
                assert!(!drops || changes.is_empty(), "what is dropped leaves nothing");
                assert!(!standing.blocked || drops, "nobody hears of a blocked one");
                if matches!(verdict, Verdict::Show | Verdict::Renew | Verdict::Cross) {
                    assert!(offer.counter > standing.counter, "nothing older");
                    self.last.insert(offer.from, offer);
                }
            }
            Step::Accept(who) => {
                if let Some(offer) = self.last.get(&person(*who)) {
                    let key = fixed().key;
                    let answer = self.requests.accept(own, offer, key, now, &mut self.entropy, &mut changes);
                    let answer = answer.expect("there is room");
                    assert_eq!(self.requests.answer(&person(*who)), Some(&answer));
                    assert_eq!(answer.request, offer.id);
                }
            }
            Step::Accepted(who, right) => {
                let out = self.requests.outgoing(&person(*who)).map(|out| (out.id, out.accepted));
                let id = out.filter(|_| *right).map_or([0xee; 16], |(id, _)| id);
                let taken = self.requests.accepted(&person(*who), &id, now, &mut changes);
                assert_eq!(taken, *right && out.is_some_and(|(_, accepted)| !accepted));
            }
            Step::AcceptAgain(who) => {
                self.requests.accept_again(&person(*who), now, &mut changes);
            }
            Step::Met(who) => {
                self.requests.met(&person(*who), &mut changes);
                assert!(self.requests.answer(&person(*who)).is_none());
            }
            Step::Cancel(who) => {
                self.requests.cancel(&person(*who), &mut changes);
                let left = (self.requests.outgoing(&person(*who)), self.requests.answer(&person(*who)));
                assert_eq!(left, (None, None));
            }
            Step::Due(trusted) => {
                let due = self.requests.due(now, *trusted, &mut self.entropy, &mut changes).expect("entropy");
                let ended = due.iter().any(|due| matches!(due, Due::Ended(_)));
                assert!(*trusted || !ended, "nothing ends by a clock that nobody confirmed");
            }
            Step::Wait(minutes) => self.wait(Duration::from_secs(60 * u64::from(*minutes))),
            Step::Jump(hours) => self.now = hours_from(now, (*hours).into()),
            Step::Restart => self.restart(),
        }
        self.commit(changes);
    }

    fn offer(&self, from: PersonId, id: [u8; 16], counter: u64, expires: Timestamp) -> Offer {
        let fixed = fixed();
        Offer {
            from,
            to: fixed.own.person(),
            certificate: fixed.certificate.clone(),
            news: fixed.news.clone(),
            id,
            counter,
            expires,
            half: fixed.offer_half.clone(),
            answers: None,
            greeting: None,
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        let mut steps = 0;
        while let Some(at) = self.requests.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut changes = Vec::new();
            self.requests.due(self.now, true, &mut self.entropy, &mut changes).expect("entropy");
            assert!(!changes.is_empty(), "a deadline is for something");
            self.commit(changes);
            steps += 1;
            // 45 days at most, each of a dozen every five minutes at most.
            assert!(steps < 20_000, "it spins");
        }
        self.now = end;
    }

    fn restart(&mut self) {
        let rows = &self.rows;
        let saved = Saved {
            outgoing: rows.outgoing.values().cloned().collect(),
            answers: rows.answers.values().cloned().collect(),
            seen: rows.seen.iter().map(|(id, until)| Seen { id: *id, until: *until }).collect(),
        };
        let again = Requests::load(fixed().own.person(), saved);
        assert_eq!(again.deadline(), self.requests.deadline(), "all of it is stored");
        assert!(again.all_outgoing().eq(self.requests.all_outgoing()), "all of it is stored");
        for n in 0..PEOPLE {
            assert_eq!(again.answer(&person(n)), self.requests.answer(&person(n)));
        }
        self.requests = again;
    }

    fn commit(&mut self, changes: Vec<RequestChange>) {
        for change in changes {
            match change {
                RequestChange::PutOutgoing(row) => {
                    self.rows.outgoing.insert(row.person, row);
                }
                RequestChange::DeleteOutgoing(person) => {
                    assert!(self.rows.outgoing.remove(&person).is_some(), "it was there");
                }
                RequestChange::PutAnswer(row) => {
                    self.rows.answers.insert(row.person, row);
                }
                RequestChange::DeleteAnswer(person) => {
                    assert!(self.rows.answers.remove(&person).is_some(), "it was there");
                }
                RequestChange::PutSeen(seen) => {
                    self.rows.seen.insert(seen.id, seen.until);
                }
                RequestChange::DeleteSeen(id) => {
                    assert!(self.rows.seen.remove(&id).is_some(), "it was there");
                }
            }
        }
    }
}

fn hours_from(now: Timestamp, hours: i16) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add_signed(i64::from(hours) * 3_600_000))
}
