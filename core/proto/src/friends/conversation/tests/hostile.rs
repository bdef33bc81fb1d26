//! A friend that says anything at all.

use super::*;

#[test]
fn a_hostile_friend_moves_no_bound_and_stops_nothing() {
    let config = Config { held: 8, epochs: 3, lanes: 2, window_messages: 4, ..Config::default() };
    for seed in 0..200 {
        let mut random = SeededEntropy::new(seed);
        let mut rig = Rig::open(config.clone());
        for step in 0..200u8 {
            let epoch = rig.machine.epoch().filter(|_| random.chance(50)).unwrap_or(Epoch(random.below(6)));
            let seq = if random.chance(5) { u64::MAX - random.below(3) } else { random.below(12) };
            let position =
                Position { device: random.below(2) as u32, epoch, lane: random.below(4) as Lane, seq };
            let id = MessageId([random.below(20) as u8; 16]);
            let held = vec![(seq.saturating_add(1), seq.saturating_add(random.below(4)))];
            let frame = match random.below(6) {
                0 | 1 => coming(epoch, seq, random.below(20) as u8),
                2 => Frame::Void(position),
                3 => Frame::Refuse { position, id, why: Refusal::TooLarge },
                4 => Frame::Conflict(position),
                _ => {
                    let lanes = vec![LaneReceipt { next: position, held }];
                    Frame::Receipt(Receipt { opening: random.chance(30), more: random.chance(30), lanes })
                }
            };
            // What does not survive its own coding never reaches the machine.
            if let Ok(Some(frame)) = Frame::decode(&frame.encode()) {
                rig.hear(frame);
            }
            if random.chance(30) {
                rig.input(Input::Send(outgoing(step)));
            }
            rig.commit_all();
            if rig.query().is_some() {
                rig.input(Input::Loaded(Loaded::default()));
            }
            for frame in rig.said() {
                assert!(Frame::decode(&frame.encode()).is_ok(), "{frame:?}");
            }
            assert!(rig.machine.stats().in_flight <= config.window_messages);
            assert!(rig.machine.inn.positions(100).len() <= config.epochs * config.lanes);
        }
    }
}
