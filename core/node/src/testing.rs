//! For tests of this crate and those above: paths that lose, delay, reorder, repeat and record datagrams, disks that
//! fail ([`Config::vfs`](crate::Config::vfs)), and an engine that crashes on demand.

use crate::{Node, Result};

pub use subrosa_net::path::PathWrap as Wrap;
pub use subrosa_net::path::{fault, tap};

impl Node {
    /// Makes the engine's task panic, as a defect would. Returns what an operation gets that was cut short by it.
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub async fn crash_engine(&self) -> Result<()> {
        self.ask(|_, _| panic!("a test wants the engine to crash")).await
    }

    /// Makes the task of whisper panic, as a defect would.
    pub fn crash_whisper(&self) -> Result<()> {
        self.running()?.whisper.change(|wanted| wanted.crash = true);
        Ok(())
    }
}
