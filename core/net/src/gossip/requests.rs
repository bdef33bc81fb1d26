//! Requests: one question and one answer, on a stream of their own. `u32 length, big-endian | bytes` each way.

use super::config::GossipConfig;
use super::event::{GossipEvent, PeerId};
use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// With this code a stream ends whose request is refused, or not wanted any more.
const REFUSED: VarInt = VarInt::from_u32(1);
/// About so much is read at once, and kept before more has come.
const PIECE: usize = 64 * 1024;

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// As many requests are under way as the peer takes.
    Busy,
    /// The request is longer than a length can say, or the answer longer than we take.
    TooLong,
    /// The peer does not answer it.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The peer is gone.
    Ended,
}

/// Takes the answer to one request. Dropping it refuses the request.
pub struct Responder(oneshot::Sender<Bytes>);

impl Responder {
    /// Answers. False when the peer does not wait any more, or the time for an answer is over. Of an answer that is
    /// longer than the peer takes, the peer sees an error.
    pub fn answer(self, answer: Bytes) -> bool {
        self.0.send(answer).is_ok()
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

/// Asks, and waits for the answer as long as it takes.
pub(super) async fn ask(
    connection: &Connection,
    body: &Bytes,
    longest: usize,
) -> Result<Bytes, RequestError> {
    let length = u32::try_from(body.len()).map_err(|_| RequestError::TooLong)?;
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| RequestError::Ended)?;
    let asked = async {
        send.write_all(&length.to_be_bytes()).await?;
        send.write_chunk(body.clone()).await
    };
    // A peer that refuses stops reading, too.
    if asked.await.is_err() {
        let ended = connection.close_reason().is_some();
        return Err(if ended { RequestError::Ended } else { RequestError::Refused });
    }
    let _ = send.finish();
    let answer = read(&mut recv, longest).await;
    answer.map_err(|unread| match unread {
        Unread::Length => {
            let _ = recv.stop(REFUSED);
            RequestError::TooLong
        }
        Unread::Stream if connection.close_reason().is_some() => RequestError::Ended,
        Unread::Stream => RequestError::Refused,
    })
}

/// Takes the requests of a peer, at most as many at once as the settings say. Ends with the connection: gives a fault
/// when a task of it crashed.
pub(super) async fn serve(
    connection: &Connection,
    peer: PeerId,
    config: &Arc<GossipConfig>,
    events: &mpsc::Sender<GossipEvent>,
) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() >= usize::from(config.requests_at_once.max(1)) {
            report(tasks.join_next().await, events).await;
        }
        let stream = tokio::select! {
            done = tasks.join_next(), if !tasks.is_empty() => {
                report(done, events).await;
                continue;
            }
            stream = connection.accept_bi() => stream,
        };
        let Ok((send, recv)) = stream else { return };
        let (config, events) = (Arc::clone(config), events.clone());
        tasks.spawn(async move { one(send, recv, peer, &config, &events).await });
    }
}

async fn report(done: Option<Result<(), tokio::task::JoinError>>, events: &mpsc::Sender<GossipEvent>) {
    if done.is_some_and(|done| done.is_err_and(|error| error.is_panic())) {
        let _ = events.send(GossipEvent::Fault("a request could not be dealt with")).await;
    }
}

async fn one(
    mut send: SendStream,
    mut recv: RecvStream,
    peer: PeerId,
    config: &GossipConfig,
    events: &mpsc::Sender<GossipEvent>,
) {
    let answer = answer(&mut send, &mut recv, peer, config, events).await;
    let Some(answer) = answer else {
        // Otherwise dropping them would look like an answer that ends early.
        let _ = send.reset(REFUSED);
        let _ = recv.stop(REFUSED);
        return;
    };
    let writing = async {
        let length = u32::try_from(answer.len()).ok()?;
        send.write_all(&length.to_be_bytes()).await.ok()?;
        send.write_chunk(answer).await.ok()
    };
    match timeout(config.answer_time, writing).await {
        Ok(Some(())) => {
            let _ = send.finish();
        }
        _ => {
            let _ = send.reset(REFUSED);
        }
    }
}

async fn answer(
    send: &mut SendStream,
    recv: &mut RecvStream,
    peer: PeerId,
    config: &GossipConfig,
    events: &mpsc::Sender<GossipEvent>,
) -> Option<Bytes> {
    let body = timeout(config.request_time, read(recv, config.longest_request)).await.ok()?.ok()?;
    let (sender, receiver) = oneshot::channel();
    let request = GossipEvent::Request { peer, body, answer: Responder(sender) };
    let asking = async {
        events.send(request).await.ok()?;
        timeout(config.answer_time, receiver).await.ok()?.ok()
    };
    tokio::select! {
        answer = asking => answer,
        _ = send.stopped() => None,
    }
}

enum Unread {
    Length,
    Stream,
}

/// One length and as many bytes. A length beyond `longest` is refused before anything is set aside for it, and what is
/// set aside grows with what has come.
async fn read(recv: &mut RecvStream, longest: usize) -> Result<Bytes, Unread> {
    let mut head = [0; 4];
    recv.read_exact(&mut head).await.map_err(|_| Unread::Stream)?;
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(|_| Unread::Length)?;
    if length > longest {
        return Err(Unread::Length);
    }
    let mut body = Vec::new();
    while body.len() < length {
        let chunk = recv.read_chunk((length - body.len()).min(PIECE), true).await;
        let Ok(Some(chunk)) = chunk else { return Err(Unread::Stream) };
        grow(&mut body, chunk.bytes.len(), length);
        body.extend_from_slice(&chunk.bytes);
    }
    Ok(body.into())
}

/// Makes room in `body` for `more` bytes, on the way to `length`: about twice what has come, never more than `length`.
pub(super) fn grow(body: &mut Vec<u8>, more: usize, length: usize) {
    let needed = body.len().saturating_add(more);
    if needed > body.capacity() {
        let wanted = needed.saturating_mul(2).max(1024).min(length.max(needed));
        body.reserve_exact(wanted - body.len());
    }
}
