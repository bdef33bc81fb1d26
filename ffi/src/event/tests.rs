//! Every kind of event against every getter: what it carries comes out, what it does not is refused and leaves the
//! output alone.

use super::whisper::*;
use super::*;
use crate::boundary::last_error;
use crate::message::SUBROSA_REFUSAL_TOO_LARGE;
use std::ffi::CStr;
use std::ptr::null_mut;
use subrosa::{
    EventId, Identity, InviteId, MessageId, Opened, PersonId, PublicationId, Received, SubscriptionId,
    Timestamp,
};

const HERE: i32 = 0;
const NEVER: i32 = 1;
const MISSING: i32 = 5;

fn person() -> PersonId {
    Identity::from_secret(&[1; 32]).unwrap().person()
}

fn message(content_type: Option<&str>, reply_to: Option<MessageId>, way: Way) -> EventKind {
    EventKind::Message(Received {
        id: MessageId([3; 16]),
        person: person(),
        lane: 4,
        body: b"a\0b".to_vec(),
        content_type: content_type.map(str::to_owned),
        reply_to,
        sent: Timestamp::from_millis(5),
        received: Timestamp::from_millis(6),
        way,
        restored: false,
    })
}

/// What one getter said: its status, and what it wrote, as bytes to compare.
struct Said {
    status: i32,
    wrote: Option<Vec<u8>>,
}

/// Calls a getter with an output full of 0xA5.
fn ask<T>(
    event: *mut subrosa_event,
    getter: unsafe extern "C" fn(*const subrosa_event, *mut T) -> subrosa_status,
    bytes: fn(&T) -> Vec<u8>,
) -> Said {
    let mut out = std::mem::MaybeUninit::<T>::uninit();
    let size = size_of::<T>();
    // SAFETY: the output is ours, and every type here is plain; the event is live.
    unsafe {
        out.as_mut_ptr().cast::<u8>().write_bytes(0xA5, size);
        assert_eq!(getter(event, null_mut()), 2);
        let status = getter(event, out.as_mut_ptr());
        if status != 0 {
            let untouched = std::slice::from_raw_parts(out.as_ptr().cast::<u8>(), size);
            assert!(untouched.iter().all(|byte| *byte == 0xA5), "a getter that refuses wrote");
            assert!(!CStr::from_ptr(last_error()).is_empty());
            return Said { status, wrote: None };
        }
        Said { status, wrote: Some(bytes(out.assume_init_ref())) }
    }
}

fn view(bytes: *const u8, len: usize) -> Vec<u8> {
    // SAFETY: the event that the view is of lives in all tests here.
    unsafe { std::slice::from_raw_parts(bytes, len) }.to_vec()
}

fn text(text: &subrosa_text) -> Vec<u8> {
    // SAFETY: a zero follows every text.
    assert_eq!(unsafe { *text.ptr.add(text.len) }, 0);
    view(text.ptr.cast(), text.len)
}

/// The statuses of all getters, in the order of [`GETTERS`].
fn all(event: *mut subrosa_event) -> Vec<Said> {
    vec![
        ask(event, subrosa_event_person, |p| p.bytes.to_vec()),
        ask(event, subrosa_event_message_id, |id| id.bytes.to_vec()),
        ask(event, subrosa_event_reply_to, |id| id.bytes.to_vec()),
        ask(event, subrosa_event_invite_id, |id| id.bytes.to_vec()),
        ask(event, subrosa_event_body, |body| view(body.ptr, body.len)),
        ask(event, subrosa_event_text, text),
        ask(event, subrosa_event_label, text),
        ask(event, subrosa_event_content_type, text),
        ask(event, subrosa_event_lane, |lane| lane.to_be_bytes().to_vec()),
        ask(event, subrosa_event_sent, |time| time.to_be_bytes().to_vec()),
        ask(event, subrosa_event_received, |time| time.to_be_bytes().to_vec()),
        ask(event, subrosa_event_way, |way| way.to_be_bytes().to_vec()),
        ask(event, subrosa_event_state, |state| state.to_be_bytes().to_vec()),
        ask(event, subrosa_event_refusal, |refusal| refusal.to_be_bytes().to_vec()),
        ask(event, subrosa_event_what, |what| what.to_be_bytes().to_vec()),
        ask(event, subrosa_event_number, |number| number.to_be_bytes().to_vec()),
        ask(event, subrosa_event_publication_id, |id| id.bytes.to_vec()),
        ask(event, subrosa_event_subscription_id, |id| id.bytes.to_vec()),
        ask(event, subrosa_event_topic, |topic| topic.bytes.to_vec()),
        ask(event, subrosa_event_hash, |hash| hash.bytes.to_vec()),
        ask(event, subrosa_event_expires, |time| time.to_be_bytes().to_vec()),
        ask(event, subrosa_event_pow, |pow| pow.to_be_bytes().to_vec()),
        ask(event, subrosa_event_expected, |hashes| hashes.to_be_bytes().to_vec()),
    ]
}

const GETTERS: [&str; 23] = [
    "person",
    "message_id",
    "reply_to",
    "invite_id",
    "body",
    "text",
    "label",
    "content_type",
    "lane",
    "sent",
    "received",
    "way",
    "state",
    "refusal",
    "what",
    "number",
    "publication_id",
    "subscription_id",
    "topic",
    "hash",
    "expires",
    "pow",
    "expected",
];

/// Checks one event: what is here with its bytes, what is missing, and that all else is never there.
fn check(kind: EventKind, number: i32, here: &[(&str, &[u8])], missing: &[&str]) {
    for id in [None, Some(EventId(42))] {
        let event = handle::give::<subrosa_event>(EventBox::new(Event { id, kind: kind.clone() }));
        // SAFETY: the event is live.
        unsafe {
            assert_eq!(subrosa_event_kind(event), number);
            assert_eq!(subrosa_event_id(event), if id.is_some() { 42 } else { 0 });
        }
        for (name, said) in GETTERS.iter().zip(all(event)) {
            let value = here.iter().find(|(field, _)| field == name).map(|(_, value)| value.to_vec());
            let status = match (&value, missing.contains(name)) {
                (Some(_), _) => HERE,
                (None, true) => MISSING,
                (None, false) => NEVER,
            };
            assert_eq!(said.status, status, "{name} of {kind:?}");
            assert_eq!(said.wrote, value, "{name} of {kind:?}");
        }
        // SAFETY: the event is live, and ends here.
        unsafe { subrosa_event_free(event) };
    }
}

#[test]
fn messages_and_their_ends() {
    let who = *person().as_bytes();
    let (person, body) = (("person", who.as_slice()), ("body", b"a\0b".as_slice()));
    let always: [(&str, &[u8]); 6] = [
        person,
        ("message_id", &[3; 16]),
        body,
        ("lane", &[0, 0, 0, 4]),
        ("sent", &[0, 0, 0, 0, 0, 0, 0, 5]),
        ("received", &[0, 0, 0, 0, 0, 0, 0, 6]),
    ];
    let link: [(&str, &[u8]); 1] = [("way", &SUBROSA_WAY_LINK.to_be_bytes())];
    let plain = message(None, None, Way::Link);
    check(plain, SUBROSA_EVENT_MESSAGE, &[always.as_slice(), &link].concat(), &["content_type", "reply_to"]);
    let dark = SUBROSA_WAY_ENVELOPE.to_be_bytes();
    let more = [("content_type", b"text/plain".as_slice()), ("reply_to", &[8; 16]), ("way", &dark)];
    let rich = message(Some("text/plain"), Some(MessageId([8; 16])), Way::Envelope);
    check(rich, SUBROSA_EVENT_MESSAGE, &[always.as_slice(), &more].concat(), &[]);

    for (state, number) in [
        (DeliveryState::Delivered, SUBROSA_DELIVERY_DELIVERED),
        (DeliveryState::Refused(Refusal::TooLarge), SUBROSA_DELIVERY_REFUSED),
        (DeliveryState::Expired, SUBROSA_DELIVERY_EXPIRED),
        (DeliveryState::Cancelled, SUBROSA_DELIVERY_CANCELLED),
    ] {
        let (number, why) = (number.to_be_bytes(), SUBROSA_REFUSAL_TOO_LARGE.to_be_bytes());
        let mut here = vec![person, ("message_id", &[3; 16]), ("state", &number)];
        if number == SUBROSA_DELIVERY_REFUSED.to_be_bytes() {
            here.push(("refusal", &why));
        }
        let kind = EventKind::Delivery { message: MessageId([3; 16]), person: self::person(), state };
        check(kind, SUBROSA_EVENT_DELIVERY, &here, &["refusal"]);
    }

    let stopped = EventKind::LaneStopped {
        person: self::person(),
        lane: 4,
        message: MessageId([3; 16]),
        why: Refusal::Other(77),
    };
    let here: [(&str, &[u8]); 4] =
        [person, ("lane", &[0, 0, 0, 4]), ("message_id", &[3; 16]), ("refusal", &[0, 0, 0, 77])];
    check(stopped, SUBROSA_EVENT_LANE_STOPPED, &here, &[]);
    let transient = EventKind::Transient { person: self::person(), body: b"a\0b".to_vec() };
    check(transient, SUBROSA_EVENT_TRANSIENT, &[person, body], &[]);
}

#[test]
fn friends_and_invites() {
    let who = *person().as_bytes();
    let person = ("person", who.as_slice());
    let label = Some("ev\0e".to_owned());
    let request =
        |label, origin| EventKind::Request { person: self::person(), greeting: String::new(), label, origin };
    let (ours, dark) = (SUBROSA_ORIGIN_INVITE.to_be_bytes(), SUBROSA_ORIGIN_WHISPER.to_be_bytes());
    let (invite, whisper) = (RequestOrigin::Invite, RequestOrigin::Whisper);
    let here: [(&str, &[u8]); 3] = [person, ("text", b""), ("state", &dark)];
    check(request(None, whisper), SUBROSA_EVENT_REQUEST, &here, &["label"]);
    let here: [(&str, &[u8]); 4] = [person, ("text", b""), ("state", &ours), ("label", b"ev\0e")];
    check(request(label.clone(), invite), SUBROSA_EVENT_REQUEST, &here, &[]);
    for (change, number) in [
        (FriendChange::Added, SUBROSA_FRIEND_ADDED),
        (FriendChange::Removed, SUBROSA_FRIEND_REMOVED),
        (FriendChange::Declined, SUBROSA_FRIEND_DECLINED),
        (FriendChange::Renewed, SUBROSA_FRIEND_RENEWED),
        (FriendChange::RolledBack, SUBROSA_FRIEND_ROLLED_BACK),
        (FriendChange::Cloned, SUBROSA_FRIEND_CLONED),
        (FriendChange::NoAnswer, SUBROSA_FRIEND_NO_ANSWER),
        (FriendChange::NewDevice, SUBROSA_FRIEND_NEW_DEVICE),
    ] {
        let kind = EventKind::Friend { person: self::person(), change };
        check(kind, SUBROSA_EVENT_FRIEND, &[person, ("state", &number.to_be_bytes())], &[]);
    }
    let invite = InviteId([2; 16]);
    let id: (&str, &[u8]) = ("invite_id", &[2; 16]);
    let reused = |label| EventKind::InviteReused { invite, label };
    check(reused(None), SUBROSA_EVENT_INVITE_REUSED, &[id], &["label"]);
    check(reused(label.clone()), SUBROSA_EVENT_INVITE_REUSED, &[id, ("label", b"ev\0e")], &[]);
    let expired = |label, person| EventKind::InviteExpired { invite, label, person };
    check(expired(label, None), SUBROSA_EVENT_INVITE_EXPIRED, &[id, ("label", b"ev\0e")], &["person"]);
    check(expired(None, Some(self::person())), SUBROSA_EVENT_INVITE_EXPIRED, &[id, person], &["label"]);
    for (seen, number) in
        [(OwnStore::RolledBack, SUBROSA_OWN_STORE_ROLLED_BACK), (OwnStore::Cloned, SUBROSA_OWN_STORE_CLONED)]
    {
        let kind = EventKind::OwnStore { person: self::person(), seen };
        check(kind, SUBROSA_EVENT_OWN_STORE, &[person, ("state", &number.to_be_bytes())], &[]);
    }
}

#[test]
fn what_is_so_at_the_moment() {
    let who = *person().as_bytes();
    let person = ("person", who.as_slice());
    let link = |remote: Option<&str>| EventKind::Link {
        person: self::person(),
        remote: remote.map(|remote| remote.parse().unwrap()),
    };
    let (up, down) = (SUBROSA_LINK_CONNECTED.to_be_bytes(), SUBROSA_LINK_LOST.to_be_bytes());
    check(link(Some("[::1]:9")), SUBROSA_EVENT_LINK, &[person, ("state", &up), ("text", b"[::1]:9")], &[]);
    check(link(None), SUBROSA_EVENT_LINK, &[person, ("state", &down)], &["text"]);
    let full = |what, person, full| EventKind::Full { what, person, full };
    let inbox: [(&str, &[u8]); 3] = [person, ("what", &[0, 0, 0, 1]), ("state", &[0, 0, 0, 1])];
    check(full(FullWhat::Inbox, Some(self::person()), true), SUBROSA_EVENT_FULL, &inbox, &[]);
    let disk: [(&str, &[u8]); 2] = [("what", &[0, 0, 0, 2]), ("state", &[0; 4])];
    check(full(FullWhat::Disk, None, false), SUBROSA_EVENT_FULL, &disk, &["person"]);
    let pool: [(&str, &[u8]); 2] = [("what", &[0, 0, 0, 3]), ("state", &[0, 0, 0, 1])];
    check(full(FullWhat::Pool, None, true), SUBROSA_EVENT_FULL, &pool, &["person"]);
    check(EventKind::Clock { offset: -2 }, SUBROSA_EVENT_CLOCK, &[("number", &(-2i64).to_be_bytes())], &[]);
    check(EventKind::Fault { text: "oh".into() }, SUBROSA_EVENT_FAULT, &[("text", b"oh")], &[]);
    check(EventKind::Dropped { count: 9 }, SUBROSA_EVENT_DROPPED, &[("number", &9i64.to_be_bytes())], &[]);
    let many = i64::MAX.to_be_bytes();
    check(EventKind::Dropped { count: u64::MAX }, SUBROSA_EVENT_DROPPED, &[("number", &many)], &[]);
}

#[test]
fn publications_and_envelopes() {
    let id: (&str, &[u8]) = ("publication_id", &[6; 16]);
    for (result, number) in [
        (PublishResult::Sent, SUBROSA_PUBLISHED_SENT),
        (PublishResult::TooDear, SUBROSA_PUBLISHED_TOO_DEAR),
        (PublishResult::Expired, SUBROSA_PUBLISHED_EXPIRED),
        (PublishResult::Cancelled, SUBROSA_PUBLISHED_CANCELLED),
        (PublishResult::Refused, SUBROSA_PUBLISHED_REFUSED),
    ] {
        let kind = EventKind::Published { publication: PublicationId([6; 16]), result };
        check(kind, SUBROSA_EVENT_PUBLISHED, &[id, ("state", &number.to_be_bytes())], &[]);
    }
    let progress =
        |hashes| EventKind::Progress { publication: PublicationId([6; 16]), hashes, expected: 4096.0 };
    let expected = ("expected", &4096f64.to_be_bytes()[..]);
    check(progress(9), SUBROSA_EVENT_PROGRESS, &[id, ("number", &9i64.to_be_bytes()), expected], &[]);
    let most = i64::MAX.to_be_bytes();
    check(progress(u64::MAX), SUBROSA_EVENT_PROGRESS, &[id, ("number", &most), expected], &[]);

    let who = *person().as_bytes();
    let person = ("person", who.as_slice());
    let envelope = |signer| {
        EventKind::Envelope(Opened {
            subscription: SubscriptionId([7; 16]),
            body: b"a\0b".to_vec(),
            topic: [1, 2, 3, 4],
            signer,
            sent: Timestamp::from_millis(5),
            expires: Timestamp::from_millis(6),
            pow: 0.25,
            hash: [8; 32],
        })
    };
    let always: [(&str, &[u8]); 7] = [
        ("subscription_id", &[7; 16]),
        ("body", b"a\0b"),
        ("topic", &[1, 2, 3, 4]),
        ("sent", &5u64.to_be_bytes()),
        ("expires", &6u64.to_be_bytes()),
        ("pow", &0.25f64.to_be_bytes()),
        ("hash", &[8; 32]),
    ];
    check(envelope(None), SUBROSA_EVENT_ENVELOPE, &always, &["person"]);
    let signed = envelope(Some(self::person()));
    check(signed, SUBROSA_EVENT_ENVELOPE, &[always.as_slice(), &[person]].concat(), &[]);

    for (why, number) in [
        (WaitReason::TooLarge, SUBROSA_WAITS_TOO_LARGE),
        (WaitReason::TooDear, SUBROSA_WAITS_TOO_DEAR),
        (WaitReason::NoKey, SUBROSA_WAITS_NO_KEY),
        (WaitReason::NoLink, SUBROSA_WAITS_NO_LINK),
        (WaitReason::NotDirect, SUBROSA_WAITS_NOT_DIRECT),
        (WaitReason::NoPeers, SUBROSA_WAITS_NO_PEERS),
    ] {
        let kind = EventKind::Waiting { person: self::person(), lane: 4, message: MessageId([3; 16]), why };
        let state = number.to_be_bytes();
        let here: [(&str, &[u8]); 4] =
            [person, ("lane", &[0, 0, 0, 4]), ("message_id", &[3; 16]), ("state", &state)];
        check(kind, SUBROSA_EVENT_WAITING, &here, &[]);
    }
}
