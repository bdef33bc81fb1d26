//! Who repeats what until when, and what becomes of requests that come in.

use super::*;

/// `n` parties, the smaller identity first.
fn two(seed: u64) -> (Party, Party) {
    let (a, b) = (Party::new(seed), Party::new(seed + 1_000));
    if a.person() < b.person() { (a, b) } else { (b, a) }
}

fn ask(from: &mut Party, to: &Party, days: u32, now: Timestamp) -> Offer {
    let person = to.person();
    from.run(|r, own, e, c| {
        r.send(own, person, Some("hello".into()), None, now.after(DAY * days), now, e, c).unwrap();
    });
    offer_of(from, to)
}

fn offer_of(from: &mut Party, to: &Party) -> Offer {
    let news = from.news();
    from.requests.outgoing(&to.person()).unwrap().offer(from.person(), from.certificate.clone(), news)
}

fn hear(by: &mut Party, offer: &Offer, standing: Standing, now: Timestamp) -> Verdict {
    let request = Request { offer: offer.clone(), claim: Claim::None };
    by.run(|r, _, _, c| r.incoming(&request, &standing, now, c))
}

fn say_yes(by: &mut Party, offer: &Offer, now: Timestamp) -> Answer {
    by.keys.told(&offer.news, now, &mut vec![]);
    let key = by.keys.take(&mut vec![]).unwrap();
    by.run(|r, own, e, c| r.accept(own, offer, key, now, e, c)).unwrap()
}

fn due(of: &mut Party, now: Timestamp) -> Vec<Due> {
    of.run(|r, _, e, c| r.due(now, true, e, c)).unwrap()
}

#[test]
fn a_request_is_repeated_ever_more_rarely_until_its_end() {
    let (mut a, b) = two(1);
    ask(&mut a, &b, 30, NOW);
    let (mut now, mut times) = (NOW, Vec::new());
    loop {
        let done = due(&mut a, now);
        for what in &done {
            match what {
                Due::Request(person) => {
                    assert_eq!(*person, b.person());
                    times.push(now);
                }
                Due::Ended(person) => {
                    assert_eq!(*person, b.person());
                    assert_eq!(now, NOW.after(30 * DAY));
                    assert!(a.rows.outgoing.is_empty());
                    assert_eq!(a.requests.deadline(), None);
                    let pauses: Vec<Duration> = times.windows(2).map(|two| two[1].since(two[0])).collect();
                    assert!((12..=20).contains(&times.len()), "{} envelopes", times.len());
                    assert!(pauses.iter().all(|pause| *pause < ENVELOPE_TTL && *pause > SHORTEST_PAUSE / 2));
                    assert!(pauses[0] <= SHORTEST_PAUSE && pauses[8] > 2 * DAY);
                    return;
                }
                Due::Accept(_) => panic!("nothing to accept"),
            }
        }
        a.reload();
        let next = a.requests.deadline().unwrap();
        assert!(next > now || !done.is_empty(), "no busy waiting");
        now = next;
    }
}

#[test]
fn without_a_trusted_clock_nothing_ends() {
    let (mut a, b) = two(2);
    ask(&mut a, &b, 1, NOW);
    let late = NOW.after(40 * DAY);
    let done = a.run(|r, _, e, c| r.due(late, false, e, c)).unwrap();
    assert_eq!(done, [Due::Request(b.person())]);
    assert_eq!(due(&mut a, late), [Due::Ended(b.person())]);
}

#[test]
fn a_clock_that_ran_ahead_does_not_silence_a_request() {
    let (mut a, b) = two(3);
    ask(&mut a, &b, 30, NOW);
    a.run(|r, _, e, c| r.due(NOW.after(9 * DAY), true, e, c)).unwrap();
    // The clock goes back, and the next envelope would be due in nine days.
    assert_eq!(due(&mut a, NOW), [Due::Request(b.person())]);
    assert_eq!(due(&mut a, NOW), []);
    assert!(a.requests.deadline() < Some(NOW.after(DAY)));
}

/// Found by fuzzing: the wait was cut in memory only, and a start brought the long one back.
#[test]
fn a_clock_that_ran_ahead_does_not_put_off_the_word_after_an_accept_either() {
    let (mut a, b) = two(5);
    let request = ask(&mut a, &b, 30, NOW);
    let ahead = NOW.after(9 * DAY);
    assert!(a.run(|r, _, _, c| r.accepted(&b.person(), &request.id, ahead, c)));
    let repeated = |a: &mut Party, at| a.run(|r, _, _, c| r.accept_again(&b.person(), at, c));
    assert!(!repeated(&mut a, NOW), "from now on it waits an hour");
    a.reload();
    assert!(!repeated(&mut a, NOW.after(Duration::from_secs(3_599))));
    assert!(repeated(&mut a, NOW.after(Duration::from_secs(3_600))));
}

#[test]
fn asked_shown_accepted_met() {
    let (mut a, mut b) = two(4);
    let request = ask(&mut a, &b, 30, NOW);
    assert_eq!(hear(&mut b, &request, Standing::default(), NOW), Verdict::Show);
    assert_eq!(hear(&mut b, &request, Standing::default(), NOW), Verdict::Drop(Why::Seen));
    let answer = say_yes(&mut b, &request, NOW);
    assert_eq!(due(&mut b, NOW), [Due::Accept(a.person())]);
    assert_eq!(due(&mut b, NOW), []);
    let again = b.run(|r, own, e, c| r.accept(own, &request, answer.key, NOW, e, c)).unwrap();
    assert_eq!((again.half.clone(), again.id, again.key), (answer.half.clone(), answer.id, answer.key));
    let standing = Standing { counter: request.counter, friend: true, ..Standing::default() };
    assert_eq!(hear(&mut b, &request, standing, NOW), Verdict::Answered);
    assert_eq!(due(&mut b, NOW), [], "not more often than every ten minutes");
    let soon = NOW.after(SHORTEST_PAUSE);
    assert_eq!(due(&mut b, soon), [Due::Accept(a.person())]);

    assert!(!a.run(|r, _, _, c| r.accepted(&b.person(), &[0; 16], soon, c)), "another request");
    assert!(a.run(|r, _, _, c| r.accepted(&b.person(), &request.id, soon, c)));
    assert!(!a.run(|r, _, _, c| r.accepted(&b.person(), &request.id, soon, c)));
    assert_eq!(due(&mut a, soon.after(DAY)), [], "nothing more to repeat");
    let repeated = |a: &mut Party, at| a.run(|r, _, _, c| r.accept_again(&b.person(), at, c));
    assert!(!repeated(&mut a, soon), "they hear from us anyway");
    assert!(repeated(&mut a, soon.after(Duration::from_secs(3_600))));
    assert!(!repeated(&mut a, soon.after(Duration::from_secs(7_199))), "hourly");

    b.run(|r, _, _, c| r.met(&a.person(), c));
    assert!(b.rows.answers.is_empty());
    assert_eq!(hear(&mut b, &request, standing, NOW), Verdict::Drop(Why::Seen), "an old copy renews nothing");
    assert_eq!(due(&mut a, NOW.after(31 * DAY)), [], "no event for what was answered");
    assert!(a.rows.outgoing.is_empty());
}

#[test]
fn an_accept_is_repeated_until_its_end_and_no_longer() {
    let (mut a, mut b) = two(5);
    let request = ask(&mut a, &b, 5, NOW);
    hear(&mut b, &request, Standing::default(), NOW);
    say_yes(&mut b, &request, NOW);
    let mut count = 0;
    while let Some(at) = b.requests.deadline() {
        count += due(&mut b, at).len();
        assert!(count < 30);
        assert!(at <= NOW.after(7 * DAY));
    }
    assert!((5..10).contains(&count), "{count}");
}

/// Both ask at once; whatever arrives first or twice, both become friends by the request of the smaller identity.
#[test]
fn crossing_requests_are_consent() {
    let (mut small, mut large) = two(6);
    let (of_small, of_large) = (ask(&mut small, &large, 30, NOW), ask(&mut large, &small, 30, NOW));
    let strict = Standing { policy: Policy::Drop, ..Standing::default() };
    due(&mut small, NOW);
    assert_eq!(hear(&mut small, &of_large, strict, NOW), Verdict::Wait);
    assert_eq!(
        due(&mut small, NOW.after(SHORTEST_PAUSE)),
        [Due::Request(large.person())],
        "ours is due again"
    );
    assert_eq!(hear(&mut large, &of_small, strict, NOW), Verdict::Cross);
    say_yes(&mut large, &of_small, NOW);
    assert_eq!(hear(&mut large, &of_small, strict, NOW), Verdict::Answered);
    assert!(large.requests.outgoing(&small.person()).is_some(), "it goes on, should the other be gone");
    assert!(small.run(|r, _, _, c| r.accepted(&large.person(), &of_small.id, NOW, c)));
    large.run(|r, _, _, c| r.met(&small.person(), c));
    assert!(large.rows.outgoing.is_empty() && large.rows.answers.is_empty());
}

/// What the host declined comes through once it asks itself.
#[test]
fn whom_we_ask_may_have_asked_before() {
    let (mut small, mut large) = two(7);
    let of_small = ask(&mut small, &large, 30, NOW);
    assert_eq!(hear(&mut large, &of_small, Standing::default(), NOW), Verdict::Show);
    assert_eq!(hear(&mut large, &of_small, Standing::default(), NOW), Verdict::Drop(Why::Seen));
    ask(&mut large, &small, 30, NOW);
    assert_eq!(hear(&mut large, &of_small, Standing::default(), NOW), Verdict::Cross);
}

#[test]
fn friends_renew_and_old_requests_do_not() {
    let (mut a, mut b) = two(8);
    let request = ask(&mut a, &b, 30, NOW);
    let friend = Standing { friend: true, policy: Policy::Drop, ..Standing::default() };
    assert_eq!(hear(&mut b, &request, friend, NOW), Verdict::Renew);
    assert_eq!(hear(&mut b, &request, friend, NOW), Verdict::Drop(Why::Seen));
    let mut later = request.clone();
    later.id = [1; 16];
    let known = Standing { counter: request.counter, ..friend };
    assert_eq!(hear(&mut b, &later, known, NOW), Verdict::Drop(Why::Older));
    later.counter += 1;
    assert_eq!(hear(&mut b, &later, known, NOW), Verdict::Renew);
}

#[test]
fn policies_and_blocks() {
    let (mut a, mut b) = two(9);
    let offer = ask(&mut a, &b, 30, NOW);
    let invite = InviteSecret::random(&mut a.source).unwrap().id();
    let mut judge = |claim, standing: Standing| {
        b.reload();
        b.rows.seen.clear();
        b.reload();
        let request = Request { offer: offer.clone(), claim };
        b.run(|r, _, _, c| r.incoming(&request, &standing, NOW, c))
    };
    let with = |policy| Standing { policy, ..Standing::default() };
    let invited = |policy| Standing { invite: true, ..with(policy) };
    for policy in [Policy::Show, Policy::InvitesOnly, Policy::Drop] {
        let plain = if policy == Policy::Show { Verdict::Show } else { Verdict::Drop(Why::Policy) };
        assert_eq!(judge(Claim::None, with(policy)), plain);
        assert_eq!(judge(Claim::Unknown, with(policy)), plain);
        assert_eq!(
            judge(Claim::None, invited(policy)),
            plain,
            "an invite that is not proven counts for nothing"
        );
        assert_eq!(judge(Claim::Proven(invite), invited(policy)), Verdict::Show);
        assert_eq!(judge(Claim::Proven(invite), with(policy)), Verdict::Drop(Why::Invite));
        for friend in [false, true] {
            let blocked = Standing { blocked: true, friend, ..invited(policy) };
            assert_eq!(judge(Claim::Proven(invite), blocked), Verdict::Drop(Why::Blocked));
        }
    }
}

#[test]
fn requests_end_and_none_lasts_for_ever() {
    let (mut a, mut b) = two(10);
    let offer = ask(&mut a, &b, 1, NOW);
    let end = offer.expires;
    let late = end.after(SLACK + Duration::from_millis(1));
    assert_eq!(hear(&mut b, &offer, Standing::default(), late), Verdict::Drop(Why::Ended));
    assert_eq!(hear(&mut b, &offer, Standing::default(), end.after(SLACK)), Verdict::Show);
    let endless = Offer { expires: Timestamp::MAX, ..offer.clone() };
    assert_eq!(hear(&mut b, &endless, Standing::default(), NOW), Verdict::Drop(Why::TooFar));
    // Forgotten only when a replay is refused by its end.
    due(&mut b, end.after(SLACK));
    assert_eq!(b.rows.seen.len(), 1);
    due(&mut b, late);
    assert_eq!(b.rows.seen.len(), 0);
    assert_eq!(hear(&mut b, &offer, Standing::default(), late), Verdict::Drop(Why::Ended));
}

#[test]
fn when_full_strangers_are_dropped_and_old_ids_never() {
    let (mut a, mut b) = two(11);
    let first = ask(&mut a, &b, 30, NOW);
    let numbered = |n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        Offer { id, ..first.clone() }
    };
    let seen: Vec<Seen> =
        (1..=MOST_SEEN as u32).map(|n| Seen { id: numbered(n).id, until: NOW.after(32 * DAY) }).collect();
    b.rows.seen = seen.iter().map(|seen| (seen.id, *seen)).collect();
    b.reload();
    let stranger = Standing::default();
    assert_eq!(hear(&mut b, &numbered(90_000), stranger, NOW), Verdict::Drop(Why::Full));
    assert_eq!(hear(&mut b, &numbered(1), stranger, NOW), Verdict::Drop(Why::Seen));
    let friend = Standing { friend: true, ..stranger };
    for n in 0..MOST_SEEN_KNOWN as u32 {
        assert_eq!(hear(&mut b, &numbered(100_000 + n), friend, NOW), Verdict::Renew);
    }
    assert_eq!(hear(&mut b, &numbered(200_000), friend, NOW), Verdict::Drop(Why::Full));
    assert_eq!(hear(&mut b, &numbered(100_000), friend, NOW), Verdict::Drop(Why::Seen));
    assert_eq!(b.rows.seen.len(), MOST_SEEN + MOST_SEEN_KNOWN);
}

#[test]
fn what_a_host_may_not_ask() {
    let (mut a, b) = two(12);
    let me = a.person();
    let mut send = |person, greeting: usize, days: u32| {
        let greeting = Some("g".repeat(greeting));
        a.run(|r, own, e, c| r.send(own, person, greeting, None, NOW.after(DAY * days), NOW, e, c))
    };
    assert_eq!(send(me, 0, 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(send(b.person(), 257, 1).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(send(b.person(), 0, 0).unwrap_err().kind(), ErrorKind::Expired);
    assert_eq!(send(b.person(), 0, 31).unwrap_err().kind(), ErrorKind::InvalidArgument);
    send(b.person(), 256, 30).unwrap();
    assert_eq!(send(b.person(), 0, 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn requests_and_accepts_are_bounded() {
    let (mut a, mut b) = two(13);
    let people: Vec<PersonId> =
        (0..=MOST_OUTGOING).map(|_| Identity::generate(&mut a.source).unwrap().person()).collect();
    let end = NOW.after(10 * DAY);
    let send = |a: &mut Party, person| a.run(|r, own, e, c| r.send(own, person, None, None, end, NOW, e, c));
    for person in &people[..MOST_OUTGOING] {
        send(&mut a, *person).unwrap();
    }
    assert_eq!(send(&mut a, people[MOST_OUTGOING]).unwrap_err().kind(), ErrorKind::QueueFull);
    let id = a.requests.outgoing(&people[0]).unwrap().id;
    a.run(|r, _, _, c| r.accepted(&people[0], &id, NOW, c));
    send(&mut a, people[MOST_OUTGOING]).unwrap();
    let done: usize = (0..MOST_OUTGOING).map(|_| due(&mut a, NOW).len()).sum();
    assert_eq!(done, MOST_OUTGOING, "all of them, a few at a time");

    let key =
        FriendKey { number: 1, public: a.device.public(), kind: crate::friends::onetime::KeyKind::OneTime };
    let offer = b.offer(&a.person());
    let mut last = Ok(());
    let mut count = 0;
    while last.is_ok() && count <= MOST_ANSWERS {
        let from = Identity::generate(&mut b.source).unwrap().person();
        let offer = Offer { from, ..offer.clone() };
        let mut changes = Vec::new();
        last = a.requests.accept(&a.identity, &offer, key, NOW, &mut b.source, &mut changes).map(|_| ());
        count += 1;
    }
    assert_eq!(last.unwrap_err().kind(), ErrorKind::QueueFull);
    assert_eq!(count, MOST_ANSWERS + 1);
    a.run(|r, _, _, c| r.cancel(&people[1], c));
    assert!(a.requests.outgoing(&people[1]).is_none());
}
