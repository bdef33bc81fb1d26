//! What `peers` and `archives` have in common: how a list of addresses and its changes are shown.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::output::time_text;
use crate::person::Names;
use serde_json::{Value, json};
use subrosa::{PeerInfo, Result};

const PAGE: usize = 256;

/// Shows a whole list, page by page. `kind` is what one of it is called in JSON.
pub(super) fn list(
    context: &Context,
    kind: &str,
    page: impl Fn(Option<&str>, usize) -> Result<Vec<PeerInfo>>,
) -> Outcome {
    let mut after: Option<String> = None;
    loop {
        let page = page(after.as_deref(), PAGE)?;
        for peer in &page {
            context.output.show(&value(kind, peer), text(peer, context.names))?;
        }
        after = page.last().map(|peer| peer.address.clone());
        if page.len() < PAGE {
            return Ok(Exit::Done);
        }
    }
}

/// Shows that an address was added or removed: `what` in words, after the address.
pub(super) fn changed(context: &Context, mut event: Value, address: &str, what: &str) -> Outcome {
    event["address"] = address.into();
    context.output.done(&event, format_args!("{address} {what}"))?;
    Ok(Exit::Done)
}

fn value(kind: &str, peer: &PeerInfo) -> Value {
    json!({
        "type": kind, "address": peer.address, "fixed": peer.fixed, "granted": peer.granted,
        "friend": peer.friend.map(|friend| friend.to_string()),
        "last_good_ms": peer.last_good.map(|time| time.as_millis()),
    })
}

fn text(peer: &PeerInfo, names: &Names) -> String {
    let last = peer.last_good.map_or_else(|| "not reached so far".into(), time_text);
    let grant = if peer.granted { ", with a grant" } else { "" };
    match (peer.fixed, peer.friend) {
        (true, _) => format!("{}  {last}{grant}", peer.address),
        (false, Some(friend)) => format!("{}  named by {}", peer.address, names.of(&friend)),
        (false, None) => format!("{}  {last}{grant}, learned from others", peer.address),
    }
}
