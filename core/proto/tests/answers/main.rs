//! Known answers and hostile input for keys, certificates, invites, pair secrets, the door, copies and requests. The vectors are in
//! `tests/vectors`; `docs/keys.md` explains them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test from end to end")]

mod dark;
mod formats;
mod hostile;
mod published;

use serde_json::Value;
use subrosa_proto::identity::{Identity, PersonId};

/// The vectors in `tests/vectors/<name>.json`.
fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The list in this field; never empty, so that no test passes for want of cases.
fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    let list = of[field].as_array().unwrap();
    assert!(!list.is_empty(), "{field} is empty");
    list
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_else(|| panic!("no text in field {field} of {of}"))
}

fn hex(of: &Value, field: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(of, field).as_bytes()).unwrap()
}

/// 64-bit numbers are written as texts, since not every reader of JSON keeps them.
fn number(of: &Value, field: &str) -> u64 {
    text(of, field).parse().unwrap()
}

fn person(of: &Value, field: &str) -> PersonId {
    PersonId::from_slice(&hex(of, field)).unwrap()
}

/// The identity whose secret is 32 times `byte`.
fn identity(byte: u8) -> Identity {
    Identity::from_secret(&[byte; 32]).unwrap()
}
