//! The knock on its stream: `u16 length, big-endian | bytes` each way, and the exporter that binds it to TLS.

use quinn::{Connection, RecvStream, SendStream};
use std::fmt;
use std::ops::RangeInclusive;
use subrosa_proto::friends::knock::{EXPORTER_LABEL, Mute};
use zeroize::Zeroizing;

/// Why a knock ended early.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection or its stream.
    Connection,
    /// One of the two sides is not what it should be.
    Mute(Mute),
    /// The node does not want it.
    Unwanted,
}

impl From<Mute> for Ended {
    fn from(mute: Mute) -> Ended {
        Ended::Mute(mute)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Connection => f.write_str("the connection or its stream ended"),
            Ended::Mute(mute) => f.write_str(mute.why()),
            Ended::Unwanted => f.write_str("the node does not want it"),
        }
    }
}

/// What binds the knock to this TLS connection. Both sides have it once the client has finished.
pub(super) fn exporter(connection: &Connection) -> Result<Zeroizing<[u8; 32]>, Ended> {
    let mut bytes = Zeroizing::new([0; 32]);
    connection
        .export_keying_material(bytes.as_mut_slice(), EXPORTER_LABEL, b"")
        .map_err(|_| Ended::Connection)?;
    Ok(bytes)
}

/// The stream of a knock. Whoever fails keeps it as it is until the connection is closed: ending or dropping one of
/// its halves would be an answer.
pub(super) struct Stream {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    /// Bytes read so far.
    read: usize,
}

impl Stream {
    pub(super) fn new((send, recv): (SendStream, RecvStream)) -> Stream {
        Stream { send, recv, read: 0 }
    }

    /// Reads one message whose length lies within `lengths`. A message of another length ends the knock before any
    /// of it is read.
    pub(super) async fn read(&mut self, lengths: RangeInclusive<usize>) -> Result<Vec<u8>, Ended> {
        let mut head = [0; 2];
        self.recv.read_exact(&mut head).await.map_err(|_| Ended::Connection)?;
        self.read += head.len();
        let length = usize::from(u16::from_be_bytes(head));
        if !lengths.contains(&length) {
            return Err(Ended::Connection);
        }
        let mut message = vec![0; length];
        self.recv.read_exact(&mut message).await.map_err(|_| Ended::Connection)?;
        self.read += length;
        Ok(message)
    }

    /// Writes one message.
    pub(super) async fn write(&mut self, message: &[u8]) -> Result<(), Ended> {
        // No message of a knock is longer than 16 KiB and a tag.
        let length = u16::try_from(message.len()).map_err(|_| Ended::Connection)?;
        let bytes = [&length.to_be_bytes(), message].concat();
        self.send.write_all(&bytes).await.map_err(|_| Ended::Connection)
    }

    /// Reads on, for nothing, until `most` bytes have been read altogether or there is no more.
    pub(super) async fn discard(&mut self, most: usize) {
        while self.read < most {
            match self.recv.read_chunk(most - self.read, true).await {
                Ok(Some(chunk)) => self.read += chunk.bytes.len(),
                Ok(None) | Err(_) => return,
            }
        }
    }
}
