//! The getters of what only events of Whisper have.

use super::{EventBox, subrosa_event};
use crate::boundary;
use crate::bytes::{subrosa_envelope_hash, subrosa_publication_id, subrosa_subscription_id, subrosa_topic};
use crate::handle::{Field, field};
use crate::status::subrosa_status;
use subrosa::EventKind;

/// The publication of published and progress events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_publication_id(
    event: *const subrosa_event,
    id: *mut subrosa_publication_id,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Published { publication, .. } | EventKind::Progress { publication, .. } => {
            Field::Here((*publication).into())
        }
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, id, "publication_id", find) })
}

/// The subscription that opened the envelope of an envelope event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_subscription_id(
    event: *const subrosa_event,
    id: *mut subrosa_subscription_id,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Envelope(opened) => Field::Here(opened.subscription.into()),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, id, "subscription_id", find) })
}

/// The topic of an envelope.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_topic(
    event: *const subrosa_event,
    topic: *mut subrosa_topic,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Envelope(opened) => Field::Here(subrosa_topic { bytes: opened.topic }),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, topic, "topic", find) })
}

/// The id of an envelope.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_hash(
    event: *const subrosa_event,
    hash: *mut subrosa_envelope_hash,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Envelope(opened) => Field::Here(subrosa_envelope_hash { bytes: opened.hash }),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, hash, "hash", find) })
}

/// When an envelope ends, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_expires(
    event: *const subrosa_event,
    time: *mut u64,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Envelope(opened) => Field::Here(opened.expires.as_millis()),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, time, "expires", find) })
}

/// The proof of work that an envelope showed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_pow(event: *const subrosa_event, pow: *mut f64) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Envelope(opened) => Field::Here(opened.pow),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, pow, "pow", find) })
}

/// How many hashes a search that a progress event is about takes on average; one in three takes longer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_expected(
    event: *const subrosa_event,
    hashes: *mut f64,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Progress { expected, .. } => Field::Here(*expected),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, hashes, "expected", find) })
}
