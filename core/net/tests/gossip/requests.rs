//! One question, one answer; who does not answer, or asks too much, costs time and nothing else.

use crate::raw;
use crate::support::{Node, PATIENCE, V4, config, connect, key, until};
use std::time::Duration;
use subrosa_net::gossip::{Bytes, DownReason, GossipConfig, RequestError};

const LONG: Duration = PATIENCE;

#[tokio::test]
async fn questions_are_answered_in_any_order_and_packets_go_on_meanwhile() {
    let (mut a, mut b) = (Node::new(V4), Node::new(V4));
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    let first = tokio::spawn(at_a.peer.request(Bytes::from_static(b"one"), LONG));
    let (peer, body, answer_first) = b.request().await;
    assert_eq!((peer, &body[..]), (at_b.peer.id(), &b"one"[..]));
    let second = tokio::spawn(at_a.peer.request(Bytes::new(), LONG));
    let (_, body, answer_second) = b.request().await;
    assert!(body.is_empty());
    assert!(answer_second.answer(vec![2; 1 << 20].into()));
    assert_eq!(second.await.unwrap().unwrap().len(), 1 << 20);
    at_b.peer.try_send(9, Bytes::new()).unwrap();
    assert_eq!(a.packet().await.1, 9);
    assert!(answer_first.answer(Bytes::new()));
    assert_eq!(first.await.unwrap(), Ok(Bytes::new()));
    // And the other way.
    let back = tokio::spawn(at_b.peer.request(Bytes::from_static(b"back"), LONG));
    let (_, _, answer) = a.request().await;
    assert!(answer.answer(Bytes::from_static(b"yes")));
    assert_eq!(back.await.unwrap(), Ok(Bytes::from_static(b"yes")));
}

#[tokio::test]
async fn a_node_that_takes_longer_than_it_may_refuses() {
    let settings = GossipConfig { answer_time: Duration::from_millis(300), ..config() };
    let (mut a, mut b) = (Node::new(V4), Node::with(V4, settings, 8));
    let (at_a, _) = connect(&mut a, &mut b).await;
    let asked = tokio::spawn(at_a.peer.request(Bytes::from_static(b"?"), LONG));
    let stalled = b.request().await;
    assert_eq!(asked.await.unwrap(), Err(RequestError::Refused));
    assert!(stalled.2.is_closed() && !stalled.2.answer(Bytes::new()));
}

#[tokio::test]
async fn a_refused_a_late_and_a_cut_answer_are_told_apart() {
    let settings = GossipConfig { answer_time: LONG, ..config() };
    let (mut a, mut b) = (Node::new(V4), Node::with(V4, settings, 8));
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    let ask = |time| tokio::spawn(at_a.peer.request(Bytes::from_static(b"?"), time));
    let asked = ask(LONG);
    drop(b.request().await);
    assert_eq!(asked.await.unwrap(), Err(RequestError::Refused));
    // Whoever asks does not wait so long; the node hears of it.
    let asked = ask(Duration::from_secs(2));
    let given_up = b.request().await;
    assert_eq!(asked.await.unwrap(), Err(RequestError::TimedOut));
    until("it is closed", || given_up.2.is_closed()).await;
    let asked = ask(LONG);
    let cut = b.request().await;
    at_b.peer.close();
    assert_eq!(asked.await.unwrap(), Err(RequestError::Ended));
    assert_eq!(a.down().await, DownReason::ClosedByPeer(0));
    drop(cut);
    let late = at_a.peer.request(Bytes::new(), LONG).await;
    assert_eq!(late, Err(RequestError::Ended));
}

#[tokio::test]
async fn a_peer_that_stalls_its_answer_keeps_nothing_but_its_own_slots() {
    let mut a = Node::with(V4, config(), 8);
    let at = raw::client(V4, raw::GOSSIP);
    let (connection, mut send, _recv) = raw::peer(&at, &key(77), a.addr(), 1000).await;
    let peer = a.up().await.peer;
    let asked = tokio::spawn(peer.request(Bytes::from_static(b"?"), Duration::from_secs(2)));
    let (mut answer, mut question) = connection.accept_bi().await.unwrap();
    assert_eq!(question.read_to_end(100).await.unwrap(), [0, 0, 0, 1, b'?']);
    // A length, one byte, and then nothing.
    answer.write_all(&[0, 0, 1, 0, 7]).await.unwrap();
    assert_eq!(asked.await.unwrap(), Err(RequestError::TimedOut));
    // One that claims more than is taken is not waited for.
    let asked = tokio::spawn(peer.request(Bytes::new(), LONG));
    let (mut answer, _question) = connection.accept_bi().await.unwrap();
    answer.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert_eq!(asked.await.unwrap(), Err(RequestError::TooLong));
    // Packets go on.
    send.write_all(&[0, 0, 0, 1, 6]).await.unwrap();
    assert_eq!(a.packet().await.1, 6);
}

#[tokio::test]
async fn few_questions_at_once_and_one_more_is_busy() {
    let settings = GossipConfig { requests_at_once: 2, ..config() };
    let (mut a, mut b) = (Node::new(V4), Node::with(V4, settings, 8));
    let (at_a, _) = connect(&mut a, &mut b).await;
    let mut asked = Vec::new();
    let mut open = Vec::new();
    for n in 0..2u8 {
        asked.push(tokio::spawn(at_a.peer.request(vec![n].into(), LONG)));
        open.push(b.request().await);
    }
    assert_eq!(at_a.peer.request(Bytes::new(), LONG).await, Err(RequestError::Busy));
    b.assert_quiet();
    for (_, body, answer) in open.drain(..) {
        assert!(answer.answer(body));
    }
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.await.unwrap().unwrap()[..], [n as u8]);
    }
    // The places are free again, many times over.
    for n in 0..20u8 {
        let asked = tokio::spawn(at_a.peer.request(vec![n].into(), LONG));
        let (_, body, answer) = b.request().await;
        answer.answer(body);
        assert_eq!(asked.await.unwrap().unwrap()[..], [n]);
    }
}

#[tokio::test]
async fn a_question_that_is_too_long_or_never_ends_is_refused_before_the_node_sees_it() {
    let settings =
        GossipConfig { longest_request: 100, request_time: Duration::from_millis(300), ..config() };
    let mut a = Node::with(V4, settings, 8);
    let (_at, connection, mut packets, _recv) = raw::peer_of(&mut a).await;
    for question in [&[0, 0, 0, 101][..], &[0xff; 4], &[0, 0, 0, 100, 1, 2], &[0]] {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(question).await.unwrap();
        let refused = recv.read_to_end(10).await;
        assert!(
            matches!(refused, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))),
            "{refused:?}"
        );
    }
    a.assert_quiet();
    packets.write_all(&[0, 0, 0, 1, 6]).await.unwrap();
    assert_eq!(a.packet().await.1, 6, "the peer stays");
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&[&[0, 0, 0, 100][..], &[7; 100]].concat()).await.unwrap();
    let (_, body, answer) = a.request().await;
    assert_eq!(body.len(), 100);
    answer.answer(Bytes::from_static(b"!"));
    assert_eq!(recv.read_to_end(10).await.unwrap(), [0, 0, 0, 1, b'!']);
}
