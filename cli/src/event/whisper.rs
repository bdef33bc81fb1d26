//! Events of Whisper as they are shown.

use crate::output::{body_text, put_body, time_text};
use crate::person::Names;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use subrosa::{EventKind, MessageId, PublishResult, WaitReason};

/// As JSON, if it is one of these.
pub(super) fn value(kind: &EventKind) -> Option<Value> {
    Some(match kind {
        EventKind::Published { publication, result } => json!({
            "type": "published", "publication": HEXLOWER.encode(&publication.0), "result": result_name(*result),
        }),
        EventKind::Envelope(opened) => {
            let mut value = json!({
                "type": "envelope", "subscription": HEXLOWER.encode(&opened.subscription.0),
                "topic": HEXLOWER.encode(&opened.topic), "signer": opened.signer.map(|person| person.text()),
                "sent_ms": opened.sent.as_millis(), "expires_ms": opened.expires.as_millis(),
                "pow": opened.pow, "hash": HEXLOWER.encode(&opened.hash),
            });
            put_body(&mut value, &opened.body);
            value
        }
        EventKind::Progress { publication, hashes, expected } => json!({
            "type": "progress", "publication": HEXLOWER.encode(&publication.0), "hashes": hashes,
            "expected": expected,
        }),
        EventKind::Waiting { person, lane, message, why } => json!({
            "type": "waiting", "person": person.text(), "lane": lane, "message": message.to_string(),
            "why": why_name(*why),
        }),
        _ => return None,
    })
}

/// In words, if it is one of these.
pub(super) fn text(kind: &EventKind, names: &Names) -> Option<String> {
    Some(match kind {
        EventKind::Published { publication, result } => {
            let id = HEXLOWER.encode(&publication.0);
            match result {
                PublishResult::Sent => format!("publication {id} has left: peers spread it"),
                PublishResult::TooDear => {
                    format!("publication {id}: its proof of work was not found within the limit")
                }
                PublishResult::Expired => format!("publication {id} ended before a peer took it"),
                PublishResult::Cancelled => format!("publication {id} was cancelled"),
                _ => format!("publication {id} was refused: the network takes no such envelope"),
            }
        }
        EventKind::Envelope(opened) => {
            let who = opened.signer.map_or_else(|| "unsigned".to_owned(), |person| names.of(&person));
            let (topic, body) = (topic_text(opened.topic), body_text(&opened.body, None));
            format!("{}  [{topic}] {who}: {body}", time_text(opened.sent))
        }
        EventKind::Progress { hashes, expected, .. } => {
            format!("working: {hashes} hashes of about {expected:.0}")
        }
        EventKind::Waiting { person, lane, message, why } => {
            let way_out = way_out(*why, message).map(|text| format!("\n  {text}")).unwrap_or_default();
            format!(
                "message {message} to {} waits, and lane {lane} with it: {}{way_out}",
                names.of(person),
                why_text(*why)
            )
        }
        _ => return None,
    })
}

/// A topic: its four characters where they can be read, else hexadecimal digits.
pub(crate) fn topic_text(topic: [u8; 4]) -> String {
    match std::str::from_utf8(&topic) {
        Ok(text) if topic.iter().all(u8::is_ascii_graphic) => text.to_owned(),
        _ => HEXLOWER.encode(&topic),
    }
}

/// The stable name of how a publication ended.
fn result_name(result: PublishResult) -> &'static str {
    match result {
        PublishResult::Sent => "sent",
        PublishResult::TooDear => "too_dear",
        PublishResult::Expired => "expired",
        PublishResult::Cancelled => "cancelled",
        PublishResult::Refused => "refused",
        _ => "unknown",
    }
}

fn why_name(why: WaitReason) -> &'static str {
    match why {
        WaitReason::TooLarge => "too_large",
        WaitReason::TooDear => "too_dear",
        WaitReason::NoKey => "no_key",
        WaitReason::NoLink => "no_link",
        WaitReason::NotDirect => "not_direct",
        WaitReason::NoPeers => "no_peers",
        _ => "unknown",
    }
}

/// Why a message waits, in words.
pub(crate) fn why_text(why: WaitReason) -> &'static str {
    match why {
        WaitReason::TooLarge => "it does not fit an envelope",
        WaitReason::TooDear => "its proof of work is too dear",
        WaitReason::NoKey => "there is no key to seal it with, or too much is under way",
        WaitReason::NoLink => "it goes over a link only, and there is none",
        WaitReason::NotDirect => "it goes over a link only, and the friend is not direct",
        WaitReason::NoPeers => "it goes by envelope, and there is neither a peer nor an archive",
        _ => "for a reason of a later version",
    }
}

/// What helps a message that waits, where its sender can do something about the message.
pub(crate) fn way_out(why: WaitReason, message: &MessageId) -> Option<String> {
    let again = match why {
        WaitReason::TooLarge => "a shorter one",
        WaitReason::TooDear => "a shorter one, or the same with a shorter --ttl (both make the work less)",
        _ => return None,
    };
    Some(format!(
        "a link takes it without, once one is up; or `subrosa cancel {message}` and send {again}; other lanes (--lane) \
         do not wait"
    ))
}
