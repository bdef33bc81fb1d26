//! The one table of what can be asked of a node, with its name in every language of this repository. Tests compare it
//! with the methods of [`Node`], the C header and the command, so that none of them lags behind. What an operation does
//! stands with its method.

use crate::{Node, SendOptions};

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name: that of the method of [`Node`], and in each language's case of the bindings.
    pub name: &'static str,
    /// The development step that brought it: 1 friends, 2 floor, 3 dark, 4 C product.
    pub issue: u8,
    /// The C functions that are it. What only reads or frees their results is not here.
    pub c: &'static [&'static str],
    /// What it is on the command line.
    pub command: Command,
}

/// How an operation is reached by the command `subrosa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// By each of these: a subcommand, an option, or a subcommand with the option that does it.
    Lines(&'static [&'static str]),
    /// By none, because of this.
    None(&'static str),
}

use Command::{Lines, None};

/// Makes the table, and code that is never run and compiles only while the Rust side of each row exists.
macro_rules! operations {
    ($($name:literal $issue:literal, $rust:expr, $c:expr, $command:expr;)*) => {
        /// All operations, in the order of their nouns.
        pub const OPERATIONS: &[Operation] =
            &[$(Operation { name: $name, issue: $issue, c: &$c, command: $command }),*];

        const _: fn() = || {
            $(let _ = $rust;)*
        };
    };
}

operations! {
    "open" 1, Node::open, ["subrosa_node_open"], Lines(&["init", "run"]);
    "identity" 1, Node::identity, ["subrosa_node_identity"], Lines(&["id"]);
    "identity_export" 1, Node::identity_export, ["subrosa_node_identity_export"], Lines(&["id --export"]);
    "status" 1, Node::status, ["subrosa_node_status"], Lines(&["status"]);
    "version" 1, crate::VERSION,
        ["subrosa_version", "subrosa_version_number", "subrosa_abi_version"], Lines(&["--version"]);
    "pause" 1, Node::pause, ["subrosa_node_pause"], None("a command ends rather than rests");
    "resume" 1, Node::resume, ["subrosa_node_resume"], None("a command ends rather than rests");
    "close" 1, Node::close, ["subrosa_node_close"], None("every command does at its end");
    "network_changed" 2, Node::network_changed, ["subrosa_node_network_changed"], Lines(&["network-changed"]);
    "set_wakeup" 1, Node::set_wakeup, ["subrosa_node_set_wakeup"], None("`run` waits for events in a thread");
    "next_event" 1, Node::next_event, ["subrosa_node_next_event"], Lines(&["run", "inbox"]);
    "ack" 1, Node::ack, ["subrosa_node_ack"], Lines(&["run", "inbox"]);
    "log_set" 1, log::set_logger, ["subrosa_log_set"], Lines(&["--verbose"]);
    "store_change_key" 2, Node::store_change_key,
        ["subrosa_store_change_key", "subrosa_store_change_passphrase"], Lines(&["store change-key"]);
    "store_decide" 2, Node::store_decide, ["subrosa_store_decide"], Lines(&["store decide"]);
    "store_wipe" 2, (Node::store_wipe, |path: &'static str| drop(crate::wipe_closed_store(path))),
        ["subrosa_store_wipe", "subrosa_store_wipe_closed"], Lines(&["store wipe"]);
    "invite_create" 1, Node::invite_create, ["subrosa_invite_create"], Lines(&["invite"]);
    "invite_list" 1, Node::invite_list, ["subrosa_invite_list"], Lines(&["invite list"]);
    "invite_revoke" 1, Node::invite_revoke, ["subrosa_invite_revoke"], Lines(&["invite revoke"]);
    "invite_redeem" 1, Node::invite_redeem, ["subrosa_invite_redeem"], Lines(&["redeem"]);
    "request_send" 3, Node::request_send, ["subrosa_request_send"], Lines(&["request"]);
    "request_list" 1, Node::request_list, ["subrosa_request_list"], Lines(&["requests"]);
    "request_accept" 1, Node::request_accept, ["subrosa_request_accept"], Lines(&["accept"]);
    "request_decline" 1, Node::request_decline, ["subrosa_request_decline"], Lines(&["decline"]);
    "friend_list" 1, Node::friend_list, ["subrosa_friend_list"], Lines(&["friends"]);
    "friend_get" 1, Node::friend_get, ["subrosa_friend_get"], None("`friends` shows all there is to one");
    "friend_remove" 1, Node::friend_remove, ["subrosa_friend_remove"], Lines(&["remove"]);
    "friend_set_direct" 1, Node::friend_set_direct, ["subrosa_friend_set_direct"], Lines(&["direct"]);
    "friend_rename" 2, Node::friend_rename, ["subrosa_friend_rename"], Lines(&["rename"]);
    "friend_block" 2, Node::friend_block, ["subrosa_friend_block"], Lines(&["block"]);
    "friend_unblock" 2, Node::friend_unblock, ["subrosa_friend_unblock"], Lines(&["unblock"]);
    "friend_safety_number" 2, Node::friend_safety_number,
        ["subrosa_friend_safety_number"], Lines(&["safety"]);
    "send" 1, |node: &Node, person| drop(node.send(person, [0; 0], SendOptions::default())),
        ["subrosa_message_send"], Lines(&["send", "chat"]);
    "send_transient" 1, |node: &Node, person| drop(node.send_transient(person, [0; 0])),
        ["subrosa_message_send_transient"], Lines(&["chat"]);
    "cancel" 1, Node::cancel, ["subrosa_message_cancel"], Lines(&["cancel"]);
    "retry" 1, Node::retry, ["subrosa_lane_retry"], Lines(&["retry"]);
    "skip" 1, Node::skip, ["subrosa_lane_skip"], Lines(&["skip"]);
    "message_get" 1, Node::message_get,
        ["subrosa_message_get"], None("`history` shows all there is to a message");
    "message_list" 1, Node::message_list, ["subrosa_message_list"], Lines(&["history"]);
    "message_delete" 2, Node::message_delete, ["subrosa_message_delete"], Lines(&["delete message"]);
    "conversation_delete" 2, Node::conversation_delete,
        ["subrosa_conversation_delete"], Lines(&["delete conversation"]);
    "conversation_list" 2, Node::conversation_list, ["subrosa_conversation_list"], Lines(&["friends --all"]);
    "publish" 3, Node::publish, ["subrosa_publish"], Lines(&["publish"]);
    "publish_cancel" 3, Node::publish_cancel, ["subrosa_publish_cancel"], Lines(&["publish"]);
    "pow_cost" 3, Node::pow_cost, ["subrosa_pow_cost"], Lines(&["pow-cost"]);
    "subscribe" 3, Node::subscribe, ["subrosa_subscribe"], Lines(&["subscribe"]);
    "unsubscribe" 3, Node::unsubscribe, ["subrosa_unsubscribe"], Lines(&["unsubscribe"]);
    "subscription_list" 3, Node::subscription_list, ["subrosa_subscription_list"], Lines(&["subscriptions"]);
    "peer_add" 3, |node: &Node, address: &'static str| drop(node.peer_add(address)),
        ["subrosa_peer_add"], Lines(&["peers add"]);
    "peer_remove" 3, |node: &Node, address: &'static str| drop(node.peer_remove(address)),
        ["subrosa_peer_remove"], Lines(&["peers remove"]);
    "peer_list" 3, |node: &Node| drop(node.peer_list(Option::None, 0)), ["subrosa_peer_list"], Lines(&["peers"]);
    "archive_add" 3, |node: &Node, address: &'static str| drop(node.archive_add(address, Option::None)),
        ["subrosa_archive_add"], Lines(&["archives add"]);
    "archive_remove" 3, |node: &Node, address: &'static str| drop(node.archive_remove(address)),
        ["subrosa_archive_remove"], Lines(&["archives remove"]);
    "archive_list" 3, |node: &Node| drop(node.archive_list(Option::None, 0)),
        ["subrosa_archive_list"], Lines(&["archives"]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The public methods of [`Node`], by its source.
    fn methods() -> BTreeSet<String> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folder = std::fs::read_dir(src.join("node")).unwrap();
        let files = folder.map(|entry| entry.unwrap().path()).chain([src.join("node.rs")]);
        let mut found = BTreeSet::new();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let blocks = text.split("\nimpl Node {\n").skip(1);
            for line in blocks.filter_map(|rest| rest.split("\n}\n").next()).flat_map(str::lines) {
                let line = line.trim_start().trim_start_matches("pub ");
                let name = line.trim_start_matches("async ").strip_prefix("fn ");
                let public = text.contains(&format!("    pub {line}\n"));
                if let (Some(name), true) = (name, public) {
                    found.insert(name.split(['(', '<']).next().unwrap().to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn every_method_has_its_row() {
        let not_methods = ["version", "log_set"];
        let rows = OPERATIONS.iter().map(|row| row.name).filter(|name| !not_methods.contains(name));
        let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
        assert_eq!(rows, methods());
    }

    #[test]
    fn rows_are_whole() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), OPERATIONS.len(), "a name is there twice");
        for row in OPERATIONS {
            assert!((1..=4).contains(&row.issue) && !row.c.is_empty(), "{row:?}");
            assert!(row.c.iter().all(|symbol| symbol.starts_with("subrosa_")), "{row:?}");
            assert!(!matches!(row.command, Lines(&[]) | None("")), "{row:?}");
        }
    }
}
