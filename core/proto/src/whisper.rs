//! Spreading and keeping envelopes: the gossip node, what it says to its peers, and archives. State machines without
//! input or output; the envelopes themselves are in [`crate::envelope`].
//!
//! | where | what |
//! |---|---|
//! | [`node`] | the gossip node: peers in, packets out, envelopes delivered |
//! | [`packet`], [`status`] | what peers say to each other, byte for byte as go-ethereum does |
//! | [`interest`] | which envelopes somebody wants: work, bloom, exact topics |
//! | [`padding`] | the topics that hide ours |
//! | [`pool`] | the envelopes a node holds until they expire |
//! | [`limits`], [`score`] | what a peer may do, and what it costs to do more |
//! | [`archive`] | asking those who keep envelopes, and answering |

pub mod archive;
pub mod interest;
pub mod limits;
#[cfg(test)]
pub(crate) mod made;
pub mod node;
pub mod packet;
pub mod padding;
mod peer;
pub mod pool;
pub mod score;
pub mod status;
