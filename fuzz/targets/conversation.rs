//! A conversation with a friend who says anything at any time, with crashes, a slow disk and a clock that jumps. The
//! rules are in `subrosa_fuzz::party`.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::time::Duration;
use subrosa_fuzz::party::{Party, small_limits};
use subrosa_fuzz::people::NOW;
use subrosa_fuzz::speech::{Say, message};
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::conversation::change::Outgoing;
use subrosa_proto::friends::message::{Lane, MessageId};
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
                    expires: ttl.map(|ms| now.after(Duration::from_millis(ms.into()))),
                    position: None,
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
    }
    us.tick();
    us.restart();
    us.settle();
});
