//! The C interface has every operation of the table in crate `subrosa`, and what is not in the table is listed here.

use crate::native::source;
use crate::symbols::declared;
use std::collections::BTreeSet;
use subrosa::operations::OPERATIONS;

/// Functions that are no operations of a node: what they work on, and their names behind `subrosa_<noun>_`.
const OTHERS: &[(&str, &[&str])] = &[
    ("", &["last_error", "refusal_text", "status_name"]),
    ("identity_", &["free", "from_secret", "generate", "person", "secret"]),
    ("person_", &["parse", "text"]),
    ("config_", &["set_peers"]),
    ("config_", &["free", "new", "set_advertise", "set_bind", "set_identity", "set_key", "set_number"]),
    (
        "config_",
        &[
            "add_archive",
            "keep_archive",
            "set_least_pow",
            "set_listen",
            "set_node_advertise",
            "set_passphrase",
        ],
    ),
    ("node_", &["free"]),
    ("snapshot_", &["address", "free", "node_address", "node_id", "number"]),
    ("invite_", &["auto_accept", "created", "expires", "free", "get_id", "label", "person", "state", "text"]),
    ("invites_", &["at", "free", "len"]),
    ("request_", &["greeting", "label", "person", "received"]),
    ("requests_", &["at", "free", "len"]),
    ("friend_", &["address", "connected", "direct", "free", "last_seen", "name", "person"]),
    ("friend_", &["queued_bytes", "queued_messages", "since", "state"]),
    ("friends_", &["at", "free", "len"]),
    (
        "message_",
        &["acked", "body", "content_type", "free", "get_id", "incoming", "lane", "person", "received"],
    ),
    ("message_", &["refusal", "reply_to", "row", "send_way", "sent", "state"]),
    ("messages_", &["at", "free", "len"]),
    ("subscription_", &["complete", "get_id", "kind", "label", "least_pow", "sender", "since", "topic"]),
    ("subscriptions_", &["at", "free", "len"]),
    ("peer_", &["address", "fixed", "friend", "granted", "last_good"]),
    ("peers_", &["at", "free", "len"]),
    ("event_", &["expected", "expires", "hash", "pow", "publication_id", "subscription_id", "topic"]),
    ("event_", &["body", "content_type", "free", "id", "invite_id", "kind", "label", "lane", "message_id"]),
    (
        "event_",
        &["number", "person", "received", "refusal", "reply_to", "sent", "state", "text", "way", "what"],
    ),
];

#[test]
fn the_header_is_the_table_and_what_goes_with_it() {
    let mut expected = BTreeSet::new();
    let operations = OPERATIONS.iter().flat_map(|row| row.c).map(|symbol| (*symbol).to_owned());
    let others =
        OTHERS.iter().flat_map(|(noun, names)| names.iter().map(move |n| format!("subrosa_{noun}{n}")));
    for symbol in operations.chain(others) {
        assert!(expected.insert(symbol.clone()), "{symbol} is there twice");
    }
    assert_eq!(declared(), expected);
}

/// What takes a node is asked of a node; so it is in the table, whatever it is called.
#[test]
fn what_takes_a_node_is_an_operation() {
    let table: BTreeSet<&str> = OPERATIONS.iter().flat_map(|row| row.c).copied().collect();
    let header = source("include/subrosa.h");
    let (_, declarations) = header.split_once("extern \"C\" {").unwrap();
    let mut found = 0;
    for declaration in declarations.split(';') {
        let code: String = declaration.lines().filter(|line| !line.starts_with(['/', ' ', '#'])).collect();
        let Some((head, first)) = code.split_once('(') else { continue };
        if first.starts_with("const struct subrosa_node *") {
            let name = head.rsplit([' ', '*']).next().unwrap();
            assert!(table.contains(name), "{name} takes a node, and is not in core/node/src/operations.rs");
            found += 1;
        }
    }
    assert!(found > 30, "the header was not understood: {found}");
}
