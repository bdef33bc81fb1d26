//! How a catch-up went, for each archive and in all.

use super::ArchiveId;
use crate::whisper::archive::answer::Refused;

/// How an archive's part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It gave all it says it has, and it says it has everything since the beginning of the range.
    Complete,
    /// It gave all it says it has, but it keeps everything only since this time (unix seconds).
    Short(u32),
    /// It refused.
    Refused(Refused),
    /// It could not be reached, or did not reply in time, too often.
    Unreachable,
    /// It sent what is no reply, no envelope, or was not asked for.
    Lied,
    /// It sent more than we take, or pages without end.
    Flooded,
    /// The time for all was over, or others had answered and it gave nothing new any more.
    OutOfTime,
}

/// What one archive did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    /// Who.
    pub archive: ArchiveId,
    /// How it ended.
    pub ending: Ending,
    /// Good envelopes it gave.
    pub envelopes: u32,
    /// Those of them that nobody had given before.
    pub first: u32,
    /// Envelopes that were wrong.
    pub wrong: u32,
    /// Envelopes that others gave and this one kept back or did not have.
    pub missed: u32,
    /// Bytes of its replies.
    pub bytes: u64,
    /// Times it did not reply.
    pub failures: u32,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether as many archives as needed gave everything and missed little of what the others gave.
    pub complete: bool,
    /// Different envelopes in all.
    pub envelopes: usize,
    /// Each archive.
    pub archives: Vec<Tale>,
}
