//! What became of an envelope of ours, as it is written into the table.

use subrosa_proto::Result;
use subrosa_proto::envelope::Envelope;
use subrosa_store::Tx;
use subrosa_store::publication::{self, PublicationId, PublishResult, State};

/// Something to be kept in the store.
#[derive(Clone)]
pub(in crate::whisper) struct Note {
    pub(super) row: i64,
    pub(super) id: PublicationId,
    pub(super) host: bool,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Worked(Envelope),
    Left,
    /// It spreads: nobody has to say it again.
    Spread,
    Ended(PublishResult),
}

impl Note {
    /// Whether the host is to hear of it.
    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<bool> {
        match &self.what {
            What::Worked(envelope) => {
                publication::worked(tx, self.id, envelope.raw(), envelope.hash().0).map(|_| false)
            }
            What::Left if self.host => publication::finish(tx, self.id, PublishResult::Sent),
            What::Left => publication::set_state(tx, self.id, State::Out).map(|_| false),
            What::Spread => {
                let told = publication::finish(tx, self.id, PublishResult::Sent)?;
                publication::remove(tx, self.id)?;
                Ok(told)
            }
            What::Ended(result) if self.host => publication::finish(tx, self.id, *result),
            What::Ended(_) => publication::remove(tx, self.id).map(|_| false),
        }
    }
}
