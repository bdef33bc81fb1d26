//! Subscriptions to envelopes. What they open are events; who publishes is in `publication.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_person, subrosa_subscription_id, subrosa_text, subrosa_topic};
use crate::handle::{self, Field, List, Options, field, handle};
use crate::identity::subrosa_identity;
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use crate::whisper::check_pow;
use std::ffi::c_char;
use std::ptr::null;
use subrosa::{
    Error, Identity, Result, Secret32, SubscribeKey, Subscription, SubscriptionInfo, SubscriptionKind,
    Timestamp, wait,
};
use zeroize::Zeroizing;

/// Kind of a subscription: what is sealed to the identity of this node.
pub const SUBROSA_SUBSCRIPTION_OWN: i32 = 1;
/// Kind of a subscription: what is sealed to another identity.
pub const SUBROSA_SUBSCRIPTION_PRIVATE: i32 = 2;
/// Kind of a subscription: what is sealed under a symmetric key.
pub const SUBROSA_SUBSCRIPTION_SYMMETRIC: i32 = 3;
/// Kind of a subscription: what is sealed under a password.
pub const SUBROSA_SUBSCRIPTION_PASSWORD: i32 = 4;

/// More topics than this are a mistake.
const MOST_TOPICS: usize = 1_024;

/// What to subscribe to. Start from SUBROSA_SUBSCRIBE_OPTIONS_INIT, and set at most one of `identity`, `key` and
/// `password`: with none of them it is the identity of the node.
#[repr(C)]
pub struct subrosa_subscribe_options {
    /// sizeof(subrosa_subscribe_options), which tells the library what your header knew.
    pub size: usize,
    /// Opens what is sealed to this identity; copied; or NULL.
    pub identity: *const subrosa_identity,
    /// Opens what is sealed under this key of 32 bytes; or NULL.
    pub key: *const u8,
    /// How many bytes `key` has: 32, or 0 with NULL.
    pub key_len: usize,
    /// Opens what is sealed under this password, of which only the key made from it is kept; or NULL.
    pub password: *const c_char,
    /// Only these topics, at most 1024. NULL is every topic, which a key or password does not allow, and which costs an
    /// attempt per envelope of the whole network.
    pub topics: *const subrosa_topic,
    /// How many.
    pub topics_count: usize,
    /// Only what this person signed; NULL is whoever.
    pub sender: *const subrosa_person,
    /// A note of yours, at most 256 bytes, given back in lists; or NULL.
    pub label: *const c_char,
    /// Only what was sent since, in milliseconds since 1970 UTC, give or take half a minute: senders date back and clocks
    /// differ. Archives are asked for what came in between. 0 is from now on, 1 is all there is.
    pub since: u64,
    /// Only what shows at least so much proof of work.
    pub least_pow: f64,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_subscribe_options {
    const FIRST_SIZE: usize = size_of::<subrosa_subscribe_options>();
    const DEFAULT: Self = subrosa_subscribe_options {
        size: size_of::<subrosa_subscribe_options>(),
        identity: null(),
        key: null(),
        key_len: 0,
        password: null(),
        topics: null(),
        topics_count: 0,
        sender: null(),
        label: null(),
        since: 0,
        least_pow: 0.0,
    };
}

/// A subscription, as it stood when it was listed. Never changes; any thread may look at it.
pub struct subrosa_subscription {
    _private: [u8; 0],
}

handle!(subrosa_subscription, SubscriptionBox);

/// A page of subscriptions. Never changes; any thread may look at it.
pub struct subrosa_subscriptions {
    _private: [u8; 0],
}

handle!(subrosa_subscriptions, List<subrosa_subscription>);

/// A subscription, its texts ready for C.
pub struct SubscriptionBox {
    info: SubscriptionInfo,
    label: Option<Text>,
}

impl From<SubscriptionInfo> for SubscriptionBox {
    fn from(info: SubscriptionInfo) -> SubscriptionBox {
        let label = info.label.as_deref().map(Text::new);
        SubscriptionBox { info, label }
    }
}

/// Subscribes: every envelope that matches becomes one durable envelope event, also what came while the node was away,
/// as far as archives have it. Lasts until subrosa_unsubscribe(), over restarts. `options` may be NULL: everything that
/// is sealed to the identity of this node. `id` may be NULL if you do not want to know it.
///
/// SUBROSA_QUEUE_FULL beyond 1024 subscriptions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscribe(
    node: *const subrosa_node,
    options: *const subrosa_subscribe_options,
    id: *mut subrosa_subscription_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, given) = unsafe { (handle::get(node)?, handle::options(options)?) };
        // SAFETY: as above.
        let (key, topics, sender, label) = unsafe {
            (
                opening(&given)?,
                handle::list_of(given.topics, given.topics_count, MOST_TOPICS, "topics")?,
                handle::optional(given.sender),
                handle::optional_text(given.label, "label")?,
            )
        };
        let mut what = Subscription::new(key, topics.iter().map(|topic| topic.bytes).collect());
        what.sender = sender.map(TryInto::try_into).transpose()?;
        what.label = label.map(str::to_owned);
        what.least_pow = check_pow(given.least_pow)?;
        what.since = Some(Timestamp::from_millis(given.since)).filter(|_| given.since != 0);
        let subscribed = wait(node.node.subscribe(what))?;
        if !id.is_null() {
            // SAFETY: as above.
            unsafe { handle::out(id, "id") }?.write(subscribed.into());
        }
        Ok(())
    })
}

/// Ends a subscription; events that wait still come. SUBROSA_NOT_FOUND when there is no such subscription.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_unsubscribe(
    node: *const subrosa_node,
    id: *const subrosa_subscription_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id) = unsafe { (handle::get(node)?, handle::value(id, "id")?) };
        wait(node.node.unsubscribe(id.into()))
    })
}

/// The subscriptions, the oldest first: at most `limit` of them, and never more than 1000, after `after`; NULL is from
/// the start.
///
/// Free `*subscriptions` with subrosa_subscriptions_free(); the subscriptions themselves stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_list(
    node: *const subrosa_node,
    after: *const subrosa_subscription_id,
    limit: usize,
    subscriptions: *mut *mut subrosa_subscriptions,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) = unsafe {
            (handle::get(node)?, handle::optional(after), handle::out(subscriptions, "subscriptions")?)
        };
        let page = wait(node.node.subscription_list(after.map(Into::into), limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many subscriptions are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscriptions_len(subscriptions: *const subrosa_subscriptions) -> usize {
    boundary::value(0, || handle::len(subscriptions))
}

/// The subscription at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called
/// from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscriptions_at(
    subscriptions: *const subrosa_subscriptions,
    index: usize,
) -> *const subrosa_subscription {
    boundary::value(std::ptr::null(), || handle::at(subscriptions, index))
}

/// Frees the list and what is in it. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscriptions_free(subscriptions: *mut subrosa_subscriptions) {
    boundary::value((), || drop(handle::take(subscriptions)));
}

/// Its name, as events and subrosa_unsubscribe() know it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_get_id(
    subscription: *const subrosa_subscription,
    id: *mut subrosa_subscription_id,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| Field::Here(subscription.info.id.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, id, "id", find) })
}

/// What opens its envelopes: a SUBROSA_SUBSCRIPTION_ number, or -1 for a kind this version of the interface has no
/// number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_kind(
    subscription: *const subrosa_subscription,
    kind: *mut i32,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| {
        Field::Here(match subscription.info.kind {
            SubscriptionKind::Own => SUBROSA_SUBSCRIPTION_OWN,
            SubscriptionKind::Private => SUBROSA_SUBSCRIPTION_PRIVATE,
            SubscriptionKind::Symmetric => SUBROSA_SUBSCRIPTION_SYMMETRIC,
            SubscriptionKind::Password => SUBROSA_SUBSCRIPTION_PASSWORD,
            _ => -1,
        })
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, kind, "kind", find) })
}

/// The topic at `index`, from 0. SUBROSA_NOT_FOUND beyond the last; a subscription without topics is to all of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_topic(
    subscription: *const subrosa_subscription,
    index: usize,
    topic: *mut subrosa_topic,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| {
        Field::from(subscription.info.topics.get(index).map(|topic| subrosa_topic { bytes: *topic }))
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, topic, "topic of this index", find) })
}

/// Whose signature it asks for, if anybody's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_sender(
    subscription: *const subrosa_subscription,
    sender: *mut subrosa_person,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| subscription.info.sender.map(Into::into).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, sender, "sender", find) })
}

/// The least proof of work it asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_least_pow(
    subscription: *const subrosa_subscription,
    pow: *mut f64,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| Field::Here(subscription.info.least_pow);
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, pow, "least_pow", find) })
}

/// What was sent earlier is not wanted: milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_since(
    subscription: *const subrosa_subscription,
    time: *mut u64,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| Field::Here(subscription.info.since.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, time, "since", find) })
}

/// Archives gave all that was sent before this, in milliseconds since 1970 UTC, if they ever did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_complete(
    subscription: *const subrosa_subscription,
    time: *mut u64,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| subscription.info.complete.map(|t| t.as_millis()).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, time, "complete", find) })
}

/// Your note, if there is one. Valid as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_subscription_label(
    subscription: *const subrosa_subscription,
    label: *mut subrosa_text,
) -> subrosa_status {
    let find = |subscription: &SubscriptionBox| subscription.label.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(subscription, label, "label", find) })
}

/// What opens the envelopes. The caller vouches for what the options point to.
unsafe fn opening(given: &subrosa_subscribe_options) -> Result<SubscribeKey> {
    // SAFETY: as the caller says.
    let (key, password) = unsafe {
        (handle::bytes(given.key, given.key_len, "key")?, handle::optional_text(given.password, "password")?)
    };
    match (given.identity.is_null(), key, password) {
        (true, [], None) => Ok(SubscribeKey::Own),
        (false, [], None) => Ok(SubscribeKey::Private(Identity::clone(&*handle::get(given.identity)?))),
        (true, [_, ..], None) => Ok(SubscribeKey::Symmetric(Secret32::from_slice(key)?)),
        (true, [], Some("")) => Err(Error::invalid("the password is empty")),
        (true, [], Some(words)) => Ok(SubscribeKey::Password(Zeroizing::new(words.to_owned()))),
        _ => Err(Error::invalid("set at most one of identity, key and password")),
    }
}
