//! A conversation with a friend who says anything at any time, with crashes, a slow disk and a clock that jumps. The
//! rules are in `subrosa_fuzz::party`.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::time::Duration;
use subrosa_fuzz::party::{Party, small_limits};
use subrosa_fuzz::people::NOW;
use subrosa_fuzz::speech::{Say, message};
use subrosa_proto::friends::conversation::change::Outgoing;
use subrosa_proto::friends::conversation::{Dark, Input};
use subrosa_proto::friends::message::{Lane, MessageId, SendWay};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// The host sends: id, lane, size, milliseconds to live.
    Send(u8, u8, u16, Option<u16>),
    Transient,
    Cancel(u8),
    Retry(u8),
    Skip(u8),
    LinkUp,
    LinkDown,
    Friend(Say),
    /// A frame that an earlier link still delivers.
    Late(Say),
    /// So much becomes durable.
    Work(u8),
    Settle,
    InboxFull(bool),
    OlderStore,
    Held(bool),
    Direct(bool),
    /// Copies may be so large and so dear, if any.
    Dark(Option<(u16, u32)>),
    /// The store refuses copies.
    Refuses(bool),
    /// A copy of the friend's: what it says, its key, and how many minutes ago it was sealed.
    Copy(Vec<Say>, u8, i16),
    StaleCopy,
    CopiesLost,
    AskedAgain,
    ClockTrusted(bool),
    /// Time passes, with everything durable.
    Wait(u16),
    /// A deadline is met early.
    Tick,
    /// The clock jumps so many hours.
    Jump(i16),
    Restart,
}

fuzz_target!(|input: ([u8; 8], Vec<Step>)| {
    let (limits, steps) = input;
    let (mut now, mut link) = (NOW, 0);
    let mut us = Party::new(small_limits(limits), 1, now);
    for step in steps.iter().take(300) {
        match step {
            Step::Send(id, lane, size, ttl) => {
                us.send(Outgoing {
                    message: message(*id, size % 2_000),
                    lane: Lane::from(lane % 10),
                    way: SendWay::from_code(lane / 10 % 3).unwrap_or_default(),
                    expires: ttl.map(|ms| now.after(Duration::from_millis(ms.into()))),
                    position: None,
                    copied: None,
                });
            }
            Step::Transient => us.feed(Input::Transient(Bytes::from(vec![1]))),
            Step::Cancel(id) => us.cancel(MessageId([*id; 16])),
            Step::Retry(lane) => us.feed(Input::Retry(Lane::from(lane % 10))),
            Step::Skip(lane) => us.feed(Input::Skip(Lane::from(lane % 10))),
            Step::LinkUp => {
                link += 1;
                us.feed(Input::LinkUp(link));
            }
            Step::LinkDown => us.feed(Input::LinkDown(link)),
            Step::Friend(say) => {
                if let Some(frame) = say.frame(us.epoch()) {
                    us.feed(Input::Frame(link, frame));
                }
            }
            Step::Late(say) => {
                if let Some(frame) = say.frame(us.epoch()) {
                    us.feed(Input::Frame(link.saturating_sub(1), frame));
                }
            }
            Step::Work(steps) => {
                for _ in 0..steps % 8 {
                    us.work();
                }
            }
            Step::Settle => us.settle(),
            Step::InboxFull(full) => us.feed(Input::InboxFull(*full)),
            Step::OlderStore => us.feed(Input::OlderStore),
            Step::Held(held) => us.feed(Input::Held(*held)),
            Step::Direct(direct) => us.feed(Input::Direct(*direct)),
            Step::Dark(terms) => us.feed(Input::Dark(
                terms.map(|(largest, work)| Dark { largest: largest.into(), work: u64::from(work) << 10 }),
            )),
            Step::Refuses(refuses) => us.refuse_copies(*refuses),
            Step::Copy(said, key, ago) => {
                let frames = said.iter().take(12).filter_map(|say| say.frame(us.epoch())).collect();
                let sent = now.as_millis().saturating_add_signed(-60_000 * i64::from(*ago));
                let sent = Timestamp::from_millis(sent);
                us.feed(Input::Copy { frames, key: u64::from(*key % 16), sent });
            }
            Step::StaleCopy => us.feed(Input::StaleCopy),
            Step::CopiesLost => us.feed(Input::CopiesLost),
            Step::AskedAgain => us.feed(Input::AskedAgain),
            Step::ClockTrusted(trusted) => us.feed(Input::ClockTrusted(*trusted)),
            Step::Wait(ms) => {
                now = now.after(Duration::from_millis((*ms).into()));
                us.set_clock(now);
                us.tick();
            }
            Step::Tick => us.feed(Input::Tick),
            Step::Jump(hours) => {
                now = Timestamp::from_millis(
                    now.as_millis().saturating_add_signed(i64::from(*hours) * 3_600_000),
                );
                us.set_clock(now);
                us.feed(Input::Tick);
            }
            Step::Restart => us.restart(),
        }
        us.said.clear();
        us.posted.clear();
    }
    us.tick();
    us.restart();
    us.settle();
});
