//! Clients that were away ask the archives of a network, and some that are none, for what they missed.

use super::member::{Kind, Member, START};
use std::collections::BTreeSet;
use subrosa_proto::envelope::{Envelope, EnvelopeHash};
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::catch_up::{ArchiveId, CatchUp, Input, Limits, Output, Range, Source};
use subrosa_proto::whisper::archive::desk::{Desk, DeskLimits, Query, Task};
use subrosa_proto::whisper::archive::{Answer, Cursor};

/// Who is asked beside the network's archives.
const KEEPS_BACK: u64 = 1_000;
const STALLS: u64 = 1_001;

/// Every light node asks for its topics. How many envelopes they got in all; or what went wrong.
pub(super) fn check<'a>(
    members: &[Member],
    published: impl Iterator<Item = &'a Envelope> + Clone,
    keep_back: bool,
) -> Result<usize, String> {
    let archives: Vec<(u64, &Member)> =
        (0..).zip(members).filter(|(_, member)| member.kind == Kind::Archive).collect();
    if archives.is_empty() {
        return Ok(0);
    }
    let mut all = 0;
    for (n, client) in members.iter().enumerate().filter(|(_, member)| member.kind == Kind::Light).take(10) {
        let wanted: BTreeSet<EnvelopeHash> =
            published.clone().filter(|e| client.wants(e.topic)).map(Envelope::hash).collect();
        let got = ask(client, &archives, keep_back)?;
        if got != wanted {
            return Err(format!(
                "memory: client {n} got {} of {} from the archives",
                got.len(),
                wanted.len()
            ));
        }
        all += got.len();
    }
    Ok(all)
}

fn ask(
    client: &Member,
    archives: &[(u64, &Member)],
    keep_back: bool,
) -> Result<BTreeSet<EnvelopeHash>, String> {
    let mut now = Timestamp::from_millis(START + 600_000);
    let from = (START / 1_000) as u32 - 60;
    let range = Range { from, to: from + 3_600, topics: client.topics.clone() };
    let ids = archives.iter().map(|(id, _)| *id).chain([KEEPS_BACK, STALLS]);
    let sources = ids.map(|id| Source::new(ArchiveId(id), None)).collect();
    let mut desk = Desk::new(DeskLimits { page: 4_096, ..DeskLimits::default() }, Vec::new(), now);
    let mut machine = CatchUp::new(Limits::default(), range, sources, now);
    let (mut got, mut out) = (BTreeSet::new(), Vec::new());
    machine.handle(Input::Tick, now, &mut out);
    loop {
        for output in std::mem::take(&mut out) {
            match output {
                Output::Ask { archive: ArchiveId(STALLS), .. } | Output::Mark(..) | Output::Given(..) => {}
                Output::Ask { archive, number, question } => {
                    let kept =
                        archives.iter().find(|(id, _)| *id == archive.0).map(|(_, m)| m.kept.as_slice());
                    let Task::Find(query) = desk.question(archive.0, &question, now) else {
                        return Err("memory: an archive refuses a fair question".into());
                    };
                    let mut page = page(&query, kept.unwrap_or_default())?;
                    if keep_back {
                        page.envelopes.truncate(page.envelopes.len() / 2);
                    }
                    let reply = desk.answer(archive.0, page, now);
                    machine.handle(Input::Reply(archive, number, &reply), now, &mut out);
                }
                Output::Envelope(_, envelope) => {
                    got.insert(envelope.hash());
                }
                Output::Done(summary) if summary.complete => return Ok(got),
                Output::Done(summary) => return Err(format!("memory: not complete: {summary:?}")),
            }
        }
        if out.is_empty() {
            now = machine.deadline().ok_or("memory: a catch-up that does not end")?.max(now);
            machine.handle(Input::Tick, now, &mut out);
        }
    }
}

/// A page of what an archive keeps, in the order of arrival.
fn page(query: &Query, kept: &[Envelope]) -> Result<Answer, String> {
    let bad = |_| "memory: a cursor came back changed".to_string();
    let start = match &query.after {
        None => 0,
        Some(cursor) => usize::from(u16::from_be_bytes(cursor.as_bytes().try_into().map_err(|_| bad(()))?)),
    };
    let mut answer = Answer { envelopes: Vec::new(), more: false, cursor: None, oldest: 0 };
    let (mut at, mut bytes) = (start, 0);
    for envelope in kept.iter().skip(start) {
        let wanted = query.topics.as_ref().is_none_or(|topics| topics.contains(envelope.topic));
        if wanted && (query.from..=query.to).contains(&envelope.sent()) {
            bytes += envelope.raw().len();
            if answer.envelopes.len() >= query.limit || bytes > query.bytes {
                answer.more = true;
                break;
            }
            answer.envelopes.push(envelope.raw().clone());
        }
        at += 1;
    }
    let place = u16::try_from(at).map_err(|_| bad(()))?;
    answer.cursor = Some(Cursor::new(&place.to_be_bytes()).map_err(|_| bad(()))?);
    Ok(answer)
}
