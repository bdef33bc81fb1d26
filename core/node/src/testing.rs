//! For tests of this crate and those above: paths that lose, delay, reorder, repeat and record datagrams, disks that
//! fail ([`Config::vfs`](crate::Config::vfs)), an engine that crashes on demand, and a look at what is left to be done.

use crate::{Node, Result};
use std::any::Any;
use std::panic::resume_unwind;

pub use subrosa_net::path::PathWrap as Wrap;
pub use subrosa_net::path::{fault, tap};

/// What [`Node::settled`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// These envelopes, by hash, have left and have not ended; nothing else is to be done.
    Said(Vec<[u8; 32]>),
    /// This is left.
    Not(&'static str),
}

/// Unwinds as a panic does, but tells no panic hook: it is meant, and a backtrace of it would hide what a test that
/// fails has to say.
pub(crate) fn crash(what: &str) -> ! {
    let text: Box<dyn Any + Send> = Box::new(format!("a test wants {what} to crash"));
    resume_unwind(text)
}

impl Node {
    /// Makes the engine's task panic, as a defect would. Returns what an operation gets that was cut short by it.
    pub async fn crash_engine(&self) -> Result<()> {
        self.ask(|_, _| crash("the engine")).await
    }

    /// Makes the task of whisper panic, as a defect would.
    pub fn crash_whisper(&self) -> Result<()> {
        self.running()?.whisper.change(|wanted| wanted.crash = true);
        Ok(())
    }

    /// Whether everything is said that this node has to say to friends by envelope, and everything asked and answered
    /// that archives have for it. A node without an archive never settles.
    pub async fn settled(&self) -> Result<Settled> {
        self.ask(|engine, reply| drop(reply.send(engine.settled()))).await
    }
}
