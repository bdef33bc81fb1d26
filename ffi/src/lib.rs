//! The C interface of Subrosa over crate `subrosa`: `include/subrosa.h` is rendered from here by cbindgen. One file
//! per noun; no logic lives here, only the passage from C to Rust and back.
//!
//! Three files make the passage safe. `boundary`: every entry catches panics, turns errors into status codes and
//! keeps their text for `subrosa_last_error`. `handle`: the only place where pointers are cast; who owns what is in
//! the types. `bytes`: the plain values that cross. The rules a caller must keep are on the first page of the
//! header, whose text is in `cbindgen.toml`; that page is the `# Safety` section of every function here.
#![allow(non_camel_case_types, reason = "the names are those of C")]
#![allow(clippy::missing_safety_doc, reason = "the first page of the header says it once for all functions")]

mod boundary;
mod handle;

// In the order of the header, which rustfmt keeps because of the empty lines.
pub mod status;

pub mod version;

pub mod bytes;

pub mod identity;

pub mod config;

pub mod whisper;

pub mod node;

pub mod snapshot;

pub mod store;

pub mod invite;

pub mod request;

pub mod friend;

pub mod message;

pub mod history;

pub mod publication;

pub mod subscription;

pub mod peer;

pub mod event;

pub mod log;
